"""A WebSocket client of a few lines, so that the simulator is not tested with its own code.

Every request it sends and every message it receives is held against the official schemas, if
they are at hand.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import deriv_schemas
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from derivtrio.api.codec import decode, encode
from derivtrio.simulator import Simulator

#: A Tuesday, 22:13:20 UTC.
START = 1_700_000_000
TARGET = "/websockets/v3?app_id=1089"
PUBLIC = "/trading/v1/options/ws/public"


@attrs.define
class Closed(Exception):
    """The server has ended the connection; without a Close frame the code is `None`."""

    code: int | None
    reason: str | None = None


@attrs.define(eq=False)
class Peer:
    stream: trio.abc.Stream
    generation: str = "v3"
    protocol: WSConnection = attrs.field(factory=lambda: WSConnection(ConnectionType.CLIENT))

    async def event(self) -> Event:
        while (event := next(self.protocol.events(), None)) is None:
            data = await self.stream.receive_some()
            if not data:
                raise Closed(None)
            self.protocol.receive_data(bytes(data))
        return event

    async def put(self, event: Event) -> None:
        await self.stream.send_all(self.protocol.send(event))

    async def shake_hands(self, target: str = TARGET) -> None:
        await self.put(Request(host="simulator.invalid", target=target))
        assert isinstance(await self.event(), AcceptConnection)

    async def rejection(self, target: str = TARGET) -> tuple[int, bytes]:
        await self.put(Request(host="simulator.invalid", target=target))
        rejected, body = await self.event(), b""
        assert isinstance(rejected, RejectConnection)
        while isinstance(data := await self.event(), RejectData):
            body += data.data
            if data.body_finished:
                break
        return rejected.status_code, body

    async def send(self, request: dict[str, Any], *, checked: bool = True) -> None:
        if checked and deriv_schemas.available():
            deriv_schemas.check_request(request, self.generation)
        await self.put(TextMessage(encode(request)))

    async def text(self) -> str:
        text = ""
        while True:
            event = await self.event()
            if isinstance(event, CloseConnection):
                await self.put(event.response())
                raise Closed(event.code, event.reason)
            assert isinstance(event, TextMessage)
            text += event.data
            if event.message_finished:
                return text

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = decode(await self.text())
        if deriv_schemas.available():
            deriv_schemas.check_message(message, self.generation)
        return message

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send *request* and return what comes next."""
        await self.send(request)
        return await self.receive()

    async def ended(self) -> Closed:
        """Return how the connection ended, skipping the messages before that."""
        try:
            while True:
                await self.text()
        except Closed as closed:
            return closed

    async def goodbye(self, code: int = 1000) -> None:
        await self.put(CloseConnection(code))
        while not isinstance(await self.event(), CloseConnection):
            pass


async def open_stream(sim: Simulator) -> trio.abc.Stream:
    return await sim.endpoint.open_stream("simulator.invalid", 80)


@asynccontextmanager
async def open_peer(sim: Simulator, target: str = TARGET) -> AsyncIterator[Peer]:
    stream = await open_stream(sim)
    try:
        peer = Peer(stream, "v3" if target.startswith("/websockets/v3") else "options")
        await peer.shake_hands(target)
        yield peer
    finally:
        await trio.aclose_forcefully(stream)


async def private_target(sim: Simulator, account_id: str | None = None) -> str:
    """Return the path and query of a one-time URL."""
    url = await sim.options_account(account_id).url()
    return url.removeprefix("ws://simulator.invalid")


async def is_mute(stream: trio.abc.Stream, seconds: float = 1000) -> bool:
    """Whether nothing at all, not even an end of file, arrives for so long."""
    with trio.move_on_after(seconds) as scope:
        await stream.receive_some()
    return scope.cancelled_caught
