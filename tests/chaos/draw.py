"""A plan from a seed: random faults, in bursts, and random work.

A run has rounds. In a round things go wrong and work goes on; each ends in a calm, in which
everything is repaired and held to account. After the last calm there is a little more of both, and
the client is closed in the middle of it.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final

import attrs

from derivtrio import Client
from tests.chaos import faults, known
from tests.chaos.requests import READS
from tests.chaos.run import CALM
from tests.chaos.schedule import Plan, Step

_ROUND: Final = 3600.0
_FINALE: Final = 20.0
_DAY: Final = 86_400.0

_SYMBOLS: Final = ("R_100", "R_50", "R_10", "1HZ100V", "frxEURUSD")
_LATENCIES: Final = (0.0, 0.0, 0.05, 0.2)

#: How many faults come right after another, to strike in the middle of its repair.
_OFTEN: Final = 0.4
_SOON: Final = 2.0

#: How many are made to end almost at once: consumers, and requests.
_HASTY: Final = 0.2
_STAY: Final = 400.0
_TWINS: Final = 0.05


@attrs.define(eq=False)
class Drawing:
    """A schedule that is being drawn."""

    chance: Random
    every: float
    rest: bool
    everything: bool
    latency: float
    steps: list[Step] = attrs.field(factory=list)
    struck: list[Step] = attrs.field(factory=list)
    numbers: int = 10
    stakes: int = 0
    joined: list[int] = attrs.field(factory=list)
    bought: list[int] = attrs.field(factory=list)

    def add(self, at: float, name: str, *words: object, after: int = 0) -> None:
        """Add a step."""
        self.steps.append(Step(round(at, 3), name, tuple(map(str, words)), after))

    def begin(self) -> None:
        """Add those who stay from first to last."""
        self.add(0, "delay", self.latency)
        self.add(0, "ticks", 0, "R_100", 0, 1024, "error")
        self.add(0, "transactions", 1)
        self.add(0, "balance", 2)
        self.add(0, "candles", 3, "R_50", 300, 0, "closed")

    def stretch(self, begin: float, end: float) -> None:
        """Fill the time from *begin* to *end* with faults and work."""
        self.add(begin, "delay", self.latency)
        at = begin + self._pause(self.every)
        while at < end:
            struck = faults.draw(
                self.chance, round(at, 3), self.latency, self._recent(at), rest=self.rest
            )
            self.struck += struck
            self.steps += [step for step in struck if step.at < end]
            soon = self.chance.random() < _OFTEN
            at += self._pause(_SOON if soon else self.every)
        at = begin + self._pause(self.every / 4)
        while at < end:
            name = self.chance.choices(list(_WORK), [weight for weight, _ in _WORK.values()])[0]
            if name == "reconnect" and not hasattr(Client, name):
                name = "wait"
            _WORK[name][1](self, at)
            at += self._pause(self.every / 4)

    def _recent(self, at: float) -> list[str] | None:
        """Return the faults that struck not long before; None if that does not matter."""
        if self.everything:
            return None
        self.struck = [step for step in self.struck if step.at > at - known.SOON]
        return [":".join((step.name, *step.words)) for step in self.struck]

    def join(self, at: float) -> None:
        """Add a consumer that comes and goes."""
        number, chance = self._number(), self.chance
        kind, words = _consumer(chance, self)
        self.add(at, kind, number, *words, after=self._checkpoints())
        self.joined.append(number)
        if chance.random() < _HASTY:
            self.add(
                at + chance.choice((0, 0.1, 0.3)), "leave", number, after=chance.randint(0, 60)
            )
        else:
            self.add(at + self._pause(_STAY), "leave", number)

    def stall(self, at: float) -> None:
        """Let a consumer that came not long ago be slow."""
        if self.joined:
            number = self.chance.choice(self.joined[-6:])
            self.add(at, "stall", number, f"{self._pause(30):.1f}")

    def call(self, at: float) -> None:
        """Add a call that only reads."""
        name = self.chance.choice(list(READS))
        self._request(at, "call", name, self.chance.randint(1, 50))

    def guard(self, at: float) -> None:
        """Add a block for one connection only."""
        self._request(at, "guard", f"{self._pause(10):.2f}")

    def wait(self, at: float) -> None:
        """Add waiting for the connection."""
        self._request(at, "wait")

    def portfolio(self, at: float) -> None:
        """Add a look at the open contracts."""
        self._request(at, "portfolio")

    def buy(self, at: float) -> None:
        """Add a purchase, or two equal ones at a time."""
        self.stakes += 1
        kind = self.chance.choice(("CALL", "PUT", "CALL", "PUT", "MULTUP", "MULTDOWN"))
        symbol = self.chance.choice(("R_100", "R_10"))
        for _ in range(2 if self.chance.random() < _TWINS else 1):
            how = self.chance.choice(
                ("plain", "plain", "reconcile", "proposal", "proposal+reconcile")
            )
            self.bought.append(self._request(at, "buy", self.stakes, kind, symbol, how))

    def sell(self, at: float) -> None:
        """Add the sale of something that was bought not long ago."""
        if self.bought:
            order = self.chance.choice(self.bought[-8:])
            self._request(at, "sell", order, self.chance.choice(("plain", "reconcile")))

    def storm(self, at: float) -> None:
        """Add a row of broken connections."""
        self.add(at, "storm", self.chance.randint(2, 6), f"{self.chance.uniform(0, 0.5):.3f}")

    def reconnect(self, at: float) -> None:
        """Add a connection that the client replaces by itself."""
        self._request(at, "reconnect")

    def _request(self, at: float, name: str, *words: object) -> int:
        number = self._number()
        self.add(at, name, number, *words, after=self._checkpoints())
        if self.chance.random() < _HASTY:
            pause = self.chance.choice((0, 0, self._pause(0.2), self._pause(10)))
            self.add(at + pause, "stop", number, after=self.chance.randint(0, 60))
        return number

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def _pause(self, mean: float) -> float:
        return self.chance.expovariate(1 / mean)

    def _checkpoints(self) -> int:
        return self.chance.randint(1, 60) if self.chance.random() < 0.2 else 0


def _consumer(chance: Random, drawing: Drawing) -> tuple[str, tuple[object, ...]]:
    kind = chance.choices(
        ("ticks", "candles", "balance", "transactions", "contract", "contracts", "proposal"),
        (8, 5, 1, 2, 2, 0.5, 1),
    )[0]
    back = chance.choice((0, 0, 60, 60, 3600, 3600, 20_000))
    match kind:
        case "ticks":
            overflow = chance.choice(("error", "error", "drop_oldest", "latest"))
            buffer = (
                chance.choice((64, 1024)) if overflow == "error" else chance.choice((1, 16, 64))
            )
            symbol = chance.choice((*_SYMBOLS, *faults.POISONED))
            return kind, (symbol, back, buffer, overflow)
        case "candles":
            which = chance.choice(("closed", "all"))
            return kind, (chance.choice(_SYMBOLS[:3]), chance.choice((60, 120, 300)), back, which)
        case "contract":
            return kind, (chance.choice(drawing.bought[-5:] or [0]),)
        case "proposal":
            return kind, (chance.choice(("R_100", "R_10")), chance.randint(1, 99))
        case _:
            return kind, ()


#: What is done, and how often in comparison.
_WORK: Final[Mapping[str, tuple[float, Callable[[Drawing, float], Any]]]] = {
    "join": (4, Drawing.join),
    "stall": (1, Drawing.stall),
    "call": (4, Drawing.call),
    "buy": (4, Drawing.buy),
    "sell": (2, Drawing.sell),
    "guard": (1, Drawing.guard),
    "wait": (0.5, Drawing.wait),
    "portfolio": (0.5, Drawing.portfolio),
    "storm": (0.2, Drawing.storm),
    "reconnect": (0.3, Drawing.reconnect),
}


def draw_plan(seed: int, days: float, *, every: float = 40.0, everything: bool = False) -> Plan:
    """Return the plan of *seed*: *days* long, with a fault *every* so many seconds, or sooner."""
    chance = Random(seed)
    generation: Any = chance.choice(("v3", "v3", "options"))
    quick, limits = chance.random() < 0.5, chance.random() < 0.3
    latency = chance.choice(_LATENCIES)
    drawing = Drawing(chance, every, generation == "options", everything, latency)
    drawing.begin()
    at, end = 0.0, days * _DAY
    while at < end:
        length = min(_ROUND, max(60.0, end - at - CALM))
        drawing.stretch(at, at + length)
        drawing.add(at + length, "calm")
        at += length + CALM
    drawing.stretch(at, at + _FINALE)
    # A pause may have taken a step into a calm or beyond the end: it is as good before it.
    steps = sorted(_in_time(drawing.steps, at + _FINALE), key=lambda step: step.at)
    return Plan(seed, generation, quick, limits, tuple(steps))


def _in_time(steps: list[Step], end: float) -> list[Step]:
    calms = [step.at for step in steps if step.name == "calm"]
    kept = []
    for step in steps:
        at = min(step.at, end)
        for calm in calms:
            if calm < at < calm + CALM:
                at = calm + CALM
        kept.append(attrs.evolve(step, at=at))
    return kept
