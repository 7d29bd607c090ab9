"""Which of the account's purchases belongs to the order in doubt? Decided from data; no I/O.

Deriv takes no order number from the client. So a purchase whose reply was lost must be recognized
by its properties. The rules:

1. A purchase *fits* an order if it was made in the order's window of time, and has the order's type
   and symbol in its shortcode. It fits *fully* if no other detail (price, stake, payout, whatever
   else the shortcode says) contradicts the order; otherwise it fits *partly*, or in everything *but
   for the price*. A detail that a row does not have contradicts nothing.
2. A purchase that this client knows to belong to a certain order is not a candidate for another.
   The caller leaves these out.
3. Orders in doubt that fit the same purchases are decided together. Distribute the purchases among
   them: at most one to each order, and to as many orders as possible.
4. If an order gets the same purchase in every such distribution, it was executed and that is its
   purchase. If nothing fits an order, it was not executed. If all the orders are equal, and each
   gets some purchase in every distribution, it makes no difference which gets which; then they get
   theirs all at once, so that no two get the same. In all other cases the order is ambiguous:
   there are fewer purchases than equal orders, or more purchases than this client's orders explain.
5. A purchase that fits only partly proves nothing. But unless it fits another order fully, it is
   wrong to say "not bought".
6. A price that differs proves nothing, either: the server books an order of a certain stake at its
   own price. If nothing but the price is higher than the order allows, it is wrong to say "not
   bought"; and another order that the purchase fits fully has not certainly led to it.
7. Neither does a time shortly before the order was written, because the server's clocks may differ
   by some seconds. But it is wrong to say "bought": somebody else may have been faster.

The window is in the server's time. It begins when the request was written (a little earlier,
because clocks differ), and ends when the server can no longer execute it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any

import attrs

from derivtrio.models import Money, Purchase
from derivtrio.trading.reconcile.shortcodes import agrees, rest_of
from derivtrio.trading.reconcile.terms import essence, is_less, number


@attrs.frozen(eq=False, repr=False)
class Order:
    """A purchase that was asked for.

    Attributes:
        parameters: the contract, as `proposal` and `buy` take it; None if that is not known.
        price: the most that it may cost.
        earliest_epoch, latest_epoch: the window in which it may have been executed.
        written_epoch: when it was written, as well as that is known; inside the window.

    """

    parameters: Mapping[str, Any] | None
    price: Money | None
    earliest_epoch: float
    latest_epoch: float
    written_epoch: float = -math.inf

    def equals(self, other: "Order") -> bool:
        """Return whether both ask for the same contract, so that they could swap purchases."""
        if self.parameters is None or other.parameters is None:
            return False
        return essence(self.parameters) == essence(other.parameters)


@attrs.frozen
class Finding:
    """What the purchases say about an order.

    Attributes:
        purchase: the purchase that the order led to, if that is certain.
        candidates: the purchases that it may have led to; empty if it was not executed.
        rivals: the other orders that the candidates may belong to.
        shares: what the rivals led to, if they are decided together with this order.

    """

    purchase: Purchase | None
    candidates: tuple[Purchase, ...]
    rivals: tuple[Order, ...]
    shares: Mapping[Order, Purchase] = attrs.field(factory=dict)


class Fit(Enum):
    """How well a purchase fits an order."""

    NOT = 0
    PARTLY = 1
    BUT_FOR_PRICE = 2
    FULLY = 3


def decide(order: Order, others: Iterable[Order], purchases: Iterable[Purchase]) -> Finding:
    """Return what *purchases* say about *order*, while the orders *others* are in doubt as well.

    *purchases* are those that are not known to belong to a certain order (rule 2).
    """
    others, purchases = list(others), list(purchases)
    if not any(fit_of(order, purchase) is Fit.FULLY for purchase in purchases):
        return _doubtful(order, others, purchases)
    orders, rows = _connected(order, others, purchases)
    rivals = tuple(each for each in orders if each is not order)
    # The others whose price alone is too low for one of the rows (rule 6).
    cheaper = tuple(o for o in others if any(fit_of(o, p) is Fit.BUT_FOR_PRICE for p in rows))
    distribution = _distribute(orders, rows)
    most = len(distribution)
    # *order* gets *row* in some distribution if, without both, one pair fewer can be made.
    possible = [
        row
        for row in rows
        if fit_of(order, row) is Fit.FULLY
        and len(_distribute(rivals, [each for each in rows if each is not row])) == most - 1
    ]
    # An order is served in every distribution if, without it, fewer pairs can be made.
    served = [o for o in orders if len(_distribute([p for p in orders if p is not o], rows)) < most]
    equal = all(each.equals(order) for each in rivals)
    if cheaper:
        return Finding(None, tuple(possible), (*rivals, *cheaper))  # rule 6
    if most == len(rows) and order in served and (len(possible) == 1 or equal):
        others = [each for each in served if each is not order and len(possible) > 1]
        found = {each: distribution[each] for each in (order, *others)}
        certain = {o: p for o, p in found.items() if p.purchase_time >= o.written_epoch}  # rule 7
        if (purchase := certain.pop(order, None)) is not None:
            return Finding(purchase, tuple(possible), rivals, certain)
    return Finding(None, tuple(possible), rivals)


def _doubtful(order: Order, others: Sequence[Order], purchases: Iterable[Purchase]) -> Finding:
    """Return what *purchases* say if none of them fits *order* fully: rules 5 and 6."""
    candidates, rivals = list[Purchase](), dict[Order, None]()
    for purchase in purchases:
        fit = fit_of(order, purchase)
        fully = [each for each in others if fit_of(each, purchase) is Fit.FULLY]
        if fit is Fit.BUT_FOR_PRICE or (fit is Fit.PARTLY and not fully):
            candidates.append(purchase)
            rivals |= dict.fromkeys(fully)
    return Finding(None, tuple(candidates), tuple(rivals))


def fit_of(order: Order, purchase: Purchase) -> Fit:
    """Return how well *purchase* fits *order*."""
    if not order.earliest_epoch <= purchase.purchase_time <= order.latest_epoch:
        return Fit.NOT
    wanted = order.parameters
    rest = "" if wanted is None else rest_of(purchase.shortcode, wanted)
    if rest is None:
        return Fit.NOT
    if wanted is not None and not (_amount_agrees(wanted, purchase) and agrees(wanted, rest)):
        return Fit.PARTLY
    return Fit.BUT_FOR_PRICE if is_less(order.price, purchase.buy_price) else Fit.FULLY


def _amount_agrees(wanted: Mapping[str, Any], purchase: Purchase) -> bool:
    amount, basis = wanted.get("amount"), wanted.get("basis")
    if amount is None or basis not in ("stake", "payout"):
        return True
    if basis == "payout":
        return purchase.payout is None or number(purchase.payout) == number(amount)
    if wanted.get("cancellation") is not None:  # its fee is part of the price
        return not is_less(purchase.buy_price, amount)
    return number(purchase.buy_price) == number(amount)


def _connected(
    order: Order, others: Sequence[Order], purchases: Sequence[Purchase]
) -> tuple[list[Order], list[Purchase]]:
    """Return the orders and purchases that are connected with *order* by full fits.

    A purchase is connected with the orders that it fits, an order with the purchases that fit it.
    """
    orders, rows = [order], list[Purchase]()
    while True:
        more_rows = [
            row
            for row in purchases
            if row not in rows and any(fit_of(each, row) is Fit.FULLY for each in orders)
        ]
        rows += more_rows
        more = [
            each
            for each in others
            if all(each is not known for known in orders)
            and any(fit_of(each, row) is Fit.FULLY for row in rows)
        ]
        orders += more
        if not more and not more_rows:
            break
    return (
        sorted(orders, key=lambda each: (each.earliest_epoch, each.written_epoch)),
        sorted(rows, key=lambda row: (row.purchase_time, row.transaction_id)),
    )


def _distribute(orders: Sequence[Order], rows: Sequence[Purchase]) -> dict[Order, Purchase]:
    """Give one of *rows* each to as many orders as possible; to equal orders in their sequence.

    This is a maximum bipartite matching, by Kuhn's algorithm: an order that finds only rows which
    other orders have tries to move one of those orders to another row.
    """
    owner: dict[int, Order] = {}

    def serve(order: Order, asked: set[int]) -> bool:
        fitting = [i for i, row in enumerate(rows) if fit_of(order, row) is Fit.FULLY]
        for index in sorted(fitting, key=lambda i: i in owner):  # free rows first
            if index in asked:
                continue
            asked.add(index)
            if index not in owner or serve(owner[index], asked):
                owner[index] = order
                return True
        return False

    for order in orders:
        serve(order, set())
    return {order: rows[index] for index, order in owner.items()}
