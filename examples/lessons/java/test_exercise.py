"""The test of exercise 6."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio.simulator import Simulator, open_simulator
from examples.lessons.java.exercise import classify

CASES: list[tuple[str, Callable[[Simulator], object]]] = [
    ("we left", lambda _: None),
    ("we left, unheard", lambda sim: sim.faults.freeze()),
    ("it left", lambda sim: sim.faults.close(1000)),
    ("it left", lambda sim: sim.faults.close(1001, "going away")),
    ("it sent us away", lambda sim: sim.faults.close(1008, "policy")),
    ("it sent us away", lambda sim: sim.faults.close(1011, "no backend")),
    ("it sent us away", lambda sim: sim.faults.close(4000)),
    ("the line broke", lambda sim: sim.faults.drop()),
    ("it fell silent", lambda sim: sim.faults.freeze()),
]


@pytest.mark.parametrize(("ending", "befall"), CASES)
async def test_six_endings(
    autojump_clock: MockClock, ending: str, befall: Callable[[Simulator], object]
) -> None:
    found: list[str] = []
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        client.events() as events,
    ):
        befall(sim)
        if ending.startswith("we"):
            await client.aclose()
        with trio.fail_after(120):
            async for event in events:
                if isinstance(event, derivtrio.Closed):
                    found.append(classify(event))
                    break
    assert found == [ending]
