"""Find out whether a purchase in doubt was made, and which of the account's purchases it is.

1. Look in the statement first: it has every purchase at once.
2. Leave out the purchases that this client knows to belong to other orders, and have `matching`
   decide about the rest, together with the other orders in doubt.
3. Say "bought" at once if only this order can have led to the purchase. If other orders in doubt
   can have led to it as well, wait until none of them can be executed, or answered, any more.
4. Say "not bought" only when the order cannot be executed any more, and when neither the statement
   nor the portfolio nor the profit table has anything that fits. If nothing is known of the
   server's time when the order was written, that is the whole statement: a look from some time on
   would rely on this machine's clock.
   A purchase that fits and does not name its contract forbids a "no", too.
5. A purchase that fits may still not be this order's: see `Investigation.caveat`, and
   `orders_of_others`. Then it is ambiguous.
"""

import math
from collections.abc import Mapping
from typing import Final

import attrs
import trio
from msgspec.structs import replace

from derivtrio.api.trades import purchase_from
from derivtrio.calls import pages
from derivtrio.calls.call import Call
from derivtrio.models import (
    Ambiguous,
    Bought,
    ClosedContract,
    NotBought,
    Outcome,
    Position,
    Purchase,
    Transaction,
)
from derivtrio.trading.reconcile.investigation import Investigation
from derivtrio.trading.reconcile.matching import Finding, Fit, Order, decide, fit_of
from derivtrio.trading.reconcile.timing import CERTAIN_AFTER
from derivtrio.wording import counted

#: Stands for the contract of a purchase that does not name it.
_NO_CONTRACT: Final = 0

#: Purchases by contract id.
Purchases = Mapping[int, Purchase]


@attrs.define(eq=False, repr=False)
class Found:
    """The account's purchases, each from the first list that has it.

    Attributes:
        purchases: by the id of their contract.
        nameless: those whose row does not name its contract, by the id of their transaction.

    """

    purchases: dict[int, Purchase] = attrs.field(factory=dict, init=False)
    nameless: dict[int, Purchase] = attrs.field(factory=dict, init=False)

    def add(self, row: Transaction | Position | ClosedContract) -> Purchase:
        """Note, and return, the purchase that *row* tells of."""
        if row.contract_id is None:
            purchase = purchase_from(replace(row, contract_id=_NO_CONTRACT))
            return self.nameless.setdefault(row.transaction_id, purchase)
        return self.purchases.setdefault(row.contract_id, purchase_from(row))

    def nameless_text(self, order: Order) -> str | None:
        """Return, in words, a purchase that fits *order* and whose contract no list names."""
        named = {purchase.transaction_id for purchase in self.purchases.values()}
        for purchase in self.nameless.values():
            if purchase.transaction_id not in named and fit_of(order, purchase) is not Fit.NOT:
                return f"transaction {purchase.transaction_id} of {purchase.purchase_time}"
        return None


@attrs.frozen
class Assessment:
    """What a set of purchases says about the order.

    Attributes:
        finding: what `matching` says.
        rivals: the calls of the other orders that the candidates may belong to.
        final_mono: from when on, on trio's clock, the finding will not change.

    """

    finding: Finding
    rivals: Mapping[Order, Call]
    final_mono: float

    @property
    def has_nothing(self) -> bool:
        """Whether no purchase can be the one in doubt."""
        return self.finding.purchase is None and not self.finding.candidates


async def look_for_purchase(investigation: Investigation) -> Outcome | None:
    """Return what the account's lists say about the order; None if it is too early to say."""
    asked_mono, order = trio.current_time(), investigation.order()
    start_is_known = math.isfinite(order.earliest_epoch)
    since = order.earliest_epoch if start_is_known else order.written_epoch
    found = await _in_statement(investigation, order, since)
    seen = _assess(investigation, order, found.purchases, asked_mono)
    if asked_mono >= seen.final_mono and seen.has_nothing:
        if not start_is_known:
            found = await _in_statement(investigation, order, -math.inf)
        await _look_into_other_lists(investigation, order, found)
        seen = _assess(investigation, order, found.purchases, asked_mono)
    # Another task may have decided this order meanwhile: it must not get a second purchase.
    if investigation.unknown in investigation.trades.outcomes:
        return investigation.trades.outcomes[investigation.unknown]
    is_final = asked_mono >= seen.final_mono
    if not is_final and (seen.finding.purchase is None or seen.finding.rivals):
        return None
    if seen.has_nothing and (text := found.nameless_text(order)) is not None:
        return Ambiguous((), f"{text} may be this order, and does not name its contract")
    return _judge(investigation, seen.finding, seen.rivals)


