"""Random paths with random access: any point can be computed without those before it.

A random walk is normally computed step by step, so its millionth point costs a million steps.
Paul Lévy's construction works from coarse to fine: fix two distant points, draw the one in the
middle (a Brownian bridge), then the middles of the halves, and so on. Each point depends only on
its neighbours one level up and on noise that is a hash of its own position. So any point takes a
few steps, however far away it is, and its value is always the same.

Three rules keep it cheap:

1. Points come in blocks of 256. The ends of a block are points of the level above, whose steps are
   256 times as long. The points of the highest level are independent of each other.
2. The noise of a whole block is one call of SHAKE-128, a hash function of any output length.
3. A block is a pure function of its position, so the cache may drop it at any time.
"""

import hashlib
import math
import struct
from collections.abc import Iterable
from itertools import pairwise
from typing import Protocol

import attrs

BLOCK = 256
_TOP = 3
_CACHED_BLOCKS = 64
#: The standard deviation of a uniformly distributed 16-bit number.
_UNIFORM_DEVIATION = 65536 / math.sqrt(12)


class Bridge(Protocol):
    """How the values between two known points are drawn."""

    def anchor(self, number: int, length: int, noise: float) -> float:
        """Return the value of point *number* of the highest level, with points *length* apart."""

    def fill(self, left: float, right: float, length: int, noise: Iterable[float]) -> list[float]:
        """Return 256 values from *left*, included, to *right*, excluded, *length* steps away."""


@attrs.frozen
class BrownianBridge:
    """A Brownian motion whose change over one step has the standard deviation *sigma*."""

    sigma: float

    def anchor(self, number: int, length: int, noise: float) -> float:  # noqa: ARG002
        """See `Bridge.anchor`: two neighbours differ by as much as a walk of *length* steps."""
        return self.sigma * math.sqrt(length / 2) * noise

    def fill(self, left: float, right: float, length: int, noise: Iterable[float]) -> list[float]:
        """See `Bridge.fill`."""
        values, draws = [left, right], iter(noise)
        spread = self.sigma * math.sqrt(length) / 2
        while len(values) <= BLOCK:
            middles = [(a + b) / 2 + spread * next(draws) for a, b in pairwise(values)]
            values = _interleave(values, middles)
            spread /= math.sqrt(2)
        return values[:-1]


@attrs.frozen
class HitCountBridge:
    """The number of hits so far, where each step is a hit with the probability *rate*."""

    rate: float

    def anchor(self, number: int, length: int, noise: float) -> float:
        """See `Bridge.anchor`."""
        spread = math.sqrt(length * self.rate * (1 - self.rate) / 2)
        return round(number * length * self.rate + spread * noise)

    def fill(self, left: float, right: float, length: int, noise: Iterable[float]) -> list[float]:
        """See `Bridge.fill`."""
        values, draws, step = [left, right], iter(noise), length
        while len(values) <= BLOCK:
            middles = [
                a + _hits_in_first_half(b - a, step, next(draws)) for a, b in pairwise(values)
            ]
            values = _interleave(values, middles)
            step //= 2
        return values[:-1]


def _hits_in_first_half(hits: float, steps: int, noise: float) -> float:
    """Draw how many of *hits* are in the first half of *steps* (hypergeometric, as a normal)."""
    half = steps // 2
    spread = math.sqrt(hits * (steps - hits) / (4 * (steps - 1)))
    return min(max(round(hits / 2 + spread * noise), hits - half, 0), half, hits)


def _interleave(values: list[float], middles: list[float]) -> list[float]:
    merged = [0.0] * (len(values) + len(middles))
    merged[::2] = values
    merged[1::2] = middles
    return merged


@attrs.define(eq=False)
class RandomPath:
    """A random path over all integers; *key* is the seed of its noise."""

    key: str
    bridge: Bridge
    _blocks: dict[tuple[int, int], list[float]] = attrs.field(factory=dict, init=False, repr=False)

    def values(self, first: int, stop: int) -> list[float]:
        """Return the values at *first*, *first* + 1, … up to *stop* - 1."""
        collected: list[float] = []
        for number in range(first // BLOCK, -(-stop // BLOCK)):
            base = number * BLOCK
            collected += self._block(0, number)[max(0, first - base) : stop - base]
        return collected

    def _block(self, level: int, number: int) -> list[float]:
        place = (level, number)
        if place not in self._blocks:
            if len(self._blocks) >= _CACHED_BLOCKS:
                self._blocks.clear()
            self._blocks[place] = self._make_block(level, number)
        return self._blocks[place]

    def _make_block(self, level: int, number: int) -> list[float]:
        ends = self._point(level + 1, number), self._point(level + 1, number + 1)
        return self.bridge.fill(*ends, BLOCK ** (level + 1), self._noise(level, number, BLOCK - 1))

    def _point(self, level: int, number: int) -> float:
        if level == _TOP:
            return self.bridge.anchor(number, BLOCK**_TOP, self._noise(level, number, 1)[0])
        return self._block(level, number // BLOCK)[number % BLOCK]

    def _noise(self, level: int, number: int, count: int) -> list[float]:
        """Return *count* numbers of mean 0 and standard deviation 1, a hash of the position."""
        place = f"{self.key}/{level}/{number}".encode()
        drawn = struct.unpack(f"<{count}H", hashlib.shake_128(place).digest(2 * count))
        return [(number - 32767.5) / _UNIFORM_DEVIATION for number in drawn]
