"""When a request may go: the server's budgets, kept so that the server need not refuse. No I/O.

The rules:

1. A call counts in each group for which Deriv's text names it; a call that no text names counts as
   `general`. `ping` has a budget of its own. What the server sends unasked counts nowhere.
2. A group has budgets for sliding windows. A request may go when each window of each of its groups
   has room.
3. Safety margins: 95 % of each budget are used, and each window is 2 % longer than the server's,
   because latency varies.
4. Less urgent requests leave a part of that to more urgent ones: a storm of resubscriptions leaves
   room for user calls, and user calls leave room for `sell`. The heartbeat counts, and never waits.
5. Some servers can be asked for their limits. Until such a server has answered, only a handful of
   requests may go in a minute; when these are used up, it is time to ask. Urgent requests may use a
   quarter of the documented limits.
6. If the server refuses a request for its rate all the same, the request's groups pause, and may
   then use half as much as before. Each further refusal doubles the pause and halves the budget.
   Every ten minutes without a refusal undo one. Urgent requests ignore the pause: a program that
   sells is refused at once instead of waiting.
7. If the server's limits change, the refusals of requests that were sent before no longer count.

`api.limits` says how large the budgets are. Deriv does not say whether it counts connections,
accounts or applications. So a client counts all that it sends, on one connection after another, and
clients that share a `Pacer` count together (`pacer`).

Times are in seconds, on a clock that never goes back.
"""

import math
from collections import deque
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final

import attrs
import msgspec

from derivtrio.api.catalog import GROUPS
from derivtrio.api.limits import (
    ADVERTISED,
    HOUR,
    LIMITS,
    MINUTE,
    REFUSALS,
    advertised_in,
    most_proposals_in,
)

#: The safety margins of rule 3.
_USED: Final = 0.95
_LONGER: Final = 1.02

#: Rule 4: what each urgency may use of that, the most urgent first.
_SHARES: Final = (1.0, 0.95, 0.8)

#: Rule 5, while the server has not said its limits: the part of the documented ones that may be
#: used, and how many requests that are not urgent may go in a minute.
_UNKNOWN: Final = 0.25
_HANDFUL: Final = 10

#: Rule 6: the first pause, and how long it takes until a refusal is forgiven; in seconds.
_FIRST_PAUSE: Final = 15.0
_FORGIVING: Final = 600.0

#: No more refusals than this are held against a group.
_MOST_REFUSALS: Final = 6
_LONGEST_PAUSE: Final = _FIRST_PAUSE * 2 ** (_MOST_REFUSALS - 1)

#: For how long after its first refusal a request is made again, in seconds. By then even the hour
#: has passed in which there were too many requests.
PATIENCE: Final = _LONGER * HOUR + _LONGEST_PAUSE


class Urgency(IntEnum):
    """Which requests go first. The heartbeat is above all of these."""

    TRADE = 0
    USER = 1
    RESTORATION = 2


#: Calls that end a risk, and the one that they cannot do without.
_URGENT: Final = frozenset(
    "authorize cancel contract_update sell sell_contract_for_multiple_accounts".split()
)


def urgency_of(name: str) -> Urgency:
    """Return how urgent the call is, unless its caller says otherwise."""
    return Urgency.TRADE if name in _URGENT else Urgency.USER


class BudgetUse(msgspec.Struct, frozen=True):
    """How much of one budget is used up now.

    Attributes:
        group: what it is for, such as `general`.
        period: its length, in seconds.
        used: the requests of that time.
        limit: how many the server allows.
        paused_for: how long the group pauses yet because the server refused a request, in seconds.

    """

    group: str
    period: float
    used: int
    limit: int
    paused_for: float


