"""What the simulator holds the future to be worth.

Prices of the market walk at random, with the volatility of their symbol and without a favourite
direction, except for the symbols that drift. So the logarithm of a later price is taken to be
normally distributed, jumps and steps included, and a bet that pays 1 is worth the probability p
of winning it. The house asks p + `MARGIN` for it and bids p - `MARGIN`. That is all there is to
the model: ties, for one, count for nothing.
"""

import math
from decimal import Decimal
from statistics import NormalDist

from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.market.symbols import Symbol

#: What the house takes, as a share of the payout, each time it sells or buys back.
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
    """Return the share of the price by which a tick moves at most, with this *chance*."""
    return deviation(symbol, symbol.period) * _NORMAL.inv_cdf((1 + chance) / 2)


def expected_fall(symbol: Symbol, seconds: float) -> float:
    """Return how much the price is expected to lose in *seconds*, rises counted as nothing."""
    return deviation(symbol, seconds) * _NORMAL.pdf(0)


def asked_rate(chance: float) -> Decimal:
    """Return what a payout of 1 costs that is won with this *chance*."""
    return _rate(min(chance + MARGIN, 1))


def bid_rate(chance: float) -> Decimal:
    """Return what is given for a payout of 1 that is won with this *chance*."""
    return _rate(max(chance - MARGIN, 0))


def _rate(value: float) -> Decimal:
    return Decimal(f"{value:.6f}")
