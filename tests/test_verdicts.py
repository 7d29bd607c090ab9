"""G04: what `reconcile` says of what was lost, held against the simulator's own ledger."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

import derivtrio
from derivtrio import Ambiguous, Backoff, Bought, NotBought, OutcomeUnknown, Settings, Updated
from derivtrio.simulator import Simulator, open_simulator

DEMO = "VRTC1000001"
SETTINGS = Settings(backoff=Backoff(first=0.5, cap=2))
RISE = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 10,
    "duration_unit": "m",
}
MULTIPLIER = {
    "contract_type": "MULTUP",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "multiplier": 100,
}


ACCUMULATOR = {
    "contract_type": "ACCU",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "growth_rate": 0.01,
}
SECONDS = {"duration": 600, "duration_unit": "s"}


@asynccontextmanager
async def world(
    generation: str = "v3", **options: Any
) -> AsyncGenerator[tuple[Simulator, derivtrio.Client]]:
    async with open_simulator(port=None, **options) as sim:
        v3 = generation == "v3"
        async with derivtrio.open_client(
            endpoint=sim.endpoint if v3 else sim.options_account(),
            token="demo-token" if v3 else None,
            settings=SETTINGS,
        ) as client:
            yield sim, client


async def lost(
    sim: Simulator, client: derivtrio.Client, wanted: dict[str, Any], *, executed: bool
) -> OutcomeUnknown:
    """Buy what is wanted, and lose the reply."""
    fault = sim.faults.lose_after if executed else sim.faults.lose_before
    fault("buy")
    with pytest.raises(OutcomeUnknown) as caught:
        await client.buy(wanted, 30)
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
    async with world() as (sim, client):
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
