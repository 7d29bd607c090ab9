"""G04: what `reconcile` says of what was lost, held against the simulator's own ledger."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

import derivtrio
from derivtrio import Backoff, OutcomeUnknown, Settings, Updated
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
