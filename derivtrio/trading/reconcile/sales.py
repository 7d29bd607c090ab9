"""Find out whether a contract was sold, or cancelled, by the request in doubt.

A contract ends once. So it is enough to know how it ended, when, and for how much, and which of the
requests for its end can have led to that:

1. The end must be what was asked for: `sold` is not `cancelled`, and `won` or `lost` is neither.
2. It must lie in the time when the request may have been executed, and bring what was asked for.
3. If another request of this client is known to have brought it about, this one has not.
4. If another one in doubt can have brought it about as well, it cannot be told which has.
"""

from collections.abc import Mapping
from typing import Final

import attrs
import trio

from derivtrio.calls.doubts import SALES
from derivtrio.models import Ambiguous, NotSold, OpenContract, Outcome, Sale, Sold, Transaction
from derivtrio.trading.reconcile.investigation import CERTAIN_AFTER, Investigation
from derivtrio.trading.reconcile.matching import Order
from derivtrio.trading.reconcile.shortcodes import number

#: What becomes of a contract by each call.
_STATUS: Final = {"sell": "sold", "cancel": "cancelled"}


@attrs.frozen
class End:
    """How a contract ended: its status in Deriv's word, what it brought, and when."""

    status: str | None
    sale: Sale
    sold_on: float | None


async def look_for_sale(investigation: Investigation) -> Outcome | None:
    """Return what the contract says of the request; None if that is not certain yet."""
    asked = trio.current_time()
    contract = await investigation.contract()
    if contract is None or not contract.is_sold:
        if asked < investigation.end_of(investigation.call):
            return None
        how = "the account has no such contract" if contract is None else "the contract is open"
        return NotSold(f"{how}, {CERTAIN_AFTER} s after the server can have read the request")
    if contract.status in ("won", "lost"):
        return NotSold(f"the contract came to its own end: it is {contract.status}")
    order = investigation.order()
    end = _end_of(contract, await _row_of_sale(investigation, order.earliest))
    if (why := contradiction(investigation.trade, order, end)) is not None:
        return NotSold(why)
    return _judged(investigation, end, asked)


def contradiction(name: str, order: Order, end: End) -> str | None:
    """Return why *order*, a `sell` or `cancel` as *name* says, cannot have led to this *end*."""
    if end.status in _STATUS.values() and end.status != _STATUS[name]:
        return f"the contract is {end.status}, and that was not asked for"
    if end.sold_on is None or not order.earliest <= end.sold_on <= order.latest:
        return f"the contract was sold at another time: {end.sold_on}"
    price, sold_for = order.price, end.sale.sold_for
    if price is not None and sold_for is not None and _is_less(sold_for, price):
        return f"the contract was sold for {sold_for}, and the least was to be {price}"
    return None


def _judged(investigation: Investigation, end: End, asked: float) -> Outcome | None:
    """Return the verdict on a request that nothing contradicts."""
    contract_id, mine = investigation.contract_id, investigation.call or investigation.unknown
    rivals = [
        call for call in investigation.rivals(*SALES) if call.request[call.name] == contract_id
    ]
    if investigation.trades.is_known(contract_id, "sold", other_than=mine):
        return NotSold(f"another request of this client has ended it: it is {end.status}")
    for call in rivals:
        investigation.note_read(call, asked)
    fit = [c for c in rivals if contradiction(c.name, investigation.order_of(c), end) is None]
    if any(asked < investigation.quiet_after(call) for call in fit):  # it may yet be answered
        return None
    how = f"the contract is {end.status}, since {end.sold_on}"
    if fit:
        return Ambiguous((), f"{how}; {len(fit) + 1} requests in doubt asked for that")
    if (reserve := investigation.reserve()) is not None:
        return Ambiguous((), f"{how}; {reserve}")
    investigation.trades.know(contract_id, "sold", investigation.call)
    return Sold(end.sale, how)


async def _row_of_sale(investigation: Investigation, since: float) -> Transaction | None:
    async for row in investigation.statement("sell", since):
        if row.contract_id == investigation.contract_id:
            return row
    return None


def _end_of(contract: OpenContract, row: Transaction | None) -> End:
    ids = contract.raw.get("transaction_ids")
    ids = ids if isinstance(ids, Mapping) else {}
    sale = Sale(
        contract_id=contract.contract_id,
        transaction_id=ids.get("sell") if row is None else row.transaction_id,
        reference_id=ids.get("buy") if row is None else row.reference_id,
        sold_for=contract.sell_price if row is None else row.amount,
        balance_after=None if row is None else row.balance_after,
    )
    sold_on = contract.raw.get("sell_time") if row is None else row.transaction_time
    return End(contract.status, sale, sold_on)


def _is_less(one: object, other: object) -> bool:
    less, more = number(one), number(other)
    return not isinstance(less, str) and not isinstance(more, str) and less < more
