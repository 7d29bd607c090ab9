"""The demo's record: what happened, divided into phases, and the summary of it.

The demo records everything as it happens. The summary is computed from the record alone, so it
cannot claim more than that. The ticks in it are compared with the simulator's market.
"""

from collections.abc import Callable
from typing import Final

import attrs
import trio

from derivtrio import Tick
from derivtrio.cli.output import clock
from derivtrio.events import Closed, Connecting, Event, Failed, Opened, Ready
from derivtrio.simulator import Market
from derivtrio.wording import counted, one_line

#: The phases of a complete demo: before the first break, between the two, after the second.
_NAMES: Final = ("before", "between", "after")

_GOOD: Final = "The program subscribed once; no tick is missing, none came twice."
_BAD: Final = "The ticks differ from the market, or did not come: the demo has failed."


@attrs.frozen
class Break:
    """The demo broke the connection: the name of the fault, and what the server does."""

    name: str
    action: str


Happening = Event | Tick | Break

#: Is called for everything that happens, with the time in seconds since the start.
Listener = Callable[[float, Happening], None]


@attrs.define(eq=False)
class Record:
    """Everything that happened, in order, with the time in seconds since the start."""

    _listener: Listener
    _start: float = attrs.field(factory=trio.current_time, init=False)
    happened: list[tuple[float, Happening]] = attrs.field(factory=list, init=False)
    _more: trio.Event = attrs.field(factory=trio.Event, init=False)

    def add(self, what: Happening) -> None:
        """Record that *what* happened now."""
        entry = (trio.current_time() - self._start, what)
        self.happened.append(entry)
        self._listener(*entry)
        self._more.set()
        self._more = trio.Event()

    async def ticks(self, count: int) -> None:
        """Wait for *count* live ticks on the connection that followed the last break."""
        while phases(self.happened)[-1].live < count:
            await self._more.wait()


@attrs.define
class Phase:
    """An outage and the time after it, until the next outage. The first phase has no outage.

    Times are in seconds since the start.

    Attributes:
        cause: what broke the connection; None in the first phase.
        broken: when it broke.
        noticed: when the client noticed it; None if it did not.
        restored: when the client was ready again; None if it was not.
        by: what noticed it: the network, the heartbeat, ….
        why: the error that the client reported first.
        attempts: how many times the client tried to connect.
        connection: the number of its new connection.
        ticks: the ticks from the new connection on.

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
        """How many of the ticks came live."""
        return len(self.ticks) - self.fetched

    @property
    def fetched(self) -> int:
        """How many of the ticks were fetched from the server's history."""
        return sum(map(fetched, self.ticks))

    def take(self, at: float, what: Happening) -> None:
        """Note *what* happened in this phase."""
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
    """Divide what happened into phases; each break begins one.

    A tick that comes after a break but before there is a new connection came on the old one. So it
    belongs to the phase before.
    """
    divided = [Phase()]
    for at, what in happened:
        if isinstance(what, Break):
            divided.append(Phase(what, at))
        late = isinstance(what, Tick) and not divided[-1].connection
        divided[-2 if late and len(divided) > 1 else -1].take(at, what)
    return divided


def fetched(tick: Tick) -> bool:
    """Return whether *tick* is from the server's history, which has no ask and no bid."""
    return tick.ask is None


def survived(done: list[Phase], quota: int, market: Market) -> bool:
    """Return whether *quota* live ticks came in every phase, and the record equals the market."""
    complete = len(done) == len(_NAMES) and all(phase.live >= quota for phase in done)
    return complete and faults_in(record_of(done), market) == []


def record_of(done: list[Phase]) -> list[Tick]:
    """Return all ticks, in the order in which they came."""
    return [tick for phase in done for tick in phase.ticks]


def faults_in(record: list[Tick], market: Market) -> list[str]:
    """Return how *record* differs from the *market* between its first and its last tick."""
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
    """Return the summary, as lines."""
    lines = ["Summary"]
    for name, phase in zip(_NAMES, done, strict=False):
        if phase.cause is not None:
            lines += _outage(phase.cause, phase)
        where = f" on connection {phase.connection}" if phase.connection else ""
        lines.append(f"  {name:<8} {counted(phase.live, 'live tick')}{where}")
    lines += ["", *_comparison(record_of(done), market)]
    return [*lines, _GOOD if survived(done, quota, market) else _BAD]


def _comparison(record: list[Tick], market: Market) -> list[str]:
    """Return two lines about how *record* compares with the *market*; none if it is empty."""
    if not record:
        return []
    first, last = clock(record[0].epoch), clock(record[-1].epoch)
    faults = ", ".join(faults_in(record, market))
    verdict, details = ("differs from", f": {faults}") if faults else ("equals", ", tick for tick")
    return [
        f"Record: {counted(len(record), 'tick')}, from {first} to {last} UTC; from first to last",
        f"it {verdict} the simulator's market function{details}.",
    ]


def _outage(cause: Break, phase: Phase) -> list[str]:
    noticed, restored = phase.noticed, phase.restored
    length = "no end seen" if restored is None else f"{restored - phase.broken:.1f} s"
    facts = [
        "not noticed" if noticed is None else f"noticed after {noticed - phase.broken:.1f} s",
        counted(phase.attempts, "attempt"),
        f"{counted(phase.fetched, 'tick')} fetched afterwards",
    ]
    lines = [f"  {cause.name:<8} outage of {length}: {', '.join(facts)}"]
    if noticed is not None:
        lines.append(f"  {'':<8} noticed by: {phase.by} ({one_line(phase.why)})")
    return lines
