"""The picture as one SVG file, for a page that shows pictures: no script, nothing to point at.

The rows, bars and dots are those of the page (`drawing`). What the page explains when it is
pointed at is written beside the thing, where there is room.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from math import ceil, log10
from typing import Final
from xml.sax.saxutils import escape

import attrs

from derivtrio.trace.drawing import (
    AXIS,
    FOOT,
    HEADING,
    KINDS,
    ROW,
    STROKES,
    STYLE,
    Canvas,
    draw_bands,
    draw_section,
    unit_of,
)
from derivtrio.trace.picture import Frame, Picture, Row, Section
from derivtrio.wording import printable

#: In pixels: the picture, its title, a row of the legend.
WIDTH: Final = 800
TITLE: Final = 26
_LEGEND: Final = 20
_RIGHT: Final = 14

#: About how wide a letter is, in pixels, in the small text.
LETTER: Final = 6.4

#: Between two marks of the axis, in seconds, from a second on.
_STEPS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400)
_DAY: Final = 86_400

#: The shortest time that an axis shows, in seconds.
_SHORTEST: Final = 0.01

#: What only the script of the page reads.
_FOR_THE_SCRIPT: Final = re.compile(r""" data-[a-z]+=("[^"]*"|'[^']*')""")

#: Where a time becomes a number of pixels.
Place = Callable[[float], float]


def still(
    picture: Picture, *, title: str, text: str, kinds: Mapping[str, str] = KINDS, style: str = ""
) -> str:
    """Return *picture* as an SVG file.

    *title* stands above it, *text* is for those who do not see it, *kinds* says what the legend
    calls each kind of thing, and *style* is CSS for kinds that the page does not have.
    """
    sections = [_with_headings(section) for section in picture.sections]
    length = max(picture.length, picture.began + _SHORTEST)
    picture = attrs.evolve(picture, length=length, sections=sections)
    canvas = Canvas(unit_of(picture.span), picture.began)
    left = max(_width(row) for section in sections for row in section.rows)
    scale = (WIDTH - left - _RIGHT) / max(canvas.at(picture.length), 1)

    def place(time: float) -> float:
        return left + canvas.at(time) * scale

    top, texts, bands = float(TITLE + AXIS), list[str](), list[str]()
    for section in sections:
        texts += _texts(section, top + HEADING, place)
        bottom = draw_section(canvas, section, top)
        bands += draw_bands(canvas, section, top, bottom, picture.length)
        top = bottom
    parts = [
        *_axis(picture, top, place),
        f'<g transform="translate({left:g},0) scale({scale:.6g},1)">',
        *bands,
        *canvas.shapes,
        "</g>",
        *texts,
        *canvas.titles,
    ]
    legend, bottom = draw_legend(_present(sections, kinds), top + FOOT)
    return document([*parts, *legend], height=bottom, title=title, text=text, style=style)


