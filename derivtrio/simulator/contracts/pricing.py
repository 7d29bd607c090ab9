"""The pricing model.

The logarithm of a later price is normally distributed, with the volatility and the drift of its
symbol; jumps and steps add to the variance. A contract that pays 1 with the probability p is worth
p. The broker sells it for p + `MARGIN` and buys it back for p - `MARGIN`. The model ignores ties:
a price exactly at the barrier has the probability 0.
"""

import math
from decimal import Decimal
from statistics import NormalDist

from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.market.symbols import Symbol

#: The broker's margin on each sale and each resale, as a share of the payout.
MARGIN = 0.012

_YEAR = 365 * DAY
_NORMAL = NormalDist()


def deviation(symbol: Symbol, seconds: float) -> float:
    """Return the standard deviation of the price change in *seconds*, as a share of the price."""
    jumps = sum(jumps.rate * jumps.size**2 for jumps in symbol.jumps) / symbol.period
    steps = (symbol.step / symbol.price) ** 2 / symbol.period
    return math.sqrt((symbol.volatility**2 / _YEAR + jumps + steps) * seconds)


def chance_above(symbol: Symbol, spot: float, barrier: float, seconds: float) -> float:
    """Return the probability that the price is above *barrier*, *seconds* after it was *spot*."""
    if barrier <= 0:
        return 1.0
    distance = math.log(spot / barrier) + symbol.daily_drift * seconds / DAY
    return _NORMAL.cdf(distance / deviation(symbol, max(seconds, 1)))


def band(symbol: Symbol, chance: float) -> float:
    """Return the move that one tick stays within with this *chance*, as a share of the price."""
    return deviation(symbol, float(symbol.period)) * _NORMAL.inv_cdf((1 + chance) / 2)


def expected_fall(symbol: Symbol, seconds: float) -> float:
    """Return the expected loss of the price in *seconds*, as a share of it; a rise counts as 0."""
    return deviation(symbol, seconds) * _NORMAL.pdf(0)


def asked_rate(chance: float) -> Decimal:
    """Return the price of a payout of 1 that is won with this *chance*."""
    return _rate(min(chance + MARGIN, 1))


def bid_rate(chance: float) -> Decimal:
    """Return the resale price of a payout of 1 that is won with this *chance*."""
    return _rate(max(chance - MARGIN, 0))


def _rate(value: float) -> Decimal:
    return Decimal(f"{value:.6f}")
