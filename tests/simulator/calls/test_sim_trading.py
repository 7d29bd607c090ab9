"""Buying and selling, and what the ledger says about it."""

import pytest
import trio
from asking import ask, error
from sim_trades import (
    DEMO,
    LASTING,
    RISE,
    balance_of,
    bought,
    log_in,
    proposed,
    receive_of,
    refusal,
    statement_of,
)
from wire_peer import START, open_peer

from derivtrio.simulator import Market, open_simulator
from derivtrio.simulator.sessions.session import Backend, ServerSession


def test_a_proposal_needs_no_login() -> None:
    session = ServerSession(Backend(1, Market(1), {}), number=1)
    proposal = proposed(session)
    assert (proposal["ask_price"], proposal["payout"]) == (10, 19.53)
    assert proposal["spot"] == session.backend.market.tick("R_100", START).quote
    assert proposal["longcode"] == (
        "Win payout if Volatility 100 Index after 5 ticks is strictly higher than entry spot."
    )


def test_a_payout_can_be_asked_for_instead(session: ServerSession) -> None:
    proposal = proposed(session, basis="payout", amount=19.53)
    assert (proposal["ask_price"], proposal["payout"]) == (10, 19.53)


def test_a_proposal_is_bought_once(session: ServerSession) -> None:
    request = {"buy": proposed(session)["id"], "price": 10}
    receipt = ask(session, request)["buy"]
    assert (receipt["buy_price"], receipt["balance_after"]) == (10, 9990)
    assert receipt["shortcode"] == f"CALL_R_100_19.53_{START}_5T_S0P_0"
    assert error(session, request) == {
        "code": "InvalidContractProposal",
        "message": "Unknown contract proposal",
    }
    assert balance_of(session) == 9990


def test_a_proposal_of_another_connection_is_unknown(session: ServerSession) -> None:
    other = ServerSession(session.backend, number=2)
    ask(other, {"authorize": "demo-token"})
    request = {"buy": proposed(session)["id"], "price": 10}
    assert error(other, request)["code"] == "InvalidContractProposal"
    assert "buy" in ask(session, request)


def test_a_proposal_lapses_after_a_minute(session: ServerSession) -> None:
    first, second = proposed(session)["id"], proposed(session)["id"]
    assert "buy" in ask(session, {"buy": first, "price": 10}, START + 60)
    late = error(session, {"buy": second, "price": 10}, START + 61)
    assert late["code"] == "InvalidContractProposal"


def test_a_streamed_proposal_holds_as_long_as_its_stream(session: ServerSession) -> None:
    request = {"proposal": 1, "subscribe": 1} | RISE
    held, forgotten = ask(session, request), ask(session, request | {"amount": 11})
    ask(session, {"forget": forgotten["subscription"]["id"]})
    assert held["proposal"]["id"] == held["subscription"]["id"]
    later = START + 3600
    assert "error" in ask(session, {"buy": forgotten["proposal"]["id"], "price": 11}, later)
    assert "buy" in ask(session, {"buy": held["proposal"]["id"], "price": 10}, later)
    assert session.streams.by_id == {}


def test_the_same_proposal_can_be_streamed_once(session: ServerSession) -> None:
    request = {"proposal": 1, "subscribe": 1} | RISE
    ask(session, request)
    assert error(session, request | {"req_id": 7}) == {
        "code": "AlreadySubscribed",
        "message": "You are already subscribed to proposal",
    }


def test_five_proposals_can_be_streamed(session: ServerSession) -> None:
    request = {"proposal": 1, "subscribe": 1} | RISE
    for amount in range(1, 6):
        assert "error" not in ask(session, request | {"amount": amount})
    assert error(session, request | {"amount": 6})["code"] == "RateLimit"
    assert len(session.streams.by_id) == 5


