"""How a simulator begins and ends."""

import math
import time
from typing import Any

import pytest
import trio
from wire_peer import START, Peer, open_peer, open_stream

from derivtrio.simulator import Faults, open_ending_server, open_simulator
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.server.clock import Clock


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


async def test_everything_ends_with_the_block_whatever_state_it_is_in(
    autojump_clock: object,
) -> None:
    before = tasks()
    async with open_simulator(port=0, start=START, faults=["drop@1000"]) as sim:
        sim.faults.silence()
        streams = [await open_stream(sim)]
        for harm in (Faults.freeze, Faults.close_without_fin, Faults.close, _delay):
            stream = await open_stream(sim)
            streams.append(stream)
            peer = Peer(stream)
            await peer.shake_hands()
            await peer.ask({"ticks": "1HZ100V"})
            harm(sim.faults, connection=sim.connections[-1])
            await trio.testing.wait_all_tasks_blocked()
        stuck = Peer(await open_stream(sim))
        await stuck.shake_hands()
        await stuck.send({"ticks": "1HZ100V"})
        sim.faults.huge(10**6)
        half_way = await open_stream(sim)
        await half_way.send_all(b"GET ")
        started = trio.current_time()
        await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == started
    assert (tasks(), sim.connections, sim.held) == (before, [], 0)
    assert "the simulator ended" in {record.ending.cause for record in sim.history}
    for stream in (*streams, stuck.stream, half_way):
        while await stream.receive_some():
            pass
        await stream.aclose()


def _delay(faults: Faults, **which: object) -> None:
    faults.delay(100, **which)  # type: ignore[arg-type]


async def test_cancellation_ends_everything_too(autojump_clock: object) -> None:
    before = tasks()
    with trio.move_on_after(5) as scope:
        async with open_simulator(port=None) as sim, open_peer(sim) as peer:
            sim.faults.silence(2)
            streams = [await open_stream(sim) for _ in range(2)]
            await peer.ask({"ticks": "R_100"})
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert (tasks(), sim.connections, sim.held) == (before, [], 0)
    for stream in streams:
        assert await stream.receive_some() == b""


async def test_the_exception_of_the_block_comes_out_as_it_is(autojump_clock: object) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_simulator(port=None) as sim, open_peer(sim):
            raise ZeroDivisionError


async def test_a_bug_in_the_simulator_is_not_swallowed(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Market, "tick", broken)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with open_simulator(port=None) as sim, open_peer(sim) as peer:
            await peer.send({"ticks": "R_100"})
            await trio.sleep_forever()


async def test_after_the_end_nobody_gets_in(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        pass
    with pytest.raises(ConnectionRefusedError):
        await open_stream(sim)


async def test_a_simulator_in_memory_has_no_url(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        with pytest.raises(RuntimeError, match="no TCP port"):
            _ = sim.url
        assert await sim.endpoint.url() == "ws://simulator.invalid/websockets/v3?app_id=1089"
        assert sim.endpoint.generation == "v3"


async def test_its_time_is_the_clocks(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim:
        await trio.sleep(86400 * 30)
        assert sim.now() == START + 86400 * 30


@pytest.mark.parametrize("start", [0, START])
async def test_a_second_is_there_when_its_deadline_is(autojump_clock: object, start: int) -> None:
    for number in range(1, 2000):
        clock = Clock(start + number / 997, trio.current_time() + number / 991)
        epoch = start + 10 + number
        await trio.sleep_until(clock.deadline(epoch))
        assert clock.epoch() == epoch


async def test_its_time_begins_now_unless_told_otherwise() -> None:
    async with open_simulator(port=None) as sim:
        assert sim.now() == pytest.approx(time.time(), abs=60)


@pytest.mark.parametrize(
    "argument",
    [
        {"port": -1},
        {"port": 70_000},
        {"port": "80"},
        {"port": True},
        {"start": math.nan},
        {"start": "now"},
        {"start": -1.0},
        {"start": 1.8e12},
        {"idle_timeout": 0},
        {"idle_timeout": math.inf},
        {"idle_timeout": "120"},
        {"max_message_size": 0},
    ],
    ids=repr,
)
async def test_a_number_that_cannot_be_meant_is_refused(argument: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not |too few"):
        async with open_simulator(**argument):
            pass


async def test_an_ending_server_refuses_what_is_no_port() -> None:
    with pytest.raises(ValueError, match="a port is a whole number from 0 to 65535, not 70000"):
        async with open_ending_server("answers", port=70_000):
            pass
