"""Compares what a consumer gets with the market, item by item.

A drill may last a month. So a witness keeps no items, only counts; it computes which item must come
next. It begins with the first item that it sees.
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
    """Counts the items that are missing or wrong.

    Attributes:
        rows_after: returns the rows that must come after an epoch.
        lost: rows that did not come.
        doubled, disordered: rows with the epoch of the row before, or with an earlier one.
        wrong: rows that the market does not have, or has with other values.
        remarks: the first few of these, in words.

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
    def is_satisfied(self) -> bool:
        """Whether rows came, and none of them was missing or wrong."""
        faults = self.lost + self.doubled + self.disordered + self.wrong
        return self.seen > 0 and not faults and not self.remarks

    def note(self, row: Row) -> None:
        """Check the consumer's next item."""
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
        """Free the memory of what can be computed again."""
        self._coming = None

    def remark(self, text: str) -> None:
        """Note what is wrong, in words."""
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
    """Return a witness of the ticks of *symbol*, for `tick_row`s."""

    def rows_after(epoch: int) -> Iterator[Row]:
        market = Market(seed)
        while True:
            for tick in market.ticks(symbol, epoch + 1, epoch + _AT_ONCE):
                yield tick.epoch, tick.quote
            epoch += _AT_ONCE

    return Witness(name, rows_after)


def candle_witness(name: str, seed: int, symbol: str, length: int) -> Witness:
    """Return a witness of the finished candles of *symbol*, for `candle_row`s."""

    def rows_after(epoch: int) -> Iterator[Row]:
        market = Market(seed)
        start = epoch + length - epoch % length
        while True:
            for candle in market.candles(symbol, length, start, start + length - 1):
                yield candle.open_time, candle.open, candle.high, candle.low, candle.close
            start += length

    return Witness(name, rows_after)


def tick_row(tick: Tick) -> Row:
    """Return *tick* as a row."""
    return tick.epoch, tick.quote


def candle_row(candle: Candle) -> Row:
    """Return *candle* as a row."""
    return candle.open_time, candle.open, candle.high, candle.low, candle.close
