"""What a doubt of another run proves, whatever happened to the machine's clock meanwhile."""

import copy
import pickle
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing
from bank import PARAMETERS, Bank, lost_after, lost_before
from scripted import open_server

import derivtrio
from derivtrio import Ambiguous, Bought, Client, NotBought, NotSold, OutcomeUnknown
from tests.trading.world import SETTINGS

#: How far the machine's clock is set between the runs, in seconds.
STEPS = (0, -5, -8, -15, -60, -3600, 5, 60, 3600)


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Have the machine's clock go with trio's; return what sets it, by so many seconds."""
    offset = [1_700_000_000.0]
    monkeypatch.setattr("time.time", lambda: offset[0] + trio.current_time())

    def step(seconds: float) -> None:
        offset[0] += seconds

    return step


@asynccontextmanager
async def open_bank(bank: Bank) -> AsyncGenerator[Client]:
    async with (
        open_server(bank.handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        yield client


async def ask_the_time(client: Client) -> None:
    await client.call({"time": 1})


async def buy_something_else(client: Client) -> None:
    await client.buy({**PARAMETERS, "contract_type": "PUT"}, 10)


async def ask_nothing(_: Client) -> None:
    await trio.lowlevel.checkpoint()


async def saved_doubt(
    bank: Bank, fault: Any, prepare: Callable[[Client], Awaitable[None]] = ask_nothing
) -> OutcomeUnknown:
    """Have a purchase come into doubt in one run; return what the next run reads of it."""
    async with open_bank(bank) as client:
        await prepare(client)
        bank.faults.append(fault)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.buy(PARAMETERS, 10)
    unknown: OutcomeUnknown = pickle.loads(pickle.dumps(caught.value))
    return unknown


@pytest.mark.parametrize("prepare", [ask_nothing, ask_the_time, buy_something_else])
@pytest.mark.parametrize("step", STEPS)
async def test_g04_a_purchase_is_never_denied_because_the_machines_clock_was_set(
    autojump_clock: Any, set_clock: Callable[[float], None], prepare: Any, step: float
) -> None:
    bank = Bank()
    unknown = await saved_doubt(bank, lost_after, prepare)
    await trio.sleep(60)
    set_clock(step)
    async with open_bank(bank) as client:
        outcome = await client.reconcile(unknown)
    assert isinstance(outcome, Ambiguous)
    assert [p.shortcode[:4] for p in outcome.candidates] == ["CALL"]


@pytest.mark.parametrize("prepare", [ask_nothing, ask_the_time])
async def test_g04_nor_because_the_machines_clock_stands_still(
    autojump_clock: Any, prepare: Any
) -> None:
    """As it does, as good as, on a plain virtual clock."""
    bank = Bank()
    unknown = await saved_doubt(bank, lost_after, prepare)
    await trio.sleep(3600)
    async with open_bank(bank) as client:
        assert isinstance(await client.reconcile(unknown), Ambiguous)


@pytest.mark.parametrize("prepare", [ask_the_time, buy_something_else])
@pytest.mark.parametrize("step", STEPS)
async def test_a_doubt_that_knows_the_servers_time_ends_in_a_no(
    autojump_clock: Any, set_clock: Callable[[float], None], prepare: Any, step: float
) -> None:
    """An equal purchase of an hour before is certainly not the one."""
    bank = Bank()
    bank.buy({"parameters": PARAMETERS})
    await trio.sleep(3600)
    unknown = await saved_doubt(bank, lost_before, prepare)
    assert unknown.server_epoch is not None
    least, most = unknown.server_epoch
    assert bank.now - 2 <= least <= bank.now <= most
    set_clock(step)
    async with open_bank(bank) as client:
        started = trio.current_time()
        assert isinstance(await client.reconcile(unknown), NotBought)
        assert 140 <= trio.current_time() - started < 150 + max(0, -step)
        again = pickle.loads(pickle.dumps(unknown))
        with trio.fail_after(10):
            assert isinstance(await client.reconcile(again), NotBought)


@pytest.mark.parametrize("age", [30, 80_000])
async def test_a_doubt_that_knows_nothing_of_it_is_not_denied_for_an_old_purchase(
    autojump_clock: Any, set_clock: Callable[[float], None], age: float
) -> None:
    bank = Bank()
    bank.buy({"parameters": PARAMETERS})
    await trio.sleep(age)
    unknown = await saved_doubt(bank, lost_before)
    assert unknown.server_epoch is None
    async with open_bank(bank) as client:
        outcome = await client.reconcile(unknown)
    assert isinstance(outcome, Ambiguous)
    assert [p.contract_id for p in outcome.candidates] == [1001]


async def test_without_any_such_purchase_the_whole_account_says_no(
    autojump_clock: Any, set_clock: Callable[[float], None]
) -> None:
    bank = Bank()
    for _ in range(3):
        bank.buy({"parameters": {**PARAMETERS, "contract_type": "PUT"}})
    await trio.sleep(80_000)
    unknown = await saved_doubt(bank, lost_before)
    set_clock(7200)
    async with open_bank(bank) as client:
        started = trio.current_time()
        outcome = await client.reconcile(unknown)
    assert isinstance(outcome, NotBought)
    assert trio.current_time() - started >= 140, "by the machine's clock that was two hours ago"


async def test_only_as_much_of_a_long_statement_is_read_as_is_needed(
    autojump_clock: Any, set_clock: Callable[[float], None]
) -> None:
    bank, asked = Bank(), list[Any]()
    for _ in range(2000):
        bank.buy({"parameters": PARAMETERS})
    await trio.sleep(80_000)
    unknown = await saved_doubt(bank, lost_before)

    async def counting(peer: Any, request: Any) -> None:
        asked.append(request)
        await bank.handle(peer, request)

    async with (
        open_server(counting) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        assert isinstance(await client.reconcile(unknown), Ambiguous)
    from_the_beginning = [r for r in asked if r.get("statement") and r["date_from"] == 0]
    assert len(from_the_beginning) == 1


def test_g04_a_doubt_of_another_run_in_this_process_has_another_trio_clock() -> None:
    """It was never pickled, and trio's clock began anew."""
    bank = Bank()
    kept: list[OutcomeUnknown] = []

    async def first() -> None:
        async with open_bank(bank) as client:
            bank.faults.append(lost_after)
            with pytest.raises(OutcomeUnknown) as caught:
                await client.buy(PARAMETERS, 10)
        kept.append(caught.value)
        await trio.sleep(500)

    async def second() -> derivtrio.Outcome:
        await trio.sleep(1000)
        for row in bank.statement:  # the server has gone on all the while
            row["transaction_time"] = bank.now - 100
        async with open_bank(bank) as client:
            return await client.reconcile(kept[0])

    trio.run(first, clock=trio.testing.MockClock(autojump_threshold=0))
    assert kept[0].written_on is not None
    kept[0].written_on += 2000
    outcome = trio.run(second, clock=trio.testing.MockClock(autojump_threshold=0))
    assert isinstance(outcome, Ambiguous)