def test_the_price_is_the_most_that_is_paid(session: ServerSession) -> None:
    request = {"buy": "1", "price": 9.99, "parameters": RISE}
    assert error(session, request) == {
        "code": "PriceMoved",
        "message": "The underlying market has moved too much since you priced the contract."
        " The contract price has changed from 9.99 USD to 10.00 USD.",
    }
    assert balance_of(session) == 10000


def test_an_attempt_uses_a_proposal_up(session: ServerSession) -> None:
    request = {"buy": proposed(session)["id"], "price": 9}
    assert error(session, request)["code"] == "PriceMoved"
    assert error(session, request)["code"] == "InvalidContractProposal"


def test_nobody_can_spend_what_he_has_not(session: ServerSession) -> None:
    ask(session, {"authorize": "other"})
    assert refusal(session) == (
        "InsufficientBalance",
        "Your account balance (5.00 USD) is insufficient to buy this contract (10.00 USD).",
    )
    assert statement_of(session) == []


def test_buying_needs_the_scope(session: ServerSession) -> None:
    session.backend.accounts[DEMO].tokens["reader"] = frozenset({"read"})
    ask(session, {"authorize": "reader"})
    assert refusal(session)[0] == "PermissionDenied"
    ask(session, {"logout": 1})
    assert refusal(session)[0] == "AuthorizationRequired"


def test_parameters_are_needed_without_a_proposal(session: ServerSession) -> None:
    refused = error(session, {"buy": "1", "price": 10})
    assert refused["code"] == "InvalidContractProposal"


def test_what_is_bought_is_in_the_books(session: ServerSession) -> None:
    receipt = bought(session)
    (row,) = statement_of(session, description=1)
    assert row == {
        "action_type": "buy",
        "amount": -10,
        "app_id": 1089,
        "balance_after": 9990,
        "contract_id": receipt["contract_id"],
        "longcode": receipt["longcode"],
        "payout": 19.53,
        "reference_id": None,
        "shortcode": receipt["shortcode"],
        "transaction_id": receipt["transaction_id"],
        "transaction_time": START,
    }
    (position,) = ask(session, {"portfolio": 1})["portfolio"]["contracts"]
    assert position["contract_id"] == receipt["contract_id"]
    assert (position["buy_price"], position["symbol"]) == (10, "R_100")


