"""One WebSocket connection, from the dial to the goodbye. It is used once and thrown away.

The layers, from the socket up: `dial` (TCP and TLS), `stream` (what was seen of the bytes),
`websocket` (trio-websocket; messages one at a time, or many, in `fast`), and this page.

- A connection does not raise when it is lost. Whoever notices calls `lose`, the first reason
  stands, and the scope of everybody who works on this connection is cancelled.
- A write that was cut off leaves half a frame on the wire; the connection then counts as broken
  (H8).
- There is one closer, `close`, and it runs once (H10). The stream is closed by force in the end.
"""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import attrs
import trio

from derivtrio.concurrency.background import let_others_run, patience, running, undisturbed
from derivtrio.connection.dial import Dialer, time_limit, too_late
from derivtrio.connection.disconnect import NORMAL, Disconnect, by_peer, why_not_opened
from derivtrio.connection.endpoints import Endpoint, ask
from derivtrio.connection.fast.messages import FastMessages
from derivtrio.connection.stream import WatchedStream
from derivtrio.connection.url import Address, parse_url
from derivtrio.connection.websocket import Binary, Message, Messages, PlainMessages, WebSocket
from derivtrio.errors import HeartbeatMissed, LinkError, RestoreTimeout
from derivtrio.redaction import without
from derivtrio.settings import Settings

#: How many fragments a message may have; and for how many bytes of the largest message one more.
_MOST_FRAGMENTS = 1024
_LEAST_FRAGMENT = 64
#: As how many bytes of progress a write counts. A client that writes all the time must not put off
#: a verdict for long.
_PER_WRITE: Final = 2**14


@asynccontextmanager
async def open_connection(
    endpoint: Endpoint,
    number: int,
    settings: Settings,
    dialer: Dialer | None = None,
    *,
    label: str = "",
) -> AsyncGenerator["Connection"]:
    """Dial; yield the open connection; say goodbye and close the socket.

    The *dialer* is the client's, and remembers the addresses that have failed. The names of the
    client's tasks end with *label*.

    *Cancellation*: may be cancelled at any point; the goodbye is shielded, and bounded by
    `Settings.close_timeout`.

    Raises:
        LinkError: there is no connection, with the true cause.
        InvalidURL: what the endpoint returns is not a WebSocket URL.

    """
    timeout = settings.connect_timeout
    deadline = trio.current_time() + timeout
    dialer = dialer or Dialer(settings)
    async with time_limit(deadline, "URL from the endpoint", timeout) as awaited:
        with dialer.attempt():
            address = parse_url(await ask(endpoint.url, "the endpoint's url()"))
            awaited.what = f"connection to {address.host} port {address.port}"
            stream = await dialer.open_stream(endpoint, address)
    connection = Connection(number, settings, address, WatchedStream(stream))
    websocket, name = connection.websocket, f"derivtrio.websocket{label}"
    async with running(websocket.run, stop=websocket.stop, name=name, inside=websocket.scope):
        try:
            await connection.opened(deadline)
            dialer.note_success()
            yield connection
        finally:
            if isinstance(connection.end.error, HeartbeatMissed | RestoreTimeout):
                dialer.note_silence()
            await connection.close()


