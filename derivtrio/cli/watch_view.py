"""How `derivtrio watch` looks."""

from collections.abc import Sequence
from typing import Final

import attrs
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from derivtrio.cli.charts import Column, chart
from derivtrio.cli.followed import WINDOW, FollowedSymbol
from derivtrio.cli.live_view import Monitor, event_lines, heading, lasting, state_line
from derivtrio.cli.output import quote_of

LIVE, FETCHED = "green", "magenta"

#: The lines around the table, and the most lines that a chart has.
_OTHER_LINES: Final = 8
_MOST_LINES: Final = 3

#: A terminal must be so wide for charts, for ticks a minute, and for tasks beside events.
WIDE: Final = 72

_EVENTS: Final = 3

#: A quote stands in the chart until the next one, but not longer, in seconds.
_HELD: Final = 10

#: An older tick than this is shown in red, in seconds.
_OLD: Final = 15


@attrs.define(eq=False)
class WatchView:
    """The table of `rows`, with the state of `monitor`'s client below."""

    rows: Sequence[FollowedSymbol]
    monitor: Monitor
    where: str

    def drawn(self, width: int, height: int) -> RenderableType:
        """Return the view for a terminal of this size."""
        below = [state_line(self.monitor.client, self.monitor.pings)]
        below += event_lines(self.monitor.events, _EVENTS)
        table = quotes(self.rows, self.monitor.clock.now, width, height - _OTHER_LINES)
        head = heading("watch", self.where, width)
        return Group(head, "", table, "", *below)


def quotes(
    rows: Sequence[FollowedSymbol], now: float, width: int, height: int, most: int = _MOST_LINES
) -> RenderableType:
    """Return a table of *rows* in so many lines; a chart has *most* lines at most.

    *now* is the server's time. What is refused has a line below the table.
    """
    troubles = [Text(f" {row.symbol}: {row.error}", "red") for row in rows if row.error]
    good = [row for row in rows if row.ticks or not row.error]
    room = max(1, height - len(troubles))
    shown = good if len(good) <= room else good[: room - 1]
    # A chart of more than one line needs an empty one between it and the next.
    each = (room + 1) // max(1, len(good)) - 1
    lines = min(most, each) if each > 1 else 1
    table = _table(shown, now, width, lines)
    rest = len(good) - len(shown)
    more = [Text(f" and {rest} more, for which there is no room", "dim")] if rest else []
    return Group(table, *more, *troubles)


def _table(rows: Sequence[FollowedSymbol], now: float, width: int, lines: int) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", width=width)
    table.add_column("symbol", style="bold", no_wrap=True, min_width=8)
    wide = width >= WIDE
    for name in ("last quote", "change", "age", *(["ticks/min"] * wide), "gaps"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column(f"last {WINDOW // 60} minutes", no_wrap=True, ratio=1)
    for row in rows:
        table.add_row(*_cells(row, now, lines if wide else 0))
        if lines > 1 and row is not rows[-1]:
            table.add_row()
    return table


def _cells(row: FollowedSymbol, now: float, lines: int) -> list[RenderableType]:
    if not row.ticks:
        return [row.symbol, Text("no tick yet", "dim")]
    last = row.ticks[-1][0]
    age = max(0.0, now - last.epoch)
    recent = sum(tick.epoch > now - 60 for tick, _ in row.ticks)
    charts: list[RenderableType] = [QuoteChart(row, now, lines)] if lines else []
    return [
        row.symbol,
        Text(quote_of(last), "bold").append(*_direction(row)),
        _change(row),
        Text(lasting(age), "red" if age > _OLD else ""),
        *([f"{recent}"] if lines else []),
        Text(f"{row.gaps}", "red" if row.gaps else "dim"),
        *charts,
    ]


@attrs.frozen(eq=False)
class QuoteChart:
    """The chart of a symbol, as wide as there is room."""

    row: FollowedSymbol
    now: float
    lines: int

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, options.max_width)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        columns = self.columns(options.max_width)
        yield chart(columns, self.lines, plain=options.ascii_only)

    def columns(self, room: int) -> list[Column]:
        """Return the last quote of each part of the time, None where there was none."""
        columns: list[Column] = [(None, "")] * room
        step = WINDOW / room
        ages = [self.now - tick.epoch for tick, _ in self.row.ticks]
        for (tick, fetched), age, until in zip(self.row.ticks, ages, [*ages[1:], 0.0], strict=True):
            held = max(until, age - max(_HELD, step))
            first = max(0, int((WINDOW - age) / step))
            last = min(room - 1, int((WINDOW - held) / step))
            for place in range(first, last + 1):
                found = fetched or (columns[place][1] == FETCHED and place == first)
                columns[place] = (tick.quote, FETCHED if found else LIVE)
        return columns


def _direction(row: FollowedSymbol) -> tuple[str, str]:
    """Return an arrow: where the last tick went."""
    if len(row.ticks) > 1:
        last, before = row.ticks[-1][0].quote, row.ticks[-2][0].quote
        if last != before:
            return (" ▲", "green") if last > before else (" ▼", "red")
    return " ·", "dim"


def _change(row: FollowedSymbol) -> Text:
    """Return how much the quote has changed since the beginning of the chart."""
    first, last = row.ticks[0][0], row.ticks[-1][0]
    change = last.quote - first.quote
    share = change / first.quote if first.quote else 0.0
    style = "green" if change > 0 else "red" if change < 0 else ""
    return Text(f"{change:+.{last.pip_size}f} {share:+.2%}", style)
