"""Charts of characters, as high as a line of text or a few of them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Final

from rich.text import Text

#: Eight heights, and nothing.
_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ASCII: Final = " .:-=+*#@"

#: A column of a chart: its value, None where there is nothing; and its colour.
Column = tuple[float | None, str]


def chart(
    columns: Sequence[Column], rows: int = 1, *, zero: bool = False, plain: bool = False
) -> Text:
    """Return *columns* as a chart of so many *rows*.

    It reaches from the lowest value to the highest one; with *zero*, from 0. *plain* is for
    terminals that have ASCII only.
    """
    values = [value for value, _ in columns if value is not None]
    low = 0.0 if zero else min(values, default=0.0)
    high = max(values, default=0.0)
    heights = [_height(value, low, high, rows) for value, _ in columns]
    styles = [style for _, style in columns]
    blocks = _ASCII if plain else _BLOCKS
    lines = [_line(heights, styles, row, blocks) for row in reversed(range(rows))]
    return Text("\n", no_wrap=True, end="").join(lines)


def _height(value: float | None, low: float, high: float, rows: int) -> int:
    """Return how high a column is, in eighths of a row; each value is seen."""
    if value is None:
        return 0
    most = 8 * rows
    if high <= low:
        return most // 2 if high else 1
    return 1 + round((value - low) / (high - low) * (most - 1))


def _line(heights: Sequence[int], styles: Sequence[str], row: int, blocks: str) -> Text:
    """Return one row of a chart; row 0 is the lowest."""
    line = Text(no_wrap=True, end="")
    cells = [
        (blocks[min(8, max(0, high - 8 * row))], style)
        for high, style in zip(heights, styles, strict=True)
    ]
    for style, run in groupby(cells, key=lambda cell: cell[1]):
        line.append("".join(char for char, _ in run), style)
    return line
