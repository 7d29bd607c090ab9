"""The shortest schedule that still fails: delta debugging over the list of steps.

1. What comes after the finding goes, and of what came before as much as possible.
2. Parts are left out, halves first and single steps last, as long as the same promise breaks.
3. The time before the first step goes, and long pauses are shortened.
"""

import time
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from tests.chaos.run import Result, play
from tests.chaos.schedule import Plan, Step

Say = Callable[[str], None]

#: How many of the last steps are tried first: mostly they are enough.
_LAST: Final = (4, 8, 16, 32, 64, 128)

_PAUSES: Final = (10.0, 60.0, 300.0)


@attrs.define(eq=False)
class Shrinking:
    """The shortest failing plan so far; it must break the same promise in the same place."""

    best: Result
    until: float
    say: Say
    trials: int = 0

    def fails(self, steps: Sequence[Step]) -> bool:
        """Return whether these steps fail as well; then they are the best so far."""
        if time.perf_counter() > self.until:
            return False
        self.trials += 1
        result = play(self.best.plan.but(steps), strict=self.best.strict)
        if symptom(result) != symptom(self.best):
            return False
        self.best = result
        return True

    def leave_out(self) -> None:
        """Leave out parts until no single step can be left out."""
        size = max(1, len(self.best.plan.steps) // 2)
        while True:
            left_out = self._leave_out(size)
            self.say(f"  {len(self.best.plan.steps)} steps left after {self.trials} trials")
            if size == 1 and not left_out:
                return
            size = max(1, size // 2)

    def _leave_out(self, size: int) -> bool:
        """Try to leave out each part of *size* steps, the last ones first."""
        some, end = False, len(self.best.plan.steps)
        while end > 0:
            steps = self.best.plan.steps
            start = max(0, end - size)
            some = self.fails(steps[:start] + steps[end:]) or some
            end = start
        return some

    def keep_last(self) -> None:
        """Keep only those who stay from the beginning, and the last few steps."""
        steps = self.best.plan.steps
        first = [step for step in steps if step.at == 0]
        for number in _LAST:
            for before in (first, []):
                kept = [*before, *steps[-number:]]
                if len(kept) < len(steps) and self.fails(_shortened(kept, _PAUSES[0])):
                    return

    def shorten(self) -> None:
        """Take time out of the pauses."""
        for pause in _PAUSES:
            if self.fails(_shortened(self.best.plan.steps, pause)):
                return


def shrink(failed: Result, *, seconds: float = 300, say: Say = lambda _: None) -> Result:
    """Return the shortest failure that is found within so many seconds of real time."""
    shrinking = Shrinking(failed, time.perf_counter() + seconds, say)
    steps = [step for step in failed.plan.steps if step.at <= failed.virtual + 1]
    shrinking.fails(steps)
    shrinking.keep_last()
    say(f"  {len(shrinking.best.plan.steps)} of {len(failed.plan.steps)} steps to begin with")
    shrinking.leave_out()
    shrinking.shorten()
    shrinking.leave_out()
    return shrinking.best


def symptom(result: Result) -> tuple[str, str] | None:
    """Return what makes two failures the same: the promise, and the check or the error's name."""
    finding = result.finding
    if finding is None:
        return None
    words = finding.text.replace("(", " ").replace(":", " ").split()
    kind = words[0] if "_" in words[0] else next((w for w in words if w[:1].isupper()), "")
    return finding.promise, kind


def replay_line(plan: Plan) -> str:
    """Return the command that plays *plan* again."""
    return f"python -m tests.chaos --replay '{plan}'"


def _shortened(steps: Sequence[Step], most: float) -> list[Step]:
    """Return *steps* with no pause longer than *most* seconds."""
    moved, gone, last = [], 0.0, 0.0
    for step in steps:
        gone += max(0.0, step.at - last - most)
        last = step.at
        moved.append(attrs.evolve(step, at=round(step.at - gone, 3)))
    return moved
