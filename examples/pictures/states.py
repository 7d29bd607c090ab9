"""Lesson 1: the states of a client as a diagram, with the steps that runs have taken."""

from collections.abc import Iterator
from itertools import pairwise
from math import hypot
from typing import Final

from derivtrio.calls.status import TRANSITIONS, Command, State
from derivtrio.trace.still import document, words
from examples.lessons.javascript import program as javascript
from examples.lessons.python import program as python
from examples.lessons.rust import program as rust
from examples.pictures.runs import run_with

#: Where each state stands: its middle.
_PLACES: Final[dict[State, tuple[float, float]]] = {
    State.CONNECTING: (96, 212),
    State.RESTORING: (300, 152),
    State.READY: (300, 272),
    State.CLOSING: (505, 272),
    State.WAITING: (700, 132),
    State.FAILED: (700, 202),
    State.CLOSED: (700, 272),
}

#: What a browser calls them, and where its box begins and ends.
_READY_STATES: Final = {
    "0 CONNECTING": (14, 178),
    "1 OPEN": (214, 386),
    "2 CLOSING": (422, 588),
    "3 CLOSED": (616, 786),
}
_TOP: Final = 88
_BOTTOM: Final = 312
_HALF: Final = (52, 15)

#: What a command is in a program.
_COMMANDS: Final = {
    Command.CLOSE: "aclose()",
    Command.END: "the block ends",
    Command.GIVE_UP: "gives up",
}

_STYLE: Final = """
.panel { fill: var(--panel); stroke: var(--line); }
.state { fill: var(--paper); stroke: var(--soft); }
.state.ready { fill: var(--ready); }
.state.restoring { fill: var(--restoring); } .state.connecting { fill: var(--connecting); }
.state.waiting { fill: var(--backoff); } .state.closing { fill: var(--closing); }
.state.failed { fill: var(--failed); }
.step { fill: none; stroke: var(--ink); stroke-width: 1.2; } .head { fill: var(--ink); }
svg text.cause { stroke: var(--panel); stroke-width: 4px; paint-order: stroke; font-size: 11px; }
svg text.browser { font-size: 11px; font-weight: 600; fill: var(--soft); }
svg text.on { fill: var(--on); } svg text.dark { fill: #10141a; }
"""


def one_loop() -> str:
    """Lesson 1: the states that clients went through, and the four of a browser's socket."""
    runs = [run_with(ending, javascript.talk) for ending in ("answers", "closes-1000", "dies")]
    runs += [run_with("dies", program.talk) for program in (rust, python)]
    steps = {(one, two) for run in runs for (_, one), (_, two) in pairwise(run.states)}
    parts = list[str]()
    for name, (left, right) in _READY_STATES.items():
        parts.append(
            f'<rect class="panel" x="{left}" y="{_TOP}" width="{right - left}"'
            f' height="{_BOTTOM - _TOP}" rx="6"/>'
        )
        parts.append(words(name, left + 10, _TOP + 20, "browser"))
    for one, two in sorted(steps, key=lambda step: (step[0].value, step[1].value)):
        parts += _step(one, two)
    for state, place in _PLACES.items():
        parts += _state(state, *place)
    text = (
        "A diagram in four boxes, which are a browser's states. Connecting leads to restoring"
        " by Opened, restoring to ready by Ready, ready to closing by aclose, closing to closed"
        " where the block ends. Ready leads to waiting by Failed or Closed, and waiting back to"
        " connecting, to closing, or to failed."
    )
    title = "Seven states of a client, and a browser's four"
    return document(parts, height=_BOTTOM + 14, title=title, text=text, style=_STYLE)


def _state(state: State, x: float, y: float) -> Iterator[str]:
    wide, high = _HALF
    yield (
        f'<rect class="state {state.value}" x="{x - wide}" y="{y - high}" width="{2 * wide}"'
        f' height="{2 * high}" rx="8"/>'
    )
    kind = {State.CONNECTING: "dark", State.CLOSED: "", State.WAITING: ""}.get(state, "on")
    yield words(state.value, x, y + 4, kind, "middle")


def _step(one: State, two: State) -> Iterator[str]:
    """Yield the arrow from *one* to *two*, and what leads there."""
    said = " or ".join(
        _name(cause) for (state, cause), to in TRANSITIONS.items() if (state, to) == (one, two)
    )
    x, y = _PLACES[one]
    to_x, to_y = _PLACES[two]
    if (one, two) == (State.WAITING, State.CONNECTING):
        yield f'<path class="step" d="M{x} {y - 15}C{x} 40 {to_x} 40 {to_x} {to_y - 22}"/>'
        yield f'<path class="head" d="M{to_x} {to_y - 16}l-4.5 -9h9z"/>'
        yield words(said, (x + to_x) / 2, 68, "cause", "middle")
        return
    x, y = _edge(x, y, to_x, to_y)
    to_x, to_y = _edge(*_PLACES[two], x, y)
    along = hypot(to_x - x, to_y - y)
    ahead = ((to_x - x) / along, (to_y - y) / along)
    back = (to_x - 9 * ahead[0], to_y - 9 * ahead[1])
    yield f'<path class="step" d="M{x:.1f} {y:.1f}L{back[0]:.1f} {back[1]:.1f}"/>'
    aside = (-4.5 * ahead[1], 4.5 * ahead[0])
    yield (
        f'<path class="head" d="M{to_x:.1f} {to_y:.1f}'
        f"L{back[0] + aside[0]:.1f} {back[1] + aside[1]:.1f}"
        f'L{back[0] - aside[0]:.1f} {back[1] - aside[1]:.1f}z"/>'
    )
    rise = 8 if to_y == y else 3  # a level arrow is short: its words are above it
    yield words(said, (x + to_x) / 2, (y + to_y) / 2 - rise, "cause", "middle")


def _edge(x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    """Return where the line to the other place leaves the box around the first."""
    wide, high = _HALF
    share = min(
        (wide + 2) / abs(to_x - x) if to_x != x else 1,
        (high + 2) / abs(to_y - y) if to_y != y else 1,
    )
    return x + (to_x - x) * share, y + (to_y - y) * share


def _name(cause: type | Command) -> str:
    return _COMMANDS[cause] if isinstance(cause, Command) else cause.__name__
