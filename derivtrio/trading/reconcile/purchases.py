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
)
from derivtrio.trading.reconcile.investigation import Investigation
from derivtrio.trading.reconcile.matching import Finding, Fit, Order, decide, fit_of
from derivtrio.trading.reconcile.timing import CERTAIN_AFTER

#: Stands for the contract of a purchase that does not name it.
_NO_CONTRACT: Final = 0

#: Purchases by contract id.
Purchases = Mapping[int, Purchase]


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
    purchases, nameless = await _in_statement(investigation, order, since)
    seen = _assess(investigation, order, purchases, asked_mono)
    if asked_mono >= seen.final_mono and seen.has_nothing:
        if not start_is_known:
            purchases, nameless = await _in_statement(investigation, order, -math.inf)
        purchases = await _in_other_lists(investigation, order) | purchases
        seen = _assess(investigation, order, purchases, asked_mono)
    # Another task may have decided this order meanwhile: it must not get a second purchase.
    if investigation.unknown in investigation.trades.outcomes:
        return investigation.trades.outcomes[investigation.unknown]
    is_final = asked_mono >= seen.final_mono
    if not is_final and (seen.finding.purchase is None or seen.finding.rivals):
        return None
    if seen.has_nothing and nameless:
        return Ambiguous((), f"{nameless[0]} may be this order, and does not name its contract")
    return _judge(investigation, seen.finding, seen.rivals)


async def _in_statement(
    investigation: Investigation, order: Order, since_epoch: float
) -> tuple[dict[int, Purchase], list[str]]:
    """Return the purchases since *since_epoch*; of all times, only until one fits the order.

    Return also, in words, those that may be the order's and do not name their contract.
    """
    found: dict[int, Purchase] = {}
    nameless: list[str] = []
    async for row in investigation.statement("buy", since_epoch):
        if row.action != "buy":
            continue
        if row.contract_id is None:
            if fit_of(order, purchase_from(replace(row, contract_id=_NO_CONTRACT))) is not Fit.NOT:
                nameless.append(f"transaction {row.transaction_id} of {row.transaction_time}")
            continue
        found[row.contract_id] = purchase_from(row)
        if not math.isfinite(since_epoch) and _is_candidate(
            investigation, order, found[row.contract_id]
        ):
            break  # the statement may have years; this one is enough to forbid a "no"
    return found, nameless


async def _in_other_lists(investigation: Investigation, order: Order) -> dict[int, Purchase]:
    open_now = await pages.portfolio(investigation.ask)
    closed = investigation.profit_table(order.earliest_epoch)
    rows: list[Position | ClosedContract] = [*open_now, *[row async for row in closed]]
    return {row.contract_id: purchase_from(row) for row in rows}


def _is_candidate(investigation: Investigation, order: Order, purchase: Purchase) -> bool:
    return fit_of(order, purchase) is not Fit.NOT and not _is_claimed(investigation, purchase)


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
        return f"{_count_text(finding)}, and {len(finding.rivals)} others in doubt"
    if len(finding.candidates) == 1:
        return (
            f"a purchase resembles this order, but not in every detail: {finding.candidates[0]};"
            " its price or its terms differ, or it may be older than the order"
        )
    return f"{_count_text(finding)}; another program may trade with the account"


def _count_text(finding: Finding) -> str:
    count = len(finding.candidates)
    return f"{count} purchase{'s'[: count > 1]} fit{'s'[: count == 1]} this order"
