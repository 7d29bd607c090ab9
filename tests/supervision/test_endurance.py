"""G14: after thousands of messages and hundreds of reconnects, memory is flat."""

import gc
from contextlib import suppress
from typing import Any

import trio
from scripted import Peer, Request, Server, open_server

import derivtrio
from derivtrio import Backoff, Settings

#: A short interval: trio remembers the deadline of a sleep that was cut short until it is over.
SETTINGS = Settings(heartbeat_interval=30, backoff=Backoff(first=0.1, cap=0.1), response_timeout=5)


async def handle(peer: Peer, request: Request) -> None:
    if "ticks" in request:
        for n in range(20):
            await peer.reply(request, tick={"n": n}, subscription={"id": str(request["req_id"])})
    elif "time" in request:
        await peer.reply(request, time=1)


async def one_round(client: derivtrio.Client, server: Server) -> None:
    """Everything that could leave something behind."""
    await client.call({"time": 1})
    async with client.subscribe({"ticks": "R_100"}) as ticks:
        await anext(ticks)
    async with client.subscribe({"ticks": "R_10"}, buffer=5, overflow="latest"):
        await trio.sleep(0.1)
    with trio.move_on_after(0.1):
        await client.call({"statement": 1})  # is never answered
    with suppress(derivtrio.OutcomeUnknown):
        await client.call({"buy": "1", "price": 1})
    await server.peers[-1].drop()
    await trio.sleep(1)
    await client.wait_ready()
    del server.peers[:-1], server.received[:]
    server.attempts.clear()


def living() -> int:
    gc.collect()
    return len(gc.get_objects())


async def test_g14_memory_is_flat(autojump_clock: Any, caplog: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(
        "derivtrio.calls.doubts._MOST_DOUBTS", 100
    )  # a thousand would take long to fill
    caplog.set_level("CRITICAL", logger="derivtrio")
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        for _ in range(110):  # fills what is bounded, such as the memory of attempts
            await one_round(client, server)
        before = living()
        for _ in range(100):
            await one_round(client, server)
        assert living() - before < 100
        assert (client.status.pending, client.status.subscriptions) == (0, 0)


async def test_g14_calls_that_are_never_answered_leave_nothing(autojump_clock: Any) -> None:
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS.but(pacing=False)) as client,
    ):
        for _ in range(500):
            with trio.move_on_after(0.001):
                await client.call({"statement": 1})
        assert client.status.pending == 0
        assert client.status.connection == 1


async def test_g14_forgets_that_are_never_answered_leave_nothing(autojump_clock: Any) -> None:
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        for _ in range(50):
            async with client.subscribe({"ticks": "R_100"}) as ticks:
                await anext(ticks)
        assert client.status.pending >= 25
        await trio.sleep(2 * SETTINGS.response_timeout)
        assert client.status.pending == 0
        assert len(server.asked("forget")) == 50
