"""Who holds a consumer's record against the market, item by item, and forgets nothing but items.

A record is as long as a month; so a witness keeps no items, only counts, and computes what must
come next. It begins with the first item that it is shown.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from derivtrio import Candle, Tick
from derivtrio.simulator import Market

#: An epoch, and the values that belong to it.
Row = tuple[Any, ...]

_REMARKS: Final = 10
_AT_ONCE: Final = 600


@attrs.define(eq=False)
class Witness:
    """Counts what is not as it should be; *rows_after* says what comes after an epoch.

    A row that the market has not, or has with other values, is *wrong*. *remarks* tell of the
    first few.
    """

    name: str
    rows_after: Callable[[int], Iterator[Row]] = attrs.field(repr=False)
    seen: int = attrs.field(default=0, init=False)
    lost: int = attrs.field(default=0, init=False)
    doubled: int = attrs.field(default=0, init=False)
    disordered: int = attrs.field(default=0, init=False)
    wrong: int = attrs.field(default=0, init=False)
    remarks: list[str] = attrs.field(factory=list, init=False)
    first: int | None = attrs.field(default=None, init=False)
    last: int | None = attrs.field(default=None, init=False)
    _coming: Iterator[Row] | None = attrs.field(default=None, init=False, repr=False)

    @property
    def content(self) -> bool:
        """Whether there was something to see, and nothing to complain of."""
        faults = self.lost + self.doubled + self.disordered + self.wrong
        return self.seen > 0 and not faults and not self.remarks

    def note(self, row: Row) -> None:
        """Look at the consumer's next item."""
        self.seen += 1
        epoch, last = row[0], self.last
        if last is not None and epoch <= last:
            self.doubled += epoch == last
            self.disordered += epoch < last
            self.remark(f"{epoch} after {last}")
            return
        if last is None:
            self.first, last = epoch, epoch - 1
        self.last = epoch
        self._compare(row, last)

    def rest(self) -> None:
        """Let go of what can be computed again."""
        self._coming = None

    def remark(self, text: str) -> None:
        """Complain of something, in words."""
        if len(self.remarks) < _REMARKS:
            self.remarks.append(f"{self.name}: {text}")

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.seen} seen, {self.lost} lost, {self.doubled} doubled,"
            f" {self.disordered} out of order, {self.wrong} wrong"
        )

    def _compare(self, row: Row, last: int) -> None:
        coming = self._coming = self._coming or self.rows_after(last)
        for due in coming:
            if due[0] >= row[0]:
                break
            self.lost += 1
            self.remark(f"{due[0]} is lost, between {last} and {row[0]}")
        if due != row:
            self.wrong += 1
            self.remark(f"{row} instead of {due}")
            self._coming = None


def tick_witness(name: str, seed: int, symbol: str) -> Witness:
    """Return a witness of the ticks of *symbol*; it looks at `tick_row`s."""

    def rows_after(epoch: int) -> Iterator[Row]:
        market = Market(seed)
        while True:
            for tick in market.ticks(symbol, epoch + 1, epoch + _AT_ONCE):
                yield tick.epoch, tick.quote
            epoch += _AT_ONCE

    return Witness(name, rows_after)


def candle_witness(name: str, seed: int, symbol: str, length: int) -> Witness:
    """Return a witness of the finished candles of *symbol*; it looks at `candle_row`s."""

    def rows_after(epoch: int) -> Iterator[Row]:
        market = Market(seed)
        start = epoch + length - epoch % length
        while True:
            for candle in market.candles(symbol, length, start, start + length - 1):
                yield candle.open_time, candle.open, candle.high, candle.low, candle.close
            start += length

    return Witness(name, rows_after)


def tick_row(tick: Tick) -> Row:
    """Return what a tick witness looks at."""
    return tick.epoch, tick.quote


def candle_row(candle: Candle) -> Row:
    """Return what a candle witness looks at."""
    return candle.open_time, candle.open, candle.high, candle.low, candle.close
