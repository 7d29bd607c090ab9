"""What a reply to a trade must say to be believed; the rest leaves the trade in doubt."""

from typing import Any

import pytest
import trio
from bank import PARAMETERS, Bank, Fault, lost_after, lost_before
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Ambiguous, ApiError, Bought, OutcomeUnknown, Sold
from tests.trading.world import World, in_doubt, open_world


def replying(payload: Request, *, executing: bool = True) -> Fault:
    """Answer with *payload* over what the execution gives."""

    async def fault(peer: Peer, request: Request, execute: Any) -> None:
        answer = execute() if executing else {}
        await peer.reply(request, **(answer | payload))

    return fault


#: What is in the place of an error and does not say why the server refuses.
SILENT: list[Any] = [None, {}, [], "", 0, False, "No.", {"code": None}, {"code": ""}, {"code": 5}]


@pytest.mark.parametrize("error", SILENT)
async def test_g03_an_error_without_a_code_leaves_a_trade_in_doubt(
    autojump_clock: Any, error: Any
) -> None:
    async def executing(peer: Peer, request: Request, execute: Any) -> None:
        execute()
        await peer.reply(request, error=error)

    async with open_world(executing) as world:
        unknown = await in_doubt(world)
        assert isinstance(await world.client.reconcile(unknown), Bought)
        with pytest.raises(ApiError):  # a read only fails
            world.bank.refused.clear()
            world.server.handle = lambda peer, request: peer.reply(request, error=error)
            await world.client.call({"time": 1})


async def test_g03_an_error_beside_a_result_leaves_a_trade_in_doubt(autojump_clock: Any) -> None:
    refusal = {"code": "InvalidContractProposal", "message": "Unknown contract proposal."}
    async with open_world(replying({"error": refusal})) as world:
        unknown = await in_doubt(world)
        assert isinstance(await world.client.reconcile(unknown), Bought)


async def test_g03_an_error_that_is_null_is_none(autojump_clock: Any) -> None:
    async with open_world(replying({"error": None})) as world:
        assert (await world.client.buy(PARAMETERS, 10)).contract_id == 1001


@pytest.mark.parametrize("name", ["sell", "cancel"])
async def test_g03_a_sale_of_another_contract_leaves_this_one_in_doubt(
    autojump_clock: Any, name: str
) -> None:
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, 10)
        other = {"contract_id": 999, "transaction_id": 1, "sold_for": 5}
        world.bank.faults.append(replying({name: other}, executing=False))
        with pytest.raises(OutcomeUnknown, match="cannot be read"):
            await getattr(world.client, name)(purchase)


@pytest.mark.parametrize("odd", [None, {}, [], {"contract_id": 999, "sold_for": 5}])
async def test_g03_a_reply_that_cannot_be_read_does_not_say_who_has_sold_a_contract(
    autojump_clock: Any, odd: Any
) -> None:
    """It would keep the sale that was executed from being found."""
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, 10)
        world.bank.faults += [replying({"sell": odd}, executing=False), lost_after]
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await world.client.sell(purchase)
        first, second = world.client.doubts
        outcomes = [await world.client.reconcile(each) for each in (second, first)]
        assert all(isinstance(each, Ambiguous | Sold) for each in outcomes)


@pytest.mark.parametrize("odd", [0, -5, "0", "1_001", " 1001 ", "１００１", "1e3", "+"])  # noqa: RUF001
async def test_g18_an_id_is_a_number_above_zero_in_plain_digits(
    autojump_clock: Any, odd: Any
) -> None:
    for name in ("contract_id", "transaction_id"):
        async with open_world() as world:
            answer = Bank().buy({"parameters": PARAMETERS})["buy"]
            world.bank.faults.append(replying({"buy": {**answer, name: odd}}))
            assert isinstance(await world.client.reconcile(await in_doubt(world)), Bought)


@pytest.mark.parametrize("odd", ["1_0", " 10", "１０", "ten", "", "0x10"])  # noqa: RUF001
async def test_g18_an_amount_in_a_text_is_written_in_plain_digits(
    autojump_clock: Any, odd: str
) -> None:
    async with open_world() as world:
        answer = Bank().buy({"parameters": PARAMETERS})["buy"]
        world.bank.faults.append(replying({"buy": {**answer, "buy_price": odd}}))
        await in_doubt(world)


