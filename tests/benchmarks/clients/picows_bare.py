"""picows and orjson through `async for`, with nothing between: the fastest loop there is."""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.benchmarks.clients.on_asyncio import Inbox, client
from tests.benchmarks.session import history_request


class Listener(WSListener):
    """Decodes each frame where it lies and puts it into the only inbox."""

    def __init__(self) -> None:
        self.inbox = Inbox()

    def on_ws_frame(self, _: WSTransport, frame: WSFrame) -> None:
        """Put a text frame's JSON into the inbox."""
        if frame.msg_type == WSMsgType.TEXT:
            self.inbox.put(orjson.loads(frame.get_payload_as_memoryview()))


class Loop:
    """Send and take what comes next; nobody else may use the connection meanwhile."""

    def __init__(self, transport: WSTransport, inbox: Inbox) -> None:
        self._transport = transport
        self._inbox = inbox

    async def call(self, request: dict[str, Any]) -> Any:
        """Take the next message for the reply."""
        self._transport.send(WSMsgType.TEXT, orjson.dumps(request))
        return await anext(self._inbox)

    async def history(self, symbol: str) -> Any:
        """Return 5000 ticks of the past."""
        return await self.call(history_request(symbol))

    async def subscribe(self, symbol: str) -> AsyncIterator[Any]:
        """Take every message for a tick."""
        self._transport.send(WSMsgType.TEXT, orjson.dumps({"ticks": symbol, "subscribe": 1}))
        return self._inbox


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Loop]:
    """Connect."""
    context = ssl.create_default_context() if url.startswith("wss") else None
    transport, listener = await ws_connect(Listener, url, ssl_context=context)
    try:
        yield Loop(transport, listener.inbox)
    finally:
        transport.disconnect()


CLIENT = client(open_session)
