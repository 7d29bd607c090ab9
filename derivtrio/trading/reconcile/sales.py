"""Find out whether a contract was sold, or cancelled, by the request in doubt.

A contract ends once. So look at how it ended, when, and for how much, and decide which requests can
have led to that:

1. The contract must have ended in the way that was asked for. `sold` is not `cancelled`, and a
   contract that `won` or `lost` came to its own end. Another status, or none, proves nothing: a
   multiplier that reached one of its limits can have none.
2. It must have ended while the request may have been executed.
3. A lower price than was asked for does not deny a sale. Deriv closes a multiplier at the bid of
   the moment, whatever `price` the sale names, and settles an accumulator that breaches its barrier
   meanwhile at another amount; for these the price proves nothing. Of other contracts it raises a
   doubt, and shows which request it was if another one in doubt asked for less.
4. If another request of this client is known to have ended it, this one has not.
5. "Not sold" needs a contract that is open (or that the account does not have), and a statement
   without a sale of it.
6. If another request in doubt can have ended it as well, it is ambiguous. It is ambiguous, too,
   if it is not known when it ended, or if that was hardly after the request was written.
"""

from collections.abc import Mapping
from typing import Final

import attrs
import trio

from derivtrio.calls.doubts import SALES
from derivtrio.models import Ambiguous, NotSold, OpenContract, Outcome, Sale, Sold, Transaction
from derivtrio.policy.server_clock import SKEW
from derivtrio.trading.reconcile.investigation import Investigation
from derivtrio.trading.reconcile.matching import Order
from derivtrio.trading.reconcile.terms import is_less
from derivtrio.trading.reconcile.timing import CERTAIN_AFTER

#: Types that Deriv closes at its own price, whatever was asked for.
_PRICELESS: Final = ("MULTUP", "MULTDOWN", "ACCU")

#: The status that each call gives to a contract.
_STATUS: Final = {"sell": "sold", "cancel": "cancelled"}


@attrs.frozen
class End:
    """How a contract ended: its status in Deriv's word, its price, and when.

    `limits_hold` says whether a contract of its type is sold for what was asked for, or more.
    """

    status: str | None
    sale: Sale
    sold_epoch: float | None
    limits_hold: bool = False


async def look_for_sale(investigation: Investigation) -> Outcome | None:
    """Return what the contract says of the request; None if it is too early to say."""
    asked_mono = trio.current_time()
    contract = await investigation.contract()
    if contract is None or not contract.is_sold:
        if asked_mono < investigation.timing.end_mono(investigation.call):
            return None
        return await _judge_open(investigation, contract)
    if contract.status in ("won", "lost"):
        return NotSold(f"the contract came to its own end: it is {contract.status}")
    order = investigation.order()
    since = max(order.earliest_epoch, (contract.purchase_time or 0) - SKEW)
    end = _end_of(contract, await _row_of_sale(investigation, since))
    if (why := contradiction(investigation.trade, order, end)) is not None:
        return NotSold(why)
    return _judge(investigation, order, end, asked_mono)


async def _judge_open(investigation: Investigation, contract: OpenContract | None) -> Outcome:
    """Return what became of a request that shows no effect on *contract*, and cannot any more.

    The server's states may lag behind its books. So the statement must not have a sale, either.
    """
    how = "the account has no such contract" if contract is None else "the contract is open"
    order = investigation.order()
    row = await _row_of_sale(investigation, order.earliest_epoch)
    if row is not None and row.transaction_time <= order.latest_epoch:
        but = f"but the statement has its sale: transaction {row.transaction_id}, for {row.amount}"
        return Ambiguous((), f"{how}, {but}")
    return NotSold(f"{how}, {CERTAIN_AFTER} s after the server can have read the request")


def contradiction(name: str, order: Order, end: End) -> str | None:
    """Return why *order*, made by the call *name*, cannot have led to this *end*.

    None: nothing contradicts it.
    """
    if end.status in _STATUS.values() and end.status != _STATUS[name]:
        return f"the contract is {end.status}, and that was not asked for"
    sold_epoch = end.sold_epoch
    if sold_epoch is not None and not order.earliest_epoch <= sold_epoch <= order.latest_epoch:
        return f"the contract was sold at another time: {sold_epoch}"
    return None


def _is_too_cheap(order: Order, end: End) -> bool:
    return end.limits_hold and is_less(end.sale.sold_for, order.price)


def _judge(
    investigation: Investigation, order: Order, end: End, asked_mono: float
) -> Outcome | None:
    """Return the outcome of a request that nothing contradicts; None if it is too early to say."""
    contract_id, mine = investigation.contract_id, investigation.call or investigation.unknown
    rivals = [
        call for call in investigation.rivals(*SALES) if call.request[call.name] == contract_id
    ]
    if investigation.trades.is_known(contract_id, "sold", other_than=mine):
        return NotSold(f"another request of this client has ended it: it is {end.status}")
    for call in rivals:
        investigation.timing.note_read(call, asked_mono)
    orders = {call: investigation.order_of(call) for call in rivals}
    fit = [call for call in rivals if contradiction(call.name, orders[call], end) is None]
    if any(asked_mono < investigation.timing.quiet_mono(call) for call in fit):
        return None  # a rival may still be answered, and then it is known which of them it was
    how, rivals = _how(order, end), [c for c in fit if not _is_too_cheap(orders[c], end)]
    if rivals and _is_too_cheap(order, end):
        return NotSold(f"{how}; another request in doubt asked for less")
    if (why := _doubt(investigation, order, end, len(rivals))) is not None:
        return Ambiguous((), f"{how}; {why}")
    investigation.trades.know(contract_id, "sold", investigation.call)
    return Sold(end.sale, how)


def _doubt(investigation: Investigation, order: Order, end: End, rivals: int) -> str | None:
    """Return why it is not certain that the request led to this *end*; None if it is."""
    if end.status != (asked := _STATUS[investigation.trade]):
        return f"the server does not say that it was {asked} on request"
    if rivals:
        return f"{rivals + 1} requests in doubt asked for that"
    if (caveat := investigation.caveat()) is not None:
        return caveat
    if _is_too_cheap(order, end):
        return "no request in doubt asked for so little"
    if end.sold_epoch is None or end.sold_epoch < order.written_epoch:
        return "that may have been before the request was written"
    return None


def _how(order: Order, end: End) -> str:
    how = f"the contract is {end.status or 'over'}, since {end.sold_epoch}"
    if is_less(end.sale.sold_for, order.price):
        how += f", for {end.sale.sold_for}, and the order asked for at least {order.price}"
    return how


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
        transaction_id=_id_in(ids, "sell") if row is None else row.transaction_id,
        reference_id=_id_in(ids, "buy") if row is None else row.reference_id,
        sold_for=contract.sell_price if row is None else row.amount,
        balance_after=None if row is None else row.balance_after,
    )
    sold_epoch = contract.sell_time if row is None else row.transaction_time
    kind = contract.contract_type or contract.shortcode.partition("_")[0]
    limits_hold = kind != "" and kind not in _PRICELESS
    return End(contract.status, sale, sold_epoch, limits_hold)


def _id_in(ids: Mapping[str, object], name: str) -> int | None:
    number = ids.get(name)
    return number if isinstance(number, int) else None
