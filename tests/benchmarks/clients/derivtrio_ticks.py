"""derivtrio, with ticks as `derivtrio.Tick`; calls are the same as with dicts."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

import derivtrio
from tests.benchmarks.clients.derivtrio_dicts import Supervised, gather
from tests.benchmarks.session import Client


class Typed(Supervised):
    """A session of `derivtrio.Client` whose ticks are continuous."""

    async def subscribe(self, symbol: str) -> AsyncIterator[Any]:
        """Return a stream of ticks, entered; it is left when the client is."""
        stream = self._client.ticks(symbol)
        await stream.__aenter__()
        return stream


#: The server of the benchmarks has no limits.
SETTINGS = derivtrio.Settings(pacing=False)


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Typed]:
    """Connect."""
    async with derivtrio.open_client(endpoint=url, settings=SETTINGS) as client:
        yield Typed(client)


CLIENT = Client(open_session, trio.run, gather)
