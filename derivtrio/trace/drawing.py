"""The picture as SVG.

Times are whole units of the group `time`, which is scaled sideways to fit; zooming changes only
that scale. Everything in it is drawn with strokes that do not scale, so that a dot stays round. The
units are so large that no time is more than 2^24 of them: a browser counts in single precision.
Text is outside of that group, because it must not be stretched; the script of the page moves it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from importlib.resources import files
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import attrs

from derivtrio.trace.picture import Bar, Frame, Mark, Picture, Row, Section
from derivtrio.trace.recording import Dots
from derivtrio.wording import printable

#: The colours, and how each kind of thing is drawn.
STYLE: Final = (files("derivtrio.trace") / "picture.css").read_text(encoding="utf-8")

#: How a path draws a dot, from its centre. A square is a line from top to bottom, as long as it is
#: wide: on paper, in PDF, a line without a length is painted only if its ends are round.
STROKES: Final = {"live": "h0", "fetched": "m0-2.5v5m0-2.5"}

#: What each kind of thing is called in the legend.
KINDS: Final = {
    "ready": "ready",
    "connecting": "connecting",
    "restoring": "authorizing, resubscribing",
    "backoff": "backoff",
    "live": "a live tick",
    "fetched": "fetched from the history",
    "call": "a call",
    "failed-call": "a call that failed",
    "connection": "a connection",
    "nursery": "a nursery",
    "outage": "an outage",
    "task": "a task",
    "note": "another event",
    "bad": "a failure, a gap, a mute stream, or items dropped",
}

#: The width of the picture where there is no script, and of the column of titles, in pixels.
WIDTH: Final = 1200
LABELS: Final = 190

#: Heights of a row, of a section's heading, of the axis, and below all of it, in pixels.
ROW: Final = 22
HEADING: Final = 30
AXIS: Final = 26
FOOT: Final = 8

#: The most units a picture is long.
_MOST_UNITS: Final = 2**24

#: How long a title may be, in characters.
_LONGEST_TITLE: Final = 24


@attrs.define
class Canvas:
    """Collects what is drawn from the time `began` on; `unit` is in seconds."""

    unit: float
    began: float
    shapes: list[str] = attrs.field(factory=list)
    texts: list[str] = attrs.field(factory=list)
    titles: list[str] = attrs.field(factory=list)

    def at(self, time: float) -> int:
        """Return *time* in units; the beginning, if it is older."""
        return max(0, round((time - self.began) / self.unit))

    def rect(
        self, kind: str, span: tuple[float, float], top: float, height: float, text: str
    ) -> None:
        """Draw what lasts from the first time of *span* to the second."""
        if span[1] < self.began:
            return
        x, end = self.at(span[0]), self.at(span[1])
        self.shapes.append(
            f'<rect class="{kind}" x="{x}" y="{top:g}" width="{max(end - x, 1)}"'
            f' height="{height:g}" data-h={quoteattr(printable(text))}/>'
        )

    def text(self, kind: str, span: tuple[float, float], y: float, text: str) -> None:
        """Write *text* into *span*, where there is room for it."""
        if span[1] < self.began:
            return
        x, width = self.at(span[0]), self.at(span[1]) - self.at(span[0])
        said = escape(printable(text))
        self.texts.append(
            f'<text class="{kind}" data-x="{x}" data-w="{width}" y="{y:g}">{said}</text>'
        )


def svg(picture: Picture, data: str = "") -> str:
    """Return *picture* as one SVG element; *data* are more attributes of it."""
    canvas = Canvas(unit_of(picture.span), picture.began)
    top, bands = float(AXIS), []
    for section in picture.sections:
        start = top
        top = draw_section(canvas, section, top)
        bands.append((section, start, top))
    back = [shape for band in bands for shape in draw_bands(canvas, *band, picture.length)]
    units = max(canvas.at(picture.length), 1)
    height = top + FOOT
    scale = (WIDTH - LABELS - 10) / units
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="picture" width="{WIDTH}"'
        f' height="{height:g}" viewBox="0 0 {WIDTH} {height:g}" role="img"'
        f' aria-label="time line" data-units="{units}" data-unit="{canvas.unit:g}"'
        f' data-begin="{picture.began:.3f}" data-left="{LABELS}"{data}>'
    )
    window = f'<rect id="window" x="{LABELS}" width="{WIDTH - LABELS}" height="{height:g}"/>'
    parts = [
        f'{head}<clipPath id="clip">{window}</clipPath><g id="moving" clip-path="url(#clip)">',
        f'<g id="grid"/><g id="time" transform="translate({LABELS},0) scale({scale:.9g},1)">',
        *back,
        *canvas.shapes,
        '</g><g id="texts">',
        *canvas.texts,
        '</g><rect id="chosen" width="0"/></g><g id="titles">',
        *canvas.titles,
        '</g><g id="axis"/></svg>',
    ]
    return "".join(parts)


def unit_of(length: float) -> float:
    """Return the unit for a picture of *length* seconds: a millisecond, or more if it is long."""
    unit = 0.001
    while length / unit > _MOST_UNITS:
        unit *= 10
    return unit


def draw_section(canvas: Canvas, section: Section, top: float) -> float:
    """Draw *section* from *top* down; return where it ends."""
    canvas.titles.append(
        f'<text class="section" x="12" y="{top + 20:g}">{escape(printable(section.title))}</text>'
    )
    first = top + HEADING
    for frame in section.frames:
        _frame(canvas, frame, first)
    for number, row in enumerate(section.rows):
        _row(canvas, row, first + number * ROW)
    return first + len(section.rows) * ROW + 6


def _frame(canvas: Canvas, frame: Frame, first: float) -> None:
    top = first + frame.first * ROW + 1
    height = (frame.last - frame.first + 1) * ROW - 2
    canvas.rect(frame.kind, (frame.began, frame.ended), top, height, frame.text)


def _row(canvas: Canvas, row: Row, top: float) -> None:
    title = printable(row.title)
    shown = title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"
    if shown:
        canvas.titles.append(
            f'<text x="{16 + 9 * min(row.indent, 6)}" y="{top + 15:g}"'
            f" data-h={quoteattr(_explained(row, title))}>{escape(shown)}</text>"
        )
    for bar in row.bars:
        _bar(canvas, row, bar, top)
    for kind, dots in (("live", row.live), ("fetched", row.fetched)):
        if dots.times and dots.times[-1] >= canvas.began:
            canvas.shapes.append(_dots(canvas, kind, dots, row.title, top + ROW / 2))
    foot = top + (ROW - 3 if row.bars else ROW / 2)
    marks = (mark for mark in row.marks if mark.at >= canvas.began)
    canvas.shapes += [_mark(canvas, mark, foot) for mark in marks]


def _explained(row: Row, title: str) -> str:
    return f"{title}: {printable(row.text)}" if row.text else title


def _bar(canvas: Canvas, row: Row, bar: Bar, top: float) -> None:
    span = (bar.began, bar.ended)
    inset = 7 if row.kind == "tasks" else 4
    canvas.rect(bar.kind, span, top + inset, ROW - 2 * inset, bar.text)
    if row.kind != "tasks":
        canvas.text(f"in-bar in-{bar.kind}", span, top + 15, bar.name)


def _mark(canvas: Canvas, mark: Mark, y: float) -> str:
    said = quoteattr(printable(mark.text))
    x = canvas.at(mark.at)
    return f'<path class="mark {mark.kind}" d="M{x} {y:g}h0" data-h={said}/>'


def _dots(canvas: Canvas, kind: str, dots: Dots, title: str, y: float) -> str:
    """Draw all dots of one kind as one path, each by its distance from the one before."""
    steps, last = [], 0
    first = bisect_left(dots.times, canvas.began)
    for time in dots.times[first:]:
        x = canvas.at(time)
        steps.append(f"m{x - last} 0{STROKES[kind]}")
        last = x
    several = any(count != 1 for count in dots.counts[first:])
    counts = f' data-n="{" ".join(map(str, dots.counts[first:]))}"' if several else ""
    return (
        f'<path class="dots {kind}" data-title={quoteattr(printable(title))}{counts}'
        f' d="M0 {y:g}{"".join(steps)}"/>'
    )


def draw_bands(
    canvas: Canvas, section: Section, top: float, bottom: float, length: float
) -> Iterator[str]:
    """Yield a band for each outage of *section*, which lies behind everything else."""
    drawn = Canvas(canvas.unit, canvas.began)
    for number, outage in enumerate(section.outages, 1):
        span = (outage.began, length if outage.ended is None else outage.ended)
        drawn.rect("outage", span, top + 4, bottom - top - 4, outage.sentence)
        canvas.text("in-band", span, top + 18, f"outage {number}")
    yield from drawn.shapes


def texts_of(lines: Iterable[str]) -> str:
    """Return *lines* as items of an HTML list."""
    return "".join(f"<li>{escape(printable(line))}</li>" for line in lines)
