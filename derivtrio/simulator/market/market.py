"""A market that is a pure function of (seed, symbol, epoch).

Nothing is stored and nothing moves: ticks and candles are computed when asked for, at any epoch,
past or future. History and live streams agree because both are this function, and a test can
compute what a client should have seen. There is no I/O and no clock here.

Epochs are whole seconds since 1970; windows include both of their bounds; lists are oldest first.
"""

from collections.abc import Iterator
from itertools import chain, islice

import attrs

from derivtrio.simulator.market.price_path import PricePath
from derivtrio.simulator.market.symbols import SYMBOLS, Symbol


@attrs.frozen
class MarketTick:
    """One quote of *symbol*, with bid and ask around it; *pip_size* is the number of decimals."""

    symbol: str
    epoch: int
    quote: float
    bid: float
    ask: float
    pip_size: int


@attrs.frozen
class MarketCandle:
    """The prices of the ticks from *open_time* on; *epoch* is that of the last one counted."""

    symbol: str
    granularity: int
    open_time: int
    epoch: int
    open: float
    high: float
    low: float
    close: float


@attrs.define(eq=False)
class Market:
    """Every price of the simulator. All methods raise `KeyError` for an unknown symbol."""

    seed: int
    _feeds: dict[str, PricePath] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._feeds = {name: PricePath(symbol, self.seed) for name, symbol in SYMBOLS.items()}

    @property
    def symbols(self) -> dict[str, Symbol]:
        """The traded symbols by name."""
        return SYMBOLS

    def is_open(self, symbol: str, epoch: int) -> bool:
        """Whether *symbol* is traded at *epoch*."""
        return self._feeds[symbol].symbol.hours.is_open(epoch)

    def tick(self, symbol: str, epoch: int) -> MarketTick:
        """Return the last tick at or before *epoch*."""
        feed = self._feeds[symbol]
        hours = feed.symbol.hours
        slot = feed.last_slot(hours.last_open(epoch))
        while not hours.is_open(feed.epoch(slot)):
            slot = feed.last_slot(hours.last_open(feed.epoch(slot)))
        (level,) = feed.levels(range(slot, slot + 1))
        return _tick(feed, slot, level)

    def next_tick_epoch(self, symbol: str, after: int) -> int:
        """Return the epoch of the first tick later than *after*."""
        feed = self._feeds[symbol]
        hours = feed.symbol.hours
        epoch = feed.epoch(feed.first_slot(hours.next_open(after + 1)))
        while not hours.is_open(epoch):
            epoch = feed.epoch(feed.first_slot(hours.next_open(epoch)))
        return epoch

    def ticks(
        self, symbol: str, start: int, end: int, limit: int | None = None
    ) -> list[MarketTick]:
        """Return the ticks of the window, or only the newest *limit* of them."""
        feed = self._feeds[symbol]
        return [
            _tick(feed, slot, level)
            for slots in _newest(_open_slots(feed, start, end), limit)
            for slot, level in zip(slots, feed.levels(slots), strict=True)
        ]

    def candles(
        self, symbol: str, granularity: int, start: int, end: int, limit: int | None = None
    ) -> list[MarketCandle]:
        """Return the candles of *granularity* seconds that overlap the window.

        The first begins at or before *start*, at a multiple of *granularity*. The last counts the
        ticks up to *end* only, so it is still forming unless *end* is its last second. A period
        without ticks has no candle. With a *limit* only that many of the newest are returned.

        Each candle takes a third of a microsecond per tick in it: a day of a one-second index
        about 30 ms.
        """
        return list(islice(self.candles_back(symbol, granularity, start, end), limit))[::-1]

    def candles_back(
        self, symbol: str, granularity: int, start: int, end: int
    ) -> Iterator[MarketCandle]:
        """Yield the same candles one by one, the newest first."""
        feed = self._feeds[symbol]
        for open_time in range(end - end % granularity, start - granularity, -granularity):
            last = min(end, open_time + granularity - 1)
            yield from _candle(feed, granularity, open_time, last)


def _tick(feed: PricePath, slot: int, level: float) -> MarketTick:
    symbol = feed.symbol
    quote = feed.price(level)
    half = symbol.spread / 2 / 10**symbol.decimals
    bid, ask = round(quote - half, symbol.decimals), round(quote + half, symbol.decimals)
    return MarketTick(symbol.name, feed.epoch(slot), quote, bid, ask, symbol.decimals)


def _candle(feed: PricePath, granularity: int, open_time: int, last: int) -> list[MarketCandle]:
    """Return the one candle from *open_time* to *last*, or none if there was no tick."""
    ranges = list(_newest(_open_slots(feed, open_time, last), None))
    levels = list(chain.from_iterable(map(feed.levels, ranges)))
    if not levels:
        return []
    chosen = levels[0], max(levels), min(levels), levels[-1]
    prices = [feed.price(level) for level in chosen]
    epoch = feed.epoch(ranges[-1][-1])
    return [MarketCandle(feed.symbol.name, granularity, open_time, epoch, *prices)]


def _open_slots(feed: PricePath, start: int, end: int) -> Iterator[range]:
    """Yield the slots whose ticks fall into the window, a week at a time, newest first."""
    for first, last in feed.symbol.hours.windows(start, end):
        slots = range(feed.first_slot(first), feed.last_slot(last) + 1)
        if slots:
            yield slots


def _newest(ranges: Iterator[range], limit: int | None) -> list[range]:
    """Turn *ranges*, newest first, to oldest first, keeping *limit* slots in all."""
    if limit is None:
        return list(ranges)[::-1]
    kept: list[range] = []
    while limit > 0 and (slots := next(ranges, None)) is not None:
        kept.append(slots[-limit:])
        limit -= len(kept[-1])
    return kept[::-1]