async def test_a_buyer_is_told_by_every_stream(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        assert (await peer.ask({"transaction": 1, "subscribe": 1}))["transaction"].keys() == {"id"}
        await peer.ask({"balance": 1, "subscribe": 1})
        request = {"buy": "1", "price": 10, "parameters": RISE, "subscribe": 1, "req_id": 8}
        receipt = await peer.ask(request)
        stream_id = receipt["subscription"]["id"]
        entry, balance = await peer.receive(), await peer.receive()
        assert (entry["transaction"]["action"], entry["transaction"]["amount"]) == ("buy", -10)
        assert balance["balance"]["balance"] == 9990
        seen = []
        while not seen or not seen[-1]["is_sold"]:
            message = await receive_of(peer, "proposal_open_contract")
            assert (message["req_id"], message["subscription"]["id"]) == (8, stream_id)
            seen.append(message["proposal_open_contract"])
        assert sim.connections[0].streams[0].kind == "transaction"
        assert len(sim.connections[0].streams) == 2
        (contract,) = sim.ledger(DEMO).contracts.values()
        assert contract.closing is not None
        assert seen[-1]["status"] == contract.status
        assert seen[-1]["sell_price"] == float(contract.closing.price)
        assert trio.current_time() == contract.closing.epoch - START


async def test_a_contract_is_settled_with_nobody_there(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim:
        async with open_peer(sim) as peer:
            await log_in(peer)
            await peer.ask({"buy": "1", "price": 10, "parameters": RISE})
        await trio.sleep(3600)
        buy, sale = sim.ledger(DEMO).transactions
        assert (buy.action, sale.action) == ("buy", "sell")
        assert START < sale.epoch < START + 20
        async with open_peer(sim) as peer:
            await log_in(peer)
            rows = (await peer.ask({"statement": 1}))["statement"]["transactions"]
            assert [row["transaction_time"] for row in rows] == [sale.epoch, START]


async def test_another_connection_of_the_account_is_told(autojump_clock: object) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        open_peer(sim) as buyer,
        open_peer(sim) as watcher,
    ):
        await log_in(buyer)
        await log_in(watcher)
        await watcher.ask({"transaction": 1, "subscribe": 1, "req_id": 3})
        receipt = (await buyer.ask({"buy": "1", "price": 10, "parameters": RISE}))["buy"]
        told = await watcher.receive()
        assert told["transaction"]["transaction_id"] == receipt["transaction_id"]
        assert (await watcher.receive())["transaction"]["action"] == "sell"


@pytest.mark.parametrize(("fault", "executed"), [("lose_before", 0), ("lose_after", 1)])
async def test_a_reply_can_be_lost_with_the_connection(
    autojump_clock: object, fault: str, executed: int
) -> None:
    async with open_simulator(port=None, start=START) as sim:
        async with open_peer(sim) as peer:
            await log_in(peer)
            getattr(sim.faults, fault)("buy")
            await peer.ask({"statement": 1})
            await peer.send({"buy": "1", "price": 10, "parameters": RISE})
            assert (await peer.ended()).code is None
        assert len(sim.ledger(DEMO).contracts) == executed
        async with open_peer(sim) as peer:
            await log_in(peer)
            assert "buy" in await peer.ask({"buy": "1", "price": 10, "parameters": RISE})


@pytest.mark.parametrize("code", ["Timeout", "WrongResponse"])
@pytest.mark.parametrize(("fault", "executed"), [("fail_before", 0), ("fail_after", 1)])
async def test_an_error_can_take_the_place_of_a_reply(
    autojump_clock: object, code: str, fault: str, executed: int
) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        getattr(sim.faults, fault)(code)
        request = {"buy": "1", "price": 10, "parameters": RISE, "subscribe": 1, "req_id": 4}
        message = await peer.ask(request)
        assert (message["error"]["code"], message["req_id"]) == (code, 4)
        assert message["msg_type"] == "buy"
        assert len(sim.ledger(DEMO).contracts) == executed
        assert sim.connections[0].streams == []


async def test_a_reply_can_be_late(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        sim.faults.answer_late(30, "buy")
        await peer.send({"buy": "1", "price": 10, "parameters": RISE, "req_id": 4})
        assert (await peer.ask({"ping": 1}))["msg_type"] == "ping"
        assert len(sim.ledger(DEMO).contracts) == 1
        message = await peer.receive()
        assert (message["msg_type"], message["req_id"]) == ("buy", 4)
        assert trio.current_time() == 30


async def test_nothing_is_streamed_before_a_late_reply(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        sim.faults.answer_late(30, "buy")
        request = {"buy": "1", "price": 10, "parameters": LASTING, "subscribe": 1}
        first = await peer.ask(request)
        assert (first["msg_type"], trio.current_time()) == ("buy", 30)
        second = await peer.receive()
        assert (second["msg_type"], trio.current_time()) == ("proposal_open_contract", 30)
        assert second["subscription"] == first["subscription"]


async def test_faults_come_in_the_order_asked_for_and_only_for_their_call(
    autojump_clock: object,
) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        sim.faults.fail_before("Timeout", "buy", times=2)
        sim.faults.fail_before("WrongResponse")
        request = {"buy": "1", "price": 10, "parameters": RISE}
        codes = [(await peer.ask({"sell": 1, "price": 0}))["error"]["code"]]
        codes += [(await peer.ask(request))["error"]["code"] for _ in range(2)]
        assert codes == ["WrongResponse", "Timeout", "Timeout"]
        assert "buy" in await peer.ask(request)


async def test_clear_calls_off_what_waits_for_requests(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        sim.faults.lose_after(times=5)
        sim.faults.clear()
        assert "buy" in await peer.ask({"buy": "1", "price": 10, "parameters": RISE})
