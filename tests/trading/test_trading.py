"""G03, G04: trading. Every order is written once, and ends decided."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio
from bank import (
    PARAMETERS,
    Bank,
    Fault,
    answering,
    answering_after,
    late,
    lost_after,
    lost_before,
)
from scripted import Peer, Request, Server, open_server

import derivtrio
from derivtrio import (
    Ambiguous,
    Backoff,
    Bought,
    NotBought,
    NotExecuted,
    NotSold,
    NotUpdated,
    OutcomeUnknown,
    Settings,
    Sold,
    Updated,
)

SETTINGS = Settings(heartbeat_interval=3600, backoff=Backoff(first=1, cap=1), response_timeout=30)


@attrs.frozen
class World:
    bank: Bank
    server: Server
    client: derivtrio.Client


@asynccontextmanager
async def open_world(
    *faults: Fault, strings: bool = False, generation: Any = "v3"
) -> AsyncGenerator[World]:
    bank = Bank(list(faults), strings=strings)
    async with open_server(bank.handle) as server:
        server.generation = generation
        async with derivtrio.open_client(endpoint=server, settings=SETTINGS) as client:
            yield World(bank, server, client)


async def in_doubt(world: World, **changes: Any) -> OutcomeUnknown:
    with pytest.raises(OutcomeUnknown) as caught:
        await world.client.buy({**PARAMETERS, **changes}, 10)
    return caught.value


# What was bought, sold, cancelled and updated


@pytest.mark.parametrize("strings", [False, True])
async def test_a_proposal_is_bought_by_its_id(autojump_clock: Any, *, strings: bool) -> None:
    async with open_world(strings=strings) as world:
        async with world.client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
            purchase = await world.client.buy(proposal)
    expected = Decimal("10.00") if strings else 10
    assert type(proposal.ask_price) is type(purchase.buy_price) is type(expected)
    assert (proposal.ask_price, proposal.connection) == (expected, 1)
    assert (purchase.contract_id, purchase.transaction_id) == (1001, 2001)
    assert (purchase.buy_price, purchase.balance_after) == (expected, 100)
    assert purchase.shortcode == f"CALL_R_100_20.00_{world.bank.now}_5T_S0P_0"
    [(_, request)] = world.server.asked("buy")
    assert (request["buy"], request["price"]) == (proposal.id, 10)


async def test_parameters_are_bought_with_a_limit(autojump_clock: Any) -> None:
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, price=Decimal("10.50"))
    assert purchase.contract_id == 1001
    [(_, request)] = world.server.asked("buy")
    assert (request["buy"], request["price"], request["parameters"]) == ("1", 10.5, PARAMETERS)


@pytest.mark.parametrize(
    ("generation", "name"), [("v3", "symbol"), ("options", "underlying_symbol")]
)
async def test_the_symbol_goes_by_the_name_that_the_server_knows(
    autojump_clock: Any, generation: Any, name: str
) -> None:
    async with open_world(generation=generation) as world:
        for given in ("symbol", "underlying_symbol"):
            words = {k: v for k, v in PARAMETERS.items() if k != "symbol"} | {given: "R_100"}
            await world.client.buy(words, 10)
            async with world.client.proposal(**words) as prices:
                await anext(prices)
        await world.client.buy({**words, "symbol": "R_100", "underlying_symbol": "R_100"}, 10)
    requests = [r["parameters"] for _, r in world.server.asked("buy")]
    requests += [r for _, r in world.server.asked("proposal")]
    assert len(requests) == 5
    assert all(r[name] == "R_100" for r in requests)
    other = "symbol" if name == "underlying_symbol" else "underlying_symbol"
    assert not any(other in r for r in requests)


async def test_a_contract_is_sold_cancelled_and_given_limits(autojump_clock: Any) -> None:
    async with open_world() as world:
        client = world.client
        one = await client.buy(PARAMETERS, 10)
        other = await client.buy(PARAMETERS, 10)
        limits = await client.update_contract(one, take_profit=Decimal("5.5"), stop_loss=None)
        sale = await client.sell(one.contract_id, price=7)
        back = await client.cancel(other)
    assert (limits.take_profit, limits.stop_loss) == (5.5, None)
    assert sale == derivtrio.Sale(1001, 6001, 2001, 7.5, 100)
    assert back.contract_id == 1002
    [(_, update)] = world.server.asked("contract_update")
    assert update["limit_order"] == {"take_profit": 5.5, "stop_loss": None}
    assert world.server.asked("sell")[0][1]["price"] == 7


async def test_a_refusal_means_that_nothing_was_bought(autojump_clock: Any) -> None:
    async with open_world(answering("PriceMoved", executing=False)) as world:
        with pytest.raises(derivtrio.ApiError, match="PriceMoved"):
            await world.client.buy(PARAMETERS, 10)
        assert world.client.doubts == ()


async def test_bad_arguments_are_refused_before_anything_is_sent(autojump_clock: Any) -> None:
    async with open_world() as world:
        client = world.client
        async with client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
        before = len(world.server.received)
        bad: list[Any] = [
            (client.buy, (PARAMETERS,), "price says"),
            (client.buy, ("an id", 10), "mapping"),
            (client.buy, ({**PARAMETERS, "symbol": ""}, 10), "needs symbol"),
            (client.buy, ({"symbol": "R_100"}, 10), "contract_type and currency"),
            (client.buy, ({**PARAMETERS, "duraton": 5}, 10), "duration"),
            (client.buy, (PARAMETERS, -1), "0 or more"),
            (client.buy, (PARAMETERS, "10"), "an amount"),
            (client.buy, (PARAMETERS, float("nan")), "an amount"),
            (client.buy, (PARAMETERS, 10**400), "such a number"),
            (client.buy, (PARAMETERS, -(10**5000)), "such a number"),
            (client.buy, (PARAMETERS, Decimal("NaN")), "an amount"),
            (client.buy, (PARAMETERS, Decimal("sNaN")), "an amount"),
            (client.buy, (PARAMETERS, Decimal("1E+400")), "an amount"),
            (client.sell, (5, Decimal("sNaN")), "an amount"),
            (client.buy, ({**PARAMETERS, "underlying_symbol": "R_50"}, 10), "not both"),
            (client.buy, (proposal, True), "an amount"),
            (client.sell, ("5",), "contract_id"),
            (client.cancel, (None,), "contract_id"),
            (client.update_contract, (5,), "take_profit"),
            (client.reconcile, (ValueError(),), "OutcomeUnknown"),
            (client.reconcile, (OutcomeUnknown("?", {"topup_virtual": 1}, 1, 0),), "own way"),
        ]
        for method, arguments, text in bad:
            with pytest.raises(derivtrio.InvalidRequest, match=text):
                await method(*arguments)
        with pytest.raises(derivtrio.InvalidRequest, match="an amount"):
            await client.update_contract(5, stop_loss=float("inf"))
        for listing in (client.statement, client.profit_table):
            with pytest.raises(derivtrio.InvalidRequest, match="date_from"):
                listing(date_from="today")  # type: ignore[arg-type]
            with pytest.raises(derivtrio.InvalidRequest, match="date_from"):
                listing(date_from=10**20)
        with pytest.raises(derivtrio.InvalidRequest, match="action_type"):
            client.statement(action_type="bought")
        with pytest.raises(derivtrio.InvalidRequest, match="a mapping"):
            client.proposal("CALL")  # type: ignore[arg-type]
        with pytest.raises(derivtrio.InvalidRequest, match="contract_type"):
            client.proposal(PARAMETERS, contract_type="UP")
        with pytest.raises(derivtrio.InvalidRequest, match="symbol"):
            client.proposal(contract_type="CALL", currency="USD")
        with pytest.raises(derivtrio.InvalidRequest, match="one symbol"):
            client.proposal(PARAMETERS, underlying_symbol="R_50")
        trades = [r for _, r in world.server.received[before:] if "forget" not in r]
    assert trades == []


# An order is written once, on the right connection


async def test_g04_a_proposal_of_a_lost_connection_is_refused_before_it_is_sent(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        async with world.client.proposal(PARAMETERS) as prices:
            old = await anext(prices)
            await world.server.peers[-1].drop()
            new = await anext(prices)
            with pytest.raises(derivtrio.ConnectionChanged, match="connection 1"):
                await world.client.buy(old)
            assert new.connection == 2
            assert (await world.client.buy(new)).contract_id == 1001
    assert len(world.server.asked("buy")) == 1


async def test_g04_a_proposal_whose_connection_breaks_while_it_waits_is_not_sent(
    autojump_clock: Any,
) -> None:
    """The connection is already broken, but nobody has noticed when the order is queued."""
    async with open_world() as world:
        async with world.client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
            await world.server.peers[-1].drop()
            world.server.refuses = True
            started = trio.current_time()
            with pytest.raises((derivtrio.ConnectionChanged, OutcomeUnknown)) as caught:
                await world.client.buy(proposal)
            assert trio.current_time() - started < 1
            assert (type(caught.value) is OutcomeUnknown) == bool(world.client.doubts)


async def test_g04_a_proposal_is_refused_at_once_also_during_an_outage(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        async with world.client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
            world.server.refuses = True
            await world.server.peers[-1].drop()
            await trio.sleep(5)
            with trio.fail_after(0.1), pytest.raises(derivtrio.ConnectionChanged):
                await world.client.buy(proposal)


async def test_g04_a_proposal_waits_for_the_writer_of_its_own_connection_only(
    autojump_clock: Any,
) -> None:
    """It came while its connection was being restored, and the restoration failed."""

    async def half_restored(peer: Peer, request: Request) -> None:
        if "ticks" not in request:
            await world.bank.handle(peer, request)
        elif peer.number == 1:
            await peer.reply(request, tick={"epoch": 1, "quote": 1}, subscription={"id": "t"})

    async with open_world() as world:
        world.server.handle = half_restored
        async with (
            world.client.proposal(PARAMETERS) as prices,
            world.client.subscribe({"ticks": "R_100"}),
        ):
            await anext(prices)
            await world.server.peers[-1].drop()
            proposal = await anext(prices)
            assert (proposal.connection, world.client.status.state.value) == (2, "restoring")
            async with trio.open_nursery() as nursery:

                async def buy() -> None:
                    with trio.fail_after(5), pytest.raises(derivtrio.ConnectionChanged):
                        await world.client.buy(proposal)

                nursery.start_soon(buy)
                await trio.sleep(3)
                world.server.refuses = True
                await world.server.peers[-1].drop()
    assert world.server.asked("buy") == []


async def test_an_order_that_waits_for_a_connection_is_sent_once_there_is_one(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        world.server.refuses = True
        await world.server.peers[-1].drop()
        await trio.sleep(5)
        bought: list[derivtrio.Purchase] = []

        async def buy() -> None:
            bought.append(await world.client.buy(PARAMETERS, 10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(buy)
            await trio.sleep(5)
            world.server.refuses = False
    assert [p.contract_id for p in bought] == [1001]
    assert len(world.bank.contracts) == 1


# What an unknown outcome knows, and what is found out


async def test_an_unknown_outcome_knows_what_was_asked_for(autojump_clock: Any) -> None:
    async with open_world(lost_after) as world:
        async with world.client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
            with pytest.raises(OutcomeUnknown) as caught:
                await world.client.buy(proposal)
    unknown = caught.value
    assert unknown.parameters == PARAMETERS
    assert (unknown.connection, unknown.request["buy"]) == (1, proposal.id)
    assert unknown.written_at > 0


EXECUTED: list[Fault] = [
    lost_after,
    late(1),
    late(14.5),
    answering("Timeout", executing=True),
    answering("WrongResponse", executing=True),
    answering("ConnectionError", executing=True),
    answering_after(31),
    answering_after(3600),
]
NOT_EXECUTED: list[Fault] = [
    lost_before,
    answering("Timeout", executing=False),
    answering("WrongResponse", executing=False),
]


@pytest.mark.parametrize("fault", EXECUTED)
@pytest.mark.parametrize("strings", [False, True])
async def test_g04_a_purchase_whose_reply_was_lost_is_found(
    autojump_clock: Any, fault: Fault, *, strings: bool
) -> None:
    async with open_world(fault, strings=strings) as world:
        unknown = await in_doubt(world)
        assert world.client.doubts == (unknown,)
        outcome = await world.client.reconcile(unknown)
        assert world.client.doubts == ()
        again = await world.client.reconcile(unknown)
    assert isinstance(outcome, Bought)
    assert again is outcome
    assert outcome.purchase.contract_id == 1001
    assert outcome.purchase.transaction_id == 2001
    assert outcome.purchase.buy_price == 10
    assert "transaction 2001" in outcome.how or "came after all" in outcome.how
    assert len(world.bank.contracts) == len(world.server.asked("buy")) == 1


@pytest.mark.parametrize("fault", NOT_EXECUTED)
async def test_g04_a_purchase_that_was_not_made_is_known_when_it_cannot_be_made_any_more(
    autojump_clock: Any, fault: Fault
) -> None:
    async with open_world(fault) as world:
        started = trio.current_time()
        unknown = await in_doubt(world)
        outcome = await world.client.reconcile(unknown)
        elapsed = trio.current_time() - started
    assert isinstance(outcome, NotBought)
    assert "neither statement nor portfolio" in outcome.how
    assert 20 <= elapsed < 25
    assert len(world.server.asked("buy")) == 1


async def test_what_is_long_past_is_known_at_once(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        unknown = await in_doubt(world)
        await trio.sleep(60)
        with trio.fail_after(1):
            assert isinstance(await world.client.reconcile(unknown), NotBought)


@pytest.mark.parametrize("closed", [False, True])
async def test_a_purchase_that_the_statement_lacks_is_found_in_the_other_lists(
    autojump_clock: Any, *, closed: bool
) -> None:
    async with open_world(lost_after) as world:
        unknown = await in_doubt(world)
        if closed:
            world.bank.sell({"sell": 1001}, "won")
        world.bank.statement.clear()
        outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, Bought)
    assert (outcome.purchase.contract_id, outcome.purchase.balance_after) == (1001, None)


async def test_a_late_answer_ends_the_looking(autojump_clock: Any) -> None:
    async def refused_late(peer: Peer, request: Request, execute: Any) -> None:
        await trio.sleep(32)
        await peer.refuse(request, "PriceMoved")

    async with open_world(refused_late, answering_after(33)) as world:
        unknown = await in_doubt(world)
        outcome = await world.client.reconcile(unknown)
        assert isinstance(outcome, NotBought)
        assert "PriceMoved" in outcome.how
        assert trio.current_time() < 33
        unknown = await in_doubt(world)
        world.bank.statement.clear()
        world.bank.contracts.clear()
        outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, Bought)
    assert "came after all" in outcome.how
    assert outcome.purchase.balance_after == 100


async def test_g12_an_order_whose_caller_was_cancelled_is_in_doubt_and_can_be_cleared_up(
    autojump_clock: Any,
) -> None:
    async def mute(peer: Peer, request: Request, execute: Any) -> None:
        """Neither execute nor answer."""

    async with open_world(answering_after(20), mute) as world:
        for _ in range(2):
            with trio.move_on_after(5):
                await world.client.buy(PARAMETERS, 10)
        first, second = world.client.doubts
        assert "went away" in str(first)
        bought = await world.client.reconcile(first)
        assert isinstance(bought, Bought)
        assert isinstance(await world.client.reconcile(second), NotBought)
        assert world.client.doubts == ()


async def test_g12_an_order_cancelled_before_it_was_written_is_in_no_doubt(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        world.server.refuses = True
        await world.server.peers[-1].drop()
        await trio.sleep(1)
        with trio.move_on_after(5):
            await world.client.buy(PARAMETERS, 10)
        assert world.client.doubts == ()
        world.server.refuses = False
        await world.client.call({"time": 1})
    assert world.server.asked("buy") == []


async def test_g12_an_order_whose_time_is_up_is_not_written(autojump_clock: Any) -> None:
    async with open_world() as world:
        with trio.move_on_after(5) as scope:
            autojump_clock.jump(6)  # nobody has had a chance to notice
            await world.client.buy(PARAMETERS, 10)
        assert scope.cancelled_caught
        assert world.client.doubts == ()
        await world.client.call({"time": 1})
    assert world.server.asked("buy") == []


async def test_g12_a_cancelled_inquiry_can_be_made_again(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        unknown = await in_doubt(world)
        for seconds in (0, 0.5, 3, 9):
            with trio.move_on_after(seconds) as scope:
                await world.client.reconcile(unknown)
            assert scope.cancelled_caught
        assert isinstance(await world.client.reconcile(unknown), NotBought)


async def test_an_inquiry_outlives_outages_and_passing_refusals(autojump_clock: Any) -> None:
    async with open_world(late(10)) as world:
        unknown = await in_doubt(world)

        async def trouble() -> None:
            for _ in range(5):
                await trio.sleep(1.5)
                await world.server.peers[-1].drop()
            world.bank.refused["statement"] = "RateLimit"
            await trio.sleep(10)
            del world.bank.refused["statement"]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trouble)
            outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, Bought)


async def test_an_account_that_cannot_be_looked_into_is_an_error(autojump_clock: Any) -> None:
    async with open_world(lost_after) as world:
        unknown = await in_doubt(world)
        world.bank.refused["statement"] = "PermissionDenied"
        with pytest.raises(derivtrio.PermissionDenied):
            await world.client.reconcile(unknown)
        assert world.client.doubts == (unknown,)


async def test_two_equal_orders_of_which_one_was_executed_are_ambiguous(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_after, lost_before) as world:
        one, other = await in_doubt(world), await in_doubt(world)
        outcomes = [await world.client.reconcile(unknown) for unknown in (one, other)]
        for outcome in outcomes:
            assert isinstance(outcome, Ambiguous)
            assert [p.contract_id for p in outcome.candidates] == [1001]
            assert "1 others in doubt" in outcome.how
        assert world.client.doubts == (one, other)


@pytest.mark.parametrize("faults", [(lost_after, lost_after), (lost_before, lost_before)])
async def test_two_equal_orders_that_went_the_same_way_are_not(
    autojump_clock: Any, faults: tuple[Fault, Fault]
) -> None:
    outcomes: list[Any] = []
    async with open_world(*faults) as world:
        both = [await in_doubt(world), await in_doubt(world)]

        async def reconcile(unknown: OutcomeUnknown) -> None:
            outcomes.append(await world.client.reconcile(unknown))

        async with trio.open_nursery() as nursery:
            for unknown in both:
                nursery.start_soon(reconcile, unknown)
    if faults[0] is lost_before:
        assert [type(o) for o in outcomes] == [NotBought, NotBought]
    else:
        assert {o.purchase.contract_id for o in outcomes} == {1001, 1002}


async def test_orders_that_differ_are_told_apart(autojump_clock: Any) -> None:
    async with open_world(lost_after, lost_before, lost_after) as world:
        unknowns = [await in_doubt(world, duration=duration) for duration in (5, 6, 7)]
        outcomes = [await world.client.reconcile(unknown) for unknown in unknowns]
    assert [type(o) for o in outcomes] == [Bought, NotBought, Bought]
    assert [o.purchase.contract_id for o in outcomes if isinstance(o, Bought)] == [1001, 1002]


async def test_a_purchase_that_is_known_is_nobody_elses(autojump_clock: Any) -> None:
    """Also one that was made by a plain call, or by a subscription."""
    plain = {"buy": "1", "price": 10, "parameters": PARAMETERS}
    async with open_world(lost_before) as world:
        client = world.client
        unknown = await in_doubt(world)
        await client.buy(PARAMETERS, 10)
        await client.call(plain)
        async with client.subscribe(plain):
            pass
        assert len(world.bank.contracts) == 3
        assert isinstance(await client.reconcile(unknown), NotBought)


async def test_orders_written_at_the_same_moment_are_not_taken_for_each_other(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clocks of some machines stand still for milliseconds."""
    async with open_world(lost_before) as world:
        now = float(world.bank.now)
        monkeypatch.setattr("time.time", lambda: now)
        unknown = await in_doubt(world)
        await world.client.buy(PARAMETERS, 10)
        assert isinstance(await world.client.reconcile(unknown), NotBought)


