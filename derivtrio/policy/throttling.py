"""Where requests wait that may not be written yet, and in what order they leave. No I/O in here.

The rules:

1. More urgent requests leave before less urgent ones, and older before younger.
2. A request that may not go yet holds up nobody who needs other groups, and among those who need
   the same groups only what is as urgent or less.
3. A request that needs several groups claims each of those in which it was ever found waiting, so
   that it cannot be passed for ever by those who need only one.
4. The max_urgency says how urgent a request must be to leave at all; None lets nobody out.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import attrs

from derivtrio.policy.rate_limits import Budgets, Group, Urgency


class Waiting(Protocol):
    """What can wait here."""

    @property
    def name(self) -> str:
        """The call that it makes."""
        ...

    @property
    def urgency(self) -> Urgency:
        """How urgent it is."""
        ...


W = TypeVar("W", bound=Waiting)


@attrs.define(eq=False)
class Fifo(Generic[W]):
    """Those who wait for the same with the same urgency, each with its place; oldest first."""

    urgency: Urgency
    groups: tuple[Group, ...]
    places: OrderedDict[W, int] = attrs.field(factory=OrderedDict, init=False)
    claims: set[Group] = attrs.field(factory=set, init=False)

    @property
    def head(self) -> W:
        """Whose turn it is."""
        return next(iter(self.places))

    @property
    def rank(self) -> tuple[Urgency, int]:
        """Orders the lines."""
        return self.urgency, self.places[self.head]


@attrs.define(eq=False)
class WaitingRoom(Generic[W]):
    """Requests that wait for their budget, or for the max_urgency."""

    _budgets: Budgets
    max_urgency: Urgency | None = Urgency.RESTORATION
    _lines: dict[tuple[Urgency, tuple[Group, ...]], Fifo[W]] = attrs.field(factory=dict, init=False)
    _size: int = attrs.field(default=0, init=False)
    _first: int = attrs.field(default=0, init=False)
    _last: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[W]:
        places = [place for line in self._lines.values() for place in line.places.items()]
        return (item for item, _ in sorted(places, key=lambda place: place[1]))

    def add(self, item: W) -> None:
        """Have *item* wait behind the others of its kind."""
        self._last += 1
        self._line_of(item).places[item] = self._last
        self._size += 1

    def add_first(self, item: W) -> None:
        """Have *item* wait before all others of its kind."""
        self._first -= 1
        places = self._line_of(item).places
        places[item] = self._first
        places.move_to_end(item, last=False)
        self._size += 1

    def discard(self, item: W) -> None:
        """Let *item* wait no longer, if it does."""
        groups = self._budgets.of(item.name)
        line = self._lines.get((item.urgency, groups))
        if line is not None and item in line.places:
            self._take(line, item)

    def clear(self) -> list[W]:
        """Let nobody wait any longer; return all, in their order."""
        items = list(self)
        self._lines.clear()
        self._size = 0
        return items

    def leave(self, now: float) -> W | None:
        """Return the next one that may go now, counted; None if there is none."""
        claimed: set[Group] = set()
        for line in self._waiting():
            head = line.head
            if claimed.isdisjoint(line.groups) and self._budgets.admit(
                head.name, line.urgency, now
            ):
                line.claims.clear()
                self._take(line, head)
                return head
            full = {each for each in line.groups if not each.has_room(line.urgency, now)}
            line.claims |= full | claimed.intersection(line.groups)
            claimed |= line.claims
        return None

    def stopped(self, now: float) -> dict[str, float]:
        """Return the groups in which somebody waits, and until when, if nothing else is sent.

        Who waits for what others claim waits for them, and is not counted.
        """
        until: dict[str, float] = {}
        claimed: set[Group] = set()
        for line in self._waiting():
            if claimed.isdisjoint(line.groups):
                group, time = self._budgets.limiting(line.head.name, line.urgency, now)
                until[group] = min(time, until.get(group, math.inf))
            claimed |= line.claims
        return until

    def _waiting(self) -> list[Fifo[W]]:
        if self.max_urgency is None:
            return []
        lines = [line for line in self._lines.values() if line.urgency <= self.max_urgency]
        return sorted(lines, key=lambda line: line.rank)

    def _line_of(self, item: W) -> Fifo[W]:
        key = (item.urgency, self._budgets.of(item.name))
        if key not in self._lines:
            self._lines[key] = Fifo(*key)
        return self._lines[key]

    def _take(self, line: Fifo[W], item: W) -> None:
        del line.places[item]
        self._size -= 1
        if not line.places:
            del self._lines[line.urgency, line.groups]
