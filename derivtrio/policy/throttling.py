"""Where requests wait that may not be written yet, and in what order they leave. No I/O in here.

Everything that waits for a budget waits here: user calls, trades, renewals, and the requests that
restore a connection. The rules:

1. More urgent requests leave before less urgent ones, and older before younger.
2. A request that may not go yet holds up no request that needs other groups. Among those that need
   the same groups, it holds up only what is as urgent or less.
3. A request that needs several groups claims each group in which it was ever found waiting, so
   that requests which need only one of them cannot pass it for ever.
4. While a connection is being restored, `max_urgency` says how urgent a request must be to leave;
   None lets none out. What restores the connection is exempt.
5. A request that nobody wants any more leaves at once, and is not counted.

Two meters are here, too: a `Stopwatch` for how long something waits, and a `LeakyBucket` for what
comes too fast.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

import attrs

from derivtrio.policy.rate_limits import Budgets, Group, Urgency


class WaitingRequest(Protocol):
    """What can wait here."""

    urgency: Urgency

    @property
    def name(self) -> str:
        """The call that it makes."""
        ...

    @property
    def restores(self) -> bool:
        """Whether it restores a connection."""
        ...

    @property
    def wanted(self) -> bool:
        """Whether anybody still wants it."""
        ...


W = TypeVar("W", bound=WaitingRequest)

#: What the members of one line have in common.
_Key = tuple[Urgency, bool, tuple[Group, ...]]


@attrs.define(eq=False, repr=False)
class WaitingLine(Generic[W]):
    """Requests that wait for the same groups with the same urgency, each with its place."""

    urgency: Urgency
    restores: bool
    groups: tuple[Group, ...]
    places: OrderedDict[W, int] = attrs.field(factory=OrderedDict, init=False)
    claims: set[Group] = attrs.field(factory=set, init=False)

    @property
    def head(self) -> W:
        """The oldest one."""
        return next(iter(self.places))

    @property
    def rank(self) -> tuple[Urgency, int]:
        """Orders the lines."""
        return self.urgency, self.places[self.head]


@attrs.define(eq=False, repr=False)
class WaitingRoom(Generic[W]):
    """Requests that wait for their budget, or for `max_urgency`."""

    _budgets: Budgets
    max_urgency: Urgency | None = Urgency.RESTORATION
    _lines: dict[_Key, WaitingLine[W]] = attrs.field(factory=dict, init=False)
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

    def remove(self, item: W) -> bool:
        """Let *item* wait no longer; return whether it did."""
        line = self._lines.get(self._key_of(item))
        if line is None or item not in line.places:
            return False
        self._take(line, item)
        return True

    def clear(self) -> list[W]:
        """Let nothing wait any longer; return all, in their order."""
        items = list(self)
        self._lines.clear()
        self._size = 0
        return items

    def promote(self) -> None:
        """Make what restores the connection as urgent as user calls from now on."""
        for item in list(self):
            if item.restores and item.urgency is Urgency.RESTORATION:
                self.remove(item)
                item.urgency = Urgency.USER
                self.add(item)

    def leave(self, now: float) -> W | None:
        """Return the next one that may go now, counted; None if none may."""
        claimed: set[Group] = set()
        for line in self._open_lines():
            head = line.head
            # Rule 5; or no older request claims its groups, and they have room.
            if not head.wanted or (
                claimed.isdisjoint(line.groups)
                and self._budgets.admit(head.name, line.urgency, now)
            ):
                line.claims.clear()
                self._take(line, head)
                return head
            # Rule 3: it waits for room in these, or behind the claims of others.
            full = {each for each in line.groups if not each.has_room(line.urgency, now)}
            line.claims |= full | claimed.intersection(line.groups)
            claimed |= line.claims
        return None

    def stopped(self, now: float) -> dict[str, float]:
        """Return the groups in which something waits, and until when, if nothing else is sent.

        A request that waits because of the claims of others waits for those, and is not counted.
        """
        until: dict[str, float] = {}
        claimed: set[Group] = set()
        for line in self._open_lines():
            if claimed.isdisjoint(line.groups):
                group, time = self._budgets.limiting(line.head.name, line.urgency, now)
                until[group] = min(time, until.get(group, math.inf))
            claimed |= line.claims
        return until

    @property
    def holds_restoration(self) -> bool:
        """Whether something waits here that restores a connection."""
        return any(line.restores for line in self._lines.values())

    def _open_lines(self) -> list[WaitingLine[W]]:
        """Return the lines that only the budgets hold back, the first to leave first."""
        most = -1 if self.max_urgency is None else self.max_urgency
        lines = [line for line in self._lines.values() if line.restores or line.urgency <= most]
        return sorted(lines, key=lambda line: line.rank)

    def _key_of(self, item: W) -> _Key:
        return item.urgency, item.restores, self._budgets.of(item.name)

    def _line_of(self, item: W) -> WaitingLine[W]:
        key = self._key_of(item)
        if key not in self._lines:
            self._lines[key] = WaitingLine(*key)
        return self._lines[key]

    def _take(self, line: WaitingLine[W], item: W) -> None:
        del line.places[item]
        self._size -= 1
        if not line.places:
            del self._lines[line.urgency, line.restores, line.groups]


@attrs.define(eq=False, repr=False)
class Stopwatch:
    """Adds up the time for which something was the case, in seconds."""

    _total: float = attrs.field(default=0.0, init=False)
    _since: float | None = attrs.field(default=None, init=False)

    def note(self, now: float, *, running: bool) -> None:
        """Note whether it is the case from *now* on."""
        if running and self._since is None:
            self._since = now
        elif not running and self._since is not None:
            self._total, self._since = self.read(now), None

    def read(self, now: float) -> float:
        """Return for how long it was the case until *now*."""
        return self._total + (0.0 if self._since is None else now - self._since)


@attrs.define(eq=False, repr=False)
class LeakyBucket:
    """Counts what comes, and forgets `rate` of it a second: what is left came faster than that."""

    rate: float
    _level: float = attrs.field(default=0.0, init=False)
    _since: float = attrs.field(default=-math.inf, init=False)

    def add(self, count: int, now: float) -> float:
        """Add *count*; return the level."""
        self._level = max(0.0, self._level - (now - self._since) * self.rate) + count
        self._since = now
        return self._level

    def empty(self) -> None:
        """Begin again."""
        self._level = 0.0