async def test_an_equal_order_under_way_is_waited_for(autojump_clock: Any) -> None:
    async with open_world(lost_before, answering_after(25)) as world:
        unknown = await in_doubt(world)
        outcomes: list[Any] = []

        async def reconcile() -> None:
            outcomes.append(await world.client.reconcile(unknown))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reconcile)
            await trio.sleep(2)
            purchase = await world.client.buy(PARAMETERS, 10)
    assert purchase.contract_id == 1001
    assert isinstance(outcomes[0], NotBought)


async def test_equal_orders_under_way_say_themselves_which_purchase_is_theirs(
    autojump_clock: Any,
) -> None:
    """The order in doubt was written first, and executed last."""

    async def slow_and_doubtful(peer: Peer, request: Request, execute: Any) -> None:
        await trio.sleep(2)
        execute()
        await peer.refuse(request, "Timeout")

    async with open_world(slow_and_doubtful, answering_after(12)) as world:
        outcomes: list[Any] = []

        async def buy_later() -> None:
            await trio.sleep(1)
            outcomes.append(await world.client.buy(PARAMETERS, 10))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(buy_later)
            unknown = await in_doubt(world)
            outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, Bought)
    assert (outcomes[0].contract_id, outcome.purchase.contract_id) == (1001, 1002)


