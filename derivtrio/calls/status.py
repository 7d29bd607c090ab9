"""What has happened: told to listeners and to the log, and the state that follows from it.

Every event passes through `EventBus.announce`. The state is never set by hand: it follows from the
events, and from what the client's owner does, by `TRANSITIONS`. What is not in that table changes
nothing. A test draws this picture from it:

    CONNECTING ── Opened     ──> RESTORING
    CONNECTING ── Failed     ──> WAITING
    RESTORING  ── Ready      ──> READY
    RESTORING  ── Failed     ──> WAITING
    RESTORING  ── Closed     ──> WAITING
    READY      ── Failed     ──> WAITING
    READY      ── Closed     ──> WAITING
    WAITING    ── Connecting ──> CONNECTING
    CONNECTING ── close      ──> CLOSING
    RESTORING  ── close      ──> CLOSING
    READY      ── close      ──> CLOSING
    WAITING    ── close      ──> CLOSING
    CONNECTING ── end        ──> CLOSED
    RESTORING  ── end        ──> CLOSED
    READY      ── end        ──> CLOSED
    WAITING    ── end        ──> CLOSED
    CLOSING    ── end        ──> CLOSED
    CONNECTING ── give up    ──> FAILED
    RESTORING  ── give up    ──> FAILED
    READY      ── give up    ──> FAILED
    WAITING    ── give up    ──> FAILED
    CLOSING    ── give up    ──> FAILED
"""

import logging
import time
from collections.abc import Mapping
from enum import Enum
from typing import Final, Protocol

import attrs
import msgspec
import trio

from derivtrio.calls.metrics import Counters
from derivtrio.events import (
    Closed,
    Connecting,
    Event,
    Failed,
    Filling,
    Gap,
    MessageReceived,
    MessageSent,
    Opened,
    Overflow,
    Ready,
    Stale,
    Throttled,
    Waiting,
)
from derivtrio.wording import TolerantLogger as TolerantLogger  # noqa: PLC0414 - for those above
from derivtrio.wording import printable

logger: Final = TolerantLogger(logging.getLogger("derivtrio"))


class State(Enum):
    """Where a client is in its life.

    Attributes:
        CONNECTING: it makes an attempt: URL, TCP, TLS, handshake.
        RESTORING: the WebSocket is open; authorization and subscriptions are not answered yet.
        READY: calls flow.
        WAITING: it waits before the next attempt.
        CLOSING: it says goodbye.
        CLOSED: it was closed, by its program.
        FAILED: it has given up.

    """

    CONNECTING = "connecting"
    RESTORING = "restoring"
    READY = "ready"
    WAITING = "waiting"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"


class Command(Enum):
    """What is done to a client from outside: by its owner, or by the verdict to stop trying."""

    CLOSE = "close"
    END = "end"
    GIVE_UP = "give up"


_ALIVE: Final = (State.CONNECTING, State.RESTORING, State.READY, State.WAITING)

TRANSITIONS: Final[Mapping[tuple[State, type | Command], State]] = {
    (State.CONNECTING, Opened): State.RESTORING,
    (State.CONNECTING, Failed): State.WAITING,
    (State.RESTORING, Ready): State.READY,
    (State.RESTORING, Failed): State.WAITING,
    (State.RESTORING, Closed): State.WAITING,
    (State.READY, Failed): State.WAITING,
    (State.READY, Closed): State.WAITING,
    (State.WAITING, Connecting): State.CONNECTING,
    **{(state, Command.CLOSE): State.CLOSING for state in _ALIVE},
    **{(state, Command.END): State.CLOSED for state in (*_ALIVE, State.CLOSING)},
    **{(state, Command.GIVE_UP): State.FAILED for state in (*_ALIVE, State.CLOSING)},
}


class Status(msgspec.Struct, frozen=True):
    """A snapshot of a client.

    Attributes:
        state: where it is in its life.
        connection: the number of its present connection, counted from 1; None without one.
        attempt: which attempt this is since the last stable connection, counted from 1.
        since: when it entered this state, in seconds since the epoch.
        round_trip: how long the server took for the last heartbeat, in seconds.
        last_message_at: when the last message came, on whichever connection, in seconds since the
            epoch; None before the first.
        pending: how many calls wait to be written or answered.
        waiting_for: what calls that are not written yet wait for, in words; None if they go at
            once.
        subscriptions: how many streams it keeps.
        last_error: what ended the last attempt or connection.

    """

    state: State
    connection: int | None
    attempt: int
    since: float
    round_trip: float | None
    last_message_at: float | None
    pending: int
    waiting_for: str | None
    subscriptions: int
    last_error: Exception | None


