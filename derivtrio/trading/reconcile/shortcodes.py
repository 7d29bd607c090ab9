"""What a shortcode says about a contract, compared with what was asked for. No I/O.

Deriv writes the terms of a contract into one word, differently for each family:

    CALL_R_100_19.53_1718717545_1718718145_S0P_0            payout, start, end, barrier
    CALL_R_100_19.53_1718717545_5T_S30P_0                   the same, for 5 ticks
    CALL_R_100_19.53_1718717545_1718718145F_S0P_0           the same, with a fixed end
    CALL_R_100_19.53_1718717545F_1718718145_S0P_0           the same, starting later
    EXPIRYMISS_R_100_10_1718717545_1718718145_S94P_S-94P    the same, with two barriers
    TICKHIGH_R_50_100_1718717545_5t_1                       payout, start, ticks, selected tick
    MULTUP_R_100_10.00_30_1718717545_4872355199_60m_6.00    stake, multiplier, start, end,
                                                            deal cancellation, take profit
    ACCU_R_100_10.00_0_0.01_1_0.000612552024_1718716983     stake, …, growth rate, …, start

A term that a shortcode does not have, such as a stop loss, contradicts nothing. Neither does a
shortcode that is written in another way.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from derivtrio.trading.reconcile.terms import SECONDS, minutes, number

_DAY: Final = 86400

#: Types of the Options API that are another type with a barrier; the server may book that one.
_BOOKED_AS: Final = {"HIGHER": "CALL", "LOWER": "PUT"}

#: Types whose barrier is the entry spot unless another one is asked for.
_RISE_FALL: Final = frozenset({"CALL", "CALLE", "PUT", "PUTE"})

# The part of a shortcode after type and symbol, by family.
_OPTION: Final = re.compile(
    r"[\d.]+_(?P<start>\d{1,12})F?_(?P<end>\d{1,12})(?P<unit>[TtF]?)"
    r"(_S?(?P<barrier>-?\d+)P?(?=_|$)(_(?P<barrier2>S-?\d+P|-?\d+)(?=_|$))?)?"
)
_TICK: Final = re.compile(r"[\d.]+_\d+_(?P<ticks>\d+)[Tt](_(?P<selected_tick>\d+))?(_|$)")
_MULTIPLIER: Final = re.compile(
    r"(?P<stake>[\d.]+)_(?P<multiplier>[\d.]+)_\d{9,}(_\d{9,})?"
    r"(_(?P<cancellation>\d{1,6}[mh]?))?_(?P<take_profit>\d{1,8}(\.\d+)?)(_|$)"
)
_ACCUMULATOR: Final = re.compile(r"(?P<stake>[\d.]+)_[\d.]+_(?P<growth_rate>[\d.]+)_")


def rest_of(shortcode: str, wanted: Mapping[str, Any]) -> str | None:
    """Return the part of *shortcode* after type and symbol; "" for an empty shortcode.

    Return None if *wanted*, the parameters of a contract, has another type or symbol.
    """
    if not shortcode:
        return ""
    kind = _kind_of(wanted)
    symbol = str(wanted.get("underlying_symbol") or wanted.get("symbol", ""))
    for name in (kind, _BOOKED_AS.get(kind, kind)):
        start = f"{name}_{symbol}_".upper()
        if shortcode.upper().startswith(start):
            return shortcode[len(start) :]
    return None


def agrees(wanted: Mapping[str, Any], rest: str) -> bool:
    """Return whether nothing in the *rest* of a shortcode contradicts *wanted*."""
    return _FAMILIES.get(_kind_of(wanted), _option_agrees)(wanted, rest)


def _kind_of(wanted: Mapping[str, Any]) -> str:
    return str(wanted.get("contract_type", "")).upper()


def _says(wanted: Mapping[str, Any], name: str, shown: str) -> bool:
    """Return whether *shown* is the value of *name* in *wanted*, if that has one."""
    return wanted.get(name) is None or number(wanted[name]) == number(shown)


def _multiplier_agrees(wanted: Mapping[str, Any], rest: str) -> bool:
    terms = _MULTIPLIER.match(rest)
    if terms is None:
        return True
    limits = wanted.get("limit_order")
    take_profit = limits.get("take_profit") if isinstance(limits, Mapping) else None
    return (
        _says(wanted, "amount", terms["stake"])
        and _says(wanted, "multiplier", terms["multiplier"])
        and _insured(wanted.get("cancellation"), terms["cancellation"])
        and number(take_profit or 0) == number(terms["take_profit"])
    )


def _insured(cancellation: Any, shown: str | None) -> bool:
    return shown is None or minutes(cancellation) == minutes(shown)


def _accumulator_agrees(wanted: Mapping[str, Any], rest: str) -> bool:
    terms = _ACCUMULATOR.match(rest)
    return terms is None or (
        _says(wanted, "amount", terms["stake"])
        and _says(wanted, "growth_rate", terms["growth_rate"])
    )


def _option_agrees(wanted: Mapping[str, Any], rest: str) -> bool:
    terms = _OPTION.match(rest)
    return terms is None or (
        _lasts(wanted, terms)
        and _says(wanted, "date_start", terms["start"])
        and _ends(wanted.get("date_expiry"), terms)
        and _has_barriers(wanted, terms["barrier"], terms["barrier2"])
    )


def _tick_agrees(wanted: Mapping[str, Any], rest: str) -> bool:
    """Return the same for a contract on one tick of several, the highest or the lowest."""
    terms = _TICK.match(rest)
    return terms is None or (
        _says(wanted, "duration", terms["ticks"])
        and wanted.get("duration_unit") in (None, "t")
        and (
            terms["selected_tick"] is None or _says(wanted, "selected_tick", terms["selected_tick"])
        )
    )


def _lasts(wanted: Mapping[str, Any], terms: re.Match[str]) -> bool:
    """Return whether a contract with these *terms* lasts as long as *wanted* says."""
    duration, unit = wanted.get("duration"), wanted.get("duration_unit")
    if duration is None or unit is None:
        return True
    if (terms["unit"] in ("T", "t")) != (unit == "t"):
        return False
    if unit == "t":
        return number(duration) == int(terms["end"])
    seconds = int(terms["end"]) - int(terms["start"])
    length = SECONDS.get(str(unit))
    return length is None or number(duration) == Decimal(seconds) / length


def _ends(date_expiry: Any, terms: re.Match[str]) -> bool:
    """Return whether a contract with these *terms* ends at *date_expiry*, if that is given.

    An `F` at the end marks a contract whose end was given, not its duration. One that ends on a
    later day than it starts ends when the market closes on that day, whatever time was given.
    """
    if date_expiry is None:
        return True
    start, end = int(terms["start"]), int(terms["end"])
    ends_later = terms["unit"] == "F" and start // _DAY != end // _DAY
    if ends_later and isinstance(date_expiry, int):
        return date_expiry // _DAY == end // _DAY
    return terms["unit"] not in ("T", "t") and number(date_expiry) == end


def _has_barriers(wanted: Mapping[str, Any], shown: str | None, second: str | None) -> bool:
    """Return whether the barriers of *wanted* are those in a shortcode.

    Of two, either may be named first: the pair is the contract.
    """
    asked = [wanted.get(name) for name in ("barrier", "barrier2")]
    if asked[0] is None and _kind_of(wanted) in _RISE_FALL:
        asked[0] = "+0"
    if None in asked or not shown or not second:
        return asked[0] is None or not shown or _digits(asked[0]) == _digits(shown)
    return sorted(map(_digits, asked)) == sorted(map(_digits, (shown, second)))


def _digits(barrier: Any) -> tuple[bool, str]:
    """Return sign and digits: "+0.30" is 30 pips in a shortcode, and 1185.12 is 1185120000."""
    text = str(barrier).removeprefix("S").removesuffix("P")
    digits = text.lstrip("+-").replace(".", "").strip("0")
    return text.startswith("-") and digits != "", digits


_FAMILIES: Final[Mapping[str, Callable[[Mapping[str, Any], str], bool]]] = {
    "MULTUP": _multiplier_agrees,
    "MULTDOWN": _multiplier_agrees,
    "ACCU": _accumulator_agrees,
    "TICKHIGH": _tick_agrees,
    "TICKLOW": _tick_agrees,
}
