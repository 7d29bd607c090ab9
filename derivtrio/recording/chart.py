"""A chart of candles, with matplotlib: bodies and wicks, and the times without ticks shaded.

Two kinds of time are shaded. A *gap* is what the recorder has noted: ticks that the server no
longer had. Times without candles that nobody noted are quiet: the market was closed, or nothing was
recorded.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

from derivtrio.models import Candle
from derivtrio.recording.extras import needing

_UP: Final = "#1a8754"
_DOWN: Final = "#c8383e"
_GAP: Final = "#f2a33a"
_QUIET: Final = "#8a94a6"
_INK: Final = "#2b3038"
_GRID: Final = "#e4e7ec"

#: Prices from here up are written with an exponent; those beyond the largest cannot be drawn.
_LONG: Final = 1e15
_LARGEST: Final = 1e100

#: A pause of so many candles' length is shaded as quiet.
_PAUSE: Final = 2


@attrs.frozen
class Chart:
    """What to draw: *candles*, which are not none, and *gaps* as pairs of epochs."""

    candles: Sequence[Candle]
    gaps: Sequence[tuple[int, int]]

    @property
    def quiet(self) -> list[tuple[int, int]]:
        """The times between candles that are no gaps, as pairs of epochs."""
        found = []
        for before, after in zip(self.candles, self.candles[1:], strict=False):
            length = before.granularity
            span = (before.open_time + length, after.open_time)
            noted = any(a < span[1] and span[0] < b for a, b in self.gaps)
            if after.open_time - before.open_time > _PAUSE * length and not noted:
                found.append(span)
        return found

    @property
    def highest(self) -> float:
        """The highest price, or the lowest one's amount if it is below zero, and larger."""
        return max(max(abs(candle.high), abs(candle.low)) for candle in self.candles)

    def save(self, file: Path | BinaryIO, kind: str | None = None) -> None:
        """Draw it into *file*. The format is *kind*, such as `png`; without it, the suffix says it.

        Raises:
            MissingExtra: matplotlib is not installed.
            OSError: the file cannot be written.
            ValueError: matplotlib does not know the format, or cannot draw such prices.

        """
        if (price := self.highest) > _LARGEST:
            text = f"a price of {price:g} is too large for a chart, which goes up to {_LARGEST:g}"
            raise ValueError(text)
        with needing("plot", "A chart"):
            from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, and slow
        figure = Figure(figsize=(12, 6), layout="constrained")
        axes = figure.add_subplot()
        self._draw(axes)
        figure.savefig(file, dpi=150, format=kind)

    def _draw(self, axes: Any) -> None:
        handles = [
            _shade(axes, self.gaps, _GAP, 0.35, "gap"),
            _shade(axes, self.quiet, _QUIET, 0.13, "no ticks: closed, or not recorded"),
        ]
        rising = [candle for candle in self.candles if candle.close >= candle.open]
        falling = [candle for candle in self.candles if candle.close < candle.open]
        _draw_candles(axes, rising, _UP)
        _draw_candles(axes, falling, _DOWN)
        self._decorate(axes, [handle for handle in handles if handle is not None])

    def _decorate(self, axes: Any, handles: list[Any]) -> None:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415

        first, last = self.candles[0], self.candles[-1]
        length = first.granularity
        axes.set_title(
            f"{first.symbol} · candles of {_length_text(length)} · {_moment(first.open_time)}"
            f" to {_moment(last.open_time + length)} UTC",
            loc="left",
            color=_INK,
            fontsize=12,
            pad=10,
        )
        locator = AutoDateLocator(tz=UTC, minticks=6, maxticks=11)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
        axes.set_xlim(_when(first.open_time - length), _when(last.open_time + 2 * length))
        axes.margins(y=0.08)
        axes.yaxis.tick_right()
        style = "plain" if self.highest < _LONG else "sci"
        axes.ticklabel_format(axis="y", useOffset=False, style=style)
        axes.tick_params(colors=_INK, length=0)
        axes.grid(color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        for side in ("top", "left", "right", "bottom"):
            axes.spines[side].set_visible(False)
        if handles:
            place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "ncols": 2}
            axes.legend(handles=handles, frameon=False, labelcolor=_INK, fontsize=9, **place)


def _draw_candles(axes: Any, candles: Sequence[Candle], colour: str) -> None:
    """Draw bodies and wicks; a body without height is a line all the same."""
    if not candles:
        return
    length = candles[0].granularity
    middle = [_when(candle.open_time + length / 2) for candle in candles]
    width = 0.7 * length / 86_400
    axes.vlines(
        middle,
        [candle.low for candle in candles],
        [candle.high for candle in candles],
        color=colour,
        linewidth=0.9,
    )
    bottoms = [min(candle.open, candle.close) for candle in candles]
    heights = [abs(candle.close - candle.open) for candle in candles]
    axes.bar(middle, heights, width, bottoms, color=colour, edgecolor=colour, linewidth=0.6)


def _shade(
    axes: Any, spans: Iterable[tuple[int, int]], colour: str, alpha: float, label: str
) -> Any | None:
    """Shade *spans*; return what stands for them in the legend, None without any."""
    shaded = None
    for after, before in spans:
        shaded = axes.axvspan(
            _when(after), _when(before), color=colour, alpha=alpha, linewidth=0, label=label
        )
    return shaded


def _when(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


def _moment(epoch: int) -> str:
    return f"{_when(epoch):%Y-%m-%d %H:%M}"


def _length_text(seconds: int) -> str:
    """Return a length in words: `5 min`, `1 h`, `90 s`."""
    for unit, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
