"""The terms of an order, in forms that can be compared. No I/O.

The same amount may be a number in one place and a string in another, and the same contract may be
asked for in several ways.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from derivtrio.api.trades import NO_TERMS
from derivtrio.models import Money

#: No amount has more decimals, in any currency.
_MOST_DECIMALS: Final = 8

#: Units of a duration, in seconds. (Not days: a day ends when the market closes.)
SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


def essence(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what *parameters* ask for, in a form that is equal for equal contracts."""
    terms = {
        name: _plain(name, value)
        for name, value in parameters.items()
        if value is not None and name not in NO_TERMS
    }
    if "underlying_symbol" in terms:
        terms["symbol"] = terms.pop("underlying_symbol")
    unit, duration = str(terms.get("duration_unit")), terms.get("duration")
    if unit in SECONDS and isinstance(duration, Decimal):
        terms |= {"duration": duration * SECONDS[unit], "duration_unit": "s"}
    return terms


def same_amount(one: Money | None, other: Money | None) -> bool:
    """Return whether two amounts are the same, written as numbers or as strings."""
    if one is None or other is None:
        return one is other
    return number(one) == number(other)


def is_less(one: object, other: object) -> bool:
    """Return whether both are numbers, and *one* is the smaller."""
    less, more = number(one), number(other)
    return not isinstance(less, str) and not isinstance(more, str) and less < more


def number(value: Any) -> Decimal | str:
    """Return *value* as a number that compares exactly; as text, if it is not a number.

    A float is taken for the amount that it stands for: 10.000000000000002 for 10.
    """
    if isinstance(value, float):
        value = round(value, _MOST_DECIMALS)
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value))
    except (ArithmeticError, ValueError):  # ValueError: an int of thousands of digits
        return repr(type(value)) if isinstance(value, int) else str(value)
    return amount if amount.is_finite() else str(amount)


def minutes(cancellation: Any) -> Any:
    """Return for how many minutes a deal can be cancelled: 60 for `"60m"` or `"1h"`, 0 for None."""
    text = str(cancellation or "0").lower()
    length, factor = text.rstrip("mh"), 60 if text.endswith("h") else 1
    return int(length) * factor if length.isdecimal() else text


def _plain(name: str, value: Any) -> Any:
    """Return *value* of the member *name* in a form that is equal for equal meanings."""
    if isinstance(value, Mapping):
        return {k: _plain(k, each) for k, each in value.items() if each is not None}
    if name in ("barrier", "barrier2"):  # with a sign it is relative
        return str(value).startswith(("+", "-")), number(value)
    if name == "cancellation":
        return minutes(value)
    return number(value) if isinstance(value, int | float | Decimal) else value