async def test_a_doubt_of_another_client_in_this_run_has_a_clock_that_goes_on(
    autojump_clock: Any,
) -> None:
    bank = Bank()
    bank.buy({"parameters": PARAMETERS})
    await trio.sleep(60)
    async with open_bank(bank) as client:
        bank.faults.append(lost_before)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.buy(PARAMETERS, 10)
    await trio.sleep(200)
    async with open_bank(bank) as client:
        with trio.fail_after(1):
            assert isinstance(await client.reconcile(caught.value), NotBought)
        assert copy.copy(caught.value).run is None


async def test_a_sale_is_never_denied_because_the_machines_clock_was_set(
    autojump_clock: Any, set_clock: Callable[[float], None]
) -> None:
    bank = Bank()
    async with open_bank(bank) as client:
        purchase = await client.buy(PARAMETERS, 10)
    await trio.sleep(600)
    async with open_bank(bank) as client:
        bank.faults.append(lost_after)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.sell(purchase)
    saved = pickle.dumps(caught.value)
    await trio.sleep(60)
    set_clock(-3600)
    async with open_bank(bank) as client:
        outcome = await client.reconcile(pickle.loads(saved))
    assert isinstance(outcome, Ambiguous)


async def test_a_price_tells_how_late_it_is_at_least(autojump_clock: Any) -> None:
    bank = Bank()
    await trio.sleep(100)
    async with open_bank(bank) as client:
        async with client.proposal(PARAMETERS) as prices:
            proposal = await anext(prices)
        bank.faults.append(lost_before)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.buy(proposal)
    least, most = pickle.loads(pickle.dumps(caught.value)).server_epoch
    assert (least, most) == (proposal.spot_time, float("inf"))


async def test_what_was_bought_before_the_order_was_written_is_hardly_its_own(
    autojump_clock: Any,
) -> None:
    """By another process, for example: the server's clocks may be some seconds apart."""
    bank = Bank()
    bank.buy({"parameters": PARAMETERS})
    await trio.sleep(3)
    async with open_bank(bank) as client:
        bank.faults.append(lost_before)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.buy(PARAMETERS, 10)
        outcome = await client.reconcile(caught.value)
        assert isinstance(outcome, Ambiguous)
        assert "older than the order" in outcome.how
        await trio.sleep(3)
        bank.sell({"sell": 1001})
        await trio.sleep(3)
        bank.faults.append(lost_before)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.sell(1001)
        outcome = await client.reconcile(caught.value)
        assert isinstance(outcome, Ambiguous)
        assert "before the request was written" in outcome.how
        bank.faults.append(lost_after)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.buy({**PARAMETERS, "amount": 4}, 4)
        assert isinstance(await client.reconcile(caught.value), Bought)


async def test_a_sale_of_long_before_is_still_not_this_ones(autojump_clock: Any) -> None:
    bank = Bank()
    bank.buy({"parameters": PARAMETERS})
    bank.sell({"sell": 1001})
    await trio.sleep(60)
    async with open_bank(bank) as client:
        await ask_the_time(client)
        bank.faults.append(lost_before)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.sell(1001)
    async with open_bank(bank) as client:
        outcome = await client.reconcile(pickle.loads(pickle.dumps(caught.value)))
    assert isinstance(outcome, NotSold)
    assert "another time" in outcome.how
