"""Lessons 9 and 10: the turns of the event loop, which tasks ran in each, and where it waited.

Only some tasks are shown, and turns in which none of them ran are left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import attrs
import trio

import derivtrio
from derivtrio.trace.still import LETTER, TITLE, WIDTH, document, words
from examples.lessons.c import program as c
from examples.lessons.go import program as go
from examples.pictures.runs import Program, Run, run_with

#: When Ctrl-C is pressed, in seconds.
_PRESSED: Final = 1.0

#: The tasks of a client, as the pictures call them.
_TASKS: Final = {
    "reader": "reader",
    "writer": "writer",
    "heartbeat": "heartbeat",
    "deadlines": "deadlines",
    "trio-websocket": "websocket",
    "websocket": "websocket",
    "reconnect": "reconnect",
}

#: In pixels: the titles, a row, and a wait; and where the first row begins.
_LEFT: Final = 150
_ROW: Final = 20
_WAIT: Final = 30
_TOP: Final = TITLE + 46

_LEGEND: Final = (
    "A column is a turn of the loop, and a box a task that ran in it. Where it is grey from top to"
    " bottom, the loop waits."
)

STYLE: Final = """
.lane { stroke: var(--line); stroke-width: 1; }
.ran { fill: var(--task); } .ran.yours { fill: var(--frame); }
.alive { fill: var(--task); fill-opacity: 0.35; }
.wait { fill: var(--panel); stroke: none; }
.signal { stroke: var(--failed); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg text.when { font-size: 10px; fill: var(--soft); }
svg text.signal { font-size: 11px; font-weight: 600; fill: var(--failed); stroke: none; }
svg text.order { font-size: 11px; font-weight: 600; }
"""


@attrs.frozen
class Turn:
    """One turn of the loop: when, and which of the shown tasks ran; `numbers` are the run's."""

    at: float
    names: frozenset[str]
    numbers: tuple[int, ...]


def turns_of(run: Run, names: Mapping[str, str], since: float = 0.0) -> list[Turn]:
    """Return the turns from *since* on; *names* maps the names of tasks to the titles of rows.

    Turns that follow one another at the same moment with the same tasks are one.
    """
    found = list[Turn]()
    for number, (at, tasks) in enumerate(run.turns):
        shown = frozenset(names[name] for task in tasks if (name := short(task.name)) in names)
        if not shown or at < since:
            continue
        if found and (found[-1].at, found[-1].names) == (at, shown):
            found[-1] = attrs.evolve(found[-1], numbers=(*found[-1].numbers, number))
        else:
            found.append(Turn(at, shown, (number,)))
    return found


def short(name: str) -> str:
    """Return the name of a task without modules; that of trio-websocket's reader says so."""
    if "trio_websocket" in name:
        return "trio-websocket"
    return name.rpartition(".")[2]


@attrs.frozen
class Chart:
    """Where the turns are in the picture."""

    turns: Sequence[Turn]
    rows: Sequence[str]
    step: float

    @property
    def bottom(self) -> float:
        """Where the rows end."""
        return _TOP + len(self.rows) * _ROW

    def places(self) -> list[float]:
        """Return where each turn begins, from left to right."""
        x, found = float(_LEFT), list[float]()
        for number, turn in enumerate(self.turns):
            if number and turn.at > self.turns[number - 1].at:
                x += _WAIT
            found.append(x)
            x += self.step
        return found

    def place(self, number: int) -> float:
        """Return where the turn with that number of the run begins."""
        pairs = zip(self.turns, self.places(), strict=True)
        return next(x for turn, x in pairs if turn.numbers[-1] >= number)


def chart(turns: Sequence[Turn], rows: Sequence[str]) -> Chart:
    """Return a chart that is as wide as a picture."""
    waits = sum(one.at < two.at for one, two in pairwise(turns))
    return Chart(turns, rows, (WIDTH - _LEFT - 20 - waits * _WAIT) / len(turns))


def drawn(
    shown: Chart, yours: Sequence[str], run: Run, *, ends: bool = False
) -> tuple[list[str], float]:
    """Draw *shown*; return the parts, and where they end.

    *yours* are the rows of the program's own tasks. With *ends* each row says in which order the
    tasks end.
    """
    parts = [*_waits(shown)]
    for number, title in enumerate(shown.rows):
        y = _TOP + number * _ROW
        parts.append(words(title, 16, y + 14))
        parts.append(f'<path class="lane" d="M{_LEFT} {y + _ROW / 2:g}H{WIDTH - 20}"/>')
    if ends:
        parts += _ends(shown)
    parts += _cells(shown, yours)
    lines, bottom = _lines(shown, run)
    return [*parts, *lines], bottom


def _waits(shown: Chart) -> Iterator[str]:
    """Yield the times, and the waits between them."""
    before = None
    for turn, x in zip(shown.turns, shown.places(), strict=True):
        if before is not None and turn.at > before:
            yield (
                f'<rect class="wait" x="{x - _WAIT + 2:.1f}" y="{_TOP}" width="{_WAIT - 4}"'
                f' height="{shown.bottom - _TOP}"/>'
            )
        if turn.at != before:
            yield words(f"{turn.at:.1f} s", x, _TOP - 6, "when")
        before = turn.at


def _cells(shown: Chart, yours: Sequence[str]) -> Iterator[str]:
    for turn, x in zip(shown.turns, shown.places(), strict=True):
        for name in sorted(turn.names):
            y = _TOP + shown.rows.index(name) * _ROW + 4
            yield (
                f'<rect class="ran{" yours" * (name in yours)}" x="{x + 1:.1f}" y="{y}"'
                f' width="{shown.step - 2:.1f}" height="{_ROW - 8}" rx="2"/>'
            )


def _ends(shown: Chart) -> Iterator[str]:
    """Yield the life of each task, up to its last turn, and the order in which they end."""
    last = {
        name: x for turn, x in zip(shown.turns, shown.places(), strict=True) for name in turn.names
    }
    order = sorted(set(last.values()))
    for number, name in enumerate(shown.rows):
        end, y = last[name] + shown.step, _TOP + number * _ROW
        yield (
            f'<rect class="alive" x="{_LEFT}" y="{y + 7}" width="{end - _LEFT:.1f}" height="6"/>'
        )
        yield words(f"{order.index(last[name]) + 1}", end + 5, y + 14, "order")


def _lines(shown: Chart, run: Run) -> tuple[list[str], float]:
    """Return what was printed, below the turns in which it was; and where that ends."""
    y = shown.bottom + 14
    parts, taken = [words("it prints", 16, y)], 0.0
    for (at, line), number in zip(run.lines, run.line_turns, strict=True):
        if at >= shown.turns[0].at:
            x = shown.place(number) + shown.step / 2
            y += 16 * (x < taken)
            parts.append(f'<path class="mark note" d="M{x:.1f} {y - 4:.1f}h0"/>')
            parts.append(words(line, x + 8, y, "beside"))
            taken = x + LETTER * len(line) + 12
    return [*parts, words(_LEGEND, 16, y + 24, "beside")], y + 24


def signal(x: float, bottom: float, name: str) -> Iterator[str]:
    """Yield a line for a signal."""
    yield f'<path class="signal" d="M{x:.1f} {_TOP - 18}V{bottom:.1f}"/>'
    yield words(name, x, _TOP - 22, "signal", "middle")


def with_ctrl_c(program: Program) -> Program:
    """Return *program*, cancelled after a second, as `derivtrio.run` does it at Ctrl-C."""

    async def interrupted(wire: derivtrio.Endpoint) -> None:
        with trio.move_on_after(_PRESSED):
            await program(wire)

    return interrupted


def what_runs_next() -> str:
    """Lesson 9: the turns of the loop, and Ctrl-C in the midst of a wait."""
    run = run_with("answers", with_ctrl_c(c.talk))
    names = {"main": "your program"} | _TASKS
    shown = chart(turns_of(run, names), [*dict.fromkeys(names.values())])
    parts, bottom = drawn(shown, ["your program"], run)
    pressed = next(n for n, turn in enumerate(shown.turns) if turn.at >= _PRESSED)
    parts += signal(shown.places()[pressed] - 8, shown.bottom, "Ctrl-C")
    text = (
        "A column is a turn of the event loop, a row is a task, a box says that the task ran in"
        " this turn. Between groups of columns the loop waits. After Ctrl-C your program runs"
        " next and prints leaving; then the client's tasks end, the goodbye takes a round trip,"
        " and your program runs last."
    )
    title = "What runs in each turn of the loop, and what runs next after Ctrl-C"
    return document(parts, height=bottom + 10, title=title, text=text, style=STYLE)


def shutdown_has_an_order() -> str:
    """Lesson 10: who ends first after Ctrl-C, and who last."""
    run = run_with("answers", with_ctrl_c(go.talk))
    names = {"read": "your reader", "main": "your block"} | _TASKS
    turns = turns_of(run, names, since=_PRESSED)
    last = {name: number for number, turn in enumerate(turns) for name in sorted(turn.names)}
    shown = chart(turns, sorted(last, key=lambda name: (last[name], name)))
    parts, bottom = drawn(shown, ["your reader", "your block"], run, ends=True)
    parts += signal(shown.places()[0] - 8, shown.bottom, "Ctrl-C")
    text = (
        "The turns of the event loop after Ctrl-C. A row is a task, and a number says in which"
        " order the tasks end. Your reader ends first, then the client's tasks, then the"
        " WebSocket after a round trip, then the task that reconnects, and your block last."
    )
    title = "Who ends first after Ctrl-C, and who last"
    return document(parts, height=bottom + 10, title=title, text=text, style=STYLE)
