"""What all parts of one client share, and the one place that says whether there is a connection.

A `Session` lives as long as its client. Connections come and go beneath it: `connection` is the
present one, and `usable_connection` is the answer to the question that all parts ask.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

import attrs
import trio

from derivtrio.calls.call import Call
from derivtrio.calls.doubts import TradeLog, order_text
from derivtrio.calls.metrics import Metrics
from derivtrio.calls.queue import SendQueue
from derivtrio.calls.routing import Router
from derivtrio.calls.status import ConnectionState, EventBus, State
from derivtrio.concurrency.home import require_trio
from derivtrio.connection.connection import Connection
from derivtrio.connection.endpoints import Generation
from derivtrio.errors import BrokenConnection
from derivtrio.events import Gap, Opened, Stale
from derivtrio.settings import Settings
from derivtrio.wording import counted


class Observer(Protocol):
    """Is told what no event tells; `derivtrio.trace` has one."""

    def call_begun(self, call: Call) -> None:
        """Note that *call* is queued."""
        ...

    def call_ended(self, call: Call) -> None:
        """Note that the caller of *call* has its answer, or has gone away."""
        ...

    def fetched(self, symbol: str, count: int) -> None:
        """Note that *count* missed items of *symbol* came from the server's history."""
        ...


#: Is called with each new client's session and registry of streams; set by `derivtrio.trace`.
on_new_client: ContextVar[Callable[["Session", Any], None] | None] = ContextVar(
    "on_new_client", default=None
)


class Suspect(Protocol):
    """A stream or a call that may be what breaks connections."""

    @property
    def label(self) -> str:
        """What it is called in logs."""
        ...

    @property
    def breaks(self) -> Sequence[BrokenConnection]:
        """How the connections ended that it may have broken."""
        ...


@attrs.define(eq=False, repr=False)
class Session:
    """What the tasks of every connection, the streams and the trades of one client work with.

    Attributes:
        generation: the generation of the API that the endpoint speaks.
        connection: the present one, from the end of its handshake to the end of its goodbye.
        timed_out: set when a call has had no reply in time; the heartbeat then asks for proof that
            requests are answered.
        given_up: whether a caller has gone away from a call that was written and not answered. The
            heartbeat asks for proof when it looks next.
        answered_mono: when a call of the user's was last answered, on trio's clock.
        guards: scopes that must not outlive the present connection (`same_connection`).
        on_trial: the stream or call that is asked alone at present, because it may have broken
            earlier connections. If this one breaks, too, that is not counted against the server.
        reauthorize: authorizes the connection anew, because a call has ended with an error that
            says so; returns whether the call may be made once more.
        observer: is told of calls and filled holes; usually None.
        home: the `trio.run` that the client belongs to.
        label: what the names of this client's tasks end with.

    """

    settings: Settings
    generation: Generation
    queue: SendQueue
    router: Router
    bus: EventBus
    trades: TradeLog = attrs.field(factory=TradeLog)
    connection: Connection | None = attrs.field(default=None, init=False)
    timed_out: trio.Event = attrs.field(factory=trio.Event, init=False)
    given_up: bool = attrs.field(default=False, init=False)
    answered_mono: float = attrs.field(default=-math.inf, init=False)
    guards: set[trio.CancelScope] = attrs.field(factory=set, init=False)
    on_trial: Suspect | None = attrs.field(default=None, init=False)
    reauthorize: Callable[[Call, Exception], Awaitable[bool]] | None = None
    observer: Observer | None = attrs.field(default=None, init=False)
    home: trio.lowlevel.TrioToken = attrs.field(factory=require_trio, init=False)
    label: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.label = "" if self.bus.name is None else f" [{self.bus.name}]"
        self.router.on_contradiction = self._note_contradiction

    @property
    def state(self) -> ConnectionState:
        """Where the client is in its life, and what is known of its present connection."""
        return self.bus.state

    @property
    def usable_connection(self) -> Connection | None:
        """The present connection, unless it is already known to be lost."""
        connection = self.connection
        return None if connection is None or connection.disconnect is not None else connection

    @property
    def trial_text(self) -> str:
        """What is asked alone at present; empty if nothing is."""
        return "" if self.on_trial is None else f"only {self.on_trial.label} was being asked for"

    @property
    def is_ready(self) -> bool:
        """Whether calls flow: the state is `READY`, and the connection was not lost since."""
        return self.state.name is State.READY and self.usable_connection is not None

    def take_unanswered(self) -> bool:
        """Return whether a call had no reply since this was called last."""
        unanswered = self.timed_out.is_set() or self.given_up
        if unanswered:
            # An event of trio's cannot be unset, so the next call has another one.
            self.timed_out, self.given_up = trio.Event(), False
        return unanswered

    @property
    def waiting_for(self) -> str | None:
        """What calls that are not written yet wait for, in words; None if they go at once."""
        state, number = self.state.name, self.state.connection
        if state is State.RESTORING and not self.queue.is_open_to_users:
            if self.queue.waits_for_restoration:
                return f"the authorization of connection {number}"
            streams = self.queue.restoring + sum(
                isinstance(each, Call) and each.restores and not each.decided
                for each in self.router.waiting()
            )
            left = counted(streams, "stream", "is")
            return f"the restoration of connection {number}: {left} not answered yet"
        if state in (State.CONNECTING, State.WAITING):
            return f"a connection: attempt {self.state.attempt}"
        flows = state in (State.RESTORING, State.READY)
        groups = self.queue.throttled_groups if flows else []
        return f"the rate limit of {', '.join(groups)}" if groups else None

    def count(self, connection: Connection) -> None:
        """Add what was counted of *connection*, which has ended."""
        counters = self.bus.counters
        counters.messages_sent += connection.sent
        counters.bytes_received += connection.bytes_received
        counters.bytes_sent += connection.bytes_sent

    @property
    def metrics(self) -> Metrics:
        """What was counted since the start, the present connection included."""
        counters, present = self.bus.counters, self.connection
        return Metrics(
            name=self.bus.name,
            since=counters.since_wall,
            connections=counters.events[Opened],
            messages_received=counters.messages_received,
            messages_sent=counters.messages_sent + (present.sent if present else 0),
            bytes_received=counters.bytes_received + (present.bytes_received if present else 0),
            bytes_sent=counters.bytes_sent + (present.bytes_sent if present else 0),
            calls=dict(counters.calls),
            reconnects=dict(counters.reconnects),
            gaps=counters.events[Gap],
            stale_streams=counters.events[Stale],
            dropped_items=counters.dropped_items,
            throttled_seconds=self.queue.throttled_for.read(self.queue.clock.current_time()),
            latencies=counters.latency_pairs(),
        )

    def count_unanswered(self) -> int:
        """Return how many calls were written and wait for their reply."""
        receivers = self.router.waiting()
        return sum(isinstance(each, Call) and not each.decided for each in receivers)

    def _note_contradiction(self, call: object, answer: Mapping[str, Any]) -> None:
        """Log that the server has refused *call*, and answers it all the same.

        A trade may have been executed; what it has bought or sold is known then.
        """
        if not isinstance(call, Call):
            return
        if call.is_trade:
            call.answer = dict(answer)
            self.trades.learn_from(call)
        what = order_text(call) if call.is_trade else call.label
        text = "the server has refused %s, and answers it all the same%s"
        hint = "" if call.safe else "; it may have been executed: look at the account"
        self.bus.log(logging.WARNING, text, what, hint)
