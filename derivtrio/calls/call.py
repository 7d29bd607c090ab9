"""A call: one request on its way to one decided end.

Its states, and what leads from one to another, are in `life`.

What decides a call that was written:

- a reply;
- an error reply: `ApiError`, or `OutcomeUnknown` where the error says that the backend may have
  executed a change;
- no reply in time: `ResponseTimeout` for a read, `OutcomeUnknown` for a change;
- the loss of the connection: `OutcomeUnknown` for a change. A read is queued again. One that three
  lost connections have in common ends with `ConnectionLost`; the last time it was asked alone.

A call that is still queued when the client ends is decided with `ClientClosed` or
`ConnectionFailed`.

A caller that goes away abandons its call. If the call is still queued, it is never sent; if it was
written, its reply is dropped. Only a trade keeps the reply, as `answer`, however late it comes,
because it says what has become of the money.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from derivtrio.api import codec
from derivtrio.api.catalog import TRADES, is_safe_request, name_of
from derivtrio.calls.life import (
    ABANDONED,
    DECIDE,
    DECIDED,
    LEAVE,
    LOSE,
    QUEUED,
    TRANSITIONS,
    WRITE,
    WRITTEN,
    Life,
    Step,
)
from derivtrio.calls.routing import Stream, has_error
from derivtrio.concurrency.waking import WOKEN
from derivtrio.errors import (
    AlreadySubscribed,
    ApiError,
    BrokenConnection,
    ClientClosed,
    ConnectionFailed,
    ConnectionLost,
    OutcomeUnknown,
    ResponseTimeout,
    api_error,
    invalid_request,
)
from derivtrio.policy.rate_limits import Urgency, urgency_of
from derivtrio.policy.retry import is_doubtful
from derivtrio.redaction import masked

#: How many connections may be lost while the same read waits for its reply; then it fails.
MAX_BREAKS: Final = 3

#: How long the server keeps a connection on which it receives nothing, in seconds. As long it may
#: still read what was written to it, if it was this side that has given the connection up: a front
#: end may stand still, and go on. (What it has not read, nothing newer has come after.)
IDLE_TIMEOUT: Final = 120

#: How many connections may break before a suspect is asked on them; then it has waited enough.
_MOST_PASSES: Final = 2

#: How a call that failed has ended, in a word; the first kind that fits counts.
OUTCOMES: Final[Mapping[type[Exception], str]] = {
    ApiError: "refused",
    OutcomeUnknown: "unknown",
    ResponseTimeout: "timeout",
    ConnectionLost: "lost",
    ClientClosed: "unsent",
    ConnectionFailed: "unsent",
}


@attrs.define(eq=False, repr=False)
class Call:
    """One request, its text, and what becomes of it.

    Attributes:
        name: the call's name in the catalogue.
        request: what the caller gave, as a mapping; empty for raw data.
        body: what is written. For an API request that is a JSON object; the writer adds `req_id`.
        safe: whether it may be written again after a loss.
        then: the stream that the reply opens; None for a call that opens none.
        only_on: the number of the one connection it is meant for; None for any.
        urgency: who goes first when there is no room for all.
        restores: whether it is part of restoring the connection `only_on`, and so may go while
            other calls still wait for the connection to be ready.
        terms: for a purchase, the contract that is bought, where that is known.
        raw: whether this is data that has no reply.
        is_trade: whether its answer matters also after its caller has gone.
        state: where it is in its life.
        req_id: the number under which it was last written; 0 before that.
        deadline: when its reply must be there, on trio's clock.
        written_wall: when it was last written, in seconds since the epoch by this machine's clock.
        written_mono: the same on trio's clock; None before that.
        loginid: the account that it changes, once it is written; None if that is not known, and for
            a call that only reads.
        meant_for: the account that the client acted for when a trade was asked for; None if that
            was not known.
        closed_mono: when its answer came, or its connection ended for the server, on trio's clock.
            After that nothing of it can be on its way to the server, or be read there.
        answer: the server's answer to a trade, even if it came too late for the caller.
        error: what it ended with, if not with a reply.
        handed_over: whether the caller has its reply or error. A caller that is cancelled in the
            very moment in which the reply comes does not have it.
        on_error: called with that error; for a call that nobody waits for.
        breaks: how the connections ended that were lost before its reply came.

    """

    name: str
    request: Mapping[str, Any]
    body: str | bytes
    safe: bool
    then: Stream | None = None
    only_on: int | None = None
    urgency: Urgency = Urgency.USER
    restores: bool = False
    terms: Mapping[str, Any] | None = None
    raw: bool = attrs.field(init=False)
    is_trade: bool = attrs.field(init=False)
    state: Life = attrs.field(default=QUEUED, init=False)
    req_id: int = attrs.field(default=0, init=False)
    deadline: float = attrs.field(default=math.inf, init=False)
    written_wall: float = attrs.field(default=0.0, init=False)
    written_mono: float | None = attrs.field(default=None, init=False)
    loginid: str | None = attrs.field(default=None, init=False)
    meant_for: str | None = attrs.field(default=None, init=False)
    closed_mono: float = attrs.field(default=math.inf, init=False)
    answer: dict[str, Any] | None = attrs.field(default=None, init=False)
    error: Exception | None = attrs.field(default=None, init=False)
    handed_over: bool = attrs.field(default=False, init=False)
    on_error: Callable[[Exception], None] | None = attrs.field(default=None, init=False)
    breaks: tuple[BrokenConnection, ...] = attrs.field(default=(), init=False)
    _connection: int | None = attrs.field(default=None, init=False)
    _passes: int = attrs.field(default=0, init=False)
    _patience: float = attrs.field(default=0.0, init=False)
    _reply: dict[str, Any] | None = attrs.field(default=None, init=False)
    _caller: trio.lowlevel.Task | None = attrs.field(default=None, init=False)
    _closed: trio.Event | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.raw = not self.request
        self.is_trade = self.name in TRADES and not self.raw

    @property
    def decided(self) -> bool:
        """Whether it has ended while its caller was there."""
        return self.state is DECIDED

    @property
    def abandoned(self) -> bool:
        """Whether its caller went away before its end."""
        return self.state is ABANDONED

    @property
    def label(self) -> str:
        """What it is called in logs and errors, such as `ticks_history R_100`."""
        return label_of(self.name, self.request)

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what broke the last connections, and is asked alone next time.

        A stream is less urgent than a reply, so it is asked alone already the second time.
        """
        enough = MAX_BREAKS - 1 if self.then is None else 1
        return self.only_on is None and len(self.breaks) >= enough

    @property
    def outcome(self) -> str:
        """How it has ended, in the words of `Metrics.calls`."""
        if self.error is not None:
            kinds = (kind for kind in OUTCOMES if isinstance(self.error, kind))
            return OUTCOMES[next(kinds, ConnectionLost)]
        if self.state is DECIDED:
            return "answered"
        return "cancelled" if self.req_id else "unsent"

    @property
    def wanted(self) -> bool:
        """Whether it is still to be written: its caller is there, and so is the stream it opens."""
        return self.state is QUEUED and (self.then is None or not self.then.over)

    def written(self, req_id: int, connection: int, patience: float, now: float) -> None:
        """Note that it is written *now*, on trio's clock; the reply has *patience* seconds."""
        self._take(WRITE)
        self.req_id = req_id
        self._connection = connection
        self._patience = patience
        self.written_wall = time.time()
        self.written_mono = now
        self.deadline = now + patience

    def deliver(self, message: dict[str, Any]) -> Stream | None:
        """Take the reply; return the stream that takes what follows."""
        if self.is_trade:
            self.answer = message
            self._close()
        # It came too late: the call is decided, or its caller has gone away.
        if self.state is not WRITTEN:
            return None
        if has_error(message):
            self.fail(self._refusal(message))
            return None
        stream = None if self.then is None else self.then.deliver(message)
        self.settle(message)
        return stream

    def settle(self, reply: dict[str, Any]) -> None:
        """Decide the call with *reply*."""
        if self._take(DECIDE):
            self._reply = reply
            self._wake()

    def fail(self, error: Exception) -> None:
        """Decide the call with *error*."""
        if self._take(DECIDE):
            self.error = error
            self._wake()
            if self.on_error is not None:
                self.on_error(error)

    def lost(self, why: BrokenConnection) -> "Call | None":
        """Decide what the loss of the connection means; return the call if it is asked again."""
        self._close()
        # We have given the connection up; the server may not have, and may still read the call.
        if not why.by_peer and self.written_mono is not None:
            self.closed_mono = max(self.closed_mono, self.written_mono + IDLE_TIMEOUT)
        if self.state is not WRITTEN:
            return None
        if not self.safe:
            self.fail(self.doubt(f"{why} before the reply to {self.name} came"))
            return None
        if why.may_blame:
            self.breaks += (why,)
        if len(self.breaks) >= MAX_BREAKS:
            text = (
                f"{why} before the reply to {self.name} came, for the {MAX_BREAKS}rd time; it was"
                " asked alone this time, so this request may be what breaks connections"
            )
            self.fail(ConnectionLost(text, self.request, self._connection, self.breaks))
            return None
        self._take(LOSE)
        self.deadline = math.inf
        return self

    def passed_over(self, why: BrokenConnection) -> None:
        """Note that a connection broke before this call, a suspect, could be asked on it."""
        self._passes += 1
        if self._passes == _MOST_PASSES:
            text = (
                f"{why} before {self.name} could be asked again;"
                f" {len(self.breaks)} connections had broken before the reply to it came"
            )
            self.fail(ConnectionLost(text, self.request, self._connection, self.breaks))

    def expire(self) -> None:
        """Decide the call, whose deadline has passed."""
        self.deadline = math.inf
        late = ResponseTimeout(self.request, self._patience)
        if self.safe:
            self.fail(late)
            return
        unknown = self.doubt(f"{self.name}: {late}")
        unknown.__cause__ = late
        self.fail(unknown)

    def doubt(self, text: str) -> OutcomeUnknown:
        """Return the error which says that the outcome is not known; *text* says why."""
        text = f"{text}; it may have been executed, and was not sent again"
        return OutcomeUnknown(
            text,
            self.request,
            self._connection,
            self.written_wall,
            codec.copy_of(self.terms),  # whoever gets it may change it, for another order
            loginid=self.loginid,
            written_on=self.written_mono,
        )

    async def wait(self) -> dict[str, Any]:
        """Return the reply, or raise what the call ended with. One task at a time may wait.

        The task waits by itself, because it is the only one, and each call waits here once.
        (Measured: with a `trio.Event` a call among a hundred takes a tenth more CPU time.)

        *Cancellation*: abandons the call.
        """
        if self._caller is not None:
            text = f"a task waits for the reply to {self.name} already"
            raise RuntimeError(text)
        try:
            if self.state is DECIDED:
                await trio.lowlevel.checkpoint()
            else:
                self._caller = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._leave)
        except BaseException:
            self._take(LEAVE)
            raise
        self.handed_over = True
        if self.error is not None:
            raise self.error
        reply, self._reply = self._reply, None  # the trade log keeps calls, but needs no replies
        return reply or {}

    async def wait_closed(self) -> None:
        """Wait until nothing of it can be on its way any more."""
        if self._closed is None:
            self._closed = trio.Event()
        if self.closed_mono < math.inf:
            self._closed.set()
        await self._closed.wait()

    def _take(self, step: Step) -> bool:
        """Take the transition for *step*, if there is one; return whether there is."""
        state = TRANSITIONS.get((self.state, step))
        if state is None:
            return False
        self.state = state
        return True

    def _wake(self) -> None:
        caller, self._caller = self._caller, None  # a task must not be rescheduled twice
        if caller is not None:
            trio.lowlevel.reschedule(caller, WOKEN)

    def _leave(self, _: object) -> trio.lowlevel.Abort:
        self._caller = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _close(self) -> None:
        self.closed_mono = trio.current_time()
        if self._closed is not None:
            self._closed.set()

    def _refusal(self, message: Mapping[str, Any]) -> Exception:
        refusal = api_error(message["error"], self.request)
        if self.safe or is_refused(self.name, message):
            return refusal
        unknown = self.doubt(f"the server answered {self.name} with {refusal}")
        unknown.__cause__ = refusal
        return unknown


