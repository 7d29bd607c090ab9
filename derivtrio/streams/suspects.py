"""Which streams break connections: found out by asking for them alone.

Some streams break every connection: the server closes it when asked for them, never answers, or
sends more than `Settings.max_message_size`. These rules find them out:

1. A request for a stream that was written and not answered when its connection ended is a
   *suspect*. So is a stream that was answered a moment before a message came that ended the
   connection: it was too big, or no JSON.
2. On the next connection, all others are asked for first. Then user calls may go, and each suspect
   is asked for alone, those with the fewest breaks first. The answer to the one before, or to a
   ping, shows that the connection works.
3. A suspect that has been answered is acquitted when its connection then stays up for a while.
4. A stream that has broken three connections has failed: it ends with `StreamFailed`.

Rule 3, and the proof in rule 2, keep a bad network from being blamed on a stream. A stream that was
answered, and after which the connection ended without a message, is found out by `EarlyEnds`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from derivtrio.calls.call import MAX_BREAKS, Call
from derivtrio.errors import ApiError, BrokenConnection, ResponseTimeout
from derivtrio.policy.early_ends import EARLY, EarlyEnds
from derivtrio.policy.retry import is_doubtful, is_passing
from derivtrio.streams.upstream import Upstream

#: For how long after a suspect's answer its connection must stay up, in seconds.
_ACQUITTED: Final = 10.0

#: How long after its answer a stream may have sent the message that was too much, in seconds.
_PROBATION: Final = 5.0

#: The most that all probations of one connection last, in seconds.
_PROBATIONS: Final = 30.0


class Suspects:
    """Which streams may be what breaks connections; see the rules above.

    Attributes:
        on_answer: called at each answer to a request for a stream.

    """

    on_answer: Callable[[], None]

    def __init__(self) -> None:
        self.on_answer = lambda: None
        #: Those that may have broken connections; each knows which.
        self._suspected: dict[Upstream, None] = {}
        #: Those of them that have done it after their answer, by a message.
        self._by_message: dict[Upstream, None] = {}
        #: On the present connection: the calls that ask for streams, and when which was answered.
        self._asked: dict[Upstream, Call] = {}
        self._answered: dict[Upstream, float] = {}
        self._early_ends: EarlyEnds[Upstream] = EarlyEnds()

    def __contains__(self, upstream: Upstream) -> bool:
        return upstream in self._suspected

    @property
    def unanswered(self) -> list[str]:
        """What was asked for on the present connection and is not answered, in words."""
        return [upstream.label for upstream, call in self._asked.items() if call.req_id]

    @property
    def candidates(self) -> list[Upstream]:
        """Those of which one may end its connection a moment after its answer."""
        return self._early_ends.candidates

    def asked(self, upstream: Upstream, call: Call) -> None:
        """Note that *call* asks for *upstream*."""
        self._asked[upstream] = call
        upstream.on_answer = partial(self.answered, upstream)
        call.on_error = partial(self._refused, upstream)

    def answered(self, upstream: Upstream) -> None:
        """Note that the server has granted *upstream*."""
        self._asked.pop(upstream, None)
        self._answered[upstream] = trio.current_time()
        self.on_answer()

    def _refused(self, upstream: Upstream, error: Exception) -> None:
        """Note that the server has refused *upstream*; its connection has not suffered from it."""
        upstream.lingers |= isinstance(error, ResponseTimeout)
        if isinstance(error, ApiError):
            upstream.lingers |= is_doubtful(error)
            self._asked.pop(upstream, None)
            if not is_passing(error):
                self.on_answer()

    def began(self, upstream: Upstream) -> None:
        """Note that the server has granted *upstream* to its first consumer."""
        self._answered[upstream] = trio.current_time()

    def remove(self, upstream: Upstream) -> None:
        """Note that nobody wants *upstream* any more, nor waits for its answer."""
        self._suspected.pop(upstream, None)
        self._by_message.pop(upstream, None)
        self._answered.pop(upstream, None)
        self._early_ends.remove(upstream)
        if (call := self._asked.pop(upstream, None)) is not None:
            call.settle({})

    def probation(self, upstream: Upstream) -> float:
        """Return how long *upstream*, just answered, stays alone, in seconds."""
        if upstream not in self._by_message:
            return 0.0
        if len(upstream.breaks) >= MAX_BREAKS - 1:
            return _PROBATION
        return min(_PROBATION, _PROBATIONS / len(self._by_message))

    def connection_lost(
        self,
        why: BrokenConnection,
        on_trial: object | None,
        *,
        by_message: bool,
        calls: bool,
        answered: float,
    ) -> list[Upstream]:
        """Judge the streams by the end of a connection; return those that have failed.

        *on_trial* is what was asked alone just then. *by_message* says whether one message has
        ended the connection, *calls* whether that may have been the reply to a call. A call of the
        user's was last *answered* then, on trio's clock.
        """
        now = trio.current_time()
        unanswered = [each for each, call in self._asked.items() if call.req_id]
        # If every request was answered, the message came from a stream that has begun (rule 1).
        after_answer = by_message and not unanswered
        blamed = self._recent(now) if after_answer else unanswered
        if on_trial is not None:
            # It alone is blamed; but not if another request was unanswered beside it, as then
            # either may have done it.
            blamed = [each for each in self._answered | self._asked if each is on_trial]
            blamed = blamed if after_answer or blamed == unanswered else []
        if blamed and not why.may_blame:
            blamed = []
        explained = by_message or bool(unanswered)
        answered = now if calls else answered
        blamed = blamed + self._judge_time_of_end(why, now, answered, explained=explained)
        for upstream in blamed:
            self._suspected[upstream] = None
            upstream.breaks += (why,)
            if after_answer:
                self._by_message[upstream] = None
        self._acquit(blamed, now)
        self._asked.clear()
        self._answered.clear()
        # What was not asked alone shares the blame with others: that is no proof.
        alone = len(blamed) == 1 and not calls
        proven = (each for each in blamed if each is on_trial or alone)
        return [each for each in proven if len(each.breaks) >= MAX_BREAKS]

    def _judge_time_of_end(
        self, why: BrokenConnection, now: float, answered: float, *, explained: bool
    ) -> list[Upstream]:
        """Go on with the experiment of `EarlyEnds`; return the stream that it has found out.

        If a call was *answered* after the stream was, the call may have done it as well.
        """
        granted = [each for each, since in self._answered.items() if since > now - EARLY]
        if granted and why.may_blame and not explained:
            found = self._early_ends.ended_early(granted)
            return [each for each in found if self._answered[each] > answered]
        for upstream in self._early_ends.ended_otherwise():
            if upstream in self._suspected:
                self._clear(upstream)
        return []

    def _recent(self, now: float) -> list[Upstream]:
        """Return the streams that may have sent that message: those that began just now.

        One that has been alone must have sent it, whenever it began.
        """
        recent = [each for each, since in self._answered.items() if since >= now - _PROBATION]
        return recent or (list(self._answered) if len(self._answered) == 1 else [])

    def _acquit(self, blamed: list[Upstream], now: float) -> None:
        """Suspect no longer what is over, or was answered and did no harm for a while."""
        for upstream in list(self._suspected):
            harmless = self._answered.get(upstream, math.inf) <= now - _ACQUITTED
            if upstream not in blamed and (upstream.over or harmless):
                self._clear(upstream)

    def _clear(self, upstream: Upstream) -> None:
        """Suspect *upstream* no longer; hold nothing against it."""
        del self._suspected[upstream]
        upstream.breaks = ()
        self._by_message.pop(upstream, None)
