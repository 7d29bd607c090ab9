"""What ends its connection a moment after it was granted: found out by experiment. No I/O.

A server may grant a stream and close the connection a moment later, each time. No request is
unanswered then, and no message is to blame. The rules:

1. An end is *early* if it comes within `EARLY` seconds of granting something, and nothing else
   explains it. After `ENOUGH` early ends in a row, what was granted just before each of them is a
   *candidate*, and an experiment begins.
2. On the next connection all others are asked for first, then one half of the candidates, and
   `EARLY` seconds later the other half. An early end leaves the half that was granted just before.
3. One that is alone is asked for when the connection has lived without it for `CONTROL` seconds.
   If the end is early now, this one has broken the connection.
4. Any other end ends the experiment: the connection has lived, or something else has ended it.

A bad network passes for a bad stream in one of these rounds now and then, but hardly in all of
them: three breaks are needed. Even if it breaks every connection, and after the time that misleads
these rules most, some 9 s on average, it ends an innocent stream once in a million connections.
"""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

#: Within how many seconds of granting an end is early.
EARLY: Final = 5.0

#: How many early ends in a row begin an experiment.
ENOUGH: Final = 6

#: For how many seconds a connection must live without the last candidate.
CONTROL: Final = 20.0


class EarlyEnds(Generic[T]):
    """The early ends in a row, and what was granted just before each of them."""

    def __init__(self) -> None:
        self._granted: list[T] = []
        self._count = 0

    @property
    def candidates(self) -> list[T]:
        """What the experiment is about; empty if there is none."""
        return list(self._granted) if self._count >= ENOUGH else []

    def ended_early(self, granted: Sequence[T]) -> list[T]:
        """Note an early end, just after *granted*; return what has broken the connection, if known.

        That is at most one.
        """
        alone = self.candidates if len(self.candidates) == 1 else []
        common = [each for each in self._granted if each in granted]
        self._count = self._count + 1 if common else 1
        self._granted = common or list(granted)
        return [each for each in alone if each in common]

    def ended_otherwise(self) -> list[T]:
        """Note another end; return what the experiment was about."""
        candidates, self._granted = self.candidates, []
        return candidates

    def remove(self, gone: T) -> None:
        """Note that nobody wants *gone* any more."""
        if gone in self._granted:
            self._granted.remove(gone)