def only_in_statement(world: World, edit: Any, most: int = 500) -> None:
    """Have the account show its rows in the statement alone, each changed by *edit*."""
    empty = {"portfolio": {"contracts": []}, "profit_table": {"count": 0, "transactions": []}}

    async def handle(peer: Peer, request: Request) -> None:
        name = next((name for name in empty if name in request), None)
        if name is not None:
            await peer.reply(request, **{name: empty[name]})
        elif "statement" in request:
            begin = request.get("offset", 0)
            rows = world.bank.statement[begin : begin + min(most, request["limit"])]
            await peer.reply(request, statement={"transactions": [*map(edit, rows)]})
        else:
            await world.bank.handle(peer, request)

    world.server.handle = handle


async def test_g03_a_purchase_whose_contract_is_not_named_forbids_a_no(autojump_clock: Any) -> None:
    async with open_world(lost_after) as world:
        only_in_statement(world, lambda row: {**row, "contract_id": None})
        outcome = await world.client.reconcile(await in_doubt(world))
        assert isinstance(outcome, Ambiguous)
        assert "transaction 2001" in outcome.how


@pytest.mark.parametrize("named_before", [False, True])
async def test_g03_so_does_one_in_the_profit_table_unless_the_statement_names_its_contract(
    autojump_clock: Any, *, named_before: bool
) -> None:
    async with open_world(*[lost_before] * (not named_before)) as world:
        if named_before:
            await world.client.buy(PARAMETERS, 10)
            world.bank.faults.append(lost_before)
        unknown = await in_doubt(world)
        if not named_before:
            world.bank.buy({"parameters": PARAMETERS})
            world.bank.statement.clear()
        world.bank.contracts[1001] |= {"contract_id": None, "is_sold": 1, "sell_price": 7.5}
        outcome = await world.client.reconcile(unknown)
    if named_before:
        assert isinstance(outcome, derivtrio.NotBought)
    else:
        assert isinstance(outcome, Ambiguous)
        assert "transaction 2001" in outcome.how


async def test_g03_a_purchase_of_something_else_without_a_contract_does_not(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_after) as world:
        only_in_statement(
            world, lambda row: {**row, "contract_id": None, "shortcode": "PUT_R_50_20_1_5T_S0P_0"}
        )
        outcome = await world.client.reconcile(await in_doubt(world))
        assert isinstance(outcome, derivtrio.NotBought)


async def test_g03_pages_that_are_shorter_than_asked_for_hide_nothing(autojump_clock: Any) -> None:
    """A server may have a lower limit than its documentation says."""
    async with open_world() as world:
        only_in_statement(world, lambda row: row, most=12)
        for _ in range(15):
            await world.client.buy(PARAMETERS, 10)
        world.bank.faults.append(lost_after)
        unknown = await in_doubt(world)
        for _ in range(14):
            await world.client.buy(PARAMETERS, 10)
        assert isinstance(await world.client.reconcile(unknown), Bought)
        assert len([row async for row in world.client.statement()]) == 30


async def test_g18_a_list_that_repeats_itself_for_ever_ends(autojump_clock: Any) -> None:
    async with open_world() as world:
        await world.client.buy(PARAMETERS, 10)
        row = world.bank.statement[0]
        page = [{**row, "transaction_id": number} for number in range(1, 101)]
        world.server.handle = lambda peer, request: peer.reply(
            request, statement={"transactions": page}
        )
        with pytest.raises(derivtrio.ProtocolViolation, match="again and again"):
            _ = [row async for row in world.client.statement()]


@pytest.mark.parametrize("jump", [-3600, -60, 60, 3600])
async def test_g03_a_servers_clock_that_jumps_hides_no_purchase(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch, jump: int
) -> None:
    """The account's rows have the time of before, and the server tells another one now."""
    now, ahead = Bank.now.fget, 0  # type: ignore[attr-defined]
    monkeypatch.setattr(Bank, "now", property(lambda bank: now(bank) + ahead))
    async with open_world() as world:

        async def handle(peer: Peer, request: Request) -> None:
            if "statement" not in request:
                await world.bank.handle(peer, request)
                return
            since = request["date_from"]
            rows = [row for row in world.bank.statement if row["transaction_time"] >= since]
            await peer.reply(request, statement={"transactions": rows})

        world.server.handle = handle
        await world.client.buy({**PARAMETERS, "amount": 7}, 10)
        await trio.sleep(5)
        world.bank.faults.append(lost_after)
        unknown = await in_doubt(world)
        ahead = jump
        outcome = await world.client.reconcile(unknown)
        assert isinstance(outcome, Bought)
        assert outcome.purchase.contract_id == 1002


