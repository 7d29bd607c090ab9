"""How long to wait before the next attempt, and when to stop making any.

Exponential backoff with full jitter: the ceiling doubles, and the wait is a random time below it.
So a thousand clients that lost the same server do not come back in the same second.

Attempts that belong together form a series. Only a connection that was stable ends a series; a
server that accepts and closes at once is therefore asked no more often than one that refuses.
"""

import random
from collections.abc import Callable, Iterator
from typing import Final

import attrs

from derivtrio.errors import Attempt, ConnectionFailed
from derivtrio.policy.retry import is_fatal, least_delay
from derivtrio.settings import Backoff
from derivtrio.wording import counted

#: How many failed attempts a series remembers.
_MEMORY: Final = 100

Draw = Callable[[float, float], float]


def delays(backoff: Backoff, draw: Draw = random.uniform) -> Iterator[float]:
    """Yield the waits between attempts, in seconds, for ever."""
    ceiling = min(backoff.first, backoff.cap)
    while True:
        yield draw(0, ceiling)
        ceiling = min(ceiling * backoff.factor, backoff.cap)


@attrs.define(eq=False, repr=False)
class Attempts:
    """The attempts since the last stable connection, `number` of them with the present one."""

    backoff: Backoff
    max_attempts: int | None
    number: int = attrs.field(default=1, init=False)
    _attempts: list[Attempt] = attrs.field(factory=list, init=False)
    _delays: Iterator[float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._delays = delays(self.backoff)

    def ended(
        self,
        error: Exception,
        started: float,
        *,
        stable: bool = False,
        been_ready: bool = False,
        blamed: bool = False,
    ) -> float | ConnectionFailed:
        """Record that the present attempt, or the connection it led to, ended with *error*.

        Return how long to wait before the next one, in seconds, or the error with which to give
        up. `started` is when the attempt began, in seconds since the epoch. The end of a `stable`
        connection is not a failed attempt; it begins a new series. Nor is the end of one that is
        `blamed` on a single request; that can only happen a few times. `been_ready` is what
        `is_fatal` takes. The server's `Retry-After` is the least delay; the random wait comes on
        top, so that those who were refused together do not come back together.
        """
        if stable:
            self._attempts.clear()
            self._delays = delays(self.backoff)
        fatal = is_fatal(error, been_ready=been_ready)
        if blamed and not fatal:
            return next(delays(self.backoff))
        if fatal or (self.number == self.max_attempts and not stable):
            self._remember(Attempt(self.number, started, error))
            return self._verdict(error, fatal=fatal)
        delay = least_delay(error) + next(self._delays)
        if not stable:
            self._remember(Attempt(self.number, started, error, delay))
        self.number = 1 if stable else self.number + 1
        return delay

    def _remember(self, attempt: Attempt) -> None:
        self._attempts.append(attempt)
        del self._attempts[:-_MEMORY]

    def _verdict(self, error: Exception, *, fatal: bool) -> ConnectionFailed:
        times = counted(self.number, "attempt")
        why = "trying again cannot help" if fatal else f"gave up after {times}"
        verdict = ConnectionFailed(f"{why}: {error}", list(self._attempts))
        verdict.__cause__ = error
        return verdict
