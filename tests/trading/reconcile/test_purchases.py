"""Whether a purchase in doubt was made, and which one it is."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal, FloatOperation, Inexact, localcontext
from typing import Any

import pytest
import trio
from bank import PARAMETERS, Fault, answering, answering_after, lost_after, lost_before
from scripted import Peer, Request

import derivtrio
from derivtrio import Ambiguous, Bought, NotBought, OutcomeUnknown
from tests.trading.world import EXECUTED, NOT_EXECUTED, World, in_doubt, open_world


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
        unknown = await in_doubt(world)
        started = trio.current_time()
        outcome = await world.client.reconcile(unknown)
        elapsed = trio.current_time() - started
    assert isinstance(outcome, NotBought)
    assert "neither statement nor portfolio" in outcome.how
    assert 20 <= elapsed < 20.1  # it looks once more as soon as it can say so
    assert len(world.server.asked("buy")) == 1


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


async def test_two_equal_orders_of_which_one_was_executed_are_ambiguous(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_after, lost_before) as world:
        one, other = await in_doubt(world), await in_doubt(world)
        outcomes = [await world.client.reconcile(unknown) for unknown in (one, other)]
        for outcome in outcomes:
            assert isinstance(outcome, Ambiguous)
            assert [p.contract_id for p in outcome.candidates] == [1001]
            assert "1 other in doubt" in outcome.how
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


async def test_a_purchase_that_was_dearer_than_allowed_forbids_a_no(autojump_clock: Any) -> None:
    """An order of a certain stake is booked at the server's own price."""
    async with open_world(lost_before) as world:
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.buy(PARAMETERS, 9.5)
        world.bank.buy({"parameters": PARAMETERS})
        outcome = await world.client.reconcile(caught.value)
    assert isinstance(outcome, Ambiguous)
    assert [p.buy_price for p in outcome.candidates] == [10]
    assert "its price" in outcome.how


