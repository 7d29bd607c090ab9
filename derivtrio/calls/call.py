"""A call: one request on its way to one decided end.

The life of a call, and what may end it:

    queued ──written──> pending ──reply──> decided
      │                    ├─ error reply ──> ApiError, or OutcomeUnknown where the error says
      │                    │                  that the backend may have executed a change
      │                    ├─ no reply in time ──> ResponseTimeout (a read), OutcomeUnknown
      │                    └─ connection lost ──> queued again (a read, a few times, then
      │                                           ConnectionLost), OutcomeUnknown
      └─ client closed or failed ──> ClientClosed, ConnectionFailed

A caller that goes away marks the call `abandoned`: while queued it is then never sent; once
written, its reply is dropped. Only of a trade it is kept as `answer`, however late it comes, for
it says what has become of the money.
"""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import attrs
import trio

from derivtrio.api import codec
from derivtrio.api.catalog import NAMES, TRADES, is_safe, name_of
from derivtrio.calls.routing import FIRST_FOREIGN_ID, Receiver
from derivtrio.errors import (
    ConnectionLost,
    OutcomeUnknown,
    ResponseTimeout,
    api_error,
    invalid_request,
)
from derivtrio.policy.rate_limits import Urgency, urgency_of
from derivtrio.policy.retry import is_doubtful

#: A read that has outlived so many connections may be what breaks them.
_MAX_WRITES: Final = 3


@attrs.define(eq=False)
class Call:
    """One request, its text, and what becomes of it.

    Attributes:
        name: the call's name in the catalogue.
        request: what the caller gave, as a mapping; empty for raw data.
        body: what is written; for an API request a JSON object, which gets its `req_id` then.
        safe: whether it may be written again after a loss.
        then: who receives what follows the reply, for a call that opens a stream.
        only_on: the connection it is meant for, or None for any.
        urgency: who goes first when there is no room for all.
        terms: of a purchase, the contract that is bought, where that is known.
        raw: whether this is data that has no reply.
        is_trade: whether its answer matters also after its caller has gone.
        req_id: under what number it was last written; 0 before that.
        deadline: until when its reply must be there, on trio's clock.
        written_at: when it was last written, in seconds since the epoch by this machine's clock.
        written_on: the same on trio's clock; None before that.
        loginid: the account that a trade is for, since it was written; None if that is not known.
        closed_on: when its answer came, or its connection ended, on trio's clock: nothing of it
            can be on its way to the server since then.
        decided: whether it has ended.
        answer: the server's answer to a trade, even if it came too late for the caller.
        on_error: is error_text if it ends with an error; for a call that nobody waits for.

    """

    lane: ClassVar[None] = None
    stream: ClassVar[None] = None
    name: str
    request: Mapping[str, Any] = attrs.field(repr=False)
    body: str | bytes = attrs.field(repr=False)
    safe: bool
    then: Receiver | None = attrs.field(default=None, repr=False)
    only_on: int | None = None
    urgency: Urgency = Urgency.USER
    terms: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    raw: bool = attrs.field(init=False)
    is_trade: bool = attrs.field(init=False)
    req_id: int = attrs.field(default=0, init=False)
    deadline: float = attrs.field(default=math.inf, init=False)
    abandoned: bool = attrs.field(default=False, init=False)
    written_at: float = attrs.field(default=0.0, init=False)
    written_on: float | None = attrs.field(default=None, init=False)
    loginid: str | None = attrs.field(default=None, init=False)
    closed_on: float = attrs.field(default=math.inf, init=False)
    answer: dict[str, Any] | None = attrs.field(default=None, init=False, repr=False)
    on_error: Callable[[Exception], None] | None = attrs.field(default=None, init=False, repr=False)
    _closed: trio.Event | None = attrs.field(default=None, init=False, repr=False)
    _connection: int | None = attrs.field(default=None, init=False)
    _writes: int = attrs.field(default=0, init=False)
    _patience: float = attrs.field(default=0.0, init=False, repr=False)
    decided: bool = attrs.field(default=False, init=False)
    _waited_for: trio.Event | None = attrs.field(default=None, init=False, repr=False)
    _reply: dict[str, Any] = attrs.field(factory=dict, init=False, repr=False)
    _error: Exception | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.raw = not self.request
        self.is_trade = self.name in TRADES and not self.raw

    @property
    def error(self) -> Exception | None:
        """What it ended with, if not with a reply."""
        return self._error

    def written(self, req_id: int, connection: int, patience: float, now: float) -> None:
        """Note that it is written *now*, on trio's clock; the reply has *patience* seconds."""
        self.req_id = req_id
        self._connection = connection
        self.written_at = time.time()
        self._writes += 1
        self._patience = patience
        self.written_on = now
        self.deadline = now + patience

    def deliver(self, message: dict[str, Any]) -> Receiver | None:
        """Take the reply; return who receives what follows."""
        if self.is_trade:
            self.answer = message
            self._close()
        if self.decided:
            return None
        if "error" in message:
            self.fail(self._refusal(message["error"]))
            return None
        if self.abandoned:
            return None
        following = None if self.then is None else self.then.deliver(message)
        self.settle(message)
        return following

    def settle(self, reply: dict[str, Any]) -> None:
        """Decide the call with *reply*."""
        self._reply = reply
        self._decide()

    def fail(self, error: Exception) -> None:
        """Decide the call with *error*."""
        self._error = error
        self._decide()
        if self.on_error is not None:
            self.on_error(error)

    def lost(self, why: str) -> "Call | None":
        """Decide what the loss of the connection means; return the call if it is asked again."""
        self._close()
        if self.abandoned or self.decided:
            return None
        if not self.safe:
            self.fail(self.doubt(f"{why} before the reply to {self.name} came"))
            return None
        if self._writes >= _MAX_WRITES:
            text = f"{why} before the reply to {self.name} came, for the {_MAX_WRITES}rd time"
            self.fail(ConnectionLost(text, self.request, self._connection))
            return None
        self.deadline = math.inf
        return self

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
        """Return the error that says that nobody knows what has become of it; *text* says why."""
        text = f"{text}; it may have been executed, and was not sent again"
        return OutcomeUnknown(
            text,
            self.request,
            self._connection,
            self.written_at,
            self.terms,
            loginid=self.loginid,
            written_on=self.written_on,
        )

    async def wait(self) -> dict[str, Any]:
        """Return the reply, or raise what the call ended with. One task at a time may wait.

        *Cancellation*: abandons the call.
        """
        if self._waited_for is not None:
            text = f"somebody waits for the reply to {self.name} already"
            raise RuntimeError(text)
        try:
            if self.decided:
                await trio.lowlevel.checkpoint()
            else:
                self._waited_for = trio.Event()
                await self._waited_for.wait()
        finally:
            self._waited_for = None
            self.abandoned = not self.decided
        if self._error is not None:
            raise self._error
        reply, self._reply = self._reply, {}  # whoever remembers this call need not remember it
        return reply

    def _decide(self) -> None:
        self.decided = True
        if self._waited_for is not None:
            self._waited_for.set()

    def _refusal(self, error: Any) -> Exception:
        refusal = api_error(error, self.request)
        if self.safe or not is_doubtful(refusal):
            return refusal
        unknown = self.doubt(f"the server answered {self.name} with {refusal}")
        unknown.__cause__ = refusal
        return unknown

    async def wait_closed(self) -> None:
        """Wait until nothing of it can be on its way any more."""
        if self._closed is None:
            self._closed = trio.Event()
        if self.closed_on < math.inf:
            self._closed.set()
        await self._closed.wait()

    def _close(self) -> None:
        self.closed_on = trio.current_time()
        if self._closed is not None:
            self._closed.set()


