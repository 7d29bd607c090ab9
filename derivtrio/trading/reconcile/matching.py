"""Which of the account's purchases is the one in doubt? Decided from data; no I/O.

Deriv takes no order number from the client, so a purchase whose reply was lost has to be recognized
by what it is. The rules:

1. A purchase *fits* an order if it was made within the order's window, costs no more than the order
   allows, and has its type and symbol in its shortcode. It fits *fully* if no other detail (stake,
   payout, and what else the shortcode says) contradicts either. What a row does not say
   contradicts nothing.
2. Purchases that this client knows to be its own are nobody's candidates; leave them out.
3. Orders in doubt that fit the same purchases are decided together. The purchases are shared out
   among them, one for each order at most, as many as possible.
4. An order that gets the same purchase in every such distribution was executed, and one that fits
   nothing was not. Of equal orders that each get one in every distribution it does not matter whose
   is which: they are given theirs all at once, lest two be given the same. All else is ambiguous:
   fewer purchases than equal orders, or more than can be our own.
5. A purchase that fits only partly proves nothing, but it forbids to say "not bought", unless
   another order explains it.

The window is in the server's time: from the writing of the request on, a little earlier for clocks
that disagree, to the last moment at which the server may have executed it.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import attrs

from derivtrio.models import Money, Purchase
from derivtrio.trading.reconcile.shortcodes import SECONDS, agrees, minutes, number, rest_of

#: Members of a contract's parameters that say nothing about the contract.
_NO_TERMS: Final = frozenset({"loginid", "passthrough", "proposal", "req_id", "subscribe"})


@attrs.frozen(eq=False)
class Order:
    """A purchase that was asked for.

    Attributes:
        parameters: the contract, as `proposal` and `buy` have it; None if that is not known.
        price: what it may cost at most.
        earliest: when it may have been executed at the earliest, as an epoch of the server.
        latest: and at the latest.

    """

    parameters: Mapping[str, Any] | None
    price: Money | None
    earliest: float
    latest: float

    def equals(self, other: "Order") -> bool:
        """Return whether both asked for the same contract, so that either's purchase is as good."""
        if self.parameters is None or other.parameters is None:
            return False
        return essence(self.parameters) == essence(other.parameters)


@attrs.frozen
class Finding:
    """What the purchases say about an order.

    Attributes:
        purchase: the one it led to, if that is certain.
        candidates: those it may have led to; none if it was not executed.
        rivals: the other orders that these may belong to.
        shares: what those led to, if that is decided with this one.

    """

    purchase: Purchase | None
    candidates: tuple[Purchase, ...]
    rivals: tuple[Order, ...]
    shares: Mapping[Order, Purchase] = attrs.field(factory=dict)


class Fit(Enum):
    """How well a purchase fits an order."""

    NOT = 0
    PARTLY = 1
    FULLY = 2


def decide(order: Order, others: Iterable[Order], purchases: Iterable[Purchase]) -> Finding:
    """Return what *purchases* say about *order*, while *others* are in doubt as well.

    The purchases are those that this client does not know to be the outcome of another order.
    """
    others, purchases = list(others), list(purchases)
    if not any(fit_of(order, purchase) is Fit.FULLY for purchase in purchases):
        odd = [p for p in purchases if fit_of(order, p) is Fit.PARTLY]
        unexplained = [p for p in odd if not any(fit_of(o, p) is Fit.FULLY for o in others)]
        return Finding(None, tuple(unexplained), ())
    orders, rows = _entangled(order, others, purchases)
    rivals = tuple(each for each in orders if each is not order)
    shared_out = _share_out(orders, rows)
    most = len(shared_out)
    possible = [
        row
        for row in rows
        if fit_of(order, row) is Fit.FULLY
        and len(_share_out(rivals, [each for each in rows if each is not row])) == most - 1
    ]
    served = [o for o in orders if len(_share_out([p for p in orders if p is not o], rows)) < most]
    equal = all(each.equals(order) for each in rivals)
    if most == len(rows) and order in served and (len(possible) == 1 or equal):
        others = [each for each in served if each is not order and len(possible) > 1]
        shares = {each: shared_out[each] for each in others}
        return Finding(shared_out[order], tuple(possible), rivals, shares)
    return Finding(None, tuple(possible), rivals)


def fit_of(order: Order, purchase: Purchase) -> Fit:
    """Return how well *purchase* fits *order*."""
    if not order.earliest <= purchase.purchase_time <= order.latest:
        return Fit.NOT
    if order.price is not None and _exactly(purchase.buy_price) > _exactly(order.price):
        return Fit.NOT
    wanted = order.parameters
    if wanted is None:
        return Fit.FULLY
    rest = rest_of(purchase.shortcode, wanted)
    if rest is None:
        return Fit.NOT
    return Fit.FULLY if _amount_agrees(wanted, purchase) and agrees(wanted, rest) else Fit.PARTLY


def _amount_agrees(wanted: Mapping[str, Any], purchase: Purchase) -> bool:
    amount, basis = wanted.get("amount"), wanted.get("basis")
    if amount is None or basis not in ("stake", "payout"):
        return True
    if basis == "payout":
        return purchase.payout is None or number(purchase.payout) == number(amount)
    if wanted.get("cancellation") is not None:  # it costs a fee
        return _exactly(purchase.buy_price) >= _exactly(amount)
    return number(purchase.buy_price) == number(amount)


def essence(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what *parameters* ask for: the same for equal contracts, however they are written."""
    terms = {
        name: _plain(name, value)
        for name, value in parameters.items()
        if value is not None and name not in _NO_TERMS
    }
    if "underlying_symbol" in terms:
        terms["symbol"] = terms.pop("underlying_symbol")
    unit, duration = terms.get("duration_unit"), terms.get("duration")
    if unit in SECONDS and isinstance(duration, Decimal):
        terms |= {"duration": duration * SECONDS[unit], "duration_unit": "s"}
    return terms


def _plain(name: str, value: Any) -> Any:
    """Return *value*, of the member *name*, so that what means the same is equal."""
    if isinstance(value, Mapping):
        return {k: _plain(k, each) for k, each in value.items() if each is not None}
    if name in ("barrier", "barrier2"):  # with a sign it is relative
        return str(value).startswith(("+", "-")), number(value)
    if name == "cancellation":
        return minutes(value)
    return number(value) if isinstance(value, int | float | Decimal) else value


def same_amount(one: Money | None, other: Money | None) -> bool:
    """Return whether two amounts are the same, written as numbers or as strings."""
    if one is None or other is None:
        return one is other
    return number(one) == number(other)


def _exactly(amount: Any) -> Decimal:
    return amount if isinstance(amount, Decimal) else Decimal(str(amount))


def _entangled(
    order: Order, others: Sequence[Order], purchases: Sequence[Purchase]
) -> tuple[list[Order], list[Purchase]]:
    """Return the orders and purchases that hang together with *order*, by fitting fully."""
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
        sorted(orders, key=lambda each: each.earliest),
        sorted(rows, key=lambda row: (row.purchase_time, row.transaction_id)),
    )


def _share_out(orders: Sequence[Order], rows: Sequence[Purchase]) -> dict[Order, Purchase]:
    """Give as many orders as possible one of *rows* each, equal ones in their sequence.

    It is a maximum matching, by Kuhn: who finds only rows that are taken asks their owners to take
    another one.
    """
    owner: dict[int, Order] = {}

    def serve(order: Order, asked: set[int]) -> bool:
        fitting = [i for i, row in enumerate(rows) if fit_of(order, row) is Fit.FULLY]
        for index in sorted(fitting, key=lambda i: i in owner):
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
