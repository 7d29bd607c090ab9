"""A schedule: the steps of a run, and the one line that they are written in.

A step is a fault or an action: `name:word:word@time`, with the time in seconds from the start. With
`+12` behind the time it happens twelve checkpoints later, in the middle of what else happens at
that moment of the virtual clock.
"""

from collections.abc import Iterable
from typing import Any, Final, Literal

import attrs

Generation = Literal["v3", "options"]

#: What stands between two steps, and before the first.
_BETWEEN: Final = "; "
_HEAD: Final = " | "


@attrs.frozen
class Step:
    """The fault or action *name*, *at* a time, *after* so many checkpoints."""

    at: float
    name: str
    words: tuple[str, ...] = ()
    after: int = 0

    def __str__(self) -> str:
        later = f"+{self.after}" if self.after else ""
        return f"{':'.join((self.name, *self.words))}@{self.at:.12g}{later}"


@attrs.frozen
class Plan:
    """Everything that a run depends on.

    *quick* are settings with short times; otherwise they are the defaults. With *limits* the server
    enforces its rate limits.
    """

    seed: int
    generation: Generation
    quick: bool
    limits: bool
    steps: tuple[Step, ...] = attrs.field(repr=False)

    def __str__(self) -> str:
        """Return the line that `parse_plan` reads."""
        head = " ".join(
            [
                str(self.seed),
                self.generation,
                "quick" if self.quick else "default",
                "limits" if self.limits else "free",
            ]
        )
        return head + _HEAD + _BETWEEN.join(map(str, self.steps))

    def but(self, steps: Iterable[Step]) -> "Plan":
        """Return the plan with other *steps*."""
        return attrs.evolve(self, steps=tuple(steps))


def parse_step(text: str) -> Step:
    """Return the step that *text* describes; ValueError if it has no time."""
    words, _, moment = text.strip().rpartition("@")
    name, *rest = words.split(":")
    at, _, after = moment.partition("+")
    return Step(float(at), name, tuple(rest), int(after or 0))


def parse_plan(line: str) -> Plan:
    """Return the plan that *line* describes."""
    head, _, steps = line.partition(_HEAD)
    seed, generation, settings, limits = head.split()
    kind: Any = generation
    texts = [text for text in steps.split(_BETWEEN.strip()) if text.strip()]
    return Plan(
        int(seed),
        kind,
        settings == "quick",
        limits == "limits",
        tuple(parse_step(text) for text in texts),
    )
