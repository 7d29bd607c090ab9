"""Find out whether a contract was sold, or cancelled, by the request in doubt.

A contract ends once. So look at how it ended, when, and for how much, and decide which requests can
have led to that:

1. The contract must have ended in the way that was asked for. `sold` is not `cancelled`, and a
   contract that `won` or `lost` came to its own end.
2. It must have ended while the request may have been executed, and for a price that was allowed.
3. If another request of this client is known to have ended it, this one has not.
4. If another request in doubt can have ended it as well, it is ambiguous.
"""

from collections.abc import Mapping
from typing import Final

import attrs
import trio

from derivtrio.calls.doubts import SALES
from derivtrio.models import Ambiguous, NotSold, OpenContract, Outcome, Sale, Sold, Transaction
from derivtrio.trading.reconcile.investigation import Investigation
from derivtrio.trading.reconcile.matching import Order
from derivtrio.trading.reconcile.shortcodes import number
from derivtrio.trading.reconcile.timing import CERTAIN_AFTER

#: The status that each call gives to a contract.
_STATUS: Final = {"sell": "sold", "cancel": "cancelled"}


@attrs.frozen
class End:
    """How a contract ended: its status in Deriv's word, its price, and when."""

    status: str | None
    sale: Sale
    sold_epoch: float | None


async def look_for_sale(investigation: Investigation) -> Outcome | None:
    """Return what the contract says of the request; None if it is too early to say."""
    asked_mono = trio.current_time()
    contract = await investigation.contract()
    if contract is None or not contract.is_sold:
        if asked_mono < investigation.timing.end_mono(investigation.call):
            return None
        how = "the account has no such contract" if contract is None else "the contract is open"
        return NotSold(f"{how}, {CERTAIN_AFTER} s after the server can have read the request")
    if contract.status in ("won", "lost"):
        return NotSold(f"the contract came to its own end: it is {contract.status}")
    order = investigation.order()
    end = _end_of(contract, await _row_of_sale(investigation, order.earliest_epoch))
    if (why := contradiction(investigation.trade, order, end)) is not None:
        return NotSold(why)
    return _judge(investigation, end, asked_mono)


def contradiction(name: str, order: Order, end: End) -> str | None:
    """Return why *order*, made by the call *name*, cannot have led to this *end*.

    None: nothing contradicts it.
    """
    if end.status in _STATUS.values() and end.status != _STATUS[name]:
        return f"the contract is {end.status}, and that was not asked for"
    if end.sold_epoch is None or not order.earliest_epoch <= end.sold_epoch <= order.latest_epoch:
        return f"the contract was sold at another time: {end.sold_epoch}"
    price, sold_for = order.price, end.sale.sold_for
    if price is not None and sold_for is not None and _is_less(sold_for, price):
        return f"the contract was sold for {sold_for}, and the order asked for at least {price}"
    return None


def _judge(investigation: Investigation, end: End, asked_mono: float) -> Outcome | None:
    """Return the outcome of a request that nothing contradicts; None if it is too early to say."""
    contract_id, mine = investigation.contract_id, investigation.call or investigation.unknown
    rivals = [
        call for call in investigation.rivals(*SALES) if call.request[call.name] == contract_id
    ]
    if investigation.trades.is_known(contract_id, "sold", other_than=mine):
        return NotSold(f"another request of this client has ended it: it is {end.status}")
    for call in rivals:
        investigation.timing.note_read(call, asked_mono)
    fit = [c for c in rivals if contradiction(c.name, investigation.order_of(c), end) is None]
    if any(asked_mono < investigation.timing.quiet_mono(call) for call in fit):
        return None  # a rival may still be answered, and then it is known which of them it was
    how = f"the contract is {end.status}, since {end.sold_epoch}"
    if fit:
        return Ambiguous((), f"{how}; {len(fit) + 1} requests in doubt asked for that")
    if (caveat := investigation.caveat()) is not None:
        return Ambiguous((), f"{how}; {caveat}")
    investigation.trades.know(contract_id, "sold", investigation.call)
    return Sold(end.sale, how)


async def _row_of_sale(investigation: Investigation, since_epoch: float) -> Transaction | None:
    async for row in investigation.statement("sell", since_epoch):
        if row.contract_id == investigation.contract_id:
            return row
    return None


def _end_of(contract: OpenContract, row: Transaction | None) -> End:
    """Return how *contract* ended, by the *row* of the statement, or else by its own payload."""
    ids = contract.raw.get("transaction_ids")
    ids = ids if isinstance(ids, Mapping) else {}
    sale = Sale(
        contract_id=contract.contract_id,
        transaction_id=ids.get("sell") if row is None else row.transaction_id,
        reference_id=ids.get("buy") if row is None else row.reference_id,
        sold_for=contract.sell_price if row is None else row.amount,
        balance_after=None if row is None else row.balance_after,
    )
    sold_epoch = contract.raw.get("sell_time") if row is None else row.transaction_time
    return End(contract.status, sale, sold_epoch)


def _is_less(one: object, other: object) -> bool:
    less, more = number(one), number(other)
    return not isinstance(less, str) and not isinstance(more, str) and less < more