def api_call(
    request: Mapping[str, Any],
    *,
    then: Receiver | None = None,
    only_on: int | None = None,
    terms: Mapping[str, Any] | None = None,
    urgency: Urgency | None = None,
) -> Call:
    """Return the call that *request* makes, as urgent as its name says if *urgency* is None.

    *terms* tell of a purchase what the request does not.

    A `req_id` in it is left out: the writer gives every request its own.

    Raises:
        InvalidRequest: it is no request, or not JSON; says what is wrong.

    """
    if type(request) is not dict and not isinstance(request, Mapping):  # the usual case is quick
        text = f"a request is a mapping such as {{'ping': 1}}, not {type(request).__name__}"
        raise invalid_request(text)
    request = dict(request)
    request.pop("req_id", None)
    try:
        name = name_of(request)
        body = codec.encode(request)
    except (TypeError, ValueError) as error:
        raise invalid_request(codec.error_text(error, request), request=request) from error
    if name == "buy" and terms is None and isinstance(request.get("parameters"), Mapping):
        terms = request["parameters"]
    urgency = urgency_of(name) if urgency is None else urgency
    return Call(name, request, body, is_safe(name), then, only_on, urgency, terms)


def raw_call(data: str | bytes | Mapping[str, Any]) -> Call:
    """Return *data* as a message to write as it is; a mapping is written as JSON.

    Raises:
        InvalidRequest: it has a `req_id` that could be taken for one of ours, or is no data.

    """
    if isinstance(data, Mapping):
        try:
            data = codec.encode(data)
        except (TypeError, ValueError) as error:
            raise invalid_request(codec.error_text(error, data)) from error
    if not isinstance(data, (str, bytes)):
        text = f"a message is str, bytes or a mapping, not {type(data).__name__}"
        raise invalid_request(text)
    message = _object_in(data)
    req_id = message.get("req_id")
    if isinstance(req_id, int) and req_id < FIRST_FOREIGN_ID:
        refusal = f"req_id {req_id} may be one of the client's own; use {FIRST_FOREIGN_ID} or more"
        raise invalid_request(refusal)
    name = next((member for member in message if member in NAMES), "a raw message")
    return Call(name, {}, data, safe=False, urgency=urgency_of(name))


def _object_in(data: str | bytes) -> dict[str, Any]:
    """Return the JSON object in *data*; an empty one where there is none."""
    if isinstance(data, bytes):
        return {}  # written as a binary message, and nobody's request
    try:
        message = codec.decode(data)
    except codec.UNDECODABLE:
        return {}
    return message if isinstance(message, dict) else {}
