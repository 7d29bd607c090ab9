"""What a consumer has seen, held against the market or the ledger as it comes.

A record notes each item and returns what is wrong with it, in words, or None. It keeps no items,
only what must come next, and what was passed over; whether a `Gap` covers that is judged later.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Protocol

import attrs

from derivtrio import Balance, Candle, Gap, OpenContract, Subscription, Tick, Transaction
from derivtrio.simulator import Ledger, Market

#: An epoch, and the values that belong to it.
Row = tuple[Any, ...]

_AT_ONCE: Final = 300
_MOST_PASSED_OVER: Final = 100_000


class Record(Protocol):
    """What one consumer has seen."""

    count: int

    def note(self, item: Any) -> str | None:
        """Look at the next item; return what is wrong with it."""
        ...

    def passed_over(self, gaps: Sequence[Gap]) -> int:
        """Return how many items were passed over that no gap covers."""
        ...


@attrs.define(eq=False)
class Plain:
    """Counts the items of a stream whose content nobody can compute."""

    count: int = 0
    last: Any = None

    def note(self, item: Any) -> str | None:
        self.count += 1
        self.last = item
        return None

    def passed_over(self, gaps: Sequence[Gap]) -> int:
        del gaps
        return 0


@attrs.define(eq=False)
class InOrder:
    """Holds rows against those that there are, which *rows_from* yields from an epoch on.

    The first row must be the first one of *since*, if that is given.
    """

    rows_from: Callable[[int], Iterator[Row]] = attrs.field(repr=False)
    row_of: Callable[[Any], Row | None] = attrs.field(repr=False)
    since: int | None = None
    count: int = 0
    last: int | None = None
    missing: list[int] = attrs.field(factory=list)
    _coming: Iterator[Row] = attrs.field(factory=lambda: iter(()), repr=False)

    def note(self, item: Any) -> str | None:
        row = self.row_of(item)
        if row is None:
            return None
        self.count += 1
        if self.last is None:
            self._coming = self.rows_from(row[0] if self.since is None else self.since)
        for due in self._coming:
            if due == row:
                self.last = row[0]
                return None
            if due[0] >= row[0]:
                return f"{row} came after {self.last}, where {due} was due"
            self.missing.append(due[0])
            if len(self.missing) > _MOST_PASSED_OVER:
                break
        return f"{row} came after {self.last}, and too much between is missing"

    def passed_over(self, gaps: Sequence[Gap]) -> int:
        self.missing = [
            epoch
            for epoch in self.missing
            if not any(gap.after < epoch < gap.before for gap in gaps)
        ]
        return len(self.missing)


def ticks_record(market: Market, symbol: str, since: int | None) -> InOrder:
    """Return a record of the ticks of *symbol*."""

    def rows_from(epoch: int) -> Iterator[Row]:
        while True:
            for tick in market.ticks(symbol, epoch, epoch + _AT_ONCE - 1):
                yield tick.epoch, tick.quote
            epoch += _AT_ONCE

    def row_of(tick: Tick) -> Row:
        return tick.epoch, tick.quote

    return InOrder(rows_from, row_of, since)


def candles_record(market: Market, symbol: str, length: int, since: int | None) -> InOrder:
    """Return a record of the finished candles of *symbol*."""

    def rows_from(epoch: int) -> Iterator[Row]:
        start = -(-epoch // length) * length
        while True:
            for candle in market.candles(symbol, length, start, start + length - 1):
                yield candle.open_time, candle.open, candle.high, candle.low, candle.close
            start += length

    def row_of(candle: Candle) -> Row | None:
        row = candle.open_time, candle.open, candle.high, candle.low, candle.close
        return row if candle.closed else None

    return InOrder(rows_from, row_of, since)


@attrs.define(eq=False)
class Transactions:
    """Holds transactions against the ledger: each once, in order, none passed over."""

    ledger: Ledger = attrs.field(repr=False)
    count: int = 0
    position: int | None = None

    def note(self, item: Transaction) -> str | None:
        self.count += 1
        entries = self.ledger.transactions
        if self.position is None:
            ids = [entry.transaction_id for entry in entries]
            if item.transaction_id not in ids:
                return f"transaction {item.transaction_id} is not in the ledger"
            self.position = ids.index(item.transaction_id)
        else:
            self.position += 1
        due = entries[self.position] if self.position < len(entries) else None
        if due is None or due.transaction_id != item.transaction_id:
            return (
                f"transaction {item.transaction_id} came where {due and due.transaction_id} was due"
            )
        if due.amount != Decimal(str(item.amount)):
            return f"transaction {item.transaction_id} is of {due.amount}, not {item.amount}"
        return None

    def passed_over(self, gaps: Sequence[Gap]) -> int:
        del gaps
        return 0

    @property
    def behind(self) -> int:
        """How many transactions have not come yet."""
        if self.position is None:
            return 0
        return len(self.ledger.transactions) - 1 - self.position


@attrs.define(eq=False)
class Contracts(Plain):
    """Holds the states of one contract against each other: an end is the end."""

    contract_id: int = 0

    def note(self, item: OpenContract) -> str | None:
        ended = self.last is not None and self.last.is_sold
        Plain.note(self, item)
        if item.contract_id != self.contract_id:
            return f"contract {item.contract_id} came instead of {self.contract_id}"
        return "something came after the contract's end" if ended else None


def balance_of(record: Plain) -> Decimal | None:
    """Return the last balance in *record*, exact."""
    last: Balance | None = record.last
    return None if last is None else Decimal(str(last.balance))


def gaps_of(stream: Subscription[Any] | None) -> tuple[Gap, ...]:
    """Return the gaps that a stream has reported."""
    return () if stream is None else stream.gaps


def newest(entries: Iterable[int], count: int) -> list[int]:
    """Return the first few of *entries*, for a message."""
    return list(islice(entries, count))
