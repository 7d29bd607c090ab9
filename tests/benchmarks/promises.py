"""What is promised of derivtrio's speed, each as a ratio within one run."""

from collections.abc import Iterator
from dataclasses import dataclass
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
)

#: Medians by scenario, contestant and figure.
Medians = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Promise:
    """That a figure of ours is at most so many times theirs, or we so many times as fast.

    In a burst a client has its core to itself, so its CPU time says how fast it is, and says it
    better than the clock, which also runs while others use the core.
    Without `theirs` the limit is the figure itself. `ours` is the client that keeps the promise.
    """

    scenario: str
    figure: str
    limit: float
    theirs: Contestant | None
    faster: bool = False
    ours: Contestant = DERIVTRIO


PROMISES: Final = (
    Promise("burst", "cpu_us", 3.5, GUIDE, faster=True),
    Promise("burst", "cpu_us", 5.5, DERIV_API, faster=True),
    Promise("burst", "cpu_us", 8, DERIV_SDK, faster=True),
    Promise("burst", "cpu_us", 0.9, PICOWS, faster=True),
    Promise("burst", "cpu_us", 5, GUIDE, faster=True, ours=TYPED),
    Promise("burst", "cpu_us", 1.25, PICOWS, faster=True, ours=TYPED),
    Promise("burst-wss", "cpu_us", 3, GUIDE, faster=True),
    Promise("paced", "cpu_us", 1, GUIDE),
    Promise("paced-wss", "cpu_us", 1.4, GUIDE),
    Promise("round-trip", "median_us", 1.1, DISPATCHER),
    Promise("callers", "cpu_us", 0.7, DISPATCHER),
    Promise("streams-1000", "cpu_us", 1.3, DISPATCHER, faster=True),
    Promise("streams-1000", "cpu_us", 1.3, DISPATCHER, faster=True, ours=TYPED),
    Promise("memory-streams", "kb", 3, None),
    Promise("memory-idle", "kb", 80, None),
    Promise("import", "times", 1.5, None),
)


def judged(medians: Medians) -> Iterator[str]:
    """Yield, in words, how each promise fares that was measured."""
    for promise in PROMISES:
        scores = medians.get(promise.scenario, {})
        ours = scores.get(promise.ours.name)
        theirs = (
            {promise.figure: 1.0} if promise.theirs is None else scores.get(promise.theirs.name)
        )
        if ours is None or theirs is None:
            continue
        value = ours[promise.figure] / theirs[promise.figure]
        value = 1 / value if promise.faster else value
        kept = value >= promise.limit if promise.faster else value <= promise.limit
        than = "" if promise.theirs is None else f" x {promise.theirs.name}"
        bound = f"{'≥' if promise.faster else '≤'} {promise.limit:g}{than}"
        verdict = "kept" if kept else "MISSED"
        what = f"{promise.ours.name}, {promise.scenario} {promise.figure}"
        yield f"{verdict:6}  {what}: {value:.2f} (promised {bound})"
