"""The call `contracts_for`: the contracts on offer for a symbol.

There is one entry for each contract type and kind of expiry that the simulator sells.
"""

from collections.abc import Iterator
from itertools import product

import attrs

from derivtrio.simulator.contracts import accumulators, multipliers
from derivtrio.simulator.contracts.binaries import MAX_TICKS, MIN_SECONDS
from derivtrio.simulator.contracts.orders import CANCELLATIONS
from derivtrio.simulator.market.symbol_checks import require_symbol
from derivtrio.simulator.market.symbols import Symbol
from derivtrio.simulator.protocol.envelope import Message, reply
from derivtrio.simulator.sessions.session import ServerSession

#: A kind of expiry, with the shortest and the longest duration.
_Expiry = tuple[str, str, str]
#: A contract type: its name, its display name, and its sentiment.
_Type = tuple[str, str, str]

_TICKS: _Expiry = ("tick", "1t", f"{MAX_TICKS}t")
_TIMES: tuple[_Expiry, ...] = (("intraday", f"{MIN_SECONDS}s", "1d"), ("daily", "1d", "365d"))
_ENDLESS: _Expiry = ("no_expiry", "0", "0")


@attrs.frozen
class _Category:
    """A category of contracts: each of its *types* can have each of its *expiries*."""

    name: str
    display: str
    barrier_category: str
    barriers: int
    expiries: tuple[_Expiry, ...]
    types: tuple[_Type, ...]
    extra: Message = attrs.field(factory=dict)


_RISE = (("CALL", "Rise", "up"), ("PUT", "Fall", "down"))
_HIGHER = (("CALL", "Higher", "up"), ("PUT", "Lower", "down"))
_RISE_EQUALS = (("CALLE", "Rise", "up"), ("PUTE", "Fall", "down"))
_MATCH = (("DIGITMATCH", "Digit Matches", "match"), ("DIGITDIFF", "Digit Differs", "differ"))
_PARITY = (("DIGITODD", "Digit Odd", "odd"), ("DIGITEVEN", "Digit Even", "even"))
_OVER = (("DIGITOVER", "Digit Over", "over"),)
_UNDER = (("DIGITUNDER", "Digit Under", "under"),)
_MULTIPLY = (("MULTUP", "Up", "up"), ("MULTDOWN", "Down", "down"))
_MULTIPLIER_RANGES: Message = {
    "cancellation_range": list(CANCELLATIONS),
    "multiplier_range": list(multipliers.OFFERED),
}


def _digits(types: tuple[_Type, ...], *digits: int) -> _Category:
    extra: Message = {"last_digit_range": list(digits)} if digits else {}
    return _Category("digits", "Digits", "non_financial", len(digits[:1]), (_TICKS,), types, extra)


_CATEGORIES = (
    _Category("callput", "Up/Down", "euro_atm", 0, (_TICKS, *_TIMES), _RISE),
    _Category("callput", "Up/Down", "euro_non_atm", 1, (_TICKS, *_TIMES), _HIGHER),
    _Category("callputequal", "Rise/Fall Equal", "euro_atm", 0, (_TICKS, *_TIMES), _RISE_EQUALS),
    _digits(_MATCH, *range(10)),
    _digits(_PARITY),
    _digits(_OVER, *range(9)),
    _digits(_UNDER, *range(1, 10)),
    _Category(
        "multiplier", "Multipliers", "american", 0, (_ENDLESS,), _MULTIPLY, _MULTIPLIER_RANGES
    ),
)
_ACCUMULATOR = _Category(
    "accumulator",
    "Accumulators",
    "american",
    2,
    (_ENDLESS,),
    (("ACCU", "Accumulate", "low_vol"),),
    {"growth_rate_range": list(accumulators.MAX_TICKS)},
)


def contracts_for(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `contracts_for`."""
    market, name = session.backend.market, request["contracts_for"]
    require_symbol(market, name)
    symbol = market.symbols[name]
    common = _common(symbol)
    available = [common | offer for offer in _offers(symbol)]
    spot = market.tick(name, epoch).quote
    answer = {"available": available, "hit_count": len(available), "spot": spot}
    return [reply(request, "contracts_for") | {"contracts_for": answer}]


def _common(symbol: Symbol) -> Message:
    group = symbol.group
    return {
        "exchange_name": "FOREX" if group.symbol_type == "forex" else "RANDOM",
        "market": group.market[0],
        "start_type": "spot",
        "submarket": group.submarket[0],
        "underlying_symbol": symbol.name,
    }


def _offers(symbol: Symbol) -> Iterator[Message]:
    also = (_ACCUMULATOR,) if accumulators.is_offered(symbol) else ()
    for category in _CATEGORIES + also:
        # Where ticks share epochs, no contract counts them.
        expiries = [
            each for each in category.expiries if each != _TICKS or not symbol.shares_epochs
        ]
        for (name, display, sentiment), (expiry, shortest, longest) in product(
            category.types, expiries
        ):
            yield category.extra | {
                "barrier_category": category.barrier_category,
                "barriers": category.barriers,
                "contract_category": category.name,
                "contract_category_display": category.display,
                "contract_display": display,
                "contract_type": name,
                "expiry_type": expiry,
                "max_contract_duration": longest,
                "min_contract_duration": shortest,
                "sentiment": sentiment,
            }
