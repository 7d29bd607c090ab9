"""derivtrio, with messages as dicts."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

import derivtrio
from tests.benchmarks.session import Client, Task, history_request


class Supervised:
    """A session of `derivtrio.Client`."""

    def __init__(self, client: derivtrio.Client) -> None:
        self._client = client

    async def call(self, request: dict[str, Any]) -> Any:
        """Make a call."""
        return await self._client.call(request)

    async def history(self, symbol: str) -> Any:
        """Return 5000 ticks of the past."""
        return await self._client.call(history_request(symbol))

    async def subscribe(self, symbol: str) -> AsyncIterator[Any]:
        """Return a subscription, entered; it is left when the client is."""
        stream = self._client.subscribe({"ticks": symbol})
        await stream.__aenter__()
        return stream


#: The server of the benchmarks has no limits.
SETTINGS = derivtrio.Settings(pacing=False)


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Supervised]:
    """Connect."""
    async with derivtrio.open_client(endpoint=url, settings=SETTINGS) as client:
        yield Supervised(client)


async def gather(tasks: Sequence[Task]) -> None:
    """Run *tasks* side by side."""
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)


CLIENT = Client(open_session, trio.run, gather)
