"""G04: what `reconcile` says of what was lost, held against the simulator's own ledger."""

import copy
import pickle
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from contracts import MULTIPLIER, RISE

import derivtrio
from derivtrio import (
    Ambiguous,
    Backoff,
    Bought,
    NotBought,
    NotSold,
    OutcomeUnknown,
    Settings,
    Sold,
    Updated,
)
from derivtrio.simulator import SCOPES, Account, Simulator, open_simulator

DEMO = "VRTC1000001"
SETTINGS = Settings(backoff=Backoff(first=0.5, cap=2))


ACCUMULATOR = {
    "contract_type": "ACCU",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "growth_rate": 0.01,
}
SECONDS = {"duration": 600, "duration_unit": "s"}

#: What is to be said of a purchase, by whether it was executed.
FATES = {True: Bought, False: NotBought}


@asynccontextmanager
async def world(
    generation: str = "v3", *, response_timeout: float = 60, **options: Any
) -> AsyncGenerator[tuple[Simulator, derivtrio.Client]]:
    async with open_simulator(port=None, **options) as sim:
        v3 = generation == "v3"
        async with derivtrio.open_client(
            endpoint=sim.endpoint if v3 else sim.options_account(),
            token="demo-token" if v3 else None,
            settings=attrs.evolve(SETTINGS, response_timeout=response_timeout),
        ) as client:
            yield sim, client


async def lost(
    sim: Simulator, client: derivtrio.Client, wanted: dict[str, Any], *, executed: bool
) -> OutcomeUnknown:
    """Buy what is wanted, and lose the reply."""
    return await doubt(sim, "buy", client.buy(wanted, 30), executed=executed)


async def doubt(
    sim: Simulator, call: str, trade: Awaitable[Any], *, executed: bool
) -> OutcomeUnknown:
    """Have the reply to *trade* lost."""
    fault = sim.faults.lose_after if executed else sim.faults.lose_before
    fault(call)
    with pytest.raises(OutcomeUnknown) as caught:
        await trade
    return caught.value


@pytest.mark.parametrize("first_executed", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (MULTIPLIER, {**MULTIPLIER, "multiplier": 50}),
        (MULTIPLIER, {**MULTIPLIER, "limit_order": {"take_profit": 1}}),
        (MULTIPLIER, {**MULTIPLIER, "cancellation": "5m"}),
        ({**MULTIPLIER, "cancellation": "5m"}, {**MULTIPLIER, "cancellation": "60m"}),
        (ACCUMULATOR, {**ACCUMULATOR, "growth_rate": 0.02}),
        (RISE, {**RISE, "duration": 601, "duration_unit": "s"}),
        (RISE, {**RISE, "barrier": "+0.3"}),
    ],
)
async def test_orders_that_differ_in_what_a_shortcode_says_are_told_apart(
    autojump_clock: Any, first: dict[str, Any], second: dict[str, Any], *, first_executed: bool
) -> None:
    async with world() as (sim, client):
        one = await lost(sim, client, first, executed=first_executed)
        other = await lost(sim, client, second, executed=not first_executed)
        outcomes = [await client.reconcile(one), await client.reconcile(other)]
    expected = [Bought, NotBought] if first_executed else [NotBought, Bought]
    assert [type(outcome) for outcome in outcomes] == expected


@pytest.mark.parametrize("first_executed", [False, True])
async def test_orders_that_differ_in_when_they_end_are_told_apart(
    autojump_clock: Any, *, first_executed: bool
) -> None:
    async with world(start=1_750_000_000) as (sim, client):  # 15:06, so both end today
        ends = [int(sim.now()) + seconds for seconds in (600, 900)]
        timeless = {k: v for k, v in RISE.items() if not k.startswith("duration")}
        one = await lost(sim, client, timeless | {"date_expiry": ends[0]}, executed=first_executed)
        other = await lost(
            sim, client, timeless | {"date_expiry": ends[1]}, executed=not first_executed
        )
        outcomes = [await client.reconcile(one), await client.reconcile(other)]
    expected = [Bought, NotBought] if first_executed else [NotBought, Bought]
    assert [type(outcome) for outcome in outcomes] == expected


