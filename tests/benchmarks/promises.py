"""What is promised of derivtrio's speed, each as a ratio within one run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.benchmarks.contestants import (
    DERIV_API,
    DERIV_SDK,
    DERIVTRIO,
    DISPATCHER,
    GUIDE,
    PICOWS,
    TYPED,
    Contestant,
    named,
)
from tests.benchmarks.medians import Rounds, ratio


@dataclass(frozen=True)
class Promise:
    """That a figure of ours is at most so many times theirs, or we so many times as fast.

    `ours` is the client that keeps the promise. The other is `theirs` in the same scenario, or the
    same client in the scenario `than`; without either the limit is the figure itself.

    In a burst a client has its core to itself, so its CPU time says how fast it is, and says it
    better than the clock, which also runs while others use the core.
    """

    scenario: str
    figure: str
    limit: float
    theirs: Contestant | None = None
    faster: bool = False
    ours: Contestant = DERIVTRIO
    than: str | None = None

    def value(self, rounds: Rounds, ours: str) -> float | None:
        """Return what the client named *ours* reaches; None if not everything was measured."""
        mine = rounds.get(self.scenario, {}).get(ours)
        if mine is None:
            return None
        if self.theirs is None and self.than is None:
            return median(score[self.figure] for score in mine)
        name = ours if self.theirs is None else self.theirs.name
        other = rounds.get(self.than or self.scenario, {}).get(name)
        if other is None:
            return None
        return ratio(other, mine, self.figure) if self.faster else ratio(mine, other, self.figure)

    def is_kept(self, value: float) -> bool:
        """Return whether *value* is within the limit."""
        return value >= self.limit if self.faster else value <= self.limit

    def involves(self, scenario: str, contestant: Contestant) -> bool:
        """Return whether the promise needs *contestant* to go through *scenario*."""
        clients = {client.module for client in (self.ours, self.theirs) if client is not None}
        return scenario in {self.scenario, self.than} and contestant.module in clients

    def __str__(self) -> str:
        """Say what `value` is."""
        what = f"{self.scenario} {self.figure}, {self.ours.name}"
        than = self.theirs.name if self.theirs is not None else self.than
        if than is None:
            return what
        return f"{what}: {'times as fast as' if self.faster else 'times that of'} {than}"


PROMISES: Final = (
    Promise("burst-wss", "cpu_us", 5, GUIDE, faster=True, ours=TYPED),
    Promise("burst-wss", "cpu_us", 1.2, PICOWS, faster=True, ours=TYPED),
    Promise("burst-wss", "cpu_us", 3.7, GUIDE, faster=True),
    Promise("burst-wss", "cpu_us", 5.5, DERIV_API, faster=True),
    Promise("burst-wss", "cpu_us", 8, DERIV_SDK, faster=True),
    Promise("lone-tick-wss", "cpu_us", 0.85, GUIDE, ours=TYPED),
    Promise("lone-tick-wss", "cpu_us", 0.85, GUIDE),
    Promise("lone-call-wss", "median_us", 1, GUIDE),
    Promise("callers-wss", "cpu_us", 0.7, DISPATCHER),
    Promise("pending-10000", "cpu_us", 1.3, than="pending-1000"),
    Promise("streams-1000", "cpu_us", 0.65, DISPATCHER, ours=TYPED),
    Promise("memory-streams", "kb", 3.1, ours=TYPED),
    Promise("memory-streams", "kb", 3),
    Promise("memory-idle", "kb", 85),
    Promise("import", "times", 1.5),
    Promise("burst-ws", "cpu_us", 5, GUIDE, faster=True, ours=TYPED),
    Promise("burst-ws", "cpu_us", 3.5, GUIDE, faster=True),
    Promise("lone-tick-ws", "cpu_us", 1, GUIDE),
)


def judged(rounds: Rounds, checkouts: Sequence[str] = ()) -> Iterator[str]:
    """Yield a line for each promise that was measured: the figure, the limit, kept or missed.

    Beside it stands the figure of each of the named *checkouts*.
    """
    heads = "".join(f"{name:>10}" for name in checkouts)
    yield f"{'promises':9}{'figure':>8}  {'limit':7}{heads}"
    for promise in PROMISES:
        value = promise.value(rounds, promise.ours.name)
        if value is None:
            continue
        verdict = "kept" if promise.is_kept(value) else "MISSED"
        limit = f"{'≥' if promise.faster else '≤'} {promise.limit:g}"
        others = [promise.value(rounds, named(promise.ours, name)) for name in checkouts]
        cells = "".join(f"{'' if other is None else f'{other:.2f}':>10}" for other in others)
        yield f"{verdict:9}{value:8.2f}  {limit:7}{cells}  {promise}"