def is_refused(name: str, message: Mapping[str, Any]) -> bool:
    """Return whether the error in *message* says that the call *name* was not executed.

    An error beside a result says nothing. Nor does one about the stream that was to follow: the
    server makes that when it has done the rest.
    """
    error = api_error(message["error"])
    says_nothing = is_doubtful(error) or isinstance(error, AlreadySubscribed)
    return message.get(name) is None and not says_nothing


def label_of(name: str, request: Mapping[str, Any]) -> str:
    """Return what a request is called in logs and errors: its call, and what it asks for."""
    asked = masked(request).get(name)
    return f"{name} {asked}" if isinstance(asked, str) else name


def api_call(
    request: Mapping[str, Any],
    *,
    then: Stream | None = None,
    only_on: int | None = None,
    restores: bool = False,
    terms: Mapping[str, Any] | None = None,
    urgency: Urgency | None = None,
) -> Call:
    """Return the call that *request* makes. Its name says how urgent it is, if *urgency* does not.

    *terms* say what a purchase buys, where the request does not. A `req_id` in the request is left
    out, because the writer gives every request its own.

    Raises:
        InvalidRequest: the request is not a mapping, not JSON, or not a call; says what is wrong.

    """
    if type(request) is not dict and not isinstance(request, Mapping):  # the usual case is quick
        text = f"a request is a mapping such as {{'ping': 1}}, not {type(request).__name__}"
        raise invalid_request(text)
    request = dict(request)
    request.pop("req_id", None)
    try:
        name = name_of(request)
        body = codec.encode(request)
        request = codec.own_copy(request)  # what its caller changes now was not asked for
    except (TypeError, ValueError, RecursionError) as error:
        raise invalid_request(codec.error_text(error, request), request=request) from error
    if name == "buy" and terms is None and isinstance(request.get("parameters"), Mapping):
        terms = request["parameters"]
    urgency = urgency_of(name) if urgency is None else urgency
    safe = is_safe_request(name, request)
    return Call(name, request, body, safe, then, only_on, urgency, restores, terms)
