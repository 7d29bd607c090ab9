"""Ctrl-C under plain `trio.run`, in the middle of our own code: the main task is interrupted."""

import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio import Client
from derivtrio.calls.queue import SendQueue
from derivtrio.calls.routing import Router
from derivtrio.calls.status import EventBus
from derivtrio.connection.connection import Connection
from derivtrio.connection.stream import WatchedStream
from derivtrio.simulator import Simulator, open_simulator
from derivtrio.streams.registry import Registry
from derivtrio.trading import trade
from tests.drills.operations import CONTRACT

Program = Callable[[Client, Simulator], Awaitable[None]]


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Let SIGINT raise a KeyboardInterrupt: what runs in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press_ctrl_c_in(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Ctrl-C pressed when *owner*'s function *name* is called next."""
    function = getattr(owner, name)

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(owner, name, function)
        signal.raise_signal(signal.SIGINT)
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, interrupted)


def run(program: Program, *, fast: bool = True) -> None:
    """Run *program* with a simulator and a client, plainly."""

    async def main() -> None:
        settings = derivtrio.Settings(fast=fast)
        async with open_simulator(port=None) as sim:
            async with derivtrio.open_client(
                endpoint=sim.endpoint, token="demo-token", settings=settings
            ) as client:
                await program(client, sim)
            await trio.lowlevel.checkpoint()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def works(client: Client, sim: Simulator) -> None:
    """Check that *client* still does, and has no stream at the server."""
    await trio.sleep(2)
    with trio.fail_after(1):
        await client.call({"time": 1})
    assert client.status.pending == 0
    assert not [stream for each in sim.connections for stream in each.streams]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Router, "route_all"),  # the reader
        (SendQueue, "_let_out"),  # the writer
        (Connection, "arrival"),  # the heartbeat
        (WatchedStream, "read"),  # the plain way, trio-websocket's reader
    ],
)
def test_g15_ctrl_c_in_a_task_of_ours_interrupts_the_program_and_not_the_client(
    owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def program(client: Client, sim: Simulator) -> None:
        async with trio.open_nursery() as nursery:
            press_ctrl_c_in(owner, name, monkeypatch)
            nursery.start_soon(client.call, {"ping": 1})  # so that the writer has something to do
            with pytest.raises(KeyboardInterrupt):
                await trio.sleep(60)
        await works(client, sim)

    run(program, fast=owner is not WatchedStream)


def test_g15_ctrl_c_during_a_reconnect_interrupts_the_program_and_not_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def program(client: Client, sim: Simulator) -> None:
        press_ctrl_c_in(Registry, "start_watching", monkeypatch)
        sim.faults.drop()
        with pytest.raises(KeyboardInterrupt):
            await trio.sleep(60)
        await works(client, sim)

    run(program)


def test_g02_ctrl_c_while_everything_is_decided_does_not_keep_the_block_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def program(client: Client, sim: Simulator) -> None:
        press_ctrl_c_in(EventBus, "end", monkeypatch)

    with pytest.raises(KeyboardInterrupt):
        run(program)


def test_g12_ctrl_c_just_before_a_stream_waits_leaves_nobody_to_be_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def program(client: Client, sim: Simulator) -> None:
        async with client.ticks("R_100") as stream:
            await anext(stream)
            press_ctrl_c_in(trio.lowlevel, "wait_task_rescheduled", monkeypatch)
            with pytest.raises(KeyboardInterrupt):
                await anext(stream)
            await anext(stream)
        await works(client, sim)

    run(program)


def test_g12_ctrl_c_while_a_stream_is_left_leaves_nothing_at_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def program(client: Client, sim: Simulator) -> None:
        with pytest.raises(KeyboardInterrupt):
            async with client.ticks("R_100"):
                press_ctrl_c_in(Registry, "remove", monkeypatch)
            await trio.sleep(60)
        await works(client, sim)

    run(program)


def test_g04_ctrl_c_does_not_strike_between_a_purchases_reply_and_its_return(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def program(client: Client, sim: Simulator) -> None:
        press_ctrl_c_in(trade, "_check_contract", monkeypatch)
        purchase = await client.buy(CONTRACT, price=20)
        with pytest.raises(KeyboardInterrupt):
            await trio.sleep(1)
        (held,) = await client.portfolio()
        assert held.contract_id == purchase.contract_id

    run(program)