@pytest.mark.parametrize("second_executed", [False, True])
async def test_the_same_duration_in_other_words_makes_no_other_order(
    autojump_clock: Any, *, second_executed: bool
) -> None:
    async with world() as (sim, client):
        one = await lost(sim, client, RISE, executed=True)
        other = await lost(sim, client, RISE | SECONDS, executed=second_executed)
        outcomes = [await client.reconcile(one), await client.reconcile(other)]
    expected = Bought if second_executed else Ambiguous
    assert [type(outcome) for outcome in outcomes] == [expected, expected]


@pytest.mark.parametrize("generation", ["v3", "options"])
@pytest.mark.parametrize(
    ("wanted", "take_profit", "stop_loss"),
    [
        ({"stop_loss": 3}, 2, 3),
        ({"stop_loss": Decimal("3.00"), "take_profit": 5}, 5, 3),
        ({"take_profit": 5}, 5, 2),
        ({"take_profit": None}, None, 2),
        ({"stop_loss": None}, 2, None),
    ],
)
async def test_limits_that_were_set_are_found(
    autojump_clock: Any,
    generation: str,
    wanted: dict[str, Any],
    take_profit: int | None,
    stop_loss: int | None,
) -> None:
    async with world(generation) as (sim, client):
        contract = await client.buy(MULTIPLIER, 10)
        limits = await client.update_contract(contract, take_profit=2, stop_loss=2)
        assert (limits.take_profit, limits.stop_loss) == (2, 2)
        sim.faults.lose_after("contract_update")
        with pytest.raises(OutcomeUnknown) as caught:
            await client.update_contract(contract, **wanted)
        outcome = await client.reconcile(caught.value)
    assert isinstance(outcome, Updated)
    assert (outcome.limits.take_profit, outcome.limits.stop_loss) == (take_profit, stop_loss)


# What is not in the client's own book.


async def in_another_client(sim: Simulator, unknown: OutcomeUnknown) -> Any:
    async with derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as other:
        return await other.reconcile(unknown)


@pytest.mark.parametrize("executed", [False, True])
async def test_another_client_cannot_tell_whose_a_fitting_purchase_is(
    autojump_clock: Any, *, executed: bool
) -> None:
    async with world() as (sim, client):
        known = await client.buy(RISE, 10)
        unknown = await lost(sim, client, RISE, executed=executed)
        outcome = await in_another_client(sim, unknown)
        assert isinstance(outcome, Ambiguous)
        assert known.contract_id in [p.contract_id for p in outcome.candidates]
        assert len(outcome.candidates) == 1 + executed
        assert isinstance(await client.reconcile(unknown), FATES[executed])


async def test_another_client_knows_that_what_nothing_fits_was_not_bought(
    autojump_clock: Any,
) -> None:
    async with world() as (sim, client):
        started = trio.current_time()
        unknown = await lost(sim, client, RISE, executed=False)
        assert isinstance(await in_another_client(sim, unknown), NotBought)
        assert 140 <= trio.current_time() - started < 150


async def test_another_client_finds_what_was_bought_long_ago_on_trios_clock(
    autojump_clock: Any,
) -> None:
    async with world() as (sim, client):
        unknown = await lost(sim, client, RISE, executed=True)
        await trio.sleep(3600)
        outcome = await in_another_client(sim, unknown)
    assert isinstance(outcome, Ambiguous)
    assert len(outcome.candidates) == 1


@pytest.mark.parametrize("again", [copy.copy, lambda doubt: pickle.loads(pickle.dumps(doubt))])
async def test_a_copy_of_a_doubt_is_not_contradicted_by_its_own_purchase(
    autojump_clock: Any, again: Any
) -> None:
    async with world() as (sim, client):
        unknown = await lost(sim, client, RISE, executed=True)
        assert isinstance(await client.reconcile(unknown), Bought)
        assert isinstance(await client.reconcile(again(unknown)), Ambiguous)