async def test_an_equal_order_that_is_never_answered_is_not_waited_for_for_ever(
    autojump_clock: Any,
) -> None:
    async def mute(peer: Peer, request: Request, execute: Any) -> None:
        """Neither execute nor answer."""

    async with open_world(answering("Timeout", executing=True), mute) as world:
        unknown = await in_doubt(world)
        with trio.move_on_after(1):
            await world.client.buy(PARAMETERS, 10)
        with trio.fail_after(60):
            assert isinstance(await world.client.reconcile(unknown), Ambiguous)


async def test_two_inquiries_into_one_order_agree(autojump_clock: Any) -> None:
    outcomes: list[Any] = []
    async with open_world(late(3)) as world:
        unknown = await in_doubt(world)

        async def reconcile() -> None:
            outcomes.append(await world.client.reconcile(unknown))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reconcile)
            nursery.start_soon(reconcile)
    assert isinstance(outcomes[0], Bought)
    assert outcomes[0] is outcomes[1]


async def test_after_too_many_doubts_no_purchase_is_claimed(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derivtrio.calls.doubts._MOST_DOUBTS", 1)
    async with open_world(lost_after, lost_after) as world:
        await in_doubt(world)
        outcome = await world.client.reconcile(await in_doubt(world, duration=7))
    assert isinstance(outcome, Ambiguous)
    assert "too many" in outcome.how


async def test_a_purchase_that_only_resembles_the_order_forbids_a_no(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        unknown = await in_doubt(world)
        world.bank.buy({"parameters": {**PARAMETERS, "amount": 9}})  # by another program
        outcome = await world.client.reconcile(unknown)
    assert isinstance(outcome, Ambiguous)
    assert "resembles" in outcome.how


async def test_a_doubt_from_before_a_restart_can_be_cleared_up(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as that is possible: what fits may also be what is known to the client of then."""
    async with open_world() as world:
        monkeypatch.setattr("time.time", lambda: float(world.bank.now))
        world.bank.buy({"parameters": PARAMETERS})
        request = {"buy": "1", "price": 10, "parameters": PARAMETERS}
        unknown = OutcomeUnknown("?", request, None, world.bank.now)
        await trio.sleep(1000)
        with trio.fail_after(1):
            outcome = await world.client.reconcile(unknown)
        assert isinstance(outcome, Ambiguous)
        assert [p.contract_id for p in outcome.candidates] == [1001]
        assert "no record of the order" in outcome.how
        started, later = trio.current_time(), OutcomeUnknown("?", request, None, world.bank.now)
        assert isinstance(await world.client.reconcile(later), NotBought)
        assert 140 <= trio.current_time() - started < 150


async def test_time_that_the_machine_slept_through_counts(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trio's clock stands still in a suspended machine; the server's does not."""
    async with open_world(lost_after) as world:
        unknown = await in_doubt(world)
        for row in world.bank.statement:
            row["transaction_time"] -= 3600
        world.bank.contracts.clear()
        monkeypatch.setattr("time.time", lambda: unknown.written_at + 3600)
        assert isinstance(await world.client.reconcile(unknown), Bought)


async def test_what_came_before_the_order_is_not_taken_for_it(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        world.bank.buy({"parameters": PARAMETERS})
        await trio.sleep(60)
        assert isinstance(await world.client.reconcile(await in_doubt(world)), NotBought)


@pytest.mark.parametrize("said", [{"nothing": "useful"}, {"contract_id": 1001}])
async def test_a_confirmation_that_cannot_be_read_leaves_doubt(
    autojump_clock: Any, said: Request
) -> None:
    async def garbled(peer: Peer, request: Request, execute: Any) -> None:
        execute()
        await peer.reply(request, buy=said)

    async with open_world(garbled) as world:
        unknown = await in_doubt(world)
        assert "cannot be read" in str(unknown)
        assert world.client.doubts == (unknown,)
        assert isinstance(await world.client.reconcile(unknown), Bought)


# Sales, cancellations, updates


async def doubtful_sale(world: World, name: str) -> tuple[derivtrio.Purchase, OutcomeUnknown]:
    fault = world.bank.faults.pop()
    purchase = await world.client.buy(PARAMETERS, 10)
    world.bank.faults.append(fault)
    with pytest.raises(OutcomeUnknown) as caught:
        await getattr(world.client, name)(purchase)
    return purchase, caught.value


@pytest.mark.parametrize("name", ["sell", "cancel"])
@pytest.mark.parametrize("fault", [*EXECUTED, *NOT_EXECUTED])
async def test_g04_a_sale_whose_reply_was_lost_is_cleared_up(
    autojump_clock: Any, name: str, fault: Fault
) -> None:
    async with open_world(fault) as world:
        _, unknown = await doubtful_sale(world, name)
        outcome = await world.client.reconcile(unknown)
        assert world.client.doubts == ()
    if fault in EXECUTED:
        assert isinstance(outcome, Sold)
        assert outcome.sale == derivtrio.Sale(1001, 6001, 2001, 7.5, 100)
    else:
        assert isinstance(outcome, NotSold)
        assert "open" in outcome.how
    assert len(world.server.asked(name)) == 1


async def test_a_contract_that_came_to_its_own_end_was_not_sold(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        purchase, unknown = await doubtful_sale(world, "sell")
        world.bank.sell({"sell": purchase.contract_id}, "won")
        outcome = await world.client.reconcile(unknown)
    assert outcome == NotSold("the contract came to its own end: it is won")


async def test_a_contract_sold_long_before_was_not_sold_by_this_request(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_before) as world:
        purchase = world.bank.buy({"parameters": PARAMETERS})["buy"]["contract_id"]
        world.bank.sell({"sell": purchase})
        await trio.sleep(60)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.sell(purchase)
        assert isinstance(await world.client.reconcile(caught.value), NotSold)


@pytest.mark.parametrize("fault", [*EXECUTED, *NOT_EXECUTED])
async def test_g04_an_update_whose_reply_was_lost_is_cleared_up(
    autojump_clock: Any, fault: Fault
) -> None:
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, 10)
        await world.client.update_contract(purchase, take_profit=4)
        world.bank.faults.append(fault)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.update_contract(purchase, take_profit=None, stop_loss=3)
        outcome = await world.client.reconcile(caught.value)
    if fault in EXECUTED:
        assert isinstance(outcome, Updated)
        assert (outcome.limits.take_profit, outcome.limits.stop_loss) == (None, 3)
    else:
        assert isinstance(outcome, NotUpdated)


async def test_the_limits_of_a_contract_that_is_over_cannot_be_told(autojump_clock: Any) -> None:
    async with open_world() as world:
        purchase = await world.client.buy(PARAMETERS, 10)
        world.bank.faults.append(lost_before)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.update_contract(purchase, stop_loss=3)
        world.bank.sell({"sell": purchase.contract_id})
        assert isinstance(await world.client.reconcile(caught.value), Ambiguous)


# All in one await


async def test_reconcile_true_returns_what_was_done_all_the_same(autojump_clock: Any) -> None:
    async with open_world(lost_after, lost_after, lost_after) as world:
        client = world.client
        purchase = await client.buy(PARAMETERS, 10, reconcile=True)
        limits = await client.update_contract(purchase, take_profit=5, reconcile=True)
        sale = await client.sell(purchase, reconcile=True)
    assert purchase.contract_id == sale.contract_id == 1001
    assert (limits.take_profit, sale.sold_for) == (5, 7.5)


async def test_reconcile_true_raises_what_was_not_done(autojump_clock: Any) -> None:
    async with open_world() as world:
        client = world.client
        purchase = await client.buy(PARAMETERS, 10)
        world.bank.faults += [lost_before] * 4
        for attempt in (
            lambda: client.buy(PARAMETERS, 10, reconcile=True),
            lambda: client.sell(purchase, reconcile=True),
            lambda: client.cancel(purchase, reconcile=True),
            lambda: client.update_contract(purchase, stop_loss=1, reconcile=True),
        ):
            with pytest.raises(NotExecuted, match="not executed: ") as caught:
                await attempt()
            assert isinstance(caught.value.__cause__, OutcomeUnknown)


async def test_reconcile_true_raises_an_outcome_that_stays_unknown(autojump_clock: Any) -> None:
    async with open_world(lost_after, lost_before) as world:
        await in_doubt(world)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.buy(PARAMETERS, 10, reconcile=True)
    assert isinstance(caught.value.outcome, Ambiguous)


# The account's lists


async def test_the_statement_is_read_page_by_page_each_row_once(autojump_clock: Any) -> None:
    async with open_world() as world:
        for _ in range(250):
            world.bank.buy({})
        seen = []
        async for row in world.client.statement(action_type="buy"):
            seen.append(row.transaction_id)
            if len(seen) % 40 == 0:
                world.bank.buy({})  # pushes the rest down
        assert seen == list(range(2250, 2000, -1))
        [row] = [row async for row in world.client.statement(date_from=0, date_to=1)][:1]
        assert (row.action, row.amount, row.contract_id) == ("buy", -10, row.raw["contract_id"])
    first = world.server.asked("statement")[0][1]
    assert (first["action_type"], first["description"], first["limit"]) == ("buy", 1, 100)


async def test_what_is_open_and_what_is_over(autojump_clock: Any) -> None:
    async with open_world(strings=True) as world:
        client = world.client
        one, other = [await client.buy(PARAMETERS, 10) for _ in range(2)]
        await client.sell(one)
        [position] = await client.portfolio()
        [closed] = [contract async for contract in client.profit_table(date_from=5)]
    assert (position.contract_id, position.buy_price) == (other.contract_id, Decimal(10))
    assert (closed.contract_id, closed.profit) == (one.contract_id, -2.5)
    assert world.server.asked("profit_table")[0][1]["date_from"] == "5"


async def test_a_list_that_cannot_be_read_is_the_servers_fault(autojump_clock: Any) -> None:
    async with open_world() as world:
        world.bank.statement.append({"action_type": "buy", "transaction_time": 2_000_000_000})
        with pytest.raises(derivtrio.ProtocolViolation, match="statement"):
            await anext(world.client.statement())