@pytest.mark.parametrize("jump", [-3600, -60, 60, 3600])
@pytest.mark.parametrize("name", ["buy", "buy a proposal", "sell"])
async def test_g03_a_servers_clock_that_jumps_after_the_first_order_hides_nothing(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch, name: str, jump: int
) -> None:
    """Nothing was known of its clock before. This machine's stands in for it, and is right."""
    now, ahead = Bank.now.fget, 0  # type: ignore[attr-defined]
    monkeypatch.setattr(Bank, "now", property(lambda bank: now(bank) + ahead))
    async with open_world() as world:
        monkeypatch.setattr("time.time", lambda: 1_700_000_000 + trio.current_time())
        contract_id = world.bank.buy({"parameters": {**PARAMETERS, "amount": 7}})["buy"]
        world.bank.faults.append(lost_after)
        if name == "buy":
            unknown = await in_doubt(world)
        else:
            async with world.client.proposal(PARAMETERS) as prices:
                order = world.client.buy(await anext(prices)) if name == "buy a proposal" else None
                order = order or world.client.sell(contract_id["contract_id"])
                with pytest.raises(OutcomeUnknown) as caught:
                    await order
            unknown = caught.value
        ahead = jump
        outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, Bought | Sold | Ambiguous), outcome


async def test_g03_a_contract_that_another_order_has_led_to_is_not_this_ones(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        first = await world.client.buy(PARAMETERS, 10)
        old = Bank().buy({"parameters": PARAMETERS})["buy"]
        assert old["contract_id"] == first.contract_id
        world.bank.faults.append(replying({"buy": old}))
        unknown = await in_doubt(world)
        outcome = await world.client.reconcile(unknown)
        assert isinstance(outcome, Bought)
        assert outcome.purchase.contract_id == 1002


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request", None),
        ("written_at", None),
        ("written_at", "12:00"),
        ("written_at", float("nan")),
        ("written_on", "12:00"),
        ("server_epoch", 5),
        ("server_epoch", (None, None)),
        ("server_epoch", (1.0, float("nan"))),
        ("loginid", 5),
        ("parameters", "CALL"),
    ],
)
async def test_g18_a_doubt_that_was_made_by_hand_says_what_is_wrong_with_it(
    autojump_clock: Any, name: str, value: Any
) -> None:
    async with open_world(lost_after) as world:
        unknown = await in_doubt(world)
        setattr(unknown, name, value)
        with pytest.raises(derivtrio.InvalidRequest, match=name):
            await world.client.reconcile(unknown)


@pytest.mark.parametrize("name", ["sell", "cancel", "update_contract"])
async def test_g03_the_state_of_another_contract_decides_nothing(
    autojump_clock: Any, name: str
) -> None:
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, 10)
        world.bank.faults.append(lost_after)
        limits = {"stop_loss": 3} if name == "update_contract" else {}
        with pytest.raises(OutcomeUnknown) as caught:
            await getattr(world.client, name)(purchase, **limits)

        async def handle(peer: Peer, request: Request) -> None:
            if "proposal_open_contract" not in request:
                await world.bank.handle(peer, request)
                return
            other = {"contract_id": 999, "status": "sold", "is_sold": 1, "sell_price": 5}
            await peer.reply(request, proposal_open_contract=other)

        world.server.handle = handle
        with pytest.raises(derivtrio.ProtocolViolation, match="about contract 999"):
            await world.client.reconcile(caught.value)


async def test_g03_a_refusal_before_the_account_was_authorized_anew_is_not_the_answer(
    autojump_clock: Any,
) -> None:
    """The order was made once more after it; that reply counts, and it cannot be read."""
    refused = 0

    async def fault(peer: Peer, request: Request, execute: Any) -> None:
        nonlocal refused
        refused += 1
        if refused == 1:
            await peer.refuse(request, "AuthorizationRequired")
        else:
            execute()
            await peer.reply(request, buy={"contract_id": None})

    bank = Bank([fault, fault])

    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request:
            await peer.reply(request, authorize={"loginid": "CR1"})
        else:
            await bank.handle(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(
            endpoint=server, token="token-one", settings=derivtrio.Settings(heartbeat_interval=3600)
        ) as client,
    ):
        with pytest.raises(OutcomeUnknown, match="cannot be read") as caught:
            await client.buy(PARAMETERS, 10)
        assert len(server.asked("buy")) == 2
        assert isinstance(await client.reconcile(caught.value), Bought)
