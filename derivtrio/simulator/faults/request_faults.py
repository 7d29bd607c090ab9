"""Faults of requests.

A fault waits for the requests that its pattern describes. It says whether the request is executed,
and what comes instead of the reply, or when.
"""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, cast, get_args

import attrs

from derivtrio.simulator.faults import checks
from derivtrio.simulator.faults.checks import FOR_EVER, Times
from derivtrio.simulator.protocol.envelope import Message, Refusal

#: The calls that change something: for them it matters whether the request was executed.
CHANGING = frozenset({"buy", "sell", "cancel", "contract_update", "sell_expired", "topup_virtual"})

#: What happens to the ticks between a request and its late reply: none of them is ever sent; they
#: follow the reply; they come at their times, before the reply.
Between = Literal["lost", "after", "before"]

#: Deriv's texts for a backend that failed, or did not answer within 15 seconds.
_TEXTS = {"Timeout": "Timeout", "RateLimit": "You have reached the rate limit."}
_FAILED = "Sorry, an error occurred while processing your request."

#: Above the largest message that a client of derivtrio takes by default, 8 MiB.
_HUGE: Final = 16 * 1024 * 1024
_INTERNAL_ERROR: Final = 1011


@attrs.frozen
class LostReply:
    """The connection ends without a Close frame."""

    cause: str = "fault: reply lost"


@attrs.frozen
class LateEnd:
    """The reply comes, and *seconds* later the connection ends without a Close frame."""

    seconds: float


@attrs.frozen
class NoReply:
    """Nothing comes."""


@attrs.frozen
class CloseReply:
    """A Close frame with this *code* comes."""

    code: int


@attrs.frozen
class ErrorReply:
    """An error comes."""

    error: Refusal


@attrs.frozen
class HugeReply:
    """A reply comes that is longer than *size* bytes."""

    size: int


@attrs.frozen
class LateReply:
    """The reply comes *seconds* later; *between* says what becomes of the ticks until then."""

    seconds: float
    between: Between = "lost"


Outcome = LostReply | LateEnd | NoReply | CloseReply | ErrorReply | HugeReply | LateReply


@attrs.frozen
class RequestPattern:
    """The requests of one of *calls* which name a symbol or call, and have these *members*.

    With *subscribing* only those that open a stream.
    """

    calls: Collection[str] | None = None
    name: str | None = None
    members: Mapping[str, Any] = attrs.field(factory=dict)
    subscribing: bool = False

    def matches(self, call: str | None, request: Message) -> bool:
        """Whether *request*, for *call*, is one of them."""
        return (
            (self.calls is None or call in self.calls)
            and (self.name is None or self.name == call or _names(request, self.name))
            and all(request.get(member) == value for member, value in self.members.items())
            # Without `subscribe`, too, `ticks` opens a stream.
            and (not self.subscribing or call == "ticks" or request.get("subscribe") == 1)
        )


@attrs.frozen
class RequestFault:
    """What happens to the requests of *pattern*: whether they are executed, and the *outcome*."""

    pattern: RequestPattern
    outcome: Outcome
    executed: bool = True


@attrs.define
class _Waiting:
    fault: RequestFault
    left: float


@attrs.define(eq=False)
class RequestFaults:
    """The faults that wait for a request, in the order in which they were added."""

    waiting: list[_Waiting] = attrs.field(factory=list, init=False)

    def add(self, fault: RequestFault, times: Times) -> None:
        """Let *fault* happen to that many requests."""
        self.waiting.append(_Waiting(fault, math.inf if times == FOR_EVER else times))

    def clear(self) -> None:
        """Remove all faults."""
        self.waiting.clear()

    def take(self, call: str | None, request: Message) -> RequestFault | None:
        """Return the fault for a new *request* of *call*, if one waits, and count it."""
        for waiting in self.waiting:
            if waiting.fault.pattern.matches(call, request):
                waiting.left -= 1
                if not waiting.left:
                    self.waiting.remove(waiting)
                return waiting.fault
        return None


def backend_error(code: str) -> ErrorReply:
    """Return the error of a backend that failed with this *code*."""
    return ErrorReply(Refusal(code=code, message=_TEXTS.get(code, _FAILED)))


def poisoned(what: str | Mapping[str, Any], how: str, number: int | None) -> RequestFault:
    """Return the fault that `Faults.poison` describes; raise `ValueError` if there is no such."""
    if isinstance(what, str):
        pattern = RequestPattern(name=checks.call_or_symbol(what))
    else:
        checks.require(what, "a pattern needs at least one member")
        pattern = RequestPattern(members=dict(what))
    return RequestFault(pattern, _poison(how, number), executed=how == "crash")


def late_subscription(wait: float, what: str | None = None, between: str = "lost") -> RequestFault:
    """Return the fault that `Faults.late_subscription` describes, or raise `ValueError`."""
    name = checks.call_or_symbol(what) if what else None
    words = get_args(Between)
    message = f"the ticks in between are {', '.join(words)}, not {between!r}"
    checks.require(between in words, message)
    outcome = LateReply(checks.positive_seconds(wait), cast("Between", between))
    return RequestFault(RequestPattern(name=name, subscribing=True), outcome)


def _poison(how: str, number: int | None) -> Outcome:
    match how:
        case "close":
            return CloseReply(checks.close_code(_INTERNAL_ERROR if number is None else number))
        case "huge":
            return HugeReply(checks.count(_HUGE if number is None else number))
        case "crash":
            return LateEnd(checks.count(1 if number is None else number))
        case "drop" | "silent":
            checks.require(number is None, f"{how} takes no number")
            return LostReply("fault: poison") if how == "drop" else NoReply()
    message = f"a poison can close, drop, crash, be silent or huge, but not {how!r}"
    raise ValueError(message)


def _names(request: Message, symbol: str) -> bool:
    """Whether *request* asks for *symbol*, by itself, in a list, or in its `parameters`."""
    return any(
        value == symbol
        or (isinstance(value, list) and symbol in value)
        or (isinstance(value, dict) and symbol in value.values())
        for member, value in request.items()
        if member != "passthrough"
    )
