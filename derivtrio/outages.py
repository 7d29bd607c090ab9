"""What happened while a connection was broken, divided into phases, and what is to be said of it.

The demo records everything here as it happens. The summary is computed from the record alone, so it
cannot say more than what happened.
"""

from collections.abc import Callable
from typing import Final

import attrs
import trio

from derivtrio.events import Closed, Connecting, Event, Failed, Opened, Ready
from derivtrio.report import one_line
from derivtrio.simulator import Market

#: The phases of a demo that was not cut short.
_NAMES: Final = ("before", "between", "after")

_GOOD: Final = "The program subscribed once, and the ticks came back after both breaks."
_BAD: Final = "The ticks did not come as they should have: the demo has failed."


@attrs.frozen
class Tick:
    """A tick that came; *quote* as people write it."""

    symbol: str
    epoch: int
    quote: str


@attrs.frozen
class Break:
    """The demo has broken the connection: its name for that, and what it did."""

    name: str
    deed: str


Happening = Event | Tick | Break

#: Told about everything that happens: when, in seconds since the start, and what.
Tell = Callable[[float, Happening], None]


@attrs.define(eq=False)
class Record:
    """Everything that happened, in order, each with its time in seconds since the start."""

    _tell: Tell
    _start: float = attrs.field(factory=trio.current_time, init=False)
    happened: list[tuple[float, Happening]] = attrs.field(factory=list, init=False)
    _more: trio.Event = attrs.field(factory=trio.Event, init=False)

    def add(self, what: Happening) -> None:
        """Record that *what* happened now."""
        entry = (trio.current_time() - self._start, what)
        self.happened.append(entry)
        self._tell(*entry)
        self._more.set()
        self._more = trio.Event()

    async def ticks(self, count: int) -> None:
        """Wait until the connection that followed the last break has brought *count* ticks."""
        while len(phases(self.happened)[-1].ticks) < count:
            await self._more.wait()


@attrs.define
class Phase:
    """An outage, unless it is the first phase, and the ticks from its end to the next one's end.

    Attributes:
        cause: what broke the connection; None in the first phase.
        broken: when that was; `noticed` and `restored`: when the client noticed, and was ready.
        by: who noticed.
        why: what the client gave as the reason.
        attempts: how many connections it tried.
        connection: the number of the one that it got.

    """

    cause: Break | None = None
    broken: float = 0.0
    noticed: float | None = None
    restored: float | None = None
    by: str = ""
    why: str = ""
    attempts: int = 0
    connection: int = 0
    ticks: list[Tick] = attrs.field(factory=list)

    def take(self, at: float, what: Happening) -> None:
        """Note what of *what* belongs here."""
        match what:
            case Tick():
                self.ticks.append(what)
            case Connecting():
                self.attempts += 1
            case Failed(error=error):
                self.why = self.why or str(error)
            case Closed(by=by) if self.noticed is None:
                self.noticed, self.by = at, by
            case Opened(connection=connection):
                self.connection = connection
            case Ready():
                self.restored = at


def phases(happened: list[tuple[float, Happening]]) -> list[Phase]:
    """Divide what happened: a phase begins with each break.

    A tick that comes after a break, but before there is a new connection, belongs to the phase
    before: it came on the old one.
    """
    divided = [Phase()]
    for at, what in happened:
        if isinstance(what, Break):
            divided.append(Phase(what, at))
        late = isinstance(what, Tick) and not divided[-1].connection
        divided[-2 if late and len(divided) > 1 else -1].take(at, what)
    return divided


def survived(done: list[Phase], quota: int) -> bool:
    """Return whether there were ticks before, between and after the two breaks."""
    return len(done) == len(_NAMES) and all(len(phase.ticks) >= quota for phase in done)


def summary(done: list[Phase], quota: int, market: Market) -> list[str]:
    """Return what became of the ticks and of the connection, a line each."""
    lines = ["Summary"]
    previous: Phase | None = None
    for name, phase in zip(_NAMES, done, strict=False):
        if phase.cause is not None and previous is not None:
            lines += _outage(phase.cause, phase, missed(previous, phase, market))
        where = f" on connection {phase.connection}" if phase.connection else ""
        lines.append(f"  {name:<8} {_counted(len(phase.ticks), 'tick')}{where}")
        previous = phase
    return [*lines, "", _GOOD if survived(done, quota) else _BAD]


def missed(before: Phase, after: Phase, market: Market) -> int | None:
    """Return how many ticks the market had between two phases; None if the second had none."""
    if not (before.ticks and after.ticks):
        return None
    return len(
        market.ticks(before.ticks[-1].symbol, before.ticks[-1].epoch + 1, after.ticks[0].epoch - 1)
    )


def _outage(cause: Break, phase: Phase, lost: int | None) -> list[str]:
    noticed, restored = phase.noticed, phase.restored
    length = "no end seen" if restored is None else f"{restored - phase.broken:.1f} s"
    facts = [
        "not noticed" if noticed is None else f"noticed after {noticed - phase.broken:.1f} s",
        _counted(phase.attempts, "attempt"),
        *([] if lost is None else [f"{_counted(lost, 'tick')} missed"]),
    ]
    lines = [f"  {cause.name:<8} outage of {length}: {', '.join(facts)}"]
    if noticed is not None:
        lines.append(f"  {'':<8} noticed by: {phase.by} ({one_line(phase.why)})")
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
