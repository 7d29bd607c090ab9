"""aiohttp and orjson, with a task that dispatches by `req_id`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from tests.benchmarks.clients.on_asyncio import Dispatcher, client


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Dispatcher]:
    """Connect; receive in a task."""
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as websocket:

        async def send(request: dict[str, Any]) -> None:
            await websocket.send_str(orjson.dumps(request).decode())

        async def receive() -> None:
            async for message in websocket:
                dispatcher.dispatch(orjson.loads(message.data))

        dispatcher = Dispatcher(send)
        reader = asyncio.create_task(receive())
        try:
            yield dispatcher
        finally:
            reader.cancel()


CLIENT = client(open_session)
