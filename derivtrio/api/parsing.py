"""What the server says, read into models. No I/O.

Both generations are read alike: where one has a number the other may have a string, and a symbol is
called `symbol` or `underlying_symbol`. Each function raises one of `UNREADABLE` for a payload
without what it is about, and for a value of a wrong type: no such value gets into a model.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeGuard

from derivtrio.api.underlying import symbol_of
from derivtrio.models import (
    LAST_EPOCH,
    MOST_DECIMALS,
    ClosedContract,
    Limits,
    Money,
    Position,
    Purchase,
    Sale,
    Tick,
    Transaction,
)

#: What comes of reading a payload that is not what it should be. (A Decimal's own complaint about
#: a bad string is an `ArithmeticError`.)
UNREADABLE: Final = (LookupError, TypeError, ValueError, ArithmeticError)

#: Floats below this are exact as whole numbers; no id, no epoch is as large as the other.
_EXACT: Final = 2.0**53
_TOO_LARGE: Final = 2**63

#: How much is shown of a value that cannot be read.
_LONGEST_SHOWN: Final = 60


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


def shown(value: Any) -> str:
    """Return how an error shows *value*: at most a line, however large or deep it is."""
    if isinstance(value, int) and abs(value) >= _TOO_LARGE:
        return "a larger number"  # Python limits how long its text may be
    if value is None or isinstance(value, (bool, int, float, Decimal, str)):
        text = repr(value)
        return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    return f"a {type(value).__name__}"


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


def purchase_in(reply: Mapping[str, Any]) -> Purchase:
    """Return the purchase that the reply to `buy` confirms."""
    payload = reply["buy"]
    return Purchase(
        contract_id=ident(payload["contract_id"]),
        transaction_id=ident(payload["transaction_id"]),
        buy_price=exact(payload["buy_price"]),
        payout=money(payload.get("payout")),
        balance_after=money(payload.get("balance_after")),
        purchase_time=whole(payload["purchase_time"]),
        shortcode=text_of(payload.get("shortcode")),
        longcode=text_of(payload.get("longcode")),
    )


def contract_of(reply: Mapping[str, Any] | None, name: str = "buy") -> int | None:
    """Return which contract the reply to the call *name* confirms; None if it confirms none."""
    payload = None if reply is None else reply.get(name)
    return ident_in(payload.get("contract_id")) if isinstance(payload, Mapping) else None


def sale_in(reply: Mapping[str, Any], contract_id: int | None = None) -> Sale:
    """Return the sale that the reply to `sell` or `cancel` confirms; of *contract_id*, if given."""
    payload = reply["sell"] if "sell" in reply else reply["cancel"]
    sold = ident(payload["contract_id"])
    if contract_id is not None and sold != contract_id:
        text = f"it is about contract {sold}, not {contract_id}"
        raise ValueError(text)
    return Sale(
        contract_id=sold,
        transaction_id=ident_or_none(payload.get("transaction_id")),
        reference_id=ident_or_none(payload.get("reference_id")),
        sold_for=exact(payload["sold_for"]),
        balance_after=money(payload.get("balance_after")),
    )


def limits_in(contract_id: int, payload: Mapping[str, Any]) -> Limits:
    """Return the limits in the reply to `contract_update`, or in a contract's `limit_order`.

    A stop loss is asked for as 3 and shown as -3; it is the same loss.
    """
    if not isinstance(payload, Mapping):
        text = f"limits are an object, not {shown(payload)}"
        raise TypeError(text)
    loss = _limit(payload.get("stop_loss"))
    return Limits(
        contract_id=contract_id,
        take_profit=_limit(payload.get("take_profit")),
        stop_loss=-loss if loss is not None and loss < 0 else loss,
        raw=payload,
    )


def transaction_in(row: Mapping[str, Any]) -> Transaction:
    """Return a row of the statement, or a message of the `transaction` stream."""
    return Transaction(
        transaction_id=whole(row["transaction_id"]),
        action=named(row["action_type"] if "action_type" in row else row["action"]),
        amount=exact(row["amount"]),
        balance_after=money(row["balance_after"] if "balance_after" in row else row.get("balance")),
        transaction_time=whole(row["transaction_time"]),
        contract_id=ident_or_none(row.get("contract_id")),
        reference_id=ident_or_none(row.get("reference_id")),
        symbol=symbol_of(row),
        payout=money(row.get("payout")),
        shortcode=text_of(row.get("shortcode")),
        longcode=text_of(row.get("longcode")),
        raw=row,
    )


def position_in(row: Mapping[str, Any]) -> Position:
    """Return an entry of the portfolio."""
    return Position(
        contract_id=ident(row["contract_id"]),
        transaction_id=ident(row["transaction_id"]),
        contract_type=text_of(row.get("contract_type")),
        symbol=symbol_of(row),
        currency=text_of(row.get("currency")),
        buy_price=exact(row["buy_price"]),
        payout=money(row.get("payout")),
        purchase_time=whole(row["purchase_time"]),
        expiry_time=whole_or_none(row.get("expiry_time")),
        shortcode=text_of(row.get("shortcode")),
        longcode=text_of(row.get("longcode")),
        raw=row,
    )


def closed_contract_in(row: Mapping[str, Any]) -> ClosedContract:
    """Return a row of the profit table."""
    return ClosedContract(
        transaction_id=ident(row["transaction_id"]),
        contract_id=ident_or_none(row.get("contract_id")),
        symbol=symbol_of(row),
        buy_price=exact(row["buy_price"]),
        sell_price=exact(row["sell_price"]),
        payout=money(row.get("payout")),
        purchase_time=whole(row["purchase_time"]),
        sell_time=whole_or_none(row.get("sell_time")),
        shortcode=text_of(row.get("shortcode")),
        longcode=text_of(row.get("longcode")),
        raw=row,
    )


def purchase_from(row: Transaction | Position | ClosedContract) -> Purchase:
    """Return the purchase that a row of one of the account's lists tells of."""
    contract_id = row.contract_id
    if contract_id is None:
        text = "the row is about no contract"
        raise ValueError(text)
    if isinstance(row, Transaction):
        price, balance, time = -row.amount, row.balance_after, row.transaction_time
    else:
        price, balance, time = row.buy_price, None, row.purchase_time
    return Purchase(
        contract_id=contract_id,
        transaction_id=row.transaction_id,
        buy_price=price,
        payout=row.payout,
        balance_after=balance,
        purchase_time=time,
        shortcode=row.shortcode,
        longcode=row.longcode,
    )


def _plain(number: str) -> str:
    """Return *number* if it is written as Deriv writes numbers; Python reads more than that."""
    if not number.isascii() or "_" in number or number != number.strip():
        text = f"a number has plain digits, and {shown(number)} has not"
        raise ValueError(text)
    return number


def _limit(order: Any) -> Money | None:
    if not isinstance(order, Mapping):
        return None
    amount = order.get("order_amount")
    return money(order.get("display_order_amount") if amount is None else amount)
