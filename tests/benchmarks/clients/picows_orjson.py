"""picows and orjson, with a listener that dispatches by `req_id`."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.benchmarks.clients.on_asyncio import Dispatcher, Inbox, client


class Listener(WSListener):
    """Decodes each frame where it lies and gives it to the dispatcher."""

    dispatcher: Dispatcher

    def on_ws_frame(self, _: WSTransport, frame: WSFrame) -> None:
        """Dispatch a text frame."""
        if frame.msg_type == WSMsgType.TEXT:
            self.dispatcher.dispatch(orjson.loads(frame.get_payload_as_memoryview()))


@asynccontextmanager
async def open_session(url: str) -> AsyncGenerator[Dispatcher]:
    """Connect."""
    context = ssl.create_default_context() if url.startswith("wss") else None
    transport, listener = await ws_connect(Listener, url, ssl_context=context)

    async def send(request: dict[str, Any]) -> None:
        transport.send(WSMsgType.TEXT, orjson.dumps(request))

    listener.dispatcher = Dispatcher(send, Inbox)
    try:
        yield listener.dispatcher
    finally:
        transport.disconnect()


CLIENT = client(open_session)
