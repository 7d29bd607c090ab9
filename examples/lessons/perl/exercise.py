"""Exercise 8: hand out a client that lives as long as whoever uses it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import derivtrio


@asynccontextmanager
async def connected(endpoint: derivtrio.Endpoint) -> AsyncGenerator[derivtrio.Client]:
    """Yield a client that is ready, and has been asked for the server's time once.

    After the block no connection is left, whatever happens in it. This version makes the mistake of
    the original: the client is gone when the one who was to use it gets it.
    """
    async with derivtrio.open_client(endpoint=endpoint) as client:
        await client.call({"time": 1})
    yield client