async def _in_statement(investigation: Investigation, order: Order, since_epoch: float) -> Found:
    """Return the purchases since *since_epoch*; of all times, only until one fits the order."""
    found = Found()
    async for row in investigation.statement("buy", since_epoch):
        if row.action != "buy":
            continue
        purchase = found.add(row)
        if not math.isfinite(since_epoch) and _is_candidate(investigation, order, purchase):
            break  # the statement may have years; this one is enough to forbid a "no"
    return found


async def _look_into_other_lists(investigation: Investigation, order: Order, found: Found) -> None:
    """Add what the portfolio and the profit table have to what is *found*."""
    for position in await pages.portfolio(investigation.ask):
        found.add(position)
    async for closed in investigation.profit_table(order.earliest_epoch):
        found.add(closed)


def _is_candidate(investigation: Investigation, order: Order, purchase: Purchase) -> bool:
    fits = purchase.contract_id != _NO_CONTRACT and fit_of(order, purchase) is not Fit.NOT
    return fits and not _is_claimed(investigation, purchase)


def _is_claimed(investigation: Investigation, purchase: Purchase) -> bool:
    """Return whether another order is known to have led to *purchase*."""
    mine = investigation.call or investigation.unknown
    return investigation.trades.is_known(purchase.contract_id, other_than=mine)


def _assess(
    investigation: Investigation, order: Order, purchases: Purchases, asked_mono: float
) -> Assessment:
    """Return what these purchases, which were asked for at *asked_mono*, say about *order*."""
    rivals, timing = investigation.rivals("buy"), investigation.timing
    for call in rivals:
        timing.note_read(call, asked_mono)
    calls = {investigation.order_of(call): call for call in rivals}
    unclaimed = [p for p in purchases.values() if not _is_claimed(investigation, p)]
    finding = decide(order, calls, unclaimed)
    concerned = {rival: calls[rival] for rival in finding.rivals}
    final_mono = max(timing.quiet_mono(call) for call in (investigation.call, *concerned.values()))
    return Assessment(finding, concerned, final_mono)


def _judge(investigation: Investigation, finding: Finding, rivals: Mapping[Order, Call]) -> Outcome:
    """Return the outcome of the order; note the outcomes of equal orders, decided with it."""
    caveat = investigation.caveat(rivals.values()) or _caveat_of_others(investigation, finding)
    if finding.candidates and caveat is not None:
        return Ambiguous(finding.candidates, f"{_count_text(finding)}; {caveat}")
    if finding.purchase is not None:
        for rival, share in finding.shares.items():
            unknown = investigation.trades.doubt_of(call := rivals[rival])
            if unknown is not None and unknown.loginid == investigation.unknown.loginid:
                investigation.resolve(call, unknown, _bought(investigation, call, share, finding))
        return _bought(investigation, investigation.call, finding.purchase, finding)
    if finding.candidates:
        return Ambiguous(finding.candidates, _ambiguous_text(finding))
    lists = "neither statement nor portfolio nor profit table has it"
    return NotBought(f"{lists}, {CERTAIN_AFTER} s after the server can have read it at the latest")


def _caveat_of_others(investigation: Investigation, finding: Finding) -> str | None:
    """Return why a match may belong to another client of this process; None if it may not."""
    for other in investigation.orders_of_others():
        if any(fit_of(other, each) is Fit.FULLY for each in finding.candidates):
            return "another client of this program has such an order in doubt"
    return None


def _bought(
    investigation: Investigation, call: Call | None, purchase: Purchase, finding: Finding
) -> Bought:
    investigation.trades.know(purchase.contract_id, "bought", call)
    return Bought(purchase, _bought_text(purchase, finding))


def _bought_text(purchase: Purchase, finding: Finding) -> str:
    text = f"transaction {purchase.transaction_id} of {purchase.purchase_time} fits this order"
    if not finding.shares:
        return f"{text}, and belongs to no other"
    return (
        f"{text}; {len(finding.shares) + 1} equal orders in doubt were executed,"
        " and which of them led to which makes no difference"
    )


def _ambiguous_text(finding: Finding) -> str:
    if finding.rivals:
        return f"{_count_text(finding)}, and {counted(len(finding.rivals), 'other')} in doubt"
    if len(finding.candidates) == 1:
        return (
            f"a purchase resembles this order, but not in every detail: {finding.candidates[0]};"
            " its price or its terms differ, or it may be older than the order"
        )
    return f"{_count_text(finding)}; another program may trade with the account"


def _count_text(finding: Finding) -> str:
    count = len(finding.candidates)
    return f"{count} purchase{'s'[: count > 1]} fit{'s'[: count == 1]} this order"
