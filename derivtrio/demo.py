"""Twenty seconds that show what derivtrio is for: ticks, and two broken connections.

A simulator, a client and a script that breaks the connection between them run in one program, each
in tasks of its own. What happens goes into a `Record`, and is told as it comes. The summary is
computed from the record alone, so it cannot say more than what happened.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs
import trio

from derivtrio import Backoff, Client, Settings, Subscription, open_client
from derivtrio.events import Closed, Connecting, Event, Failed, Ready
from derivtrio.report import quote_of, sentence
from derivtrio.simulator import MemoryEndpoint, Simulator

SYMBOL: Final = "1HZ100V"


@attrs.frozen
class Pace:
    """How long things take; durations in seconds.

    Attributes:
        ticks: how many ticks are awaited before the first break, and after each.
        away: for how long the server stays away after it has dropped the connection.
        heartbeat: the client's `heartbeat_interval` and `heartbeat_timeout`.
        patience: when to stop waiting for ticks that do not come.

    """

    ticks: int = 5
    away: float = 1.5
    heartbeat: float = 1.0
    patience: float = 60.0

    @property
    def settings(self) -> Settings:
        """The client's settings at this pace."""
        return Settings(
            heartbeat_interval=self.heartbeat,
            heartbeat_timeout=self.heartbeat,
            backoff=Backoff(first=0.5, cap=1),
            stable_after=2,
            wait_ready=False,
        )


@attrs.frozen
class Tick:
    """A tick that came."""

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
        while len(list(phases(self.happened))[-1].ticks) < count:
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
            case Ready(connection=connection):
                self.restored, self.connection = at, connection


def phases(happened: list[tuple[float, Happening]]) -> Iterator[Phase]:
    """Divide what happened: a phase begins with each break.

    A tick that came after a break, but before the client was ready again, belongs to the phase
    before it: it came on the old connection.
    """
    before, phase = None, Phase()
    for at, what in happened:
        if isinstance(what, Break):
            yield phase
            before, phase = phase, Phase(what, at)
        elif isinstance(what, Tick) and phase.restored is None and before is not None:
            before.take(at, what)
        else:
            phase.take(at, what)
    yield phase
