"""Find out what became of a trade whose reply was lost, from the evidence that there is.

Deriv has no order numbers and no way to ask for a reply again, so the account is asked: its
statement, portfolio and profit table for a purchase, the contract itself for the rest. A reply
that comes after all is the best evidence, and ends the looking at once.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import trio

from derivtrio.api.catalog import TRADES
from derivtrio.api.parsing import (
    UNREADABLE,
    limits_in,
    purchase_from,
    purchase_in,
    sale_in,
)
from derivtrio.calls import pages
from derivtrio.calls.call import Call
from derivtrio.calls.doubts import is_answered
from derivtrio.calls.session import Session
from derivtrio.errors import OutcomeUnknown, api_error, invalid_request
from derivtrio.models import (
    Ambiguous,
    Bought,
    ClosedContract,
    Limits,
    Money,
    NotBought,
    NotSold,
    NotUpdated,
    Outcome,
    Position,
    Purchase,
    Sold,
    Updated,
)
from derivtrio.trading.reconcile.investigation import CERTAIN_AFTER, PAGE, Investigation
from derivtrio.trading.reconcile.matching import Finding, Order, decide, same_amount
from derivtrio.trading.reconcile.sales import look_for_sale

#: How long to wait from one look to the next, in seconds; the last again and again.
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0)


async def find_outcome(unknown: OutcomeUnknown, session: Session) -> Outcome:
    """Find out what became of *unknown*.

    Raises:
        InvalidRequest: it is not about a trade.
        AuthorizationRequired: the account that it was for is out of reach.
        ApiError: the account cannot be looked into.
        ProtocolViolation: what the server says of it cannot be read.

    """
    trade = _trade_of(unknown)
    await trio.lowlevel.checkpoint()
    if (known := session.trades.verdicts.get(unknown)) is not None:
        return known
    investigation = Investigation(unknown, trade, session.trades.call_of(unknown), session)
    outcome = await _outcome(investigation, _LOOKS[trade])
    if not isinstance(outcome, Ambiguous):
        investigation.close(investigation.call, unknown, outcome)
    return outcome


def _trade_of(unknown: OutcomeUnknown) -> str:
    if not isinstance(unknown, OutcomeUnknown):
        text = f"reconcile takes an OutcomeUnknown, not {type(unknown).__name__}"
        raise invalid_request(text)
    names = [name for name in TRADES if name in unknown.request]
    if len(names) != 1:
        text = f"reconcile knows {', '.join(sorted(TRADES))}; look this one up in its own way"
        raise invalid_request(text, unknown.request)
    return names[0]


async def _outcome(
    investigation: Investigation, look: Callable[[Investigation], Awaitable[Outcome | None]]
) -> Outcome:
    """Look until it is known."""
    pauses = iter(_PAUSES)
    if (outcome := _answered(investigation)) is not None:
        return outcome
    await investigation.reach_account()
    await investigation.read_clock()
    while True:
        seen = _with_reserve(investigation, await look(investigation))
        outcome = (
            investigation.trades.verdicts.get(investigation.unknown)
            or _answered(investigation)
            or seen
        )
        if outcome is not None:
            return outcome
        await investigation.wait(next(pauses, _PAUSES[-1]))


def _with_reserve(investigation: Investigation, seen: Outcome | None) -> Outcome | None:
    """Return what was *seen*; no "not", if another account may have been meant."""
    if isinstance(seen, NotBought | NotSold | NotUpdated) and not investigation.knows_account:
        return Ambiguous(
            (), f"not on this account, and the order may have been for another: {seen.how}"
        )
    return seen


def _answered(investigation: Investigation) -> Outcome | None:
    """Return what the server's answer says, if it came after all."""
    call = investigation.call
    if call is None or call.answer is None or not is_answered(call):
        return None
    answer, how = call.answer, "the server's answer came after all"
    try:
        if "error" in answer:
            return _refused(call.name, f"{how}: {api_error(answer['error'])}")
        match call.name:
            case "buy":
                return Bought(purchase_in(answer), how)
            case "contract_update":
                return Updated(limits_in(investigation.contract_id, answer["contract_update"]), how)
            case _:
                return Sold(sale_in(answer), how)
    except UNREADABLE:
        return None


def _refused(name: str, how: str) -> Outcome:
    match name:
        case "buy":
            return NotBought(how)
        case "contract_update":
            return NotUpdated(how)
        case _:
            return NotSold(how)


async def _look_for_purchase(investigation: Investigation) -> Outcome | None:
    asked, order = trio.current_time(), investigation.order()
    purchases = await _stated(investigation, order)
    finding, rivals, end = _decide(investigation, order, purchases, asked)
    if asked >= end and finding.purchase is None and not finding.candidates:
        purchases = await _listed(investigation, order) | purchases
        finding, rivals, end = _decide(investigation, order, purchases, asked)
    if investigation.unknown in investigation.trades.verdicts:  # claim nothing for it a second time
        return investigation.trades.verdicts[investigation.unknown]
    if asked < end and (finding.purchase is None or finding.rivals):
        return None
    return _judged(investigation, finding, rivals)


