"""The test of exercise 8."""

import pytest
import trio
from trio.testing import MockClock

from derivtrio.simulator import open_simulator
from examples.lessons.perl.exercise import connected


async def test_it_lives_in_the_block_and_only_there(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None) as sim:
        async with connected(sim.endpoint) as client:
            assert (await client.call({"ping": 1}))["ping"] == "pong"
            (connection,) = sim.connections
            assert [request for request in connection.requests if "time" in request]
        await trio.sleep(1)
        assert sim.connections == []


async def test_it_is_closed_after_an_exception(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None) as sim:
        with pytest.raises(LookupError):
            async with connected(sim.endpoint) as client:
                await client.call({"ping": 1})
                raise LookupError
        await trio.sleep(1)
        assert sim.connections == []
        (record,) = sim.history
        assert (record.ending.code, record.ending.clean) == (1000, True)


async def test_it_is_closed_after_a_cancellation(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None) as sim:
        with trio.move_on_after(5) as outer:
            async with connected(sim.endpoint) as client:
                await client.call({"ping": 1})
                await trio.sleep_forever()
        assert outer.cancelled_caught  # the cancellation has gone on
        await trio.sleep(1)
        assert sim.connections == []
