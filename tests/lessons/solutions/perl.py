from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import derivtrio


@asynccontextmanager
async def connected(endpoint: derivtrio.Endpoint) -> AsyncGenerator[derivtrio.Client]:
    async with derivtrio.open_client(endpoint=endpoint) as client:
        await client.call({"time": 1})
        yield client
