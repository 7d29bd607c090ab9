"""The reports about contracts: lists, and the streams that follow them."""

from decimal import Decimal
from typing import Any

import deriv_schemas
import pytest
import trio
from asking import ask, error
from sim_trades import (
    DEMO,
    LASTING,
    MULTIPLIER,
    RISE,
    balance_of,
    bought,
    buy,
    log_in,
    position_of,
    receive_of,
    statement_of,
)
from wire_peer import START, open_peer

from derivtrio.simulator import open_simulator
from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.protocol.call_definitions import CALLS
from derivtrio.simulator.protocol.not_simulated import NOT_SIMULATED
from derivtrio.simulator.sessions.session import ServerSession


def closed_of(session: ServerSession, **fields: Any) -> list[dict[str, Any]]:
    payload = ask(session, {"profit_table": 1} | fields, START + DAY)["profit_table"]
    assert payload["count"] == len(payload["transactions"])
    rows: list[dict[str, Any]] = payload["transactions"]
    return rows


def test_a_statement_is_newest_first_and_can_be_narrowed(session: ServerSession) -> None:
    for second in range(0, 50, 10):
        bought(session, START + second)
    later = START + 1000
    rows = statement_of(session, later)
    times = [row["transaction_time"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert [row["action_type"] for row in rows].count("sell") == 5
    assert statement_of(session, later, action_type="buy") == [
        row for row in rows if row["action_type"] == "buy"
    ]
    assert statement_of(session, later, limit=3, offset=2) == rows[2:5]
    # The recorded statements of the live API leave out the second of `date_to`.
    assert statement_of(session, later, date_from=times[4], date_to=times[1]) == rows[2:5]
    assert statement_of(session, later, date_from=times[4], date_to=times[1] + 1) == rows[1:5]
    assert statement_of(session, later, date_from=times[1], date_to=times[1]) == []
    assert statement_of(session, later, limit=0) == []
    assert "longcode" not in rows[0]
    assert statement_of(session, later, description=1)[0]["shortcode"].startswith("CALL_R_100_")


def test_a_sale_refers_to_its_purchase(session: ServerSession) -> None:
    receipt = bought(session)
    sale, _ = statement_of(session, START + 100)
    assert (sale["reference_id"], sale["contract_id"]) == (
        receipt["transaction_id"],
        receipt["contract_id"],
    )
    assert sale["purchase_time"] == START


def test_a_statement_has_a_hundred_rows_unless_asked_for_more(session: ServerSession) -> None:
    for second in range(60):
        bought(session, START + second, amount=1)
    later = START + 1000
    assert len(statement_of(session, later)) == 100
    assert len(statement_of(session, later, limit=999)) == 120


def test_the_portfolio_has_what_is_open(session: ServerSession) -> None:
    bought(session)
    buy(session, MULTIPLIER | {"multiplier": 10})

    def held(epoch: int, **fields: Any) -> list[str]:
        contracts = ask(session, {"portfolio": 1} | fields, epoch)["portfolio"]["contracts"]
        return [contract["contract_type"] for contract in contracts]

    assert held(START) == ["CALL", "MULTUP"]
    assert held(START, contract_type=["MULTUP"]) == ["MULTUP"]
    assert held(START + 60) == ["MULTUP"]


def test_the_profit_table_has_what_is_closed(session: ServerSession) -> None:
    first, second = bought(session), bought(session, START + 100, contract_type="PUT")
    buy(session, MULTIPLIER | {"multiplier": 10, "amount": 1000}, START + 200)
    ids = [second["contract_id"], first["contract_id"]]
    rows = closed_of(session)
    assert [row["contract_id"] for row in rows] == ids
    assert rows[0]["transaction_id"] == second["transaction_id"]
    assert rows[0]["buy_price"] == 10
    assert rows[0]["sell_price"] in (0, 19.53)
    assert [row["contract_id"] for row in closed_of(session, sort="ASC")] == ids[::-1]
    assert closed_of(session, limit=1, offset=1) == rows[1:]
    assert closed_of(session, date_from=str(START + 1)) == rows[:1]
    assert closed_of(session, date_to=str(START + 100)) == rows[1:]
    assert closed_of(session, date_to=str(START + 101)) == rows
    assert closed_of(session, date_to="2023-11-13") == []
    assert closed_of(session, date_from="2023-11-14", date_to="2023-11-14") == rows
    assert closed_of(session, contract_type=["PUT"], description=1)[0]["contract_type"] == "PUT"
    bad = {"profit_table": 1, "date_from": "2023-11-31"}
    assert error(session, bad)["code"] == "InputValidationFailed"


def test_a_virtual_account_can_be_topped_up(session: ServerSession) -> None:
    assert error(session, {"topup_virtual": 1})["code"] == "TopupVirtualError"
    bought(session)
    assert ask(session, {"topup_virtual": 1})["topup_virtual"] == {"amount": 10, "currency": "USD"}
    assert balance_of(session) == 10000
    assert statement_of(session)[0]["action_type"] == "virtual_credit"


def test_nothing_is_left_to_be_sold_as_expired(session: ServerSession) -> None:
    bought(session)
    assert ask(session, {"sell_expired": 1}, START + 100)["sell_expired"] == {"count": 0}


def test_unknown_contracts_are_not_found(session: ServerSession) -> None:
    for request in (
        {"proposal_open_contract": 1, "contract_id": 5},
        {"contract_update_history": 1, "contract_id": 5},
    ):
        assert error(session, request)["code"] == "ContractNotFound"


def test_a_contract_that_is_over_is_not_streamed(session: ServerSession) -> None:
    contract_id = bought(session)["contract_id"]
    request = {"proposal_open_contract": 1, "contract_id": contract_id, "subscribe": 1}
    message = ask(session, request, START + 100)
    assert message["proposal_open_contract"]["is_sold"] == 1
    assert "subscription" not in message
    assert session.streams.by_id == {}


def test_a_contract_can_be_streamed_once(session: ServerSession) -> None:
    request = {"buy": "1", "price": 10, "parameters": RISE, "subscribe": 1}
    contract_id = ask(session, request)["buy"]["contract_id"]
    again = {"proposal_open_contract": 1, "contract_id": contract_id, "subscribe": 1}
    assert error(session, again)["code"] == "AlreadySubscribed"
    assert position_of(session, contract_id, START)["status"] == "open"


def test_a_new_login_ends_the_streams_of_the_former(session: ServerSession) -> None:
    ask(session, {"transaction": 1, "subscribe": 1})
    ask(session, {"buy": "1", "price": 10, "parameters": RISE, "subscribe": 1})
    ask(session, {"authorize": "other"})
    assert session.streams.by_id == {}


async def test_all_open_contracts_can_be_followed(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        follow = {"proposal_open_contract": 1, "subscribe": 1, "req_id": 5}
        empty = await peer.ask(follow)
        assert empty["proposal_open_contract"] == {}
        parent = empty["subscription"]["id"]
        again = await peer.ask(follow)
        assert again["error"]["code"] == "AlreadySubscribed"
        ids = set()
        for symbol in ("R_100", "1HZ100V"):
            await peer.ask({"buy": "1", "price": 10, "parameters": RISE | {"symbol": symbol}})
            news = await receive_of(peer, "proposal_open_contract")
            assert (news["req_id"], news["proposal_open_contract"]["underlying"]) == (5, symbol)
            ids.add(news["subscription"]["id"])
        assert len(ids | {parent}) == 3
        sold = 0
        while sold < 2:
            message = await receive_of(peer, "proposal_open_contract")
            sold += message["proposal_open_contract"]["is_sold"]
        assert [stream.id for stream in sim.connections[0].streams] == [parent]
        forgotten = await peer.ask({"forget_all": "proposal_open_contract"})
        assert forgotten["forget_all"] == [parent]


async def test_contracts_that_are_open_have_a_stream_each(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        for _ in range(2):
            await peer.ask({"buy": "1", "price": 10, "parameters": LASTING})
        await peer.send({"proposal_open_contract": 1, "subscribe": 1, "req_id": 5})
        first, second = await peer.receive(), await peer.receive()
        ids = {each["proposal_open_contract"]["contract_id"] for each in (first, second)}
        assert ids == set(sim.ledger(DEMO).contracts)
        assert first["subscription"] != second["subscription"]
        assert first["req_id"] == second["req_id"] == 5


async def test_a_proposal_is_streamed_with_every_tick(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        barrier = f"{sim.market.tick('R_100', START).quote:.2f}"
        request = {"proposal": 1, "subscribe": 1, "req_id": 2} | LASTING | {"barrier": barrier}
        first = await peer.ask(request)
        payouts = {first["proposal"]["payout"]}
        for second in (2, 4, 6, 8):
            message = await peer.receive()
            assert message["subscription"] == first["subscription"]
            proposal = message["proposal"]
            assert proposal["id"] == first["proposal"]["id"]
            assert proposal["spot"] == sim.market.tick("R_100", START + second).quote
            assert proposal["date_start"] == START + second
            payouts.add(proposal["payout"])
        assert len(payouts) > 1


async def test_a_streamed_proposal_that_can_be_sold_no_more_ends_with_the_reason(
    autojump_clock: object,
) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        fixed = {name: value for name, value in RISE.items() if not name.startswith("duration")}
        await peer.ask({"proposal": 1, "subscribe": 1, "date_expiry": START + 20} | fixed)
        while "error" not in (message := await peer.receive()):
            pass
        assert message["error"]["code"] == "OfferingsValidationError"
        assert sim.connections[0].streams == []


async def test_the_news_of_a_settlement_come_when_it_happens(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        await peer.ask({"buy": "1", "price": 10, "parameters": LASTING | {"duration": 61}})
        await peer.ask({"transaction": 1, "subscribe": 1})
        await peer.ask({"balance": 1, "subscribe": 1})
        sale, balance = await peer.receive(), await peer.receive()
        assert (sale["transaction"]["action"], trio.current_time()) == ("sell", 61)
        assert sale["transaction"]["transaction_time"] == START + 61
        assert sale["transaction"]["balance"] == balance["balance"]["balance"]
        assert sim.accounts[DEMO].balance == Decimal(str(balance["balance"]["balance"]))


async def test_a_deposit_is_in_the_books(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        await peer.ask({"transaction": 1, "subscribe": 1})
        sim.deposit(DEMO, Decimal("-2.50"))
        told = (await peer.receive())["transaction"]
        assert (told["action"], told["amount"], told["balance"]) == ("withdrawal", -2.5, 9997.5)
        (row,) = (await peer.ask({"statement": 1}))["statement"]["transactions"]
        assert row["amount"] == -2.5


@pytest.mark.skipif(not deriv_schemas.available(), reason="the official schemas are not at hand")
def test_every_call_of_the_api_is_simulated_or_said_not_to_be() -> None:
    assert CALLS.keys() | NOT_SIMULATED == set(deriv_schemas.calls())


@pytest.mark.parametrize("call", sorted(NOT_SIMULATED))
def test_what_is_not_simulated_says_so(session: ServerSession, call: str) -> None:
    message = ask(session, {call: 1, "req_id": 3})
    assert (message["msg_type"], message["req_id"]) == (call, 3)
    assert message["error"] == {
        "code": "NotSimulated",
        "message": f"The simulator does not have {call}, though Deriv does.",
    }