@attrs.define(eq=False, repr=False)
class Connection:
    """One open WebSocket: `receive`, `send`, and the record of how it ended.

    Attributes:
        number: counts the client's connections from 1.
        scope: cancelled when the connection is lost; everybody who works on the connection works
            inside it.
        reading: the same for its reader alone; cancelled when it waits for what will never come.
        nursery: where everybody who works on it runs; None before and after that.
        disconnect: how the connection ended, once that is known.
        close_by: when the goodbye must be over, on trio's clock.
        secrets: what was sent on it and is not to be shown, if the server repeats it.
        heard: when the server last sent an API message, on trio's clock; at first, when the
            connection was opened.
        sent: how many messages were written.

    """

    number: int
    _settings: Settings
    _address: Address
    _stream: WatchedStream
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    reading: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    disconnect: Disconnect | None = attrs.field(default=None, init=False)
    close_by: float = attrs.field(default=math.inf, init=False)
    secrets: list[str] = attrs.field(factory=list, init=False)
    heard: float = attrs.field(factory=trio.current_time, init=False)
    sent: int = attrs.field(default=0, init=False)
    _messages: Messages = attrs.field(init=False)
    #: Says what time it is, for each batch and each write: a turn through trio would take longer.
    _clock: trio.abc.Clock = attrs.field(factory=trio.lowlevel.current_clock, init=False)
    _arrival: trio.Event | None = attrs.field(default=None, init=False)
    _batches: int = attrs.field(default=0, init=False)
    _received_before: int = attrs.field(default=0, init=False)
    _writes: int = attrs.field(default=0, init=False)
    _writing_since: float = attrs.field(default=0.0, init=False)
    _idle: trio.Event | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        settings = self._settings
        self._stream.hide = self._hidden
        self._stream.most_fragments = _MOST_FRAGMENTS + settings.max_message_size // _LEAST_FRAGMENT
        if settings.fast:
            self._messages = FastMessages(self._stream, self._address, settings, self.reading)
        else:
            self._messages = PlainMessages(self._stream, self._address, settings)

    @property
    def websocket(self) -> WebSocket:
        """What the messages come through. It needs a task that runs it."""
        return self._messages.websocket

    async def opened(self, deadline: float) -> None:
        """Wait for the WebSocket handshake, until *deadline* on trio's clock.

        Raises:
            LinkError: it failed; says how.

        """
        websocket = self.websocket
        with trio.move_on_at(deadline) as limit:
            await websocket.opened()
        if limit.cancelled_caught:
            await self.catch_up()
        if not websocket.is_open:
            raise self._why_not_opened()
        self.heard = trio.current_time()

    async def receive(self) -> list[Message] | None:
        """Return the messages that have come, oldest first, or None when there will be no more.

        It is called inside `reading`, whose cancellation means None.
        """
        batch = await self._messages.receive()
        # A sign of life; the API never speaks in binary messages, and pings come as an empty batch.
        if batch and (batch[0].__class__ is not Binary or set(map(type, batch)) != {Binary}):
            self.heard = self._clock.current_time()
            self._batches += 1
            if self._arrival is not None:
                self._arrival.set()
                self._arrival = None
        return batch

    def arrival(self) -> trio.Event:
        """Return an event that is set when the next API message has come."""
        self._received_before = self._stream.received
        if self._arrival is None:
            self._arrival = trio.Event()
        return self._arrival

    @property
    def bytes_came(self) -> bool:
        """Whether the server has sent any bytes since `arrival` was called."""
        return self._stream.received > self._received_before

    async def catch_up(self) -> None:
        """Let the reader take what the socket already has. It comes before every verdict."""
        await let_others_run(self._progress)

    async def send(self, messages: Sequence[str | bytes]) -> None:
        """Write *messages*; returns when the socket has them, and not at all when that fails.

        *Cancellation*: a write that is cut off breaks the connection, for half a frame cannot be
        taken back. A write that fails loses the connection and with it the caller's scope; so does
        one that stalls (`stalls_at`), which the heartbeat watches.
        """
        self._writes += 1
        self.sent += len(messages)
        # Writers wait for each other further down; a stall is measured for the first of them.
        if self._writes == 1:
            self._writing_since = self._clock.current_time()
        try:
            await self._messages.send(messages)
        except trio.BrokenResourceError:
            self.lose(self._end_by_peer(writing=True))
            # `lose` has cancelled the scope of all who work on this connection; the caller is one
            # of them.
            await trio.sleep_forever()
        self._note_written()

    @property
    def writing(self) -> bool:
        """Whether a write is under way, which `send` would have to wait for."""
        return bool(self._writes)

    @property
    def stalls_at(self) -> float:
        """When the present write counts as stalled, if the server takes nothing until then."""
        if not self._writes:
            return math.inf
        limit = self._settings.heartbeat_interval + self._settings.heartbeat_timeout
        return max(self._writing_since, self._stream.took) + limit

    async def flushed(self) -> None:
        """Wait until no write is under way."""
        if self._writes:
            self._idle = trio.Event() if self._idle is None else self._idle
            await self._idle.wait()

    @property
    def bytes_received(self) -> int:
        """How many bytes have come, the handshake's included."""
        return self._stream.received

    @property
    def bytes_sent(self) -> int:
        """How many bytes were written, the handshake's included."""
        return self._stream.written

    @property
    def end(self) -> Disconnect:
        """How the connection ended; until it has, how it would if our program ended it now."""
        return self.disconnect or Disconnect("us", NORMAL)

    def start_soon(self, task: Callable[..., Awaitable[None]], *args: Any, name: str) -> bool:
        """Start a *task* that ends with the connection; return False if that has ended."""
        if self.nursery is None or self.disconnect is not None:
            return False
        self.nursery.start_soon(undisturbed, task, *args, name=name)
        return True

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
        end, websocket = self.end, self.websocket
        # A client that is cancelled says goodbye, too; `close_timeout` bounds it.
        with trio.CancelScope(shield=True):
            self._stream.closing = True
            self._messages.closing()
            # A Close must not be written into the middle of another frame (H8).
            can_say_goodbye = websocket.is_open and not websocket.is_closed() and not self._writes
            if can_say_goodbye and end.by == "us":
                limit = min(self.close_by, trio.current_time() + self._settings.close_timeout)
                async with patience(limit, self.catch_up):
                    await websocket.close(end.code, end.reason)
            websocket.stop()
            with suppress(trio.BrokenResourceError):
                await trio.aclose_forcefully(self._stream)
        self.disconnect = end.answered(self._stream) if end.by == "us" else end

    def _hidden(self, text: str) -> str:
        """Return *text*, which the server sent, without what it repeats of our secrets."""
        shown = self._address.hidden_in(text.encode("utf-8", "replace")).decode()
        return without(shown, self.secrets)

    def _progress(self) -> int:
        """Count what is done with what has come. Pongs are written before more is read."""
        return self._stream.received + self._batches + _PER_WRITE * self._stream.writes

    def _note_written(self) -> None:
        self._writes -= 1
        if self._writes:
            self._writing_since = trio.current_time()
        elif self._idle is not None:
            self._idle.set()
            self._idle = None

    def _end_by_peer(self, *, writing: bool = False) -> Disconnect:
        websocket, limit = self.websocket, self._settings.max_message_size
        return by_peer(self._stream, websocket.close_code, websocket.crash, limit, writing=writing)

    def _why_not_opened(self) -> LinkError:
        websocket, settings = self.websocket, self._settings
        error = websocket.crash or self._stream.answer.refusal
        if error is None and not websocket.ended:
            error = too_late("answer to the WebSocket handshake", settings.connect_timeout)
        return why_not_opened(error, self._address, settings.headers)
