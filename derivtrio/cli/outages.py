"""What happened while a connection was broken, divided into phases, and what is to be said of it.

The demo records everything here as it happens. The summary is computed from the record alone, so it
cannot say more than what happened; and it holds the ticks against those that the market had.
"""

from collections.abc import Callable
from typing import Final

import attrs
import trio

from derivtrio import Tick
from derivtrio.cli.output import clock, one_line
from derivtrio.events import Closed, Connecting, Event, Failed, Opened, Ready
from derivtrio.simulator import Market

#: The phases of a demo that was not cut short.
_NAMES: Final = ("before", "between", "after")

_GOOD: Final = "The program subscribed once; no tick is missing, none came twice."
_BAD: Final = "The ticks did not come as they should have: the demo has failed."


@attrs.frozen
class Break:
    """The demo has broken the connection: its name for that, and what it did."""

    name: str
    action: str


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
        """Wait until the connection that followed the last break has brought *count* live ticks."""
        while phases(self.happened)[-1].live < count:
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

    @property
    def live(self) -> int:
        """How many of the ticks came as the market had them."""
        return len(self.ticks) - self.fetched

    @property
    def fetched(self) -> int:
        """How many of the ticks were fetched from the server's history."""
        return sum(map(fetched, self.ticks))

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


def fetched(tick: Tick) -> bool:
    """Tell whether *tick* is from the server's history, which has no ask and no bid."""
    return tick.ask is None


def survived(done: list[Phase], quota: int, market: Market) -> bool:
    """Return whether live ticks came before, between and after the breaks, and none is missing."""
    complete = len(done) == len(_NAMES) and all(phase.live >= quota for phase in done)
    return complete and faults_in(record_of(done), market) == []


def record_of(done: list[Phase]) -> list[Tick]:
    """Return all ticks, in the order in which they came."""
    return [tick for phase in done for tick in phase.ticks]


def faults_in(record: list[Tick], market: Market) -> list[str]:
    """Return in what way *record* is not what the *market* had from its first tick to its last."""
    if not record:
        return []
    known = market.ticks(record[0].symbol, record[0].epoch, record[-1].epoch)
    expected = [(tick.epoch, tick.quote) for tick in known]
    seen = [(tick.epoch, tick.quote) for tick in record]
    if seen == expected:
        return []
    missing, wrong = len(set(expected) - set(seen)), len(set(seen) - set(expected))
    faults = [f"{missing} missing"] * bool(missing) + [f"{wrong} wrong"] * bool(wrong)
    return faults or ["out of order, or more than once"]


def summary(done: list[Phase], quota: int, market: Market) -> list[str]:
    """Return what became of the ticks and of the connection, a line each."""
    lines = ["Summary"]
    for name, phase in zip(_NAMES, done, strict=False):
        if phase.cause is not None:
            lines += _outage(phase.cause, phase)
        where = f" on connection {phase.connection}" if phase.connection else ""
        lines.append(f"  {name:<8} {_counted(phase.live, 'live tick')}{where}")
    lines += ["", *_comparison(record_of(done), market)]
    return [*lines, _GOOD if survived(done, quota, market) else _BAD]


def _comparison(record: list[Tick], market: Market) -> list[str]:
    """Hold *record*, if there is any, against the *market*, in two lines."""
    if not record:
        return []
    first, last = clock(record[0].epoch), clock(record[-1].epoch)
    faults = ", ".join(faults_in(record, market))
    verdict, details = ("differs from", f": {faults}") if faults else ("equals", ", tick for tick")
    return [
        f"Record: {_counted(len(record), 'tick')}, from {first} to {last} UTC; from first to last",
        f"it {verdict} the simulator's market function{details}.",
    ]


def _outage(cause: Break, phase: Phase) -> list[str]:
    noticed, restored = phase.noticed, phase.restored
    length = "no end seen" if restored is None else f"{restored - phase.broken:.1f} s"
    facts = [
        "not noticed" if noticed is None else f"noticed after {noticed - phase.broken:.1f} s",
        _counted(phase.attempts, "attempt"),
        f"{_counted(phase.fetched, 'tick')} fetched afterwards",
    ]
    lines = [f"  {cause.name:<8} outage of {length}: {', '.join(facts)}"]
    if noticed is not None:
        lines.append(f"  {'':<8} noticed by: {phase.by} ({one_line(phase.why)})")
    return lines


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
