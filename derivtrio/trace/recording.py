"""What was seen of a run, as data. Times are in seconds on trio's clock, since the beginning.

The size is bounded, however long the run is. Ticks that come close together are counted as one
*dot*; when a stream has too many dots, each two of them become one. Of calls, tasks and events the
first some thousand are kept, and the others are counted. `left_out` says so.

A recording of the *last* so many seconds forgets what is older (`retention`); then of calls, tasks
and events the newest are kept.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

import attrs

from derivtrio.events import Event
from derivtrio.wording import counted

T = TypeVar("T")

#: How many dots there may be in all streams together, and how many each stream may have at least.
MOST_DOTS: Final = 320_000
FEWEST_DOTS: Final = 200

#: The same where only the last minutes are kept: that picture is drawn again and again.
MOST_RECENT_DOTS: Final = 20_000

MOST_CALLS: Final = 4000
MOST_TASKS: Final = 4000
MOST_EVENTS: Final = 4000

#: Ticks that come within so many seconds are one dot from the beginning.
FINEST: Final = 0.01


@attrs.define(eq=False)
class Dots:
    """When items came: one dot stands for those that came within `width` seconds.

    Attributes:
        times: of the first item of each dot.
        counts: how many items each dot stands for.

    """

    times: list[float] = attrs.field(factory=list)
    counts: list[int] = attrs.field(factory=list)
    width: float = FINEST
    _next: float = attrs.field(default=float("-inf"), init=False)

    def add(self, at: float, count: int, most: int) -> None:
        """Count *count* items that came *at* that time; keep *most* dots at most."""
        if at < self._next:
            self.counts[-1] += count
            return
        self.times.append(at)
        self.counts.append(count)
        self._next = at + self.width
        if len(self.times) > most:
            self._coarsen(most // 2)

    def total(self, since: float = float("-inf"), until: float = float("inf")) -> int:
        """Return how many items came from *since* to *until*."""
        first, last = bisect_left(self.times, since), bisect_right(self.times, until)
        return sum(self.counts[first:last])

    def _coarsen(self, most: int) -> None:
        """Merge dots until there are *most*."""
        while len(self.times) > most:
            self.width *= 2
            coarse = Dots(width=self.width)
            for at, count in zip(self.times, self.counts, strict=True):
                coarse.add(at, count, len(self.times))
            self.times, self.counts, self._next = coarse.times, coarse.counts, coarse._next


@attrs.define(eq=False)
class Kept(Generic[T]):
    """The first `most` things, or the `newest`; the others are only counted."""

    most: int
    newest: bool = False
    things: list[T] = attrs.field(factory=list, init=False)
    left_out: int = attrs.field(default=0, init=False)

    def add(self, thing: T) -> bool:
        """Keep *thing*, or count it; return whether it is kept."""
        if len(self.things) >= self.most:
            self.left_out += 1
            if not (self.newest and self._drop_oldest()):
                return False
        self.things.append(thing)
        return True

    def _drop_oldest(self) -> bool:
        """Drop the oldest thing, if there is one that does not go on."""
        for place, thing in enumerate(self.things):
            if getattr(thing, "ended", 0.0) is not None:
                del self.things[place]
                return True
        return False

    def __iter__(self) -> Iterator[T]:
        return iter(self.things)

    def __len__(self) -> int:
        return len(self.things)


@attrs.define(eq=False)
class NurserySpan:
    """A nursery: the cancel scope around tasks that end together. `ended` is None while it runs."""

    number: int
    began: float
    ended: float | None = None
    running: int = 0


@attrs.define(eq=False)
class TaskSpan:
    """The life of one task. `client` is None for a task of the program itself."""

    number: int
    name: str
    parent: "TaskSpan | None"
    nursery: NurserySpan | None
    began: float
    client: int | None = None
    ended: float | None = None

    @property
    def depth(self) -> int:
        """How many tasks are above it."""
        return 0 if self.parent is None else self.parent.depth + 1


@attrs.define(eq=False)
class CallSpan:
    """One call: when it was queued, when it was written last, when it ended, and how."""

    label: str
    queued: float
    written: float | None = None
    ended: float | None = None
    end: str = ""
    good: bool = True


@attrs.define(eq=False)
class StreamDots:
    """What came in one stream: live, and from the server's history after an outage."""

    label: str
    live: Dots = attrs.field(factory=Dots)
    fetched: Dots = attrs.field(factory=Dots)
    #: How many upstreams of this label there are now.
    sources: int = 0


@attrs.define(eq=False)
class ClientTrace:
    """What was seen of one client; `ended` is None while it is open.

    `newest` says which events and calls are kept if there are too many.
    """

    number: int
    began: float
    newest: bool = False
    ended: float | None = None
    events: Kept[tuple[float, Event]] = attrs.field(init=False)
    calls: Kept[CallSpan] = attrs.field(init=False)
    streams: dict[str, StreamDots] = attrs.field(factory=dict)
    #: How often anything was recorded, which is what recording costs.
    records: int = 0
    #: The client's name, if it has one.
    name: str | None = None

    def __attrs_post_init__(self) -> None:
        self.events = Kept(MOST_EVENTS, self.newest)
        self.calls = Kept(MOST_CALLS, self.newest)

    def fetched_between(self, since: float, until: float) -> dict[str, int]:
        """Return how many missed items of each stream were fetched from *since* to *until*."""
        totals = {
            label: each.fetched.total(since, until)
            for label, each in self.streams.items()
            if each.fetched.times
        }
        return {label: total for label, total in totals.items() if total}


@attrs.define(eq=False)
class Recording:
    """All that was seen between `began_wall` (seconds since 1970) and `length` seconds later.

    With `last`, only what was seen in the last so many seconds is kept.
    """

    began_wall: float
    last: float | None = None
    length: float = 0.0
    clients: list[ClientTrace] = attrs.field(factory=list)
    tasks: Kept[TaskSpan] = attrs.field(init=False)
    nurseries: list[NurserySpan] = attrs.field(factory=list)
    streams: int = 0

    def __attrs_post_init__(self) -> None:
        self.tasks = Kept(MOST_TASKS, self.last is not None)

    @property
    def most_dots(self) -> int:
        """How many dots each stream may have now."""
        most = MOST_DOTS if self.last is None else MOST_RECENT_DOTS
        return max(FEWEST_DOTS, most // max(8, 2 * self.streams))

    def left_out(self) -> list[str]:
        """Return what the recording does not show one by one, as sentences."""
        said = []
        later = "later" if self.last is None else "earlier"
        if coarse := max((dots.width for dots in self._dots()), default=0.0):
            said.append(f"A dot stands for the items of up to {coarse:g} s.")
        left = {"task": self.tasks.left_out}
        for name in ("call", "event"):
            left[name] = sum(getattr(client, f"{name}s").left_out for client in self.clients)
        for name, number in left.items():
            if number:
                said.append(f"{counted(number, f'{later} {name}', 'is')} not shown.")
        return said

    def _dots(self) -> Iterator[Dots]:
        for client in self.clients:
            for stream in client.streams.values():
                yield from (dots for dots in (stream.live, stream.fetched) if dots.times)


def unnamed(name: str) -> str:
    """Return the name of a client's task without what names the client."""
    return name.partition(" [")[0]