def document(parts: list[str], *, height: float, title: str, text: str, style: str = "") -> str:
    """Return a file with *parts* in it; *title* stands above them, at most `TITLE` high."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}"'
        f' viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="title text">'
    )
    said = escape(printable(title))
    lines = [
        f'{head}\n<title id="title">{said}</title>',
        f'<desc id="text">{escape(printable(text))}</desc>',
        f"<style>\n{STYLE}{style}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height:g}"/>',
        f'<text class="title" x="12" y="22">{said}</text>',
        *(_FOR_THE_SCRIPT.sub("", part) for part in parts),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _with_headings(section: Section) -> Section:
    """Return *section* with an empty row above each frame that has a name, in which it stands."""
    firsts = sorted({frame.first for frame in section.frames if frame.name})
    rows = list[Row]()
    for number, row in enumerate(section.rows):
        rows += [Row("", "heading")] * (number in firsts)
        rows.append(row)

    def moved(frame: Frame) -> Frame:
        above = sum(first < frame.first for first in firsts)
        last = frame.last + sum(first <= frame.last for first in firsts)
        return attrs.evolve(
            frame, first=frame.first + above + (frame.first in firsts and not frame.name), last=last
        )

    return attrs.evolve(section, rows=rows, frames=[moved(frame) for frame in section.frames])


def _width(row: Row) -> float:
    """Return how much room the title of *row* takes, in pixels."""
    return 30 + 9 * min(row.indent, 6) + 1.1 * LETTER * min(len(row.title), 24)


def _texts(section: Section, first: float, place: Place) -> Iterator[str]:
    """Yield what is written into *section*, whose rows begin at *first*."""
    for frame in section.frames:
        if frame.name and place(frame.ended) - place(frame.began) >= LETTER * len(frame.name) + 8:
            y = first + frame.first * ROW + 15
            yield words(frame.name, place(frame.began) + 5, y, f"in-{frame.kind}")
    for number, row in enumerate(section.rows):
        yield from _row_texts(row, first + number * ROW + 15, place)
    for number, outage in enumerate(section.outages, 1):
        yield words(f"outage {number}", place(outage.began) + 4, first - 12, "in-band")


def _row_texts(row: Row, y: float, place: Place) -> Iterator[str]:
    """Yield the names of what is in *row*: in the bar, or beside it, where there is room."""
    named = [] if row.kind == "tasks" else row.bars
    things = [
        (place(bar.began), place(bar.ended), bar.name, f"in-bar in-{bar.kind}") for bar in named
    ]
    things += [(place(mark.at) - 3, place(mark.at) + 3, mark.name, "") for mark in row.marks]
    things.sort()
    ends = [*(begin for begin, *_ in things[1:]), float(WIDTH)]
    taken = place(0)
    for (begin, end, name, kind), free in zip(things, ends, strict=False):
        need = LETTER * len(name) + 7
        if name and kind and need <= end - begin:
            yield words(name, begin + 4, y, kind)
        elif name and need <= free - end:
            yield words(name, end + 4, y, "beside")
            end += need  # noqa: PLW2901 - the room is taken
        elif name and need <= begin - taken:
            yield words(name, begin - 4, y, "beside", "end")
        taken = max(taken, end)


def words(said: str, x: float, y: float, kind: str = "", anchor: str = "start") -> str:
    """Return a piece of text."""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{where}>{escape(printable(said))}</text>'


def _axis(picture: Picture, bottom: float, place: Place) -> Iterator[str]:
    """Yield the lines of the axis, and the times above them."""
    began, length = picture.began, picture.length
    step = _step(picture.span * 76 / (place(length) - place(began)))
    yield '<g id="grid">'
    numbers = range(ceil(began / step - 1e-6), int(length / step + 1e-6) + 1)
    times = [number * step for number in numbers]
    for time in times:
        x = place(time)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TITLE + 20}" y2="{bottom:g}"/>'
    yield '</g><g id="axis">'
    yield from (words(_time(time, step, length), place(time), TITLE + 15) for time in times)
    yield "</g>"


def _step(least: float) -> float:
    """Return a round number of seconds, at least *least*."""
    if least > 1:
        return next((step for step in _STEPS if step >= least), ceil(least / _DAY) * _DAY)
    power = 10.0 ** ceil(log10(least) - 1)
    return next(number * power for number in (1, 2, 5, 10) if number * power >= least)


def _time(time: float, step: float, length: float) -> str:
    if step >= _DAY:
        return f"day {time / _DAY:.0f}"
    if length >= _DAY / 4:
        return f"{time / 3600:g} h"
    return f"{time:g} s" if step >= 1 else f"{round(time, 3):g} s"


def _present(sections: list[Section], kinds: Mapping[str, str]) -> dict[str, str]:
    """Return those of *kinds* that are in the picture, and how they are called."""
    rows = [row for section in sections for row in section.rows]
    found = {bar.kind for row in rows for bar in row.bars}
    found |= {frame.kind for section in sections for frame in section.frames}
    found |= {"outage" for section in sections if section.outages}
    for kind in ("live", "fetched"):
        found |= {kind for row in rows if getattr(row, kind).times}
    return {kind: name for kind, name in kinds.items() if kind in found}


def draw_legend(kinds: Mapping[str, str], top: float) -> tuple[list[str], float]:
    """Draw the legend from *top* down; return its parts, and where it ends."""
    parts, x, y = list[str](), 16.0, top + 14
    for kind, name in kinds.items():
        need = LETTER * len(name) + 44
        if x + need > WIDTH:
            x, y = 16.0, y + _LEGEND
        if kind in ("live", "fetched"):
            parts.append(f'<path class="dots {kind}" d="M{x + 9:.1f} {y - 4:.1f}{STROKES[kind]}"/>')
        else:
            parts.append(
                f'<rect class="{kind}" x="{x:.1f}" y="{y - 9:.1f}" width="18" height="10"/>'
            )
        parts.append(words(name, x + 24, y, "legend"))
        x += need
    return parts, y + 12
