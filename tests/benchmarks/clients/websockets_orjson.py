"""`websockets` and orjson, with a task that dispatches by `req_id`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from websockets.asyncio.client import connect

from tests.benchmarks.clients.on_asyncio import Dispatcher, client


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Dispatcher]:
    """Connect; receive in a task."""
    async with connect(url, compression=None) as websocket:

        async def send(request: dict[str, Any]) -> None:
            await websocket.send(orjson.dumps(request), text=True)

        async def receive() -> None:
            while True:
                dispatcher.dispatch(orjson.loads(await websocket.recv(decode=False)))

        dispatcher = Dispatcher(send)
        reader = asyncio.create_task(receive())
        try:
            yield dispatcher
        finally:
            reader.cancel()


CLIENT = client(open_session)
