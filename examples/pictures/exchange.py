"""What went over a line, as arrows between the program and the server; time runs down.

Moments stand apart evenly, and a long wait is cut: the times at the left say how long it was.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs

from derivtrio.trace.still import LETTER, WIDTH, words
from examples.pictures.wire import Flight

#: How far apart two moments are in the picture at least and at most, and a second, in pixels.
_LEAST: Final = 21
_MOST: Final = 46
_SECOND: Final = 160

#: Where on an arrow its label is, at least, as a share of its length.
_SHARE: Final = 0.44

#: In pixels: how wide a letter of a label may be, and how long the head of an arrow is, with room.
_WIDE: Final = 7.2
_HEAD: Final = 14

#: Two moments that are closer than this are one, in seconds.
_SAME: Final = 1e-6

#: Between two panels, in pixels.
_BETWEEN: Final = 10

STYLE: Final = """
.life { stroke: var(--soft); stroke-width: 1.5; fill: none; }
.flight { stroke: var(--frame); stroke-width: 1.3; fill: none; }
.head { fill: var(--frame); stroke: none; }
.flight.close { stroke: var(--fetched); } .head.close { fill: var(--fetched); }
.flight.end { stroke: var(--soft); stroke-dasharray: 4 3; } .head.end { fill: var(--soft); }
.cross { stroke: var(--failed); stroke-width: 2.5; fill: none; }
.panel { fill: var(--panel); stroke: var(--line); }
svg text.flying { font-size: 11px; paint-order: stroke; stroke: var(--panel); stroke-width: 4px; }
svg text.side { font-size: 11px; } svg text.good { fill: var(--ready); font-weight: 600; }
svg text.bad { fill: var(--failed); font-weight: 600; }
svg text.when { font-size: 10px; fill: var(--soft); }
svg text.heading { font-weight: 600; font-size: 12px; }
.ready, .hope { stroke: none; } .hope { fill: var(--connecting); fill-opacity: 0.85; }
"""


@attrs.frozen
class Note:
    """What is written beside a life at one moment; `kind` is its colour."""

    at: float
    text: str
    kind: str = ""
    server: bool = False
    cross: bool = False


@attrs.frozen
class Stretch:
    """A bar on the program's life."""

    began: float
    ended: float
    kind: str


@attrs.frozen
class Exchange:
    """What one panel shows."""

    title: str
    flights: Sequence[Flight]
    notes: Sequence[Note] = ()
    stretches: Sequence[Stretch] = ()
    timed: bool = True


def seen(flights: Iterable[Flight]) -> list[Flight]:
    """Return *flights* without the ends of bytes that a Close has announced."""
    closed, shown = set[tuple[int, bool]](), list[Flight]()
    for flight in flights:
        if flight.text.startswith("Close"):
            closed.add((flight.connection, flight.up))
        if flight.text != "end" or not {(flight.connection, up) for up in (True, False)} & closed:
            shown.append(flight)
    return shown


def panels(
    exchanges: Sequence[Exchange], columns: int, margins: tuple[float, float], top: float
) -> tuple[list[str], float]:
    """Draw *exchanges* side by side, in so many columns; return the parts, and where they end.

    *margins* is how much room there is beside the program's life, and beside the server's.
    """
    parts = list[str]()
    width = (WIDTH - 24 - _BETWEEN * (columns - 1)) / columns
    for first in range(0, len(exchanges), columns):
        row = exchanges[first : first + columns]
        height = max(_height(each) for each in row)
        for column, each in enumerate(row):
            left = 12 + column * (width + _BETWEEN)
            lives = (left + margins[0], left + width - margins[1])
            parts.append(
                f'<rect class="panel" x="{left:.1f}" y="{top:g}" width="{width:.1f}"'
                f' height="{height:.1f}" rx="4"/>'
            )
            parts += _panel(each, left, top, lives, top + height)
        top += height + _BETWEEN
    return parts, top


