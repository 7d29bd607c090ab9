"""The price path of one symbol.

Time is divided into slots of the symbol's period, numbered from the epoch; each has one tick, whose
epoch is rounded down to a whole second. The path gives each slot a *level*: for most symbols the
logarithm of price / base price, for a step index the number of steps from the base price. The price
grows with the level, so the highest level of a candle is its high, and only the levels that are
shown are converted to prices.
"""

import hashlib
import math

import attrs

from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.market.random_path import BrownianBridge, HitCountBridge, RandomPath
from derivtrio.simulator.market.symbols import Jumps, Symbol

_YEAR = 365 * DAY


@attrs.define(eq=False)
class PricePath:
    """The levels and prices of *symbol* for a *seed*, by slot number."""

    symbol: Symbol
    seed: int
    _path: RandomPath = attrs.field(init=False, repr=False)
    _jumps: list[tuple[Jumps, RandomPath]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        key, symbol = f"{self.seed}/{self.symbol.name}", self.symbol
        sigma = symbol.volatility * math.sqrt(symbol.period / _YEAR)
        self._path = RandomPath(
            f"{key}/path", HitCountBridge(0.5) if symbol.step else BrownianBridge(sigma)
        )
        self._jumps = [
            (jumps, RandomPath(f"{key}/jumps{position}", HitCountBridge(jumps.rate)))
            for position, jumps in enumerate(symbol.jumps)
        ]

    def epoch(self, slot: int) -> int:
        """Return the epoch of the tick in *slot*."""
        start = slot * self.symbol.period // 1
        return start + self._lateness(slot) if self.symbol.irregular else start

    def first_slot(self, epoch: int) -> int:
        """Return the slot of the first tick at or after *epoch*."""
        slot = epoch // self.symbol.period
        return slot if self.epoch(slot) >= epoch else slot + 1

    def last_slot(self, epoch: int) -> int:
        """Return the slot of the last tick at or before *epoch*."""
        return self.first_slot(epoch + 1) - 1

    def levels(self, slots: range) -> list[float]:
        """Return the level in each of *slots*, which are consecutive."""
        if self.symbol.step:
            counts = self._path.values(slots.start, slots.stop)
            return [2 * count - slot for slot, count in zip(slots, counts, strict=True)]
        if self.symbol.daily_drift:
            return self._levels_since_midnight(slots)
        levels = self._path.values(slots.start, slots.stop)
        for jumps, lattice in self._jumps:
            counts = lattice.values(slots.start, slots.stop)
            levels = [
                level + jumps.size * (count - jumps.rate * slot)
                for slot, level, count in zip(slots, levels, counts, strict=True)
            ]
        return levels

    def price(self, level: float) -> float:
        """Return the price at *level*, with the decimals of the symbol."""
        symbol = self.symbol
        if symbol.step:
            return round(symbol.price + symbol.step * level, symbol.decimals)
        return round(symbol.price * math.exp(level), symbol.decimals)

    def _levels_since_midnight(self, slots: range) -> list[float]:
        per_day = int(DAY // self.symbol.period)
        drift = self.symbol.daily_drift / per_day
        collected: list[float] = []
        for day in range(slots.start // per_day, -(-slots.stop // per_day)):
            midnight = day * per_day
            (opening,) = self._path.values(midnight, midnight + 1)
            first, stop = max(slots.start, midnight), min(slots.stop, midnight + per_day)
            collected += [
                level - opening + drift * (slot - midnight)
                for slot, level in enumerate(self._path.values(first, stop), first)
            ]
        return collected

    def _lateness(self, slot: int) -> int:
        name = f"{self.seed}/{self.symbol.name}/late/{slot}".encode()
        return hashlib.blake2b(name, digest_size=1).digest()[0] % int(self.symbol.period)
