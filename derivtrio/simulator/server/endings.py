"""A plain WebSocket server whose connections end in a way that is chosen beforehand.

It is for first clients, in any language: there is no path, no account and no schedule to know. The
ending comes in place of the reply to the first message, whatever that message is.

| ending        | what comes                                                            |
|---------------|-----------------------------------------------------------------------|
| `answers`     | replies, as Deriv would send them; the client ends the connection     |
| `closes-1000` | a Close frame with code 1000, "goodbye"                               |
| `closes-1008` | a Close frame with code 1008, "policy violation"                      |
| `dies`        | the end of the byte stream, without a Close frame                     |
| `silent`      | nothing, and the connection stays open                                |
| `binary`      | the replies of `answers`, as binary messages                          |
"""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal, get_args

import attrs
import trio
from wsproto.frame_protocol import FrameProtocol

from derivtrio.api.codec import encode
from derivtrio.simulator.accounts.account import demo_account
from derivtrio.simulator.calls.dispatch import answer, parse
from derivtrio.simulator.faults import checks
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.network.accepting import accept_each
from derivtrio.simulator.network.handshake import HttpResponse, receive_request, upgrade
from derivtrio.simulator.network.websocket import EndOfInput, ServerWebSocket
from derivtrio.simulator.server.admission import V3_PATH, V3_QUERY
from derivtrio.simulator.sessions.session import Backend, ServerSession

#: How the connections of an ending server end.
EndingName = Literal["answers", "closes-1000", "closes-1008", "dies", "silent", "binary"]

_CLOSES: Final[Mapping[str, tuple[int, str]]] = {
    "closes-1000": (1000, "goodbye"),
    "closes-1008": (1008, "policy violation"),
}

#: Seconds for the handshake, and for the client's part in a close handshake.
_PATIENCE: Final = 5

_LARGEST_MESSAGE: Final = 1024 * 1024


@asynccontextmanager
async def open_ending_server(
    ending: EndingName, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[str]:
    """Serve WebSockets that all end as *ending* says; yield the URL.

    It listens on *host*, a numeric address, and *port*; 0 means any free port. Any path is
    accepted. Requests are answered as the simulator answers them, `demo-token` included, but a
    subscription has its first reply only: for streams there is `open_simulator`. At the end of the
    block all connections end at once. The block's own exception is raised as it is.

    *Cancellation*: the same as the end of the block.

    Raises:
        OSError: the port is not available.
        ValueError: there is no such *ending*, or port.

    """
    checks.port(port)
    if ending not in get_args(EndingName):
        text = f"an ending is one of {', '.join(get_args(EndingName))}, not {ending!r}"
        raise ValueError(text)
    server = EndingServer(ending)
    listeners = await trio.open_tcp_listeners(port, host=host)
    address = listeners[0].socket.getsockname()
    shown = f"[{host}]" if ":" in host else host
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(accept_each, listener, server.serve, nursery)
        try:
            yield f"ws://{shown}:{address[1]}{V3_PATH}?{V3_QUERY}"
        except trio.Cancelled:
            raise
        except BaseException as error:  # noqa: BLE001  (raised below, outside the nursery)
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


@attrs.define(eq=False)
class EndingServer:
    """Serves one stream after another, or many at a time; each has a session of its own."""

    ending: EndingName
    _backend: Backend = attrs.field(init=False)
    _accepted: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        account = demo_account()
        self._backend = Backend(1, Market(1, {}), {account.loginid: account})

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve *stream* to its end. Nothing that a client does raises an exception here."""
        try:
            with suppress(trio.BrokenResourceError):
                if (websocket := await _handshake(stream)) is not None:
                    self._accepted += 1
                    with ServerSession(self._backend, self._accepted).registered():
                        await self._talk(websocket, self._backend.sessions[self._accepted])
        finally:
            await trio.aclose_forcefully(stream)

    async def _talk(self, websocket: ServerWebSocket, session: ServerSession) -> None:
        while not isinstance(received := await websocket.receive(), EndOfInput):
            if self.ending == "dies":
                return
            if self.ending in _CLOSES:
                await _close(websocket, *_CLOSES[self.ending])
                return
            if self.ending != "silent":
                await self._reply(websocket, session, received)
        if received.how in ("close", "violation"):
            await websocket.close(received.code, received.reason)

    async def _reply(
        self, websocket: ServerWebSocket, session: ServerSession, received: bytes
    ) -> None:
        for message in answer(session, parse(received), int(time.time())):
            if message is None:
                await trio.lowlevel.checkpoint()
            else:
                text = encode(message)
                await websocket.send([_binary(text) if self.ending == "binary" else text])


async def _handshake(stream: trio.abc.Stream) -> ServerWebSocket | None:
    """Return the WebSocket on *stream*, or None if there is no valid handshake in time."""
    with trio.move_on_after(_PATIENCE):
        request = await receive_request(stream)
        answered = request if isinstance(request, HttpResponse) else upgrade(request)
        if isinstance(answered, HttpResponse):
            await stream.send_all(answered.encoded())
            return None
        await stream.send_all(answered.response)
        return ServerWebSocket(stream, answered.protocol, _LARGEST_MESSAGE)
    return None


async def _close(websocket: ServerWebSocket, code: int, reason: str) -> None:
    """Begin the close handshake, and wait for the client's part in it."""
    await websocket.close(code, reason)
    with trio.move_on_after(_PATIENCE):
        while not isinstance(await websocket.receive(), EndOfInput):
            pass


def _binary(text: str) -> bytes:
    """Return the frame of a binary message."""
    return bytes(FrameProtocol(client=False, extensions=[]).send_data(text.encode(), fin=True))
