"""One WebSocket connection, from the dial to the goodbye. It is used once and thrown away.

This is the only module of the client that knows trio-websocket, and it contains what that
library does at its edges (the numbers are those of the thirteen regression tests in
`tests/test_hazards.py`):

- Every wait has a deadline of our own around it, and at the end the stream is closed by force,
  because trio-websocket's own timeouts are not kept when the peer is mute (H1, H2, H3).
- TCP and TLS are opened here, and the tap watches the HTTP response, so that a refusal has its
  true cause (H5, H6, H7).
- trio-websocket's reader runs in a task of its own, shielded until the goodbye is done (H12), and
  whatever it raises is the end of this connection and of nothing else (H11).
- A write that was cut off leaves half a frame on the wire; the connection then counts as broken
  (H8).
- There is one closer, `close`, and it runs once (H10). trio-websocket's `ping` is not used (H4).

A connection does not raise when it is lost. Whoever notices calls `lose`, the first reason stands,
and the scope of everybody who works on this connection is cancelled.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio
import trio_websocket
from wsproto.utilities import RemoteProtocolError

from derivtrio.concurrency.background import running
from derivtrio.connection.dial import open_stream, time_limit
from derivtrio.connection.endpoints import Address, Endpoint, ask, parse_url
from derivtrio.connection.fast.filtering import FilteringStream
from derivtrio.connection.fast.frames import PASSED, FrameFilter, Item, text_frames
from derivtrio.errors import (
    ConnectTimeout,
    HandshakeFailed,
    HandshakeRejected,
    HeartbeatMissed,
    LinkError,
    PeerClosed,
    ProtocolViolation,
)
from derivtrio.events import By
from derivtrio.settings import Settings

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
ABNORMAL: Final = 1006
TOO_BIG: Final = 1009


@attrs.frozen
class Binary:
    """A binary message, told apart from text, which may arrive as bytes too."""

    data: bytes


#: A text message, as UTF-8 or as `str`, whichever way it came; or a binary one.
Message = bytes | str | Binary


@attrs.frozen
class Disconnect:
    """How a connection ended, or is to be ended.

    `error` is None where our own program ended it. `code` and `reason` are the peer's; where `by`
    is `"us"` they are what our Close says, until the peer has answered it.
    """

    by: By
    code: int = ABNORMAL
    reason: str = ""
    was_clean: bool = False
    error: Exception | None = None

    def described(self, number: int) -> str:
        """Say in a clause what happened to connection *number*."""
        how = "closed by this program" if self.error is None else f"lost ({self.error})"
        return f"connection {number} was {how}"


@asynccontextmanager
async def open_connection(
    endpoint: Endpoint, number: int, settings: Settings
) -> AsyncGenerator["Connection"]:
    """Dial; yield the open connection; say goodbye and close the socket.

    *Cancellation*: may be cancelled at any point; the goodbye is shielded, and bounded by
    `Settings.close_timeout`.

    Raises:
        LinkError: there is no connection, with the true cause.
        InvalidURL: the endpoint's URL is none.

    """
    deadline = trio.current_time() + settings.connect_timeout
    with time_limit(deadline, "connection"):
        address = parse_url(await ask(endpoint.url, "the endpoint's url()"))
        stream = await open_stream(endpoint, address, settings.ssl_context)
    connection = Connection(number, settings, address, stream)
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
        number: counts the client's connections from 1. scope: cancelled when the connection is
        lost; everybody who works on the connection works inside it. reading: the same for its
        reader alone, cancelled when it waits for what will never come. disconnect: how it ended,
        once that is known. close_by: when the goodbye must be over, on trio's clock.

    """

    number: int
    _settings: Settings
    _address: Address
    _stream: trio.abc.Stream
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    reading: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    disconnect: Disconnect | None = attrs.field(default=None, init=False)
    close_by: float = attrs.field(default=float("inf"), init=False)
    _tap: FilteringStream = attrs.field(init=False)
    _websocket: trio_websocket.WebSocketConnection | None = attrs.field(default=None, init=False)
    _websocket_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _goodbye_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _dialled: trio.Event = attrs.field(factory=trio.Event, init=False)
    _websocket_ended: bool = attrs.field(default=False, init=False)
    _resolving: bool = attrs.field(default=False, init=False)
    _crash: Exception | None = attrs.field(default=None, init=False)
    _writes: int = attrs.field(default=0, init=False)
    _idle: trio.Event | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        splitter = FrameFilter(self._settings.max_message_size, take=self._settings.fast)
        self._tap = FilteringStream(self._stream, splitter, self._websocket_is_done)

    @property
    def end(self) -> Disconnect:
        """How the connection ended; until it has, how it would if our program ended it now."""
        return self.disconnect or Disconnect("us", NORMAL)

    @property
    def heard(self) -> float:
        """When the server last sent anything, on trio's clock."""
        return self._tap.heard

    def arrival(self) -> trio.Event:
        """Return an event that is set when the server next sends anything, be it a fragment."""
        return self._tap.arrival()

    async def opened(self, deadline: float) -> None:
        """Wait for the WebSocket handshake, until *deadline* on trio's clock.

        Raises:
            LinkError: it failed; says how.

        """
        late: ConnectTimeout | None = None
        try:
            with time_limit(deadline, "answer to the WebSocket handshake"):
                await self._dialled.wait()
        except ConnectTimeout as error:
            late = error
        if self._websocket is None:
            raise self._why_not_opened(late)

    async def receive(self) -> list[Message] | None:
        """Return the messages of one read, oldest first, or None when there will be no more.

        It is called inside `reading`, whose cancellation means None.
        """
        tap = self._tap
        while not self._websocket_ended:
            if tap.digesting is not None:
                await tap.digesting.wait()
                continue
            items, passed = tap.splitter.feed(await tap.read())
            if passed or tap.ended:
                return await self._resolved(items, passed)
            if items:
                return items  # type: ignore[return-value]
        return None

    async def send(self, *messages: str | bytes) -> None:
        """Write *messages*; returns when the socket has them, and not at all when that fails.

        *Cancellation*: a write that is cut off breaks the connection, for half a frame cannot be
        taken back. A write that fails, or that stalls for the heartbeat's interval and timeout,
        loses the connection and with it the caller's scope.
        """
        self._writes += 1
        stall = self._settings.heartbeat_interval + self._settings.heartbeat_timeout
        with trio.move_on_after(stall) as patience:
            try:
                await self._write(messages)
            except (
                trio_websocket.ConnectionClosed,
                trio.BrokenResourceError,
                trio.ClosedResourceError,
            ):
                self.lose(self._account(writing=True))
                await trio.sleep_forever()
        if patience.cancelled_caught:
            text = f"the server took no bytes for {stall:g} s"
            self.lose(Disconnect("heartbeat", error=HeartbeatMissed(text)))
            await trio.sleep_forever()
        self._written()

    @property
    def writing(self) -> bool:
        """Whether a write is under way, which `send` would have to wait for."""
        return bool(self._writes)

    async def flushed(self) -> None:
        """Wait until no write is under way."""
        if self._writes:
            self._idle = trio.Event()
            await self._idle.wait()

    def lose(self, loss: Disconnect) -> None:
        """Record how the connection ended, unless that is known already, and cancel its scope."""
        if self.disconnect is None:
            self.disconnect = loss
            self.scope.cancel()

    def lose_to_peer(self) -> None:
        """Record what `receive` ended with: a Close, the end of the stream, a violation."""
        self.lose(self._account())

    async def run_websocket(self) -> None:
        """Run trio-websocket until told to stop; what it raises ends only this connection."""
        try:
            with self._websocket_scope:
                async with trio.open_nursery() as nursery:
                    self._websocket = await trio_websocket.wrap_client_stream(
                        nursery,
                        self._tap,  # type: ignore[arg-type]  # any trio.abc.Stream will do
                        self._address.host_header,
                        self._address.resource,
                        max_message_size=self._settings.max_message_size,
                    )
                    self._dialled.set()
        except* Exception as group:  # noqa: BLE001 - a foreign task; its end is this connection's end
            self._crash = _first_cause(group.exceptions[0])  # there is one task in there
        finally:
            self._dialled.set()
            self._websocket_ended = True
            self._tap.done()
            if not self._resolving:  # else the reader will see for itself, with what it has
                self.reading.cancel()
            self._goodbye_scope.cancel()

    def stop_websocket(self) -> None:
        """End `run_websocket`."""
        self._websocket_scope.cancel()

    async def close(self) -> None:
        """Say goodbye if the peer can be expected to answer, and close the socket in any case."""
        loss = self.end
        with trio.CancelScope(shield=True):
            self._tap.closing()
            if self._websocket is not None and loss.by == "us" and not self._writes:
                limit = min(self.close_by, trio.current_time() + self._settings.close_timeout)
                with trio.move_on_at(limit), self._goodbye_scope:
                    await self._websocket.aclose(loss.code, loss.reason)
            self._websocket_scope.cancel()
            await trio.aclose_forcefully(self._stream)
        self.disconnect = self._as_answered(loss) if loss.by == "us" else loss

    async def _write(self, messages: Sequence[str | bytes]) -> None:
        """Write text in bulk, and whatever else there is through trio-websocket."""
        texts: list[str] = []
        for message in messages:
            if isinstance(message, str) and self._settings.fast:
                texts.append(message)
                continue
            if texts:
                await self._write_texts(texts)
                texts.clear()
            await self._open_websocket.send_message(message)
        if texts:
            await self._write_texts(texts)

    async def _write_texts(self, texts: Sequence[str]) -> None:
        if self._open_websocket.closed is not None:
            raise trio_websocket.ConnectionClosed(self._open_websocket.closed)
        await self._tap.send_all(text_frames(texts))

    def _written(self) -> None:
        self._writes -= 1
        if not self._writes and self._idle is not None:
            self._idle.set()

    @property
    def _open_websocket(self) -> trio_websocket.WebSocketConnection:
        assert self._websocket is not None, "the connection is used after `opened`"  # noqa: S101
        return self._websocket

    def _why_not_opened(self, late: ConnectTimeout | None) -> LinkError:
        error = self._crash or self._tap.answer.refusal or late
        if isinstance(error, HandshakeRejected):
            return HandshakeRejected(error.status, self._address.hidden_in(error.body))
        if isinstance(error, LinkError):
            return error
        failure = HandshakeFailed(f"the server's handshake is not a WebSocket's: {error}")
        failure.__cause__ = error
        return failure

    async def _resolved(self, items: list[Item], passed: bytes) -> list[Message]:
        """Pass on what is not ours; put the messages that come of it where their markers stand."""
        self._resolving = True
        await self._tap.pass_on(passed)
        messages: list[Message] = []
        for item in items:
            if item is not PASSED:
                messages.append(item)  # type: ignore[arg-type]
                continue
            try:
                message = await self._open_websocket.get_message()
            except trio_websocket.ConnectionClosed:
                break
            messages.append(Binary(message) if isinstance(message, bytes) else message)
        self._resolving = False
        return messages

    def _as_answered(self, farewell: Disconnect) -> Disconnect:
        """Return how our goodbye went: with the peer's Close, or without."""
        answer = self._tap.splitter.close
        if answer is None:
            return attrs.evolve(farewell, code=ABNORMAL, reason="", was_clean=False)
        return attrs.evolve(farewell, code=answer.code, reason=answer.reason, was_clean=True)

    def _account(self, *, writing: bool = False) -> Disconnect:
        """Say how the peer or the network ended this connection, from what the tap has seen."""
        ending, close = self._open_websocket.closed, self._tap.splitter.close
        if self._crash is not None:
            return _violation(PROTOCOL_ERROR, str(self._crash), self._crash)
        if ending is not None and close is not None and ending.code == close.code:
            text = f"closed by the server: {close.code} {close.reason}".rstrip()
            error = PeerClosed(text, close.code, close.reason)
            return Disconnect("server", close.code, close.reason, was_clean=True, error=error)
        unanswered = ending is not None and ending.code == ABNORMAL  # a pong could not be written
        if self._tap.ended or writing or unanswered:
            broken = PeerClosed("the connection ended without a Close", ABNORMAL)
            broken.__cause__ = self._tap.error
            return Disconnect("network", error=broken)
        if ending is not None and ending.code == TOO_BIG:
            limit = self._settings.max_message_size
            return _violation(TOO_BIG, f"a message larger than {limit} bytes")
        return _violation(PROTOCOL_ERROR, "a invalid_request WebSocket frame")

    def _websocket_is_done(self) -> bool:
        return self._websocket is not None and self._websocket.closed is not None


def _first_cause(error: Exception) -> Exception:
    """Return the peer's mistake where *error* is about trio-websocket's answer to it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, RemoteProtocolError):
        cause = cause.__context__
    return error if cause is None else cause


def _violation(code: int, text: str, cause: Exception | None = None) -> Disconnect:
    error = ProtocolViolation(f"the server sent {text}")
    error.__cause__ = cause
    return Disconnect("us", code, error=error)