async def test_doubts_that_were_forgotten_are_not_judged_with_certainty(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derivtrio.calls.doubts._MOST_DOUBTS", 2)
    async with world() as (sim, client):
        unknowns = [
            await lost(sim, client, RISE, executed=executed)
            for executed in (False, True, False, False)
        ]
        outcomes = [await client.reconcile(unknown) for unknown in unknowns]
    assert [type(outcome) for outcome in outcomes] == [Ambiguous] * 4


@pytest.mark.parametrize("executed", [False, True])
async def test_another_client_cannot_tell_by_whom_a_contract_was_sold(
    autojump_clock: Any, *, executed: bool
) -> None:
    async with world() as (sim, client):
        contract = await client.buy(RISE, 10)
        await trio.sleep(20)
        unknown = await doubt(sim, "sell", client.sell(contract), executed=executed)
        if not executed:
            await client.sell(contract)
        outcome = await in_another_client(sim, unknown)
        assert isinstance(outcome, Ambiguous)
        assert "no record" in outcome.how
        assert type(await client.reconcile(unknown)) is (Sold if executed else NotSold)


# Sales and cancellations that were not executed, of contracts that are sold all the same.


async def test_a_contract_sold_by_another_request_was_not_sold_by_this_one(
    autojump_clock: Any,
) -> None:
    async with world() as (sim, client):
        contract = await client.buy(RISE, 10)
        await trio.sleep(20)
        unknown = await doubt(sim, "sell", client.sell(contract), executed=False)
        await client.sell(contract)
        outcome = await client.reconcile(unknown)
    assert outcome == NotSold("another request of this client has ended it: it is sold")


async def test_a_cancelled_contract_was_not_sold(autojump_clock: Any) -> None:
    async with world() as (sim, client):
        contract = await client.buy({**MULTIPLIER, "cancellation": "5m"}, 30)
        await trio.sleep(5)
        sale = await doubt(sim, "sell", client.sell(contract), executed=False)
        cancellation = await doubt(sim, "cancel", client.cancel(contract), executed=True)
        outcomes = [await client.reconcile(each) for each in (sale, cancellation)]
    assert outcomes[0] == NotSold("the contract is cancelled, and that was not asked for")
    assert isinstance(outcomes[1], Sold)


async def test_a_contract_sold_for_less_was_not_sold_by_who_asked_for_more(
    autojump_clock: Any,
) -> None:
    async with world() as (sim, client):
        contract = await client.buy(RISE, 10)
        await trio.sleep(20)
        dear = await doubt(sim, "sell", client.sell(contract, 5000), executed=False)
        cheap = await doubt(sim, "sell", client.sell(contract), executed=True)
        outcomes = [await client.reconcile(each) for each in (dear, cheap)]
    assert isinstance(outcomes[0], NotSold)
    assert "asked for at least 5000" in outcomes[0].how
    assert isinstance(outcomes[1], Sold)


async def test_of_two_sales_in_doubt_it_cannot_be_told_which_was_executed(
    autojump_clock: Any,
) -> None:
    async with world() as (sim, client):
        contract = await client.buy(RISE, 10)
        await trio.sleep(20)
        unknowns = [
            await doubt(sim, "sell", client.sell(contract), executed=executed)
            for executed in (False, True)
        ]
        outcomes = [await client.reconcile(each) for each in unknowns]
    for outcome in outcomes:
        assert isinstance(outcome, Ambiguous)
        assert "2 requests in doubt asked for that" in outcome.how


async def test_a_sale_under_way_says_itself_whether_it_was_executed(autojump_clock: Any) -> None:
    async with world() as (sim, client):
        contract = await client.buy(RISE, 10)
        await trio.sleep(20)
        unknown = await doubt(sim, "sell", client.sell(contract), executed=False)
        sim.faults.answer_late(12, "sell")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.sell, contract)
            await trio.sleep(5)
            assert isinstance(await client.reconcile(unknown), NotSold)


