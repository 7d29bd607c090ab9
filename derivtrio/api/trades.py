"""What the server says of trades and contracts, read into models. No I/O.

A symbol is called `symbol` or `underlying_symbol`. As in `parsing`, whose values these are, each
function raises one of `UNREADABLE` for what cannot be read.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from derivtrio.api.parsing import (
    epoch_of,
    exact,
    flag,
    ident,
    ident_in,
    ident_or_none,
    money,
    named,
    text_of,
    whole,
    whole_or_none,
)
from derivtrio.api.underlying import symbol_of
from derivtrio.models import (
    ClosedContract,
    Limits,
    Money,
    OpenContract,
    Position,
    Purchase,
    Sale,
    Transaction,
)
from derivtrio.wording import shown

#: Members of a request for a proposal that do not describe the contract.
NO_TERMS: Final = frozenset({"loginid", "passthrough", "proposal", "req_id", "subscribe"})

_PRICES: Final = "buy_price bid_price sell_price payout profit current_spot".split()


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
        stop_loss=_negated(loss) if loss is not None and loss < 0 else loss,
        raw=payload,
    )


def transaction_in(row: Mapping[str, Any]) -> Transaction:
    """Return a row of the statement, or a message of the `transaction` stream."""
    return Transaction(
        transaction_id=whole(row["transaction_id"]),
        action=named(row["action_type"] if "action_type" in row else row["action"]),
        amount=exact(row["amount"]),
        balance_after=money(row["balance_after"] if "balance_after" in row else row.get("balance")),
        transaction_time=epoch_of(row["transaction_time"]),
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
        transaction_id=ident(row["transaction_id"]),  # first: what is no object fails here
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
        price, balance, time = _negated(row.amount), row.balance_after, row.transaction_time
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


def contract_in(payload: Mapping[str, Any]) -> OpenContract:
    """Return the contract in *payload*, as either generation names its members."""
    contract_id = ident(payload["contract_id"])
    limits = payload.get("limit_order")
    return OpenContract(
        contract_id=contract_id,
        contract_type=text_of(payload.get("contract_type")),
        symbol=symbol_of(payload),
        status=text_of(payload.get("status")) or None,
        is_expired=flag(payload.get("is_expired")),
        is_sold=flag(payload.get("is_sold")),
        currency=text_of(payload.get("currency")),
        **{price: money(payload.get(price)) for price in _PRICES},
        entry_spot=_spot(payload, "entry"),
        exit_spot=_spot(payload, "exit"),
        barrier=_barrier(payload.get("barrier")),
        purchase_time=whole_or_none(payload.get("purchase_time")),
        date_expiry=whole_or_none(payload.get("date_expiry")),
        sell_time=whole_or_none(payload.get("sell_time")),
        is_valid_to_sell=flag(payload.get("is_valid_to_sell")),
        limit_order=limits if isinstance(limits, Mapping) else None,
        shortcode=text_of(payload.get("shortcode")),
        longcode=text_of(payload.get("longcode")),
        raw=payload,
    )


def _negated(amount: Money) -> Money:
    """Return -*amount*; exactly, whatever precision the program has set for its own sums."""
    return amount.copy_negate() if isinstance(amount, Decimal) else -amount


def _limit(order: Any) -> Money | None:
    if not isinstance(order, Mapping):
        return None
    amount = order.get("order_amount")
    return money(order.get("display_order_amount") if amount is None else amount)


def _barrier(value: Any) -> str | None:
    """Return a barrier as text, also where a server writes it as a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(exact(value))
    return text_of(value) or None


def _spot(payload: Mapping[str, Any], which: str) -> Money | None:
    """Return the price at the entry or the exit: a `spot` in new payloads, a `tick` in old ones."""
    spot = payload.get(f"{which}_spot")
    return money(payload.get(f"{which}_tick") if spot is None else spot)
