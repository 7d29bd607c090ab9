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
from derivtrio.trading.reconcile.assignment import Assignment
from derivtrio.trading.reconcile.shortcodes import agrees, rest_of
from derivtrio.trading.reconcile.terms import essence, is_less, number, same_amount


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
    orders, rows, fits = _connected(order, others, purchases)
    rivals = tuple(each for each in orders if each is not order)
    # The others whose price alone is too low for one of the rows (rule 6).
    cheaper = tuple(o for o in others if any(fits(o, p) is Fit.BUT_FOR_PRICE for p in rows))
    assignment = Assignment(
        [[i for i, row in enumerate(rows) if fits(each, row) is Fit.FULLY] for each in orders]
    )
    replaceable, mine = assignment.replaceable(), orders.index(order)
    possible = tuple(rows[i] for i in assignment.possible(mine, replaceable))
    equal = all(each.equals(order) for each in rivals)
    if cheaper:
        return Finding(None, possible, (*rivals, *cheaper))  # rule 6
    explained = len(assignment.row_of) == len(rows)
    if explained and mine not in replaceable and (len(possible) == 1 or equal):
        found = {
            orders[i]: rows[row]
            for i, row in assignment.row_of.items()
            if i == mine or (len(possible) > 1 and i not in replaceable)
        }
        certain = {o: p for o, p in found.items() if p.purchase_time >= o.written_epoch}  # rule 7
        if (purchase := certain.pop(order, None)) is not None:
            return Finding(purchase, possible, rivals, certain)
    return Finding(None, possible, rivals)


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
    return _fit_at_any_time(order, purchase) if _is_in_time(order, purchase) else Fit.NOT


def _is_in_time(order: Order, purchase: Purchase) -> bool:
    return order.earliest_epoch <= purchase.purchase_time <= order.latest_epoch


def _fit_at_any_time(order: Order, purchase: Purchase) -> Fit:
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


@attrs.define(eq=False, repr=False)
class _Fits:
    """`fit_of`, remembered. Of orders that differ only in their time, one is looked at."""

    _kinds: list[Order] = attrs.field(factory=list, init=False)
    _kind_of: dict[Order, Order] = attrs.field(factory=dict, init=False)
    _known: dict[tuple[Order, Purchase], Fit] = attrs.field(factory=dict, init=False)

    def __call__(self, order: Order, purchase: Purchase) -> Fit:
        if not _is_in_time(order, purchase):
            return Fit.NOT
        kind = self._kind_of.get(order) or self._find_kind(order)
        fit = self._known.get((kind, purchase))
        if fit is None:
            fit = self._known[kind, purchase] = _fit_at_any_time(order, purchase)
        return fit

    def _find_kind(self, order: Order) -> Order:
        same = (k for k in self._kinds if k.equals(order) and same_amount(k.price, order.price))
        if (kind := next(same, None)) is None:
            kind = order
            self._kinds.append(kind)
        self._kind_of[order] = kind
        return kind


def _connected(
    order: Order, others: Sequence[Order], purchases: Sequence[Purchase]
) -> tuple[list[Order], list[Purchase], "_Fits"]:
    """Return the orders and purchases that are connected with *order* by full fits.

    A purchase is connected with the orders that it fits, an order with the purchases that fit it.
    """
    fits, orders, rows = _Fits(), list[Order](), list[Purchase]()
    left, new = [each for each in others if each is not order], [order]
    rows_left = list(dict.fromkeys(purchases))
    while new:
        orders += new
        more = {row for row in rows_left if any(fits(each, row) is Fit.FULLY for each in new)}
        rows += more
        rows_left = [row for row in rows_left if row not in more]
        new = [each for each in left if any(fits(each, row) is Fit.FULLY for row in more)]
        known = set(new)
        left = [each for each in left if each not in known]
    return (
        sorted(orders, key=lambda each: (each.earliest_epoch, each.written_epoch)),
        sorted(rows, key=lambda row: (row.purchase_time, row.transaction_id)),
        fits,
    )
