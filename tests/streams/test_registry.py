"""What the registry of streams keeps, and for how long."""

import gc
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

import derivtrio
from derivtrio import Backoff, Client, Settings, Subscription
from derivtrio.calls.session import on_new_client
from derivtrio.simulator import open_simulator
from derivtrio.streams.registry import Registry
from derivtrio.streams.upstream import Upstream

SETTINGS = Settings(backoff=Backoff(first=1, cap=1))


@asynccontextmanager
async def open_watched() -> AsyncGenerator[tuple[Client, Registry]]:
    """Open a client of a simulator; yield it and its registry."""
    registries: list[Registry] = []
    token = on_new_client.set(lambda _, registry: registries.append(registry))
    try:
        async with (
            open_simulator(port=None) as sim,
            derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        ):
            yield client, registries[0]
    finally:
        on_new_client.reset(token)


async def test_g14_a_stream_that_was_left_is_kept_nowhere(autojump_clock: Any) -> None:
    made: list[weakref.ref[Upstream]] = []

    def noted(*args: Any) -> Upstream:
        upstream = Upstream(*args)
        made.append(weakref.ref(upstream))
        return upstream

    async def follow(stream: Subscription[Any]) -> None:
        async with stream:
            await anext(stream)

    async with open_watched() as (client, registry):
        registry.new_upstream = noted
        for open_stream in (partial(client.ticks, "R_100"), partial(client.candles, "R_50")):
            await follow(open_stream())
            # By then the `forget` is answered, and nothing more comes that would tidy up.
            await trio.sleep(1)
            gc.collect()
            assert made.pop()() is None
        assert len(registry) == 0


async def test_a_stream_that_was_given_up_may_be_the_servers_as_long_as_the_connection_lives(
    autojump_clock: Any,
) -> None:
    async with open_watched() as (client, registry):
        registry.note_given_up("a key")
        assert registry.may_have("a key")
        assert not registry.may_have("another")
        assert not registry.may_have(None)
        await client.reconnect()
        assert not registry.may_have("a key")
        registry.note_given_up("a key")
        await trio.sleep(SETTINGS.response_timeout)
        assert not registry.may_have("a key")
