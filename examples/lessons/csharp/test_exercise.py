"""The test of exercise 4."""

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio.simulator import open_simulator
from examples.lessons.csharp.exercise import first_above


@pytest.mark.parametrize("fault", ["drop@1000", "freeze@1", "poison:ticks_history:silent@0"])
async def test_the_limit_is_for_everything(autojump_clock: MockClock, fault: str) -> None:
    async with (
        open_simulator(port=None, faults=[fault]) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        began = trio.current_time()
        with trio.fail_after(100):
            assert await first_above(client, "1HZ100V", 1e9, seconds=20) is None
        assert trio.current_time() - began == pytest.approx(20, abs=0.1)


async def test_history_and_stream_are_looked_at(autojump_clock: MockClock) -> None:
    async with (
        open_simulator(port=None, start=1_800_000_000) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        now = int(sim.now())
        past = [tick.quote for tick in sim.market.ticks("1HZ100V", now - 9, now)]
        assert await first_above(client, "1HZ100V", -1, seconds=20) == past[0]
        future = [tick.quote for tick in sim.market.ticks("1HZ100V", now + 1, now + 600)]
        higher = next(quote for quote in future if quote > max(past))
        assert await first_above(client, "1HZ100V", max(past), seconds=700) == higher