async def test_answers_that_come_after_the_verdict_on_equal_orders_do_not_contradict_it(
    autojump_clock: Any,
) -> None:
    unknowns: dict[int, OutcomeUnknown] = {}

    async def buy(client: derivtrio.Client, limit: int) -> None:
        with pytest.raises(OutcomeUnknown) as caught:
            await client.buy(RISE, limit)
        unknowns[limit] = caught.value

    async with world(response_timeout=10) as (sim, client):
        sim.faults.answer_late(60, "buy", 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(buy, client, 10)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(buy, client, 11)
        second = await client.reconcile(unknowns[11])
        assert client.doubts == ()
        await trio.sleep(60)
        first = await client.reconcile(unknowns[10])
        made = list(sim.ledger(DEMO).contracts)
    assert isinstance(first, Bought)
    assert isinstance(second, Bought)
    assert sorted([first.purchase.contract_id, second.purchase.contract_id]) == made
    assert "which of them led to which makes no difference" in second.how


async def test_an_equal_order_for_another_account_is_not_decided_with_this_one(
    autojump_clock: Any,
) -> None:
    async with world() as (sim, client):
        one = await lost(sim, client, RISE, executed=True)
        other = await lost(sim, client, RISE, executed=True)
        one.loginid = None  # as of one that was written while the account changed
        assert isinstance(await client.reconcile(one), Bought)
        assert client.doubts == (other,)
        assert isinstance(await client.reconcile(other), Bought)


@pytest.mark.parametrize("patience", [1, 30])
async def test_an_equal_order_under_way_is_waited_for_since_it_will_name_its_contract(
    autojump_clock: Any, patience: float
) -> None:
    purchases: list[derivtrio.Purchase] = []

    async def buy(client: derivtrio.Client) -> None:
        purchases.append(await client.buy(RISE, 10))

    async with world() as (sim, client):
        sim.faults.answer_late(45, "buy", 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(buy, client)
            await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(patience):
                await client.buy(RISE, 10)
            (unknown,) = client.doubts
            outcome = await client.reconcile(unknown)
        made = list(sim.ledger(DEMO).contracts)
    assert isinstance(outcome, Bought)
    assert sorted([outcome.purchase.contract_id, purchases[0].contract_id]) == made


# Several accounts.

ACCOUNTS = [
    Account("CR1", Decimal(1000), {"token-one": SCOPES}, is_virtual=False),
    Account("CR2", Decimal(1000), {"token-two": SCOPES}, is_virtual=False),
]
BOTH = ["token-one", "token-two"]


@asynccontextmanager
async def accounts(token: Any = BOTH) -> AsyncGenerator[tuple[Simulator, derivtrio.Client]]:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=token, settings=SETTINGS) as client,
    ):
        yield sim, client


def bought(sim: Simulator) -> dict[str, int]:
    return {loginid: len(sim.ledger(loginid).contracts) for loginid in sim.accounts}


@pytest.mark.parametrize("executed", [False, True])
async def test_the_account_that_an_order_was_for_is_asked(
    autojump_clock: Any, *, executed: bool
) -> None:
    async with accounts() as (sim, client):
        trade = client.buy(RISE, 10, loginid="CR2")
        unknown = await doubt(sim, "buy", trade, executed=executed)
        assert unknown.loginid == "CR2"
        equal = await lost(sim, client, RISE, executed=not executed)
        assert equal.loginid == "CR1"
        assert isinstance(await client.reconcile(unknown), FATES[executed])
        assert isinstance(await client.reconcile(equal), FATES[not executed])
        assert bought(sim) == {"CR1": int(not executed), "CR2": int(executed)}


async def test_contracts_of_the_second_account_are_sold_cancelled_and_limited(
    autojump_clock: Any,
) -> None:
    async with accounts() as (sim, client):
        sim.faults.lose_after("buy")
        one = await client.buy(RISE, 10, loginid="CR2", reconcile=True)
        other = await client.buy(
            {**MULTIPLIER, "cancellation": "5m"}, 30, loginid="CR2", reconcile=True
        )
        third = await client.buy(MULTIPLIER, 10, loginid="CR2")
        await trio.sleep(20)
        for call in ("sell", "cancel", "contract_update"):
            sim.faults.lose_after(call)
        sale = await client.sell(one, loginid="CR2", reconcile=True)
        assert sale.sold_for is not None
        assert (await client.cancel(other, loginid="CR2", reconcile=True)).sold_for == 10
        limits = await client.update_contract(third, stop_loss=3, loginid="CR2", reconcile=True)
        assert limits.stop_loss == 3
        [position] = await client.portfolio(loginid="CR2")
        assert position.contract_id == third.contract_id
        assert await client.portfolio() == ()
        rows = [row async for row in client.statement(loginid="CR2", action_type="buy")]
        assert len(rows) == 3
        assert len([row async for row in client.profit_table(loginid="CR2")]) == 2
        assert bought(sim) == {"CR1": 0, "CR2": 3}


async def test_a_proposal_is_bought_for_the_account_that_it_was_asked_for(
    autojump_clock: Any,
) -> None:
    async with accounts() as (sim, client):
        async with client.proposal(RISE, loginid="CR2") as prices:
            proposal = await anext(prices)
            with pytest.raises(derivtrio.InvalidRequest, match="cannot be bought for CR1"):
                await client.buy(proposal, loginid="CR1")
            await client.buy(proposal)
        assert bought(sim) == {"CR1": 0, "CR2": 1}