@attrs.define(eq=False, repr=False)
class ConnectionState:
    """The client's state, and what is known of its present connection.

    Attributes:
        name: the state.
        since: when it was entered, in seconds since the epoch.
        connection: the number of the present connection; None without one.
        attempt: counts the attempts since the last stable connection, from 1.
        round_trip: how long the server took for the last heartbeat, in seconds.
        last_error: what ended the last attempt or connection.

    """

    name: State = attrs.field(default=State.CONNECTING, init=False)
    since: float = attrs.field(factory=time.time, init=False)
    connection: int | None = attrs.field(default=None, init=False)
    attempt: int = attrs.field(default=1, init=False)
    round_trip: float | None = attrs.field(default=None, init=False)
    last_error: Exception | None = attrs.field(default=None, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def ending(self) -> bool:
        """Whether the client is closing, or has come to its end."""
        return self.name not in _ALIVE

    def follow(self, event: Event) -> None:
        """Take note of *event*, and enter the state that it leads to."""
        match event:
            case Connecting(attempt=attempt):
                self.attempt = attempt
            case Opened(connection=connection):
                self.connection = connection
            case Closed():
                self.connection = self.round_trip = None
            case Failed(error=error):
                self.last_error = error
        self._step(type(event))

    def obey(self, command: Command) -> None:
        """Enter the state that *command* leads to."""
        self._step(command)

    async def change(self) -> None:
        """Wait until the state changes."""
        await self._changed.wait()

    async def wait_ending(self) -> None:
        """Wait until the client is closing, or has come to its end."""
        while not self.ending:
            await self.change()

    def _step(self, cause: type | Command) -> None:
        state = TRANSITIONS.get((self.name, cause))
        if state is not None:
            self.name, self.since = state, time.time()
            self._changed.set()
            self._changed = trio.Event()


class Listener(Protocol):
    """Takes events: a buffer, or what `derivtrio.trace` records them with."""

    def put(self, event: Event, /) -> object:
        """Take *event*, at once."""
        ...

    def close(self) -> None:
        """Note that there will be no more."""
        ...


@attrs.define(eq=False, repr=False)
class EventBus:
    """The listeners to what happens.

    Attributes:
        name: the name with which the client was opened.
        state: follows the events before any listener is told.
        counters: what the client counts.
        traffic: how many listeners want every message.
        present: the event that says best where the client is now; None before the first.
        last_wall: when the last event was announced, messages not included.

    """

    name: str | None = None
    state: ConnectionState = attrs.field(factory=ConnectionState)
    counters: Counters = attrs.field(factory=Counters)
    traffic: int = attrs.field(default=0, init=False)
    present: Event | None = attrs.field(default=None, init=False)
    last_wall: float | None = attrs.field(default=None, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _listeners: dict[Listener, bool] = attrs.field(factory=dict, init=False)

    def listen(self, buffer: Listener, *, traffic: bool) -> None:
        """Put the `present` and every later event into *buffer*; messages only with *traffic*.

        While the client is closing, no event says so, and only later ones are put in. After the end
        there are none.
        """
        if self._ended:
            buffer.close()
        elif self.present is not None and not self.state.ending:
            buffer.put(self.present)
        self._listeners[buffer] = traffic
        self.traffic += traffic

    def ignore(self, buffer: Listener) -> None:
        """Stop `listen`."""
        self.traffic -= self._listeners.pop(buffer, False)

    def announce(self, event: Event) -> None:
        """Tell *event* to all listeners, at once."""
        if self.name is not None:
            event = attrs.evolve(event, client=self.name)
        connection = self.state.connection
        self.state.follow(event)
        self.counters.events[type(event)] += 1
        self._log(event, self.state.connection or connection)
        about_traffic = isinstance(event, MessageReceived | MessageSent)
        if isinstance(event, Connecting | Opened | Ready | Failed | Closed | Waiting):
            self.present = event
        if not about_traffic:
            self.last_wall = event.time
        for buffer, traffic in list(self._listeners.items()):
            if traffic or not about_traffic:
                buffer.put(event)

    def end(self) -> None:
        """End every listener's stream, after what it has not read yet."""
        self._ended = True
        for buffer in self._listeners:
            buffer.close()

    def log(
        self,
        level: int,
        text: str,
        *args: object,
        connection: int | None = None,
        symbol: str | None = None,
    ) -> None:
        """Log *text*, with what programs filter by as fields of the record."""
        fields = {
            "client": self.name,
            "connection": self.state.connection if connection is None else connection,
            "attempt": self.state.attempt,
            "symbol": symbol,
        }
        if self.name is not None:
            text, args = "[%s] " + text, (self.name, *args)
        args = tuple(printable(each) if isinstance(each, str) else each for each in args)
        logger.log(level, text, *args, extra=fields, stacklevel=2)

    def _log(self, event: Event, connection: int | None) -> None:
        match event:
            case Ready(connection=number) if number > 1:
                self.log(logging.INFO, "ready again, on connection %d", number)
            case Throttled(group=group, delay=delay):
                text = "%s requests wait, %.0f s at first, for the rate limit"
                self.log(logging.INFO, text, group, delay)
            case Stale(stream=stream, since=since):
                text = "%s has been mute for %.0f s, though the server has more"
                silence = max(0.0, time.time() - since)
                self.log(logging.WARNING, text, stream, silence, symbol=stream)
            case Gap(stream=stream) | Filling(stream=stream) | Overflow(stream=stream):
                self.log(logging.DEBUG, "%s", event, symbol=stream)
            case MessageReceived() | MessageSent():
                pass  # a program that wants messages in its log listens to them
            case _:
                self.log(logging.DEBUG, "%s", event, connection=connection)
