"""The loop of Deriv's own Python guide: `websockets`, `json`, one thing at a time."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.benchmarks.clients.on_asyncio import client
from tests.benchmarks.session import history_request


class Loop:
    """Send, receive, load; nobody else may use the connection meanwhile."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket

    async def call(self, request: dict[str, Any]) -> Any:
        """Take the next message for the reply."""
        await self._websocket.send(json.dumps(request))
        return json.loads(await self._websocket.recv())

    async def history(self, symbol: str) -> Any:
        """Return 5000 ticks of the past."""
        return await self.call(history_request(symbol))

    async def subscribe(self, symbol: str) -> AsyncIterator[Any]:
        """Take every message for a tick."""
        await self._websocket.send(json.dumps({"ticks": symbol, "subscribe": 1}))
        return self

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return json.loads(await self._websocket.recv())


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Loop]:
    """Connect as the guide does."""
    async with connect(url) as websocket:
        yield Loop(websocket)


CLIENT = client(open_session)