@pytest.mark.parametrize("executed", [False, True])
async def test_an_account_that_is_out_of_reach_is_an_error_until_it_is_back(
    autojump_clock: Any, *, executed: bool
) -> None:
    async with accounts("token-one") as (sim, client):
        unknown = await lost(sim, client, RISE, executed=executed)
        await client.authorize("token-two")
        for _ in range(2):
            with pytest.raises(derivtrio.AuthorizationRequired, match="for the account CR1"):
                await client.reconcile(unknown)
            assert client.doubts == (unknown,)
            await client.logout()
        await client.authorize("token-one")
        assert isinstance(await client.reconcile(unknown), FATES[executed])


async def test_an_order_of_another_account_of_the_options_api_is_out_of_reach(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.options_account("CR1"), settings=SETTINGS) as client,
        derivtrio.open_client(endpoint=sim.options_account("CR2")) as other,
    ):
        unknown = await lost(sim, client, RISE, executed=True)
        assert unknown.loginid == "CR1"
        with pytest.raises(derivtrio.AuthorizationRequired, match="for the account CR1"):
            await other.reconcile(unknown)
        assert isinstance(await client.reconcile(unknown), Bought)


async def test_an_order_written_while_the_account_changes_is_not_said_to_be_not_bought(
    autojump_clock: Any,
) -> None:
    async with accounts("token-one") as (sim, client):
        sim.faults.delay(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.authorize, "token-two")
            await trio.sleep(0.5)
            unknown = await lost(sim, client, RISE, executed=False)
        sim.faults.clear()
        assert unknown.loginid is None
        outcome = await client.reconcile(unknown)
    assert isinstance(outcome, Ambiguous)
    assert "may have been for another" in outcome.how


async def test_where_nothing_can_be_looked_up_an_order_is_not_said_to_be_refused(
    autojump_clock: Any,
) -> None:
    token = Account("CR9", Decimal(1000), {"blind": frozenset({"trade"})}, is_virtual=False)
    async with (
        open_simulator(port=None, accounts=[token]) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="blind", settings=SETTINGS) as client,
    ):
        sim.faults.lose_after("buy")
        with pytest.raises(OutcomeUnknown) as caught:
            await client.buy(RISE, 10, reconcile=True)
        assert isinstance(caught.value.__cause__, derivtrio.PermissionDenied)
        assert client.doubts == (caught.value,)


async def test_streams_keep_their_account_across_reconnects(autojump_clock: Any) -> None:
    async with accounts() as (sim, client):
        plain = {"buy": "1", "price": 10, "parameters": RISE, "loginid": "CR2"}
        other = await client.buy(RISE, 10, loginid="CR2")
        async with (
            client.balance(loginid="CR2") as balances,
            client.transactions(loginid="CR2") as transactions,
            client.open_contract(other.contract_id, loginid="CR2") as contract,
            client.subscribe(plain) as purchase,
        ):
            bought_now = (await anext(purchase))["buy"]["contract_id"]
            assert (await anext(transactions)).contract_id == bought_now
            sim.faults.drop()
            sim.deposit("CR1", Decimal(5))
            sim.deposit("CR2", Decimal(7))
            assert (await anext(transactions)).amount == 7
            assert [state.is_sold async for state in contract][-1] is True
            messages = [message async for message in purchase]
            await client.aclose()
            seen = {balance.loginid async for balance in balances}
    assert messages[-1]["proposal_open_contract"]["is_sold"] == 1
    assert seen == {"CR2"}


async def test_an_account_that_can_be_none_is_refused(autojump_clock: Any) -> None:
    for generation, loginid in (("options", "CR1"), ("v3", ""), ("v3", 5)):
        async with world(generation) as (_, client):
            bad: Any = loginid
            for make in (client.statement, client.profit_table, client.balance):
                with pytest.raises(derivtrio.InvalidRequest, match="loginid"):
                    make(loginid=bad)
            for stream in (client.transactions, lambda **k: client.open_contract(5, **k)):
                with pytest.raises(derivtrio.InvalidRequest, match="loginid"):
                    stream(loginid=bad)
            for trade in (
                client.buy(RISE, 10, loginid=bad),
                client.sell(5, loginid=bad),
                client.cancel(5, loginid=bad),
                client.update_contract(5, stop_loss=1, loginid=bad),
                client.portfolio(loginid=bad),
            ):
                with pytest.raises(derivtrio.InvalidRequest, match="loginid"):
                    await trade
