"""The test of exercise 2."""

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio.simulator import open_simulator
from examples.lessons.python.exercise import ask


async def test_the_reply_comes_back(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None) as sim:
        reply = await ask(sim.endpoint, {"ping": 1}, seconds=5)
        assert reply is not None
        assert reply["ping"] == "pong"
        await trio.sleep(1)
        assert sim.connections == []


@pytest.mark.parametrize("fault", ["silence@0", "poison:ping:silent@0"])
async def test_silence_is_none_after_exactly_the_limit(
    autojump_clock: MockClock, fault: str
) -> None:
    """The limit is for everything: the connection, too, may be silent."""
    async with open_simulator(port=None, faults=[fault]) as sim:
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        assert await ask(sim.endpoint, {"ping": 1}, seconds=5) is None
        assert trio.current_time() - began < 5 + 2.1  # the limit, and a goodbye
        await trio.sleep(60)
        assert sim.connections == []


async def test_a_refusal_is_not_hidden(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None, faults=["refuse@0"]) as sim:
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(derivtrio.ConnectionFailed):
            await ask(sim.endpoint, {"ping": 1}, seconds=5)


async def test_an_error_of_the_server_is_not_hidden(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None) as sim:
        with pytest.raises(derivtrio.AuthorizationRequired):
            await ask(sim.endpoint, {"balance": 1}, seconds=5)


async def test_who_cancels_it_is_obeyed(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None, faults=["poison:ping:silent@0"]) as sim:
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1) as outer:
            await ask(sim.endpoint, {"ping": 1}, seconds=50)
            pytest.fail("it went on after it was cancelled")
        assert outer.cancelled_caught