@attrs.define(eq=False, repr=False)
class Window:
    """A sliding log of requests: how many may go within any `length` seconds, by urgency."""

    length: float
    caps: tuple[int, ...]
    _ends: deque[float] = attrs.field(factory=deque, init=False)

    def has_room(self, urgency: int, now: float) -> bool:
        """Return whether there is room now."""
        ends = self._ends
        while ends and ends[0] <= now:
            ends.popleft()
        return len(ends) < self.caps[urgency]

    def room_at(self, urgency: int, now: float) -> float:
        """Return from when on there will be room, if nothing else is sent."""
        excess = len(self._ends) - self.caps[urgency]
        return now if excess < 0 else max(now, self._ends[excess])

    def used(self, now: float) -> int:
        """Return how many requests count now."""
        return sum(end > now for end in self._ends)

    def count(self, now: float) -> None:
        """Note a request."""
        self._ends.append(now + self.length)

    def shift(self, ahead: float) -> None:
        """Go on with a clock that is *ahead* of the one before."""
        self._ends = deque(end + ahead for end in self._ends)


@attrs.define(eq=False, repr=False)
class Group:
    """What limits the requests of one group: windows, and the pause after a refusal.

    Attributes:
        limits: the server's budget for each period.
        known: whether the server has said that, or has nothing to say.

    """

    name: str
    limits: Mapping[float, int]
    known: bool = True
    paused_until: float = attrs.field(default=-math.inf, init=False)
    _learnt_at: float = attrs.field(default=-math.inf, init=False)
    _refusals: int = attrs.field(default=0, init=False)
    _forgiven_at: float = attrs.field(default=0.0, init=False)
    _windows: dict[float, Window] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.set_caps()

    def has_room(self, urgency: int, now: float) -> bool:
        """Return whether a request may go now."""
        if self._refusals:
            self._forgive(now)
            # An urgency of 0, a trade's, ignores the pause (rule 6).
            if urgency and now < self.paused_until:
                return False
        for window in self._windows.values():  # noqa: SIM110 - `all` costs twice as much
            if not window.has_room(urgency, now):
                return False
        return True

    def room_at(self, urgency: int, now: float) -> float:
        """Return from when on a request may go, if nothing else is sent."""
        times = [window.room_at(urgency, now) for window in self._windows.values()]
        return max(*times, self.paused_until if urgency else now)

    def usage(self, now: float) -> list[BudgetUse]:
        """Return how much of each budget of this group is used up."""
        pause = max(0.0, self.paused_until - now)
        return [
            BudgetUse(self.name, period, self._windows[period].used(now), limit, pause)
            for period, limit in self.limits.items()
        ]

    def count(self, now: float) -> None:
        """Note a request."""
        for window in self._windows.values():
            window.count(now)

    def shift(self, ahead: float) -> None:
        """Go on with a clock that is *ahead* of the one before."""
        self.paused_until += ahead
        self._learnt_at += ahead
        self._forgiven_at += ahead
        for window in self._windows.values():
            window.shift(ahead)

    def refused(self, now: float, written: float = math.inf) -> None:
        """Pause, and use less from now on; one pause is enough for all requests of one burst.

        What was *written* under other limits says nothing about these.
        """
        if now < self.paused_until or written <= self._learnt_at:
            return
        self._forgive(now)
        self._refusals = min(self._refusals + 1, _MOST_REFUSALS)
        self.paused_until = now + _FIRST_PAUSE * 2 ** (self._refusals - 1)
        self._forgiven_at = self.paused_until + _FORGIVING
        self.set_caps()

    def set_caps(self) -> None:
        """Compute how much of each budget may be used."""
        factor = _USED / 2**self._refusals * (1 if self.known else _UNKNOWN)
        for period, most in self.limits.items():
            window = self._windows.setdefault(period, Window(period * _LONGER, ()))
            window.caps = _caps(most * factor)
            if not self.known and period == MINUTE:
                # Rule 5; and rule 6 halves the handful as it halves the budget.
                urgent, *others = window.caps
                most_now = _HANDFUL >> self._refusals
                few = [min(cap, max(1, most_now - n)) for n, cap in enumerate(others)]
                window.caps = (urgent, *few)

    def learn(self, limits: Mapping[float, int], now: float) -> None:
        """Keep *limits* from now on."""
        if limits != self.limits:
            self.limits, self._learnt_at = limits, now
            self._refusals, self.paused_until = 0, -math.inf

    def _forgive(self, now: float) -> None:
        while self._refusals and now >= self._forgiven_at:
            self._refusals -= 1
            self._forgiven_at += _FORGIVING
            self.set_caps()