def _height(exchange: Exchange) -> float:
    return max(_places(exchange, 56).values()) + 30


def _panel(
    exchange: Exchange, left: float, top: float, lives: tuple[float, float], bottom: float
) -> Iterator[str]:
    places = _places(exchange, top + 56)
    program, server = lives
    yield words(exchange.title, left + 10, top + 18, "heading")
    for life, name in ((program, "program"), (server, "server")):
        yield words(name, life, top + 38, "when", "middle")
        yield f'<path class="life" d="M{life:.1f} {top + 43:g}V{bottom - 8:.1f}"/>'
    for each in exchange.stretches:
        yield (
            f'<rect class="{each.kind}" x="{program - 4:.1f}" y="{places[each.began]:.1f}"'
            f' width="8" height="{places[each.ended] - places[each.began]:.1f}"/>'
        )
    for flight in exchange.flights:
        yield from _arrow(flight, places, program, server)
    for note in exchange.notes:
        yield from _beside(note, places[note.at], program, server)
    if exchange.timed:
        yield from _times(exchange, places, left)


def _places(exchange: Exchange, top: float) -> dict[float, float]:
    """Return how far down each moment is."""
    moments = {flight.sent for flight in exchange.flights}
    moments |= {flight.arrives for flight in exchange.flights}
    moments |= {note.at for note in exchange.notes}
    moments |= {at for each in exchange.stretches for at in (each.began, each.ended)}
    places, y, before = dict[float, float](), top, None
    for moment in sorted(moments):
        if before is not None and moment - before > _SAME:
            y += min(max((moment - before) * _SECOND, _LEAST), _MOST)
        places[moment], before = y, moment
    return places


def _arrow(
    flight: Flight, places: dict[float, float], program: float, server: float
) -> Iterator[str]:
    """Yield the arrow of *flight*, and what it carries."""
    begin, end = (program, server) if flight.up else (server, program)
    kind = (
        "close" if flight.text.startswith("Close") else flight.text if flight.text == "end" else ""
    )
    y, down = places[flight.sent], places[flight.arrives]
    ahead = 1 if flight.up else -1
    end -= 2 * ahead
    yield f'<path class="flight {kind}" d="M{begin:.1f} {y:.1f}L{end:.1f} {down:.1f}"/>'
    tip = f"M{end:.1f} {down:.1f}l{-8 * ahead} -5.5l{-ahead} 7z"
    yield f'<path class="head {kind}" d="{tip}"/>'
    said = "bytes end" if flight.text == "end" else flight.text
    share = _share(said, abs(end - begin))
    x, middle = begin + (end - begin) * share, y + (down - y) * share
    yield words(said, x, middle - 3, "flying", "middle")


def _share(said: str, length: float) -> float:
    """Return where on an arrow of this *length* the middle of its label is.

    A long label keeps off the beginning: the head of another arrow may be there.
    """
    return max(_SHARE, (_WIDE * len(said) / 2 + _HEAD) / length)


def _beside(note: Note, y: float, program: float, server: float) -> Iterator[str]:
    x, anchor = (server + 10, "start") if note.server else (program - 10, "end")
    if note.cross:
        life = server if note.server else program
        yield f'<path class="cross" d="M{life - 5:g} {y - 5:.1f}l10 10m0 -10l-10 10"/>'
    for number, line in enumerate(note.text.split("\n")):
        yield words(line, x, y + 4 + 13 * number, f"side {note.kind}", anchor)


def _times(exchange: Exchange, places: dict[float, float], left: float) -> Iterator[str]:
    """Yield the times at which something happens at the program."""
    moments = {flight.sent if flight.up else flight.arrives for flight in exchange.flights}
    moments |= {note.at for note in exchange.notes if not note.server}
    last = float("-inf")
    for moment in sorted(moments):
        if places[moment] - last >= 2 * LETTER:
            last = places[moment]
            yield words(f"{moment:.1f} s", left + 8, last + 4, "when")
