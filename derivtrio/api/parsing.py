"""What the server says about trades, read into models. No I/O.

Both generations are read alike: where one has a number the other may have a string, and a symbol is
called `symbol` or `underlying_symbol`. Each function raises one of `UNREADABLE` for a payload
without what it is about.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from derivtrio.models import (
    ClosedContract,
    Limits,
    Money,
    Position,
    Purchase,
    Sale,
    Transaction,
)

#: What comes of reading a payload that is not what it should be. (A Decimal's own complaint about
#: a bad string is an `ArithmeticError`.)
UNREADABLE: Final = (LookupError, TypeError, ValueError, ArithmeticError)


def money(value: Any) -> Money | None:
    """Return an amount as exact as the wire has it."""
    return Decimal(value) if isinstance(value, str) else value


def exact(value: Any) -> Money:
    """Return an amount that must be there."""
    amount = money(value)
    if isinstance(amount, bool) or not isinstance(amount, int | float | Decimal):
        text = f"an amount is a number, not {value!r}"
        raise TypeError(text)
    return amount


def purchase_in(reply: Mapping[str, Any]) -> Purchase:
    """Return the purchase that the reply to `buy` confirms."""
    payload = reply["buy"]
    return Purchase(
        contract_id=int(payload["contract_id"]),
        transaction_id=int(payload["transaction_id"]),
        buy_price=exact(payload["buy_price"]),
        payout=money(payload.get("payout")),
        balance_after=money(payload.get("balance_after")),
        purchase_time=int(payload["purchase_time"]),
        shortcode=payload.get("shortcode") or "",
        longcode=payload.get("longcode") or "",
    )


def contract_of(reply: Mapping[str, Any] | None) -> int | None:
    """Return which contract the reply to `buy` confirms; None if it confirms none."""
    payload = None if reply is None else reply.get("buy")
    contract_id = payload.get("contract_id") if isinstance(payload, Mapping) else None
    try:
        return None if contract_id is None else int(contract_id)
    except UNREADABLE:
        return None


def sale_in(reply: Mapping[str, Any]) -> Sale:
    """Return the sale that the reply to `sell` or `cancel` confirms."""
    payload = reply["sell"] if "sell" in reply else reply["cancel"]
    return Sale(
        contract_id=int(payload["contract_id"]),
        transaction_id=payload.get("transaction_id"),
        reference_id=payload.get("reference_id"),
        sold_for=exact(payload["sold_for"]),
        balance_after=money(payload.get("balance_after")),
    )


def limits_in(contract_id: int, payload: Mapping[str, Any]) -> Limits:
    """Return the limits in the reply to `contract_update`, or in a contract's `limit_order`.

    A stop loss is asked for as 3 and shown as -3; it is the same loss.
    """
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
        transaction_id=int(row["transaction_id"]),
        action=str(row["action_type"] if "action_type" in row else row["action"]),
        amount=exact(row["amount"]),
        balance_after=money(row["balance_after"] if "balance_after" in row else row.get("balance")),
        transaction_time=int(row["transaction_time"]),
        contract_id=row.get("contract_id"),
        reference_id=row.get("reference_id"),
        payout=money(row.get("payout")),
        shortcode=row.get("shortcode") or "",
        longcode=row.get("longcode") or "",
        raw=row,
    )


def position_in(row: Mapping[str, Any]) -> Position:
    """Return an entry of the portfolio."""
    return Position(
        contract_id=int(row["contract_id"]),
        transaction_id=int(row["transaction_id"]),
        contract_type=row.get("contract_type") or "",
        symbol=row.get("underlying_symbol") or row.get("symbol") or "",
        currency=row.get("currency") or "",
        buy_price=exact(row["buy_price"]),
        payout=money(row.get("payout")),
        purchase_time=int(row["purchase_time"]),
        expiry_time=row.get("expiry_time"),
        shortcode=row.get("shortcode") or "",
        longcode=row.get("longcode") or "",
        raw=row,
    )


def closed_contract_in(row: Mapping[str, Any]) -> ClosedContract:
    """Return a row of the profit table."""
    return ClosedContract(
        contract_id=int(row["contract_id"]),
        transaction_id=int(row["transaction_id"]),
        buy_price=exact(row["buy_price"]),
        sell_price=exact(row["sell_price"]),
        payout=money(row.get("payout")),
        purchase_time=int(row["purchase_time"]),
        sell_time=row.get("sell_time"),
        shortcode=row.get("shortcode") or "",
        longcode=row.get("longcode") or "",
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


def _limit(order: Any) -> Money | None:
    if not isinstance(order, Mapping):
        return None
    amount = order.get("order_amount")
    return money(order.get("display_order_amount") if amount is None else amount)