def _decide(
    investigation: Investigation, order: Order, purchases: Mapping[int, Purchase], asked: float
) -> tuple[Finding, dict[Order, Call], float]:
    """Return what is found, the calls of its rivals, and from when on, by trio, that is certain."""
    rivals = investigation.rivals("buy")
    for call in rivals:
        investigation.note_read(call, asked)
    orders = {investigation.order_of(call): call for call in rivals}
    mine, is_known = investigation.call or investigation.unknown, investigation.trades.is_known
    unclaimed = [p for p in purchases.values() if not is_known(p.contract_id, other_than=mine)]
    finding = decide(order, orders, unclaimed)
    concerned = {rival: orders[rival] for rival in finding.rivals}
    end = max(investigation.quiet_after(call) for call in (investigation.call, *concerned.values()))
    return finding, concerned, end


def _judged(
    investigation: Investigation, finding: Finding, rivals: Mapping[Order, Call]
) -> Outcome:
    purchase, reserve = finding.purchase, investigation.reserve(rivals.values())
    if finding.candidates and reserve is not None:
        return Ambiguous(finding.candidates, f"{_how_many(finding)}; {reserve}")
    if purchase is not None:
        for rival, share in finding.shares.items():
            unknown = investigation.trades.doubt_of(call := rivals[rival])
            if unknown is not None and unknown.loginid == investigation.unknown.loginid:
                investigation.close(call, unknown, _bought(investigation, call, share, finding))
        return _bought(investigation, investigation.call, purchase, finding)
    if finding.candidates:
        return Ambiguous(finding.candidates, _how_ambiguous(finding))
    lists = "neither statement nor portfolio nor profit table has it"
    return NotBought(f"{lists}, {CERTAIN_AFTER} s after the server can have read it at the latest")


def _bought(
    investigation: Investigation, call: Call | None, purchase: Purchase, finding: Finding
) -> Bought:
    investigation.trades.know(purchase.contract_id, "bought", call)
    return Bought(purchase, _how_bought(purchase, finding))


async def _stated(investigation: Investigation, order: Order) -> dict[int, Purchase]:
    """Return the purchases in the statement since the beginning of the order's window."""
    rows = investigation.statement("buy", order.earliest)
    found = [row async for row in rows if row.action == "buy"]
    return {row.contract_id: purchase_from(row) for row in found if row.contract_id is not None}


async def _listed(investigation: Investigation, order: Order) -> dict[int, Purchase]:
    """Return the purchases in the portfolio and in the profit table."""
    open_now = await pages.portfolio(investigation.ask)
    since = str(max(0, math.floor(order.earliest)))
    request = {"profit_table": 1, "description": 1, "date_from": since}
    closed = pages.profit_table(investigation.ask, request, PAGE)
    rows: list[Position | ClosedContract] = [*open_now, *[row async for row in closed]]
    return {row.contract_id: purchase_from(row) for row in rows}


async def _look_for_limits(investigation: Investigation) -> Outcome | None:
    certain = trio.current_time() >= investigation.end_of(investigation.call)
    contract = await investigation.contract()
    if contract is not None and not contract.is_sold:
        shown = contract.raw.get("limit_order")
        limits = limits_in(investigation.contract_id, shown if isinstance(shown, Mapping) else {})
        if _are_met(investigation.unknown.request["limit_order"], limits):
            return Updated(limits, "the contract has these limits")
        return NotUpdated("the contract has other limits") if certain else None
    if not certain:
        return None
    return Ambiguous((), "the contract is over, and does not show its limits any more")


def _are_met(asked: Mapping[str, Money | None], limits: Limits) -> bool:
    shown = {"take_profit": limits.take_profit, "stop_loss": limits.stop_loss}
    return all(same_amount(amount, shown.get(name)) for name, amount in asked.items())


def _how_bought(purchase: Purchase, finding: Finding) -> str:
    text = f"transaction {purchase.transaction_id} of {purchase.purchase_time} fits this order"
    if not finding.shares:
        return f"{text}, and belongs to no other"
    return (
        f"{text}; {len(finding.shares) + 1} equal orders in doubt were executed,"
        " and which of them led to which makes no difference"
    )


def _how_ambiguous(finding: Finding) -> str:
    if finding.rivals:
        return f"{_how_many(finding)}, and {len(finding.rivals)} others in doubt"
    if len(finding.candidates) == 1:
        return "a purchase of that time resembles this order, but not in every detail"
    return f"{_how_many(finding)}; another program may trade with the account"


def _how_many(finding: Finding) -> str:
    count = len(finding.candidates)
    return f"{count} purchase{'s'[: count > 1]} fit{'s'[: count == 1]} this order"


_LOOKS: Final[Mapping[str, Callable[[Investigation], Awaitable[Outcome | None]]]] = {
    "buy": _look_for_purchase,
    "sell": look_for_sale,
    "cancel": look_for_sale,
    "contract_update": _look_for_limits,
}