async def test_what_came_before_the_order_is_not_taken_for_it(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        world.bank.buy({"parameters": PARAMETERS})
        await trio.sleep(60)
        assert isinstance(await world.client.reconcile(await in_doubt(world)), NotBought)


@asynccontextmanager
async def raw_proposal(world: World, way: str) -> AsyncGenerator[str]:
    """Yield the id of a proposal, asked for with a plain request."""
    request = {"proposal": 1, **PARAMETERS}
    if way == "call":
        yield (await world.client.call(request))["proposal"]["id"]
        return
    async with world.client.subscribe({**request, "subscribe": 1}) as prices:
        price = await anext(prices)
        if way == "stream, resumed":
            await world.client.reconnect()
            price = await anext(prices)
        yield price["proposal"]["id"]


async def buy_by_id(world: World, proposal_id: str) -> OutcomeUnknown:
    with pytest.raises(OutcomeUnknown) as caught:
        await world.client.call({"buy": proposal_id, "price": 10})
    return caught.value


@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("way", ["call", "stream", "stream, resumed"])
async def test_g04_what_a_plain_request_was_to_buy_is_known_by_its_proposal(
    autojump_clock: Any, way: str, *, executed: bool
) -> None:
    async with open_world(lost_after if executed else lost_before) as world:
        async with raw_proposal(world, way) as proposal_id:
            unknown = await buy_by_id(world, proposal_id)
        assert unknown.parameters == PARAMETERS
        other = {**PARAMETERS, "contract_type": "PUT", "symbol": "R_50", "amount": 3}
        world.bank.buy({"parameters": other})  # by hand, in Deriv's own app
        outcome = await world.client.reconcile(unknown)
        assert isinstance(outcome, Bought if executed else NotBought)


async def test_g04_a_purchase_of_nobody_knows_what_is_never_said_to_be_a_certain_one(
    autojump_clock: Any,
) -> None:
    """Its proposal came in another way: by another client, or in a raw message."""
    async with open_world(lost_before, lost_before) as world:
        unknown = await buy_by_id(world, "f" * 32)
        world.bank.buy({"parameters": {**PARAMETERS, "contract_type": "PUT", "amount": 3}})
        equal = await in_doubt(world, contract_type="PUT", amount=3)
        for each in (unknown, equal):
            outcome = await world.client.reconcile(each)
            assert isinstance(outcome, Ambiguous)
            assert "only the id of a proposal" in outcome.how
        world.bank.statement.clear()
        world.bank.contracts.clear()
        assert isinstance(await world.client.reconcile(unknown), NotBought)


@pytest.mark.parametrize("fate", ["answered", "lost", "cancelled", "refused"])
async def test_g04_what_was_bought_for_several_accounts_is_not_taken_for_another_order(
    autojump_clock: Any, fate: str
) -> None:
    bulk = "buy_contract_for_multiple_accounts"
    async with open_world(lost_before) as world:

        async def handle(peer: Peer, request: Request) -> None:
            if bulk not in request:
                await world.bank.handle(peer, request)
            elif fate == "refused":
                await peer.refuse(request, "InvalidContractProposal")
            else:
                row = world.bank.buy({"parameters": PARAMETERS})["buy"]
                if fate == "answered":
                    await peer.reply(request, **{bulk: {"result": [{**row, "token": "a"}, {}]}})
                elif fate == "lost":
                    await peer.drop()

        world.server.handle = handle
        order = {bulk: "1", "price": 10, "parameters": PARAMETERS, "tokens": ["a", "b"]}
        with trio.move_on_after(1), suppress(OutcomeUnknown, derivtrio.ApiError):
            await world.client.call(order)
        await world.client.wait_ready()
        outcome = await world.client.reconcile(await in_doubt(world))
        if fate in ("answered", "refused"):
            assert isinstance(outcome, NotBought)
        else:
            assert isinstance(outcome, Ambiguous)
            assert "several accounts" in outcome.how


@pytest.mark.parametrize("how", ["a purchase", "a call"])
async def test_g04_what_is_changed_after_the_order_was_not_ordered(
    autojump_clock: Any, how: str
) -> None:
    """A program may use the same dict for its next order."""
    limits = {"take_profit": 5}
    parameters = {**PARAMETERS, "limit_order": limits}
    async with open_world(lost_after) as world:
        with pytest.raises(OutcomeUnknown) as caught:
            if how == "a purchase":
                await world.client.buy(parameters, 10)
            else:
                await world.client.call({"buy": "1", "price": 10, "parameters": parameters})
        parameters |= {"symbol": "R_50", "amount": 7, "contract_type": "PUT"}
        limits["take_profit"] = 6
        assert caught.value.parameters == {**PARAMETERS, "limit_order": {"take_profit": 5}}
        caught.value.parameters["amount"] = 5  # type: ignore[index]  # it is a dict
        assert isinstance(await world.client.reconcile(caught.value), Bought)


async def test_g04_what_is_made_of_a_price_is_not_what_was_asked_for(autojump_clock: Any) -> None:
    """A program may take the parameters of one price to ask for another."""
    async with open_world(lost_after) as world, world.client.proposal(PARAMETERS) as prices:
        price = await anext(prices)
        price.parameters["amount"] = 7  # type: ignore[index]  # it is a dict
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.buy(price)
        assert caught.value.parameters == PARAMETERS
        assert isinstance(await world.client.reconcile(caught.value), Bought)


async def test_g03_traps_that_the_program_has_set_do_not_spring_in_here(
    autojump_clock: Any,
) -> None:
    """As Python's documentation advises: decimals are not mixed with floats, nor rounded."""
    terms = {"amount": Decimal("1234.56"), "duration": 12345, "duration_unit": "m"}
    with localcontext(prec=4) as context:
        context.traps[FloatOperation] = context.traps[Inexact] = True
        async with open_world(lost_after) as world:
            with pytest.raises(OutcomeUnknown) as caught:
                await world.client.buy({**PARAMETERS, **terms}, Decimal("2000.5"))
            code = {"shortcode": "CALL_R_100_2469.12_1700000000_1700740700_S0P_0"}
            world.bank.statement[0] |= code
            world.bank.contracts[1001] |= code
            outcome = await world.client.reconcile(caught.value)
    assert isinstance(outcome, Bought)


async def test_g03_amounts_are_exact_whatever_precision_the_program_has_set(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_after) as world:
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.buy({**PARAMETERS, "amount": Decimal("1234.56")}, 2000)
        world.bank.statement[0]["amount"] = "-1234.56"
        world.bank.contracts[1001] |= {"is_sold": 1, "buy_price": "1234.56", "sell_price": "0.01"}
        with localcontext(prec=3):
            outcome = await world.client.reconcile(caught.value)
            [closed] = [each async for each in world.client.profit_table()]
            assert closed.profit.compare(Decimal("-1234.55")) == 0
    assert isinstance(outcome, Bought)
    assert outcome.purchase.buy_price == Decimal("1234.56")


async def nameless(world: World, *, is_listed: bool, **changes: Any) -> derivtrio.Outcome:
    """Return what became of an order after which the statement has a row without a contract."""
    unknown = await in_doubt(world)
    if changes:  # by another program
        world.bank.buy({"parameters": {**PARAMETERS, **changes}})
    world.bank.statement[-1]["contract_id"] = None
    if not is_listed:
        world.bank.contracts.clear()
    return await world.client.reconcile(unknown)


async def test_g04_a_row_without_a_contract_is_found_in_another_list(autojump_clock: Any) -> None:
    async with open_world(lost_after) as world:
        outcome = await nameless(world, is_listed=True)
    assert isinstance(outcome, Bought)
    assert outcome.purchase.contract_id == 1001


async def test_g04_a_row_whose_contract_no_list_names_forbids_a_no(autojump_clock: Any) -> None:
    async with open_world(lost_after) as world:
        outcome = await nameless(world, is_listed=False)
    assert isinstance(outcome, Ambiguous)
    assert "may be this order, and does not name its contract" in outcome.how


async def test_a_row_without_a_contract_that_fits_nothing_says_nothing(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        assert isinstance(await nameless(world, is_listed=False, symbol="R_50"), NotBought)


async def test_equal_orders_that_were_all_executed_are_decided_together(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_after, lost_after) as world:
        both = [await in_doubt(world), await in_doubt(world)]
        first = await world.client.reconcile(both[0])
        assert world.client.doubts == ()
        second = await world.client.reconcile(both[1])
    assert isinstance(first, Bought)
    assert isinstance(second, Bought)
    assert {first.purchase.contract_id, second.purchase.contract_id} == {1001, 1002}
    assert "2 equal orders in doubt were executed" in first.how


async def test_g04_a_price_that_was_to_be_bought_is_not_another_contract(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_before) as world:
        async with world.client.proposal(PARAMETERS) as prices:
            price = await anext(prices)
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.buy(price)
        assert caught.value.parameters == PARAMETERS
        world.bank.buy({"parameters": {**PARAMETERS, "symbol": "R_50"}})  # by another program
        assert isinstance(await world.client.reconcile(caught.value), NotBought)


async def test_g04_an_error_of_the_search_is_not_taken_for_a_refusal_of_the_order(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_after) as world:
        world.bank.refused["statement"] = "PermissionDenied"
        with pytest.raises(OutcomeUnknown) as caught:
            await world.client.buy(PARAMETERS, 10, reconcile=True)
        assert isinstance(caught.value.__cause__, derivtrio.PermissionDenied)
        assert world.client.doubts == (caught.value,)