def _caps(usable: float) -> tuple[int, ...]:
    """Return how many requests of each urgency *usable* allows; each leaves one to the former."""
    caps: list[int] = []
    for share in _SHARES:
        below = caps[-1] - 1 if caps else math.inf
        caps.append(max(1, int(min(usable * share, below))))
    return tuple(caps)


@attrs.define(eq=False, repr=False)
class Budgets:
    """The groups of one generation of the API. Without groups nothing is limited.

    Attributes:
        advertised: whether the server can be asked for its limits.
        most_proposals: how many streams of proposals it allows on a connection, if it has said so.

    """

    groups: tuple[Group, ...] = ()
    advertised: bool = False
    most_proposals: int | None = attrs.field(default=None, init=False)
    _groups_of: dict[str, tuple[Group, ...]] = attrs.field(factory=dict)
    _rest: tuple[Group, ...] = ()

    def of(self, name: str) -> tuple[Group, ...]:
        """Return the groups in which the call counts."""
        return self._groups_of.get(name, self._rest)

    def admit(self, name: str, urgency: int, now: float) -> bool:
        """Count the call and return True, if it may go now."""
        groups = self._groups_of.get(name, self._rest)
        for group in groups:
            if not group.has_room(urgency, now):
                return False
        for group in groups:
            group.count(now)
        return True

    def count(self, name: str, now: float) -> None:
        """Count a call that does not wait."""
        for group in self.of(name):
            group.has_room(Urgency.TRADE, now)  # which forgets those that no longer count
            group.count(now)

    def limiting(self, name: str, urgency: int, now: float) -> tuple[str, float]:
        """Return what holds the call back longest, and until when."""
        waits = [(group.room_at(urgency, now), group.name) for group in self.of(name)]
        until, group = max(waits, default=(now, ""))
        return group, until

    def awaits_limits(self, name: str, now: float) -> bool:
        """Return whether the group *name* is held back only until the server says its limits."""
        group = next(each for each in self.groups if each.name == name)
        return not group.known and now >= group.paused_until

    def usage(self, now: float) -> list[BudgetUse]:
        """Return how much of each budget is used up."""
        return [use for group in self.groups for use in group.usage(now)]

    def paused(self, now: float) -> set[str]:
        """Return the groups that pause now."""
        return {group.name for group in self.groups if now < group.paused_until}

    def refused(self, name: str, code: str, now: float, written: float = math.inf) -> float | None:
        """Note that the server refused the call, sent when it was *written*, for its rate.

        Return after how many seconds it should be asked again; None if these budgets are not
        what the server spoke of.
        """
        groups = self.of(name)
        if code not in REFUSALS or not groups:
            return None
        for group in groups:
            group.refused(now, written)
        return max(0.0, self.limiting(name, Urgency.USER, now)[1] - now)

    def learn(self, message: Mapping[str, Any], now: float = -math.inf) -> None:
        """Take the limits from a `website_status` message; what is not in it stays as it is.

        What the server refused before, under other limits, is not held against them.
        """
        self.most_proposals = most_proposals_in(message) or self.most_proposals
        advertised = advertised_in(message)
        for group in self.groups:
            if group.name in advertised:
                group.learn({**group.limits, **advertised[group.name]}, now)
            group.known = True
            group.set_caps()


def budgets_for(generation: str, *, advertised: bool) -> Budgets:
    """Return fresh budgets for *generation*, `"v3"` or `"options"`, as documented.

    `advertised` says whether the server can be asked for them.
    """
    askable = ADVERTISED if advertised else ()
    groups = {
        name: Group(name, limits, name not in askable)
        for name, limits in LIMITS[generation].items()
    }
    groups_of = {
        call: tuple(groups[name] for name in names) for call, names in GROUPS[generation].items()
    }
    return Budgets(tuple(groups.values()), advertised, groups_of, (groups["general"],))
