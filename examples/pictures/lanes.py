"""Lanes over time, drawn as `derivtrio.trace` draws its time line, of what a lesson is about."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from derivtrio.calls.status import State
from derivtrio.trace.drawing import KINDS
from derivtrio.trace.picture import Bar, Frame, Mark, Picture, Row, Section
from derivtrio.trace.still import still
from examples.pictures.runs import Run

STYLE: Final = """
.closing { fill: var(--closing); stroke: var(--paper); stroke-width: 0.5; }
.scope { fill: var(--fetched); fill-opacity: 0.06; stroke: var(--fetched); stroke-width: 1.5;
  stroke-dasharray: 6 4; }
.block { fill: var(--frame); fill-opacity: 0.08; stroke: var(--frame); stroke-width: 1.5; }
.wrong { fill: var(--outage); fill-opacity: 0.18; stroke: none; }
svg text.in-wrong { fill: var(--outage); }

.gain { fill: var(--ready); stroke: var(--paper); }
.loss { fill: var(--connecting); stroke: var(--paper); }
svg text.in-loss { fill: #10141a; }
.name { fill: var(--backoff); stroke: none; } svg text.in-name { fill: var(--ink); }
svg text.in-scope { font-size: 11px; fill: var(--fetched); }
svg text.in-block { font-size: 11px; fill: var(--frame); }
"""

#: What each state is called in a bar; a client that is over has none.
_STATES: Final = {
    State.CONNECTING: "connecting",
    State.RESTORING: "restoring",
    State.READY: "ready",
    State.WAITING: "backoff",
    State.CLOSING: "closing",
}

_NAMES: Final = KINDS | {
    "closing": "the goodbye",
    "scope": "a cancel scope",
    "block": "a block",
    "held": "a contract is held",
}


def lanes(
    title: str,
    text: str,
    sections: Sequence[Section],
    *,
    length: float = 0.0,
    kinds: Mapping[str, str] | None = None,
    style: str = "",
) -> str:
    """Return *sections* as an SVG file; they are *length* seconds long, or as long as they need."""
    bars = [bar.ended for each in sections for row in each.rows for bar in row.bars]
    frames = [frame.ended for each in sections for frame in each.frames]
    picture = Picture(length or max([*bars, *frames]) * 1.03, [*sections])
    return still(
        picture, title=title, text=text, kinds={**_NAMES, **(kinds or {})}, style=STYLE + style
    )


def bar(kind: str, began: float, ended: float, name: str = "") -> Bar:
    """Return a bar with *name* in it."""
    return Bar(kind, began, ended, name, "")


def row(title: str, bars: Iterable[Bar] = (), marks: Iterable[Mark] = (), indent: int = 0) -> Row:
    """Return a row whose bars have names in them."""
    return Row(title, "states", indent, [*bars], [*marks])


def mark(at: float, name: str, *, bad: bool = False) -> Mark:
    """Return a mark with *name* beside it."""
    return Mark(at, "bad" if bad else "note", "", name)


def frame(kind: str, rows: tuple[int, int], span: tuple[float, float], name: str) -> Frame:
    """Return a frame with *name* above the first of its *rows*."""
    return Frame(kind, *rows, *span, name, "")


def state_bars(run: Run, *, least: float = 1e-9) -> list[Bar]:
    """Return a bar for each state of the run's client that lasted *least* seconds at least."""
    ends = [at for at, _ in run.states[1:]] + [run.ended]
    return [
        bar(name, at, end, name)
        for (at, state), end in zip(run.states, ends, strict=True)
        if (name := _STATES.get(state)) and end - at >= least
    ]


def printed(run: Run) -> Row:
    """Return a row of what *run* printed: the words in brackets, of each moment the last."""
    said = {at: line[: line.find("]") + 1].strip() for at, line in run.lines}
    marks = [mark(at, name, bad=name in ("[error]", "[late]")) for at, name in said.items()]
    return Row("it prints", "states", 0, [], marks)


def tasks(run: Run, names: Iterable[str]) -> list[Row]:
    """Return a row for each of those tasks of the run's client."""
    rows = list[Row]()
    for name in names:
        spans = [each for each in run.recording.tasks if each.name == f"derivtrio.{name}"]
        bars = [bar("task", each.began, each.ended or run.ended) for each in spans]
        rows.append(Row(name, "tasks", 1, bars))
    return rows
