"""One WebSocket connection, from the dial to the goodbye. It is used once and thrown away.

The layers, from the socket up: `dial` (TCP and TLS), `stream` (what was seen of the bytes),
`websocket` (trio-websocket), `messages` (one at a time; or many, in `fast`), and this page.

- A connection does not raise when it is lost. Whoever notices calls `lose`, the first reason
  stands, and the scope of everybody who works on this connection is cancelled.
- A write that was cut off leaves half a frame on the wire; the connection then counts as broken
  (H8).
- There is one closer, `close`, and it runs once (H10). The stream is closed by force in the end.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import attrs
import trio

from derivtrio.concurrency.background import running
from derivtrio.connection.dial import open_stream, time_limit
from derivtrio.connection.disconnect import NORMAL, Disconnect, by_peer
from derivtrio.connection.endpoints import Endpoint, ask
from derivtrio.connection.fast.messages import FastMessages
from derivtrio.connection.messages import Messages, PlainMessages
from derivtrio.connection.stream import WatchedStream
from derivtrio.connection.url import Address, parse_url
from derivtrio.connection.websocket import Message
from derivtrio.errors import (
    ConnectTimeout,
    HandshakeFailed,
    HandshakeRejected,
    HeartbeatMissed,
    LinkError,
)
from derivtrio.settings import Settings


@asynccontextmanager
async def open_connection(
    endpoint: Endpoint, number: int, settings: Settings
) -> AsyncGenerator["Connection"]:
    """Dial; yield the open connection; say goodbye and close the socket.

    *Cancellation*: may be cancelled at any point; the goodbye is shielded, and bounded by
    `Settings.close_timeout`.

    Raises:
        LinkError: there is no connection, with the true cause.
        InvalidURL: what the endpoint returns is not a WebSocket URL.

    """
    deadline = trio.current_time() + settings.connect_timeout
    with time_limit(deadline, "connection"):
        address = parse_url(await ask(endpoint.url, "the endpoint's url()"))
        stream = await open_stream(endpoint, address, settings.ssl_context, fast=settings.fast)
    connection = Connection(number, settings, address, WatchedStream(stream))
    async with running(
        connection.run_websocket, stop=connection.stop_websocket, name="derivtrio.websocket"
    ):
        try:
            await connection.opened(deadline)
            yield connection
        finally:
            await connection.close()


@attrs.define(eq=False)
class Connection:
    """One open WebSocket: `receive`, `send`, and the record of how it ended.

    Attributes:
        number: counts the client's connections from 1.
        scope: cancelled when the connection is lost; everybody who works on the connection works
            inside it.
        reading: the same for its reader alone; cancelled when it waits for what will never come.
        disconnect: how the connection ended, once that is known.
        close_by: when the goodbye must be over, on trio's clock.
        sent: how many messages were written.

    """

    number: int
    _settings: Settings
    _address: Address
    _stream: WatchedStream
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    reading: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    disconnect: Disconnect | None = attrs.field(default=None, init=False)
    close_by: float = attrs.field(default=float("inf"), init=False)
    sent: int = attrs.field(default=0, init=False)
    _messages: Messages = attrs.field(init=False)
    _writes: int = attrs.field(default=0, init=False)
    _idle: trio.Event | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        limit = self._settings.max_message_size
        if self._settings.fast:
            self._messages = FastMessages(self._stream, self._address, limit, self.reading)
        else:
            self._messages = PlainMessages(self._stream, self._address, limit)

    async def run_websocket(self) -> None:
        """Run trio-websocket until told to stop; what it raises ends only this connection."""
        await self._messages.websocket.run()

    def stop_websocket(self) -> None:
        """End `run_websocket`."""
        self._messages.websocket.stop()

    async def opened(self, deadline: float) -> None:
        """Wait for the WebSocket handshake, until *deadline* on trio's clock.

        Raises:
            LinkError: it failed; says how.

        """
        late: ConnectTimeout | None = None
        try:
            with time_limit(deadline, "answer to the WebSocket handshake"):
                await self._messages.websocket.opened()
        except ConnectTimeout as error:
            late = error
        if not self._messages.websocket.is_open:
            raise self._why_not_opened(late)

    async def receive(self) -> list[Message] | None:
        """Return the messages that have come, oldest first, or None when there will be no more.

        It is called inside `reading`, whose cancellation means None.
        """
        return await self._messages.receive()

    async def send(self, *messages: str | bytes) -> None:
        """Write *messages*; returns when the socket has them, and not at all when that fails.

        *Cancellation*: a write that is cut off breaks the connection, for half a frame cannot be
        taken back. A write that fails, or that stalls for the heartbeat's interval and timeout,
        loses the connection and with it the caller's scope.
        """
        self._writes += 1
        self.sent += len(messages)
        stall = self._settings.heartbeat_interval + self._settings.heartbeat_timeout
        with trio.move_on_after(stall) as patience:
            try:
                await self._messages.send(messages)
            except trio.BrokenResourceError:
                self.lose(self._end_by_peer(writing=True))
                await trio.sleep_forever()
        if patience.cancelled_caught:
            text = f"the server took no bytes for {stall:g} s"
            self.lose(Disconnect("heartbeat", error=HeartbeatMissed(text)))
            await trio.sleep_forever()
        self._note_written()

    @property
    def writing(self) -> bool:
        """Whether a write is under way, which `send` would have to wait for."""
        return bool(self._writes)

    async def flushed(self) -> None:
        """Wait until no write is under way."""
        if self._writes:
            self._idle = trio.Event()
            await self._idle.wait()

    @property
    def heard(self) -> float:
        """When the server last sent anything, on trio's clock."""
        return self._stream.heard

    @property
    def bytes_received(self) -> int:
        """How many bytes have come, the handshake's included."""
        return self._stream.bytes_received

    @property
    def bytes_sent(self) -> int:
        """How many bytes were written, the handshake's included."""
        return self._stream.bytes_sent

    def arrival(self) -> trio.Event:
        """Return an event that is set when the server next sends anything, be it a fragment."""
        return self._stream.arrival()

    @property
    def end(self) -> Disconnect:
        """How the connection ended; until it has, how it would if our program ended it now."""
        return self.disconnect or Disconnect("us", NORMAL)

    def lose(self, disconnect: Disconnect) -> None:
        """Record how the connection ended, unless that is known already, and cancel its scope."""
        if self.disconnect is None:
            self.disconnect = disconnect
            self.scope.cancel()

    def lose_to_peer(self) -> None:
        """Record what `receive` ended with: a Close, the end of the stream, a violation."""
        self.lose(self._end_by_peer())

    async def close(self) -> None:
        """Say goodbye if the peer can be expected to answer, and close the socket in any case."""
        end, websocket = self.end, self._messages.websocket
        with trio.CancelScope(shield=True):
            self._stream.closing = True
            self._messages.closing()
            # A Close must not be written into the middle of another frame (H8).
            if websocket.is_open and end.by == "us" and not self._writes:
                limit = min(self.close_by, trio.current_time() + self._settings.close_timeout)
                await websocket.close(end.code, end.reason, limit)
            websocket.stop()
            with suppress(trio.BrokenResourceError):
                await trio.aclose_forcefully(self._stream)
        self.disconnect = end.answered(self._stream) if end.by == "us" else end

    def _note_written(self) -> None:
        self._writes -= 1
        if not self._writes and self._idle is not None:
            self._idle.set()

    def _end_by_peer(self, *, writing: bool = False) -> Disconnect:
        websocket, limit = self._messages.websocket, self._settings.max_message_size
        return by_peer(self._stream, websocket.close_code, websocket.crash, limit, writing=writing)

    def _why_not_opened(self, late: ConnectTimeout | None) -> LinkError:
        error = self._messages.websocket.crash or self._stream.answer.refusal or late
        if isinstance(error, HandshakeRejected):
            return _without_secrets(error, self._address)
        if isinstance(error, LinkError):
            return error
        failure = HandshakeFailed(f"the server's handshake is not a WebSocket's: {error}")
        failure.__cause__ = error
        return failure


def _without_secrets(error: HandshakeRejected, address: Address) -> HandshakeRejected:
    """Return *error* without what its server repeats of the URL's query."""
    headers = {
        name: address.hidden_in(value.encode()).decode() for name, value in error.headers.items()
    }
    return HandshakeRejected(error.status, address.hidden_in(error.body), headers)
