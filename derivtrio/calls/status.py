"""What has happened, told to everybody who wants to know: listeners, the log, `status`.

Every event passes through `announce`. The state is never set by hand; it follows from the events
by the table below.
"""

import logging
import time
from collections.abc import Mapping
from enum import Enum
from typing import Final

import attrs
import msgspec
import trio

from derivtrio.concurrency.buffer import Buffer
from derivtrio.events import (
    Closed,
    Connecting,
    Event,
    Failed,
    MessageReceived,
    MessageSent,
    Opened,
    Ready,
    Throttled,
    Waiting,
)

logger = logging.getLogger("derivtrio")


class State(Enum):
    """Where a client is in its life."""

    CONNECTING = "connecting"
    RESTORING = "restoring"
    READY = "ready"
    WAITING = "waiting"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"


_STATE_AFTER: Final[Mapping[type, State]] = {
    Connecting: State.CONNECTING,
    Opened: State.RESTORING,
    Ready: State.READY,
    Closed: State.WAITING,
    Failed: State.WAITING,
    Waiting: State.WAITING,
}

#: States that no event leads out of.
_ENDING: Final = frozenset({State.CLOSING, State.CLOSED, State.FAILED})


class Status(msgspec.Struct, frozen=True):
    """A snapshot of a client.

    Attributes:
        state: where it is in its life.
        connection: the number of its present connection, counted from 1; None without one.
        attempt: which attempt this is since the last stable connection, counted from 1.
        since: when it entered this state, in seconds since the epoch.
        round_trip: how long the server took for the last heartbeat, in seconds.
        pending: how many calls wait to be written or answered.
        subscriptions: how many streams it keeps.
        last_error: what ended the last attempt or connection.

    """

    state: State
    connection: int | None
    attempt: int
    since: float
    round_trip: float | None
    pending: int
    subscriptions: int
    last_error: Exception | None


@attrs.define(eq=False)
class EventBus:
    """The present state, and the listeners to what changes it."""

    state: State = attrs.field(default=State.CONNECTING, init=False)
    since: float = attrs.field(factory=time.time, init=False)
    connection: int | None = attrs.field(default=None, init=False)
    attempt: int = attrs.field(default=1, init=False)
    round_trip: float | None = attrs.field(default=None, init=False)
    last_error: Exception | None = attrs.field(default=None, init=False)
    traffic: int = attrs.field(default=0, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _listeners: dict[Buffer[Event], bool] = attrs.field(factory=dict, init=False)

    def listen(self, mailbox: Buffer[Event], *, traffic: bool) -> None:
        """Put every event from now on into *mailbox*; messages only if it asks for `traffic`.

        After the end there are none.
        """
        if self._ended:
            mailbox.close()
        self._listeners[mailbox] = traffic
        self.traffic += traffic

    def ignore(self, mailbox: Buffer[Event]) -> None:
        """Stop `listen`."""
        self.traffic -= self._listeners.pop(mailbox, False)

    @property
    def ending(self) -> bool:
        """Whether the client is closing, or has come to its end."""
        return self.state in _ENDING

    def announce(self, event: Event) -> None:
        """Tell *event* to everybody, at once."""
        match event:
            case Connecting(attempt=attempt):
                self.attempt = attempt
            case Opened(connection=connection):
                self.connection = connection
            case Closed():
                self.connection = self.round_trip = None
            case Failed(error=error):
                self.last_error = error
        if type(event) in _STATE_AFTER and not self.ending:
            self.enter(_STATE_AFTER[type(event)])
        self._log(event)
        about_traffic = isinstance(event, MessageReceived | MessageSent)
        for mailbox, traffic in list(self._listeners.items()):
            if traffic or not about_traffic:
                mailbox.put(event)

    def enter(self, state: State) -> None:
        """Be in *state* from now on."""
        if state is not self.state:
            self.state, self.since = state, time.time()
            self._changed.set()
            self._changed = trio.Event()

    async def change(self) -> None:
        """Wait until the state changes."""
        await self._changed.wait()

    def end(self) -> None:
        """End every listener's stream, after what it has not read yet."""
        self._ended = True
        for mailbox in self._listeners:
            mailbox.close()

    @staticmethod
    def _log(event: Event) -> None:
        match event:
            case Ready(connection=connection) if connection > 1:
                logger.info("ready again, on connection %d", connection)
            case Throttled(group=group, delay=delay):
                logger.info("%s requests wait, %.0f s at first, for the rate limit", group, delay)
            case MessageReceived() | MessageSent():
                pass  # whoever wants the wire in the log subscribes to it
            case _:
                logger.debug("%s", event)
