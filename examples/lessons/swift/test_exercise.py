"""The test of exercise 5."""

import pytest
import trio
from trio.testing import MockClock

from derivtrio.simulator import open_simulator
from examples.lessons.swift.exercise import collect


async def test_what_came_is_there(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None, start=1_800_000_000) as sim:
        quotes = await collect(sim.endpoint, "1HZ100V", seconds=10.5, goodbye=1)
        began = trio.current_time()
        now = int(sim.now())
        expected = [tick.quote for tick in sim.market.ticks("1HZ100V", now - 10, now)]
        assert quotes == expected
        await trio.sleep(1)
        assert sim.connections == []
        assert trio.current_time() - began == pytest.approx(1)


async def test_the_seconds_count_from_the_subscription(autojump_clock: MockClock) -> None:
    faults = ["late_subscription:5:1HZ100V@0"]
    async with open_simulator(port=None, faults=faults, start=1_800_000_000) as sim:
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        quotes = await collect(sim.endpoint, "1HZ100V", seconds=10.5, goodbye=1)
        assert trio.current_time() - began == pytest.approx(15.5, abs=0.1)
        assert len(quotes) >= 11


async def test_a_goodbye_that_hangs_is_cut_short(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None, faults=["freeze@5"]) as sim:
        began = trio.current_time()
        quotes = await collect(sim.endpoint, "1HZ100V", seconds=10, goodbye=0.5)
        assert 4 <= len(quotes) <= 6
        assert trio.current_time() - began == pytest.approx(10.5, abs=0.1)
