"""The market: a pure function of (seed, symbol, epoch).

Ticks and candles are computed on request, for any epoch, past or future. So history and live
streams agree, and a test can compute what a client should have seen. Ticks that were computed not
long ago are kept, because many ask for the same ones.

With `ticks_per_second` a symbol has several ticks with one epoch. The market stays pure: it is a
function of (seed, symbol, tick number), and a tick's epoch is its time rounded down to a second.

Epochs are whole seconds since 1970. Windows include both bounds. Lists are oldest first.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import chain, islice

import attrs

from derivtrio.simulator.market.price_path import PricePath
from derivtrio.simulator.market.symbols import SYMBOLS, Symbol

_MOST_PER_SECOND = 10

#: Ticks are kept in blocks of so many slots, and no more than so many blocks.
_BLOCK = 256
_KEPT_BLOCKS = 128


@attrs.frozen
class MarketTick:
    """One price of *symbol*, with bid and ask around it; *pip_size* is the number of decimals."""

    symbol: str
    epoch: int
    quote: float
    bid: float
    ask: float
    pip_size: int


@attrs.frozen
class MarketCandle:
    """The prices of the ticks from *open_time* on; *epoch* is that of the last tick in it."""

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
    """The prices of all symbols. Every method raises `KeyError` for an unknown symbol.

    *ticks_per_second* gives symbols more than one tick a second, up to ten: with 2, every epoch
    has two; with `Fraction(3, 2)`, every other one. Those symbols have other prices than without.

    Raises:
        ValueError: there is no such symbol, or it cannot have so many ticks.

    """

    seed: int
    ticks_per_second: Mapping[str, int | Fraction] = attrs.field(factory=dict)
    #: The traded symbols by name.
    symbols: Mapping[str, Symbol] = attrs.field(init=False, repr=False)
    _paths: dict[str, PricePath] = attrs.field(init=False, repr=False)
    _kept: dict[tuple[str, int], list[MarketTick]] = attrs.field(
        factory=dict, init=False, repr=False
    )

    def __attrs_post_init__(self) -> None:
        quicker = {name: _quicker(name, rate) for name, rate in self.ticks_per_second.items()}
        self.symbols = SYMBOLS | quicker
        self._paths = {name: PricePath(symbol, self.seed) for name, symbol in self.symbols.items()}

    def is_open(self, symbol: str, epoch: int) -> bool:
        """Whether *symbol* is traded at *epoch*."""
        return self._paths[symbol].symbol.hours.is_open(epoch)

    def tick(self, symbol: str, epoch: int) -> MarketTick:
        """Return the last tick at or before *epoch*; of several with one epoch, the last."""
        path = self._paths[symbol]
        hours = path.symbol.hours
        slot = path.last_slot(hours.last_open(epoch))
        while not hours.is_open(path.epoch(slot)):
            slot = path.last_slot(hours.last_open(path.epoch(slot)))
        (level,) = path.levels(range(slot, slot + 1))
        return _tick(path, slot, level)

    def ticks_at(self, symbol: str, epoch: int) -> list[MarketTick]:
        """Return the ticks with this *epoch*, which has at least one; mostly it is the only one."""
        if self.symbols[symbol].shares_epochs:
            return self.ticks(symbol, epoch, epoch)
        return [self.tick(symbol, epoch)]

    def next_tick_epoch(self, symbol: str, after: int) -> int:
        """Return the epoch of the first tick later than *after*."""
        path = self._paths[symbol]
        hours = path.symbol.hours
        epoch = path.epoch(path.first_slot(hours.next_open(after + 1)))
        while not hours.is_open(epoch):
            epoch = path.epoch(path.first_slot(hours.next_open(epoch)))
        return epoch

    def ticks(
        self, symbol: str, start: int, end: int, limit: int | None = None
    ) -> list[MarketTick]:
        """Return the ticks of the window; with a *limit*, only that many of the newest."""
        ticks: list[MarketTick] = []
        for slots in _newest(_open_slots(self._paths[symbol], start, end), limit):
            for number in range(slots.start // _BLOCK, -(-slots.stop // _BLOCK)):
                base = number * _BLOCK
                ticks += self._block(symbol, number)[max(0, slots.start - base) : slots.stop - base]
        return ticks

    def _block(self, symbol: str, number: int) -> list[MarketTick]:
        """Return the ticks of a block of slots, whether the market is open in them or not."""
        place = symbol, number
        block = self._kept.get(place)
        if block is None:
            if len(self._kept) >= _KEPT_BLOCKS:
                self._kept.clear()
            path, slots = self._paths[symbol], range(number * _BLOCK, (number + 1) * _BLOCK)
            levels = path.levels(slots)
            block = [_tick(path, slot, level) for slot, level in zip(slots, levels, strict=True)]
            self._kept[place] = block
        return block

    def candles(
        self, symbol: str, granularity: int, start: int, end: int, limit: int | None = None
    ) -> list[MarketCandle]:
        """Return the candles of *granularity* seconds that overlap the window.

        The first begins at or before *start*, at a multiple of *granularity*. The last has only
        the ticks up to *end*, so it is still forming unless *end* is its last second. A period
        without ticks has no candle. With a *limit* only that many of the newest are returned.

        A candle takes a third of a microsecond per tick: a day of a one-second index, 30 ms.
        """
        return list(islice(self.candles_back(symbol, granularity, start, end), limit))[::-1]

    def candles_back(
        self, symbol: str, granularity: int, start: int, end: int
    ) -> Iterator[MarketCandle]:
        """Yield the same candles, newest first, each computed when it is asked for."""
        path = self._paths[symbol]
        for open_time in range(end - end % granularity, start - granularity, -granularity):
            last = min(end, open_time + granularity - 1)
            yield from _candle(path, granularity, open_time, last)


def _quicker(name: str, rate: int | Fraction) -> Symbol:
    """Return the symbol *name* with *rate* ticks per second."""
    symbol = SYMBOLS.get(name)
    if symbol is None:
        message = f"there is no symbol {name!r}"
        raise ValueError(message)
    if symbol.irregular or symbol.daily_drift:
        message = f"{name} cannot have several ticks per second: its ticks are not evenly spaced"
        raise ValueError(message)
    if not 1 < rate <= _MOST_PER_SECOND:
        message = (
            f"{name} can have above 1 and up to {_MOST_PER_SECOND} ticks per second, not {rate}"
        )
        raise ValueError(message)
    return attrs.evolve(symbol, period=1 / Fraction(rate))


def _tick(path: PricePath, slot: int, level: float) -> MarketTick:
    symbol = path.symbol
    quote = path.price(level)
    half = symbol.spread / 2 / 10**symbol.decimals
    bid, ask = round(quote - half, symbol.decimals), round(quote + half, symbol.decimals)
    return MarketTick(symbol.name, path.epoch(slot), quote, bid, ask, symbol.decimals)


def _candle(path: PricePath, granularity: int, open_time: int, last: int) -> list[MarketCandle]:
    """Return a list with the candle from *open_time* to *last*; empty if there was no tick."""
    ranges = list(_newest(_open_slots(path, open_time, last), None))
    levels = list(chain.from_iterable(map(path.levels, ranges)))
    if not levels:
        return []
    chosen = levels[0], max(levels), min(levels), levels[-1]
    prices = [path.price(level) for level in chosen]
    epoch = path.epoch(ranges[-1][-1])
    return [MarketCandle(path.symbol.name, granularity, open_time, epoch, *prices)]


def _open_slots(path: PricePath, start: int, end: int) -> Iterator[range]:
    """Yield the slots whose ticks are in the window, one range a week, newest first."""
    for first, last in path.symbol.hours.windows(start, end):
        slots = range(path.first_slot(first), path.last_slot(last) + 1)
        if slots:
            yield slots


def _newest(ranges: Iterator[range], limit: int | None) -> list[range]:
    """Return *ranges* in reverse, oldest first, with at most *limit* slots in total."""
    if limit is None:
        return list(ranges)[::-1]
    kept: list[range] = []
    while limit > 0 and (slots := next(ranges, None)) is not None:
        kept.append(slots[-limit:])
        limit -= len(kept[-1])
    return kept[::-1]
