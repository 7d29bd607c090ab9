"""The book of this client's trades: what is under way, what is in doubt, and what is known.

A purchase in doubt is recognized among the account's purchases by leaving out those whose origin
is known, and by knowing which others are in doubt as well. So every trade passes through the book,
however it was made, also one whose caller was cancelled.

It stays small. What is known is kept only while an older trade is in doubt. What has to be
forgotten nevertheless, since nobody cleared up thousands of doubts, is remembered as a blur: about
trades of that time no purchase can be claimed with certainty any more.
"""

import math
from collections.abc import Callable, Collection
from typing import Final, Literal, NamedTuple
from weakref import WeakKeyDictionary

import attrs
import trio

from derivtrio.calls import Call
from derivtrio.errors import OutcomeUnknown, RateLimited, api_error
from derivtrio.models import Outcome
from derivtrio.receipts import contract_of
from derivtrio.server_clock import ServerClock
from derivtrio.verdict import is_doubtful

#: So much earlier than a trade was written, in seconds, no purchase can be taken for it.
_SLACK: Final = 120

#: The calls that end a contract, which can be done once.
SALES: Final = ("sell", "cancel")

#: What has been done to a contract.
Deed = Literal["bought", "sold"]

_MOST_KNOWN: Final = 10_000
_MOST_DOUBTS: Final = 1000


class Origin(NamedTuple):
    """Since when something is known, on trio's clock, and when the call behind it was written."""

    learnt: float
    written_at: float


@attrs.define(eq=False)
class Book:
    """The trades of one client, from their making until nothing can be mistaken for them.

    Attributes:
        whose: says for which account a trade is that names none; None if that is not known.
        used: told of each proposal, by its id, that a purchase has used up, or may have.
        verdicts: what has been found out about those that were in doubt.

    """

    whose: Callable[[], str | None] = attrs.field(default=lambda: None)
    used: Callable[[str], None] = attrs.field(default=lambda _: None)
    verdicts: WeakKeyDictionary[OutcomeUnknown, Outcome] = attrs.field(
        factory=WeakKeyDictionary, init=False
    )
    _under_way: dict[Call, None] = attrs.field(factory=dict, init=False)
    _in_doubt: dict[OutcomeUnknown, Call] = attrs.field(factory=dict, init=False)
    _known: dict[tuple[Deed, int], Origin] = attrs.field(factory=dict, init=False)
    _blurred_until: float = attrs.field(default=-math.inf, init=False)
    _clock: ServerClock | None = attrs.field(default=None, init=False)

    @property
    def doubts(self) -> tuple[OutcomeUnknown, ...]:
        """The trades that are in doubt, oldest first."""
        return tuple(self._in_doubt)

    def set_clock(self, reading: ServerClock) -> ServerClock:
        """Take note of what the server's clock shows; return what is known of it."""
        self._clock = reading if self._clock is None else self._clock.updated(reading)
        return self._clock

    def begin(self, call: Call) -> None:
        """Note a trade that is about to be made."""
        self._under_way[call] = None

    def end(self, call: Call) -> None:
        """Note that the caller of a trade has its answer, or has gone away."""
        del self._under_way[call]
        if call.name == "buy" and _may_have_used_up(call):
            self.used(call.request["buy"])
        if isinstance(call.error, OutcomeUnknown):
            self._enter(call.error, call)
        elif call.decided:
            self._learn_from(call)
        elif call.written_on is not None:
            self.doubt(call, f"the caller of {call.name} went away before its reply came")

    def doubt(self, call: Call, text: str) -> OutcomeUnknown:
        """Put *call* in doubt, for the reason *text*."""
        unknown = call.doubt(text)
        self._enter(unknown, call)
        return unknown

    def call_of(self, unknown: OutcomeUnknown) -> Call | None:
        """Return the call that *unknown* is about, while it is in doubt."""
        return self._in_doubt.get(unknown)

    def resolve(self, unknown: OutcomeUnknown, outcome: Outcome) -> None:
        """Note what has been found out."""
        self.verdicts[unknown] = outcome
        self._in_doubt.pop(unknown, None)

    def rivals_of(self, call: Call | None, names: Collection[str] = ("buy",)) -> list[Call]:
        """Return the other calls of these *names*, written and of an outcome that is not known."""
        for each in self._in_doubt.values():
            self._learn_from(each)
        return [
            each
            for each in (*self._in_doubt.values(), *self._under_way)
            if each is not call
            and each.name in names
            and each.written_on is not None
            and not is_answered(each)
        ]

    def is_known(
        self, contract_id: int, deed: Deed = "bought", other_than: float | None = None
    ) -> bool:
        """Return whether one of our calls is known to have bought, or sold, the contract.

        One written at the time *other_than* does not count: it may be the one that is looked into.
        """
        origin = self._known.get((deed, contract_id))
        return origin is not None and origin.written_at != other_than

    def is_blurred(self, written_on: float) -> bool:
        """Return whether too much of the time when a trade was written has been forgotten."""
        return written_on - _SLACK <= self._blurred_until

    def know(self, contract_id: int, deed: Deed = "bought", written_at: float = 0.0) -> None:
        """Note that a call of ours, written at that time, has bought or sold the contract."""
        self._known.setdefault((deed, contract_id), Origin(trio.current_time(), written_at))
        if len(self._known) > _MOST_KNOWN:
            self._forget()

    def _enter(self, unknown: OutcomeUnknown, call: Call) -> None:
        self._in_doubt[unknown] = call
        if len(self._in_doubt) > _MOST_DOUBTS:
            oldest = self._in_doubt.pop(next(iter(self._in_doubt)))
            until = min(oldest.closed_on, trio.current_time()) + _SLACK
            self._blurred_until = max(self._blurred_until, until)

    def _learn_from(self, call: Call) -> None:
        if call.name == "buy" and (contract_id := contract_of(call.answer)) is not None:
            self.know(contract_id, "bought", call.written_at)
        elif call.name in SALES and call.name in (call.answer or {}):
            self.know(call.request[call.name], "sold", call.written_at)

    def _forget(self) -> None:
        """Forget what no trade in doubt can be mistaken for; and more, if that is not enough."""
        calls = (*self._in_doubt.values(), *self._under_way)
        written = [each.written_on for each in calls if each.written_on is not None]
        horizon = min(written, default=trio.current_time()) - _SLACK
        most = _MOST_KNOWN // 2
        excess = list(self._known.items())
        for what, origin in excess[:-most]:
            if origin.learnt >= horizon:
                self._blurred_until = max(self._blurred_until, origin.learnt)
            del self._known[what]


def _may_have_used_up(call: Call) -> bool:
    """Return whether there may be no such proposal any more as *call* was to buy.

    Whether one outlives a purchase that is refused, Deriv does not say.
    """
    return call.written_on is not None and not isinstance(call.error, RateLimited)


def is_answered(call: Call) -> bool:
    """Return whether the server has said what became of a trade, however late."""
    answer = call.answer
    if answer is None:
        return False
    if "error" in answer:
        return not is_doubtful(api_error(answer["error"]))
    return call.name != "buy" or contract_of(answer) is not None
