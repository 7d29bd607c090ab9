"""G02, G12: cancellation at every step of everything. Nothing leaks, and the client goes on."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from scripted import Peer, Request, Server, open_server

import derivtrio
from derivtrio import Settings, State

SETTINGS = Settings(heartbeat_interval=3600, close_timeout=2)


class CancelAt(trio.abc.Instrument):
    """Cancels `scope` just before the `step`-th step that any task takes."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self.scope = scope
        self.left = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


@asynccontextmanager
async def cancelled_at(step: int) -> AsyncGenerator[trio.CancelScope]:
    with trio.CancelScope() as scope:
        instrument = CancelAt(scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield scope
        finally:
            trio.lowlevel.remove_instrument(instrument)


def our_tasks() -> list[str]:
    """Return the names of the client's tasks that are alive."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    waiting, names = [root], []
    while waiting:
        task = waiting.pop()
        names += [task.name] if task.name.startswith("derivtrio.") else []
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return sorted(names)


class Streams:
    """A handler that keeps account of the streams it serves."""

    def __init__(self) -> None:
        self.open: set[str] = set()
        self.made = 0

    async def __call__(self, peer: Peer, request: Request) -> None:
        if "ticks" in request:
            self.made += 1
            name = f"stream-{self.made}"
            self.open.add(name)
            for epoch in (1, 2):
                tick = {"epoch": epoch, "quote": 1.5, "pip_size": 1}
                await peer.reply(request, tick=tick, subscription={"id": name})
        elif "forget" in request:
            known = request["forget"] in self.open
            self.open.discard(request["forget"])
            await peer.reply(request, forget=int(known))
        elif "authorize" in request:
            await peer.reply(request, authorize={"loginid": "CR1"})
        else:
            await peer.reply(request, time=1)


async def call(client: derivtrio.Client) -> None:
    await client.call({"time": 1})


async def change(client: derivtrio.Client) -> None:
    await client.call({"buy": "1", "price": 1})


async def send(client: derivtrio.Client) -> None:
    await client.send({"time": 1})


async def subscribe(client: derivtrio.Client) -> None:
    async with client.subscribe({"ticks": "R_100"}) as ticks:
        await anext(ticks)
        await anext(ticks)


async def ticks(client: derivtrio.Client) -> None:
    async with client.ticks("R_100") as stream:
        assert [(await anext(stream)).epoch for _ in range(2)] == [1, 2]


async def shared(client: derivtrio.Client) -> None:
    async def consume() -> None:
        async with client.subscribe({"ticks": "R_100"}) as ticks:
            await anext(ticks)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(consume)


async def events(client: derivtrio.Client) -> None:
    async with client.events(traffic=True) as stream:
        await client.send({"time": 1})
        await anext(stream)


async def guarded(client: derivtrio.Client) -> None:
    async with client.same_connection():
        await client.call({"time": 1})


def run_on_the_virtual_clock(main: Callable[[], Awaitable[bool]]) -> bool:
    clock = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(main, clock=clock)


def walk(attempt: Callable[[int], Awaitable[bool]]) -> int:
    """Run `attempt(step)` for every step, until one is not cancelled any more.

    Trio shuffles the tasks that can run, so each step is tried in a few orders.
    """
    for step in range(1, 500):

        async def main(step: int = step) -> bool:
            return await attempt(step)

        orders = [run_on_the_virtual_clock(main) for _ in range(4)]
        if not any(orders):
            return step
    pytest.fail("it never came to an end")


@pytest.mark.parametrize(
    "operation",
    [call, change, send, subscribe, ticks, shared, events, guarded],
    ids=lambda f: f.__name__,
)
def test_g12_cancelled_anywhere_the_client_goes_on(operation: Any) -> None:
    async def attempt(step: int) -> bool:
        streams = Streams()
        async with (
            open_server(streams) as server,
            derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        ):
            await trio.testing.wait_all_tasks_blocked()
            tasks = our_tasks()
            assert tasks == [
                "derivtrio.deadlines",
                "derivtrio.heartbeat",
                "derivtrio.reader",
                "derivtrio.reconnect",
                "derivtrio.websocket",
                "derivtrio.writer",
            ]
            async with cancelled_at(step) as scope:
                await operation(client)
            reply = await client.call({"time": 1})
            await trio.sleep(100)
            assert reply["time"] == 1
            assert client.status.state is State.READY
            assert client.status.connection == 1
            assert (client.status.pending, client.status.subscriptions) == (0, 0)
            assert streams.open == set()
            assert our_tasks() == tasks
            return scope.cancel_called

    assert walk(attempt) > 2


async def test_g16_streams_are_watched_from_the_first_to_the_last_on_every_connection(
    autojump_clock: trio.testing.MockClock,
) -> None:
    watch = "derivtrio.staleness"
    async with (
        open_server(Streams()) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        assert watch not in our_tasks()
        for _ in range(2):
            async with client.subscribe({"ticks": "R_100"}):
                assert our_tasks().count(watch) == 1
                await client.reconnect()
                async with client.subscribe({"ticks": "R_50"}):
                    assert our_tasks().count(watch) == 1
            await trio.sleep(6)
            assert watch not in our_tasks()


@pytest.mark.parametrize("token", [None, "a-token"])
def test_g12_cancelled_anywhere_while_opening_nothing_is_left(token: str | None) -> None:
    async def attempt(step: int) -> bool:
        async with open_server(Streams()) as server:
            opened = False
            async with cancelled_at(step) as scope:
                async with derivtrio.open_client(endpoint=server, token=token, settings=SETTINGS):
                    opened = True
            assert opened or scope.cancelled_caught
            await check_that_nothing_is_left(server)
            return scope.cancel_called

    assert walk(attempt) > 20


@pytest.mark.parametrize("ending", ["leaving", "aclose", "raising"])
def test_g02_cancelled_anywhere_while_closing_nothing_is_left(ending: str) -> None:
    async def attempt(step: int) -> bool:
        async with open_server(Streams()) as server:
            scope = trio.CancelScope()
            try:
                async with (
                    derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
                    client.subscribe({"ticks": "R_100"}),
                    cancelled_at(step) as scope,
                ):
                    if ending == "aclose":
                        await client.aclose()
                    elif ending == "raising":
                        raise KeyError  # noqa: TRY301
            except KeyError:
                assert ending == "raising"
            begin = trio.current_time()
            await check_that_nothing_is_left(server)
            assert trio.current_time() - begin <= 2
            assert server.peers[0].websocket.closed.code == 1000  # type: ignore[union-attr]
            return scope.cancel_called

    assert walk(attempt) >= 1


async def check_that_nothing_is_left(server: Server) -> None:
    assert our_tasks() == []
    await trio.testing.wait_all_tasks_blocked()
    assert all(peer.websocket.closed is not None for peer in server.peers)


@pytest.mark.parametrize("ending", ["leaving", "raising", "cancelled"])
@pytest.mark.parametrize("stage", ["ready", "outage", "dialling", "restoring"])
async def test_g02_nothing_outlives_the_block_at_any_stage(
    autojump_clock: Any, stage: str, ending: str
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if stage != "restoring" and "authorize" in request:
            await peer.reply(request, authorize={"loginid": "CR1"})

    class SlowToDial(Server):
        async def url(self) -> str:
            if stage == "dialling":
                await trio.sleep_forever()
            return await super().url()

    calls: list[Exception] = []

    async def ask(client: derivtrio.Client, request: Request) -> None:
        try:
            await client.call(request)
        except derivtrio.DerivError as error:
            calls.append(error)

    async with trio.open_nursery() as nursery:
        server = SlowToDial(handle, nursery)
        server.refuses = stage == "outage"
        settings = SETTINGS.but(wait_ready=False, close_timeout=2)
        begin = 0.0
        with trio.CancelScope() as scope:
            try:
                async with derivtrio.open_client(
                    endpoint=server, token="t", settings=settings
                ) as client:
                    await trio.sleep(5)
                    nursery.start_soon(ask, client, {"statement": 1})
                    nursery.start_soon(ask, client, {"buy": "1", "price": 1})
                    await trio.testing.wait_all_tasks_blocked()
                    begin = trio.current_time()
                    if ending == "raising":
                        raise KeyError  # noqa: TRY301
                    if ending == "cancelled":
                        scope.cancel()
                        await trio.sleep_forever()
            except KeyError:
                assert ending == "raising"
        assert trio.current_time() - begin <= 2
        assert our_tasks() == []
        await trio.testing.wait_all_tasks_blocked()
        assert len(calls) == 2
        expected = {derivtrio.ClientClosed}
        if stage == "ready":
            expected = {derivtrio.ClientClosed, derivtrio.OutcomeUnknown}
        assert {type(error) for error in calls} == expected
        nursery.cancel_scope.cancel()
