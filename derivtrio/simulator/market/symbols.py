"""The symbols: one row each.

Decimals, periods and groups are as third parties recorded them from the live API; the prices are
invented, of the usual size. A client should read decimals from the messages: Deriv changes them.
"""

from fractions import Fraction

import attrs

from derivtrio.simulator.market.hours import ALWAYS, FOREX, Hours


@attrs.frozen
class SymbolGroup:
    """The market, submarket and subgroup of a symbol, each as (name, display name)."""

    market: tuple[str, str]
    submarket: tuple[str, str]
    subgroup: tuple[str, str]
    symbol_type: str


@attrs.frozen
class Jumps:
    """Sudden changes: *size* is the logarithm of the price ratio, *rate* their share of ticks.

    Between jumps the price drifts the other way, so that the expected change is 0.
    """

    size: float
    rate: float


@attrs.frozen
class Symbol:
    """A symbol and the parameters of its price path.

    *price* is the base price. *volatility* is the annual standard deviation of its logarithm
    (1.0 is 100 %). *period* is in seconds between ticks, an average if *irregular*; with a fraction
    below 1, several ticks have the same epoch. *spread* is in pips between bid and ask. With a
    *step* each tick is exactly that much higher or lower than the one before. *daily_drift* is the
    logarithm gained per day; the price returns to the base price at midnight.
    """

    name: str
    display_name: str
    group: SymbolGroup
    decimals: int
    price: float
    volatility: float = 0.0
    period: int | Fraction = 1
    spread: int = 20
    hours: Hours = ALWAYS
    irregular: bool = False
    step: float = 0.0
    daily_drift: float = 0.0
    jumps: tuple[Jumps, ...] = ()

    @property
    def shares_epochs(self) -> bool:
        """Whether two ticks can have the same epoch."""
        return self.period < 1


_DERIVED = ("synthetic_index", "Derived")
_SYNTHETICS = ("synthetics", "Synthetics")
_CONTINUOUS = SymbolGroup(
    _DERIVED, ("random_index", "Continuous Indices"), _SYNTHETICS, "stockindex"
)
_SPIKES = SymbolGroup(_DERIVED, ("crash_index", "Crash/Boom Indices"), _SYNTHETICS, "stockindex")
_JUMP = SymbolGroup(_DERIVED, ("jump_index", "Jump Indices"), _SYNTHETICS, "stockindex")
_STEP = SymbolGroup(_DERIVED, ("step_index", "Step Indices"), _SYNTHETICS, "stockindex")
_RESET = SymbolGroup(_DERIVED, ("random_daily", "Daily Reset Indices"), _SYNTHETICS, "stockindex")
_MAJORS = SymbolGroup(("forex", "Forex"), ("major_pairs", "Major Pairs"), ("none", "None"), "forex")

_JD10_JUMPS = (Jumps(0.002, 1 / 2400), Jumps(-0.002, 1 / 2400))


def _volatility(percent: int, decimals: int, price: float) -> Symbol:
    name, display = f"R_{percent}", f"Volatility {percent} Index"
    return Symbol(name, display, _CONTINUOUS, decimals, price, percent / 100, period=2)


def _volatility_1s(percent: int, price: float) -> Symbol:
    name, display = f"1HZ{percent}V", f"Volatility {percent} (1s) Index"
    return Symbol(name, display, _CONTINUOUS, 2, price, percent / 100)


def _forex(pair: str, decimals: int, price: float) -> Symbol:
    return Symbol(
        name=f"frx{pair}",
        display_name=f"{pair[:3]}/{pair[3:]}",
        group=_MAJORS,
        decimals=decimals,
        price=price,
        volatility=0.08,
        period=3,
        spread=4,
        hours=FOREX,
        irregular=True,
    )


_ROWS = (
    _volatility(10, 3, 6100.0),
    _volatility(25, 3, 2750.0),
    _volatility(50, 4, 190.0),
    _volatility(75, 4, 98000.0),
    _volatility(100, 2, 1180.0),
    _volatility_1s(10, 9800.0),
    _volatility_1s(25, 780000.0),
    _volatility_1s(50, 210000.0),
    _volatility_1s(75, 5200.0),
    _volatility_1s(100, 1500.0),
    Symbol("stpRNG", "Step Index 100", _STEP, 1, 8000.0, step=0.1, spread=2),
    Symbol("BOOM1000", "Boom 1000 Index", _SPIKES, 3, 17000.0, 0.03, jumps=(Jumps(0.004, 1e-3),)),
    Symbol("CRASH1000", "Crash 1000 Index", _SPIKES, 3, 6200.0, 0.03, jumps=(Jumps(-4e-3, 1e-3),)),
    Symbol("JD10", "Jump 10 Index", _JUMP, 2, 98000.0, 0.1, jumps=_JD10_JUMPS),
    Symbol("RDBULL", "Bull Market Index", _RESET, 4, 1000.0, 0.5, 2, daily_drift=0.05),
    Symbol("RDBEAR", "Bear Market Index", _RESET, 4, 1000.0, 0.5, 2, daily_drift=-0.05),
    _forex("EURUSD", 5, 1.0850),
    _forex("GBPUSD", 5, 1.2700),
    _forex("USDJPY", 3, 151.00),
)

#: All symbols of the simulator, by name.
SYMBOLS = {symbol.name: symbol for symbol in _ROWS}
