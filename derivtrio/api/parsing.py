"""What the server says, read into models: single values, ticks and candles. No I/O.

Both generations are read alike: where one has a number the other may have a string. Each function
raises one of `UNREADABLE` for a payload without what it is about, and for a value of a wrong type:
no such value gets into a model. What is read of trades and accounts is in `trades`.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeGuard

from derivtrio.models import LAST_EPOCH, MOST_DECIMALS, Candle, Money, Tick
from derivtrio.wording import shown

#: What comes of reading a payload that is not what it should be. (A Decimal's own complaint about
#: a bad string is an `ArithmeticError`. A number has no `get` and no `split`.)
UNREADABLE: Final = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)

#: Floats below this are exact as whole numbers; no id, no epoch is as large as the other.
_EXACT: Final = 2.0**53
_TOO_LARGE: Final = 2**63


def money(value: Any) -> Money | None:
    """Return an amount as exact as the wire has it; None if there is none."""
    return None if value is None else exact(value)


def exact(value: Any) -> Money:
    """Return an amount that must be there: a finite number, or a string that is one."""
    amount = Decimal(_plain(value)) if isinstance(value, str) else value
    if isinstance(amount, bool) or not isinstance(amount, int | float | Decimal):
        text = f"an amount is a number, not {shown(value)}"
        raise TypeError(text)
    if not math.isfinite(amount):
        text = f"an amount is finite, and {shown(value)} is not"
        raise ValueError(text)
    return amount


def price(value: Any) -> float:
    """Return a price of a tick or candle: a finite number, or a string that is one."""
    number = float(exact(value))
    if not math.isfinite(number):
        text = f"a price is finite, and {shown(value)} is not"
        raise ValueError(text)
    return number


def whole(value: Any) -> int:
    """Return an id, or an epoch in seconds, that must be there."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        text = f"an id or an epoch is a whole number, not {shown(value)}"
        raise TypeError(text)
    if isinstance(value, float) and not (value.is_integer() and abs(value) < _EXACT):
        text = f"an id or an epoch is a whole number, not {shown(value)}"
        raise ValueError(text)
    number = int(_plain(value) if isinstance(value, str) else value)
    if abs(number) >= _TOO_LARGE:
        text = f"an id or an epoch has 64 bits, and {shown(value)} has not"
        raise ValueError(text)
    return number


def ident(value: Any) -> int:
    """Return the id of a contract or a transaction that must be there."""
    number = whole(value)
    if number <= 0:
        text = f"an id is a number above 0, not {number}"
        raise ValueError(text)
    return number


def is_ident(value: object) -> TypeGuard[int]:
    """Return whether *value* can be the id of a contract."""
    return type(value) is int and 0 < value < _TOO_LARGE


def ident_in(value: Any) -> int | None:
    """Return the id of a contract or a transaction; None if *value* cannot be one."""
    try:
        return ident_or_none(value)
    except UNREADABLE:
        return None


def ident_or_none(value: Any) -> int | None:
    """Return the id of a contract or a transaction; None if there is none."""
    return None if value is None else ident(value)


def epoch_of(value: Any) -> int:
    """Return an epoch in seconds that must be there, and that can be asked for."""
    epoch = whole(value)
    if not 0 <= epoch <= LAST_EPOCH:
        text = f"an epoch is a number of seconds up to the year 2286, not {epoch}"
        raise ValueError(text)
    return epoch


def decimals(value: Any) -> int:
    """Return how many decimals a price has: what Deriv calls `pip_size`."""
    number = whole(value)
    if not 0 <= number <= MOST_DECIMALS:
        text = f"a price has up to {MOST_DECIMALS} decimals, not {number}"
        raise ValueError(text)
    return number


def is_epoch(value: object) -> TypeGuard[int]:
    """Return whether *value* is an epoch in seconds, up to the year 2286."""
    return type(value) is int and 0 <= value <= LAST_EPOCH


def flag(value: Any) -> bool:
    """Return a yes or no, which Deriv writes as 1 or 0; no if there is none."""
    if value is None:
        return False
    if isinstance(value, str) or value not in (0, 1):
        text = f"this is 1 or 0, not {shown(value)}"
        raise TypeError(text)
    return bool(value)


def whole_or_none(value: Any) -> int | None:
    """Return an id, or an epoch in seconds; None if there is none."""
    return None if value is None else whole(value)


def text_of(value: Any) -> str:
    """Return *value*, which is a text; "" if there is none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        text = f"this is a text, not {shown(value)}"
        raise TypeError(text)
    return value


def named(value: Any) -> str:
    """Return a text that must be there, such as an id, a currency or a login id."""
    if not isinstance(value, str) or not value:
        text = f"this is a text, not {shown(value)}"
        raise TypeError(text)
    return value


def _plain(number: str) -> str:
    """Return *number* if it is written as Deriv writes numbers; Python reads more than that."""
    if not number.isascii() or "_" in number or number != number.strip():
        text = f"a number has plain digits, and {shown(number)} has not"
        raise ValueError(text)
    return number


def tick_in(payload: Mapping[str, Any], symbol: str) -> Tick:
    """Return a live tick; *symbol* is how its consumer spells the symbol."""
    named_symbol = named(payload.get("symbol", symbol))
    ask, bid = payload.get("ask"), payload.get("bid")
    return Tick(
        symbol if named_symbol.lower() == symbol.lower() else named_symbol,
        epoch_of(payload["epoch"]),
        price(payload["quote"]),
        None if ask is None else price(ask),
        None if bid is None else price(bid),
        decimals(payload.get("pip_size", 0)),
    )


def history_in(reply: Mapping[str, Any], symbol: str) -> list[Tick]:
    """Return the ticks in the reply to `ticks_history`, in the order in which it has them."""
    history = dict(reply.get("history", {}))
    pip_size = decimals(reply.get("pip_size", 0))
    pairs = zip(history.get("times", ()), history.get("prices", ()), strict=True)
    return [Tick(symbol, epoch_of(t), price(p), pip_size=pip_size) for t, p in pairs]


def candle_in(row: Mapping[str, Any], symbol: str, granularity: int, *, closed: bool) -> Candle:
    """Return the candle in *row*: a history's, or a live `ohlc`, whose prices are strings."""
    return Candle(
        symbol,
        granularity,
        epoch_of(row.get("open_time", row["epoch"])),
        epoch_of(row["epoch"]),
        price(row["open"]),
        price(row["high"]),
        price(row["low"]),
        price(row["close"]),
        closed,
    )
