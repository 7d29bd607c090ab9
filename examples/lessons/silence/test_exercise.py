"""The test of exercise 11."""

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio.simulator import open_simulator
from examples.lessons.silence.exercise import follow


@pytest.mark.parametrize(
    "faults", [[], ["mute:1HZ100V@20"], ["mute:1HZ100V@20", "mute:1HZ100V@40"], ["freeze@20"]]
)
async def test_it_is_complete_and_not_late(autojump_clock: MockClock, faults: list[str]) -> None:
    settings = derivtrio.Settings(heartbeat_interval=5, heartbeat_timeout=5)
    async with (
        open_simulator(port=None, faults=faults) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
    ):
        with trio.fail_after(75):
            epochs = await follow(client, "1HZ100V", 60, patience=5)
        assert epochs == list(range(epochs[0], epochs[0] + 60))


async def test_a_market_that_is_quiet_is_not_mute(autojump_clock: MockClock) -> None:
    """R_100 has a tick every two seconds: that is no reason to ask again."""
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        await follow(client, "R_100", 10, patience=0.9)
        (connection,) = sim.connections
        asked = [each for each in connection.requests if each.get("subscribe") or "ticks" in each]
        assert len(asked) == 1
