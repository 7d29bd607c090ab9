"""Find out what became of a trade whose reply was lost: ask, look, judge, and again until known.

Deriv has no order numbers, and no way to ask for a reply again. So there are two sources:

1. *Ask* the trade itself: its reply may have come after all, later than its caller could wait. A
   reply is the best evidence and ends the search at once.
2. *Look* at the account: at its statement, portfolio and profit table for a purchase; at the
   contract for a sale, a cancellation or an update.
3. *Judge* what was seen. What was executed is known when it is seen. "Not executed" is said only
   when the request cannot be executed any more (`timing`). Until then, wait and look again.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import trio

from derivtrio.api.catalog import TRADES
from derivtrio.api.parsing import UNREADABLE
from derivtrio.api.trades import limits_in, purchase_in, sale_in
from derivtrio.calls.doubts import is_answered
from derivtrio.calls.routing import has_error
from derivtrio.calls.session import Session
from derivtrio.errors import OutcomeUnknown, api_error, invalid_request
from derivtrio.models import (
    Ambiguous,
    Bought,
    NotBought,
    NotSold,
    NotUpdated,
    Outcome,
    Sold,
    Updated,
)
from derivtrio.trading.reconcile.investigation import Investigation
from derivtrio.trading.reconcile.limits import look_for_limits
from derivtrio.trading.reconcile.purchases import look_for_purchase
from derivtrio.trading.reconcile.sales import look_for_sale
from derivtrio.trading.reconcile.timing import Timing
from derivtrio.wording import shown

#: Looks at the account; returns None if it is too early to say.
Look = Callable[[Investigation], Awaitable[Outcome | None]]

_LOOKS: Final[Mapping[str, Look]] = {
    "buy": look_for_purchase,
    "sell": look_for_sale,
    "cancel": look_for_sale,
    "contract_update": look_for_limits,
}

#: A time that is not known exactly is a pair: not before, not after.
_PAIR: Final = 2

#: The pauses between looks, in seconds; the last one is repeated.
_PAUSES: Final = (1.0, 2.0, 4.0, 8.0)


async def find_outcome(unknown: OutcomeUnknown, session: Session) -> Outcome:
    """Return what became of the trade that ended with *unknown*.

    Raises:
        InvalidRequest: *unknown* is not about a trade.
        AuthorizationRequired: the client cannot ask the trade's account now.
        ApiError: the account cannot be read.
        ProtocolViolation: what the server sends about it cannot be read.

    """
    trade = _trade_of(unknown)
    await trio.lowlevel.checkpoint()
    if (known := session.trades.outcomes.get(unknown)) is not None:
        return known
    call = session.trades.call_of(unknown)
    investigation = Investigation(unknown, trade, call, Timing(unknown, call, session), session)
    outcome = await _investigate(investigation, _LOOKS[trade])
    if not isinstance(outcome, Ambiguous):  # that one may still be decided later
        investigation.resolve(call, unknown, outcome)
    return outcome


def _trade_of(unknown: OutcomeUnknown) -> str:
    if not isinstance(unknown, OutcomeUnknown):
        text = f"reconcile takes an OutcomeUnknown, not {type(unknown).__name__}"
        raise invalid_request(text)
    if (what := _unusable(unknown)) is not None:
        text = f"the doubt has {what} that is none: {shown(getattr(unknown, what))}"
        raise invalid_request(text)
    names = [name for name in TRADES if name in unknown.request]
    if len(names) != 1:
        text = f"reconcile knows {', '.join(sorted(TRADES))}; look this one up in its own way"
        raise invalid_request(text, unknown.request)
    if not _is_complete(names[0], unknown.request):
        text = f"the doubt about a {names[0]} does not say what was asked for"
        raise invalid_request(text, unknown.request)
    return names[0]


def _unusable(unknown: OutcomeUnknown) -> str | None:
    """Return which attribute of a doubt, which may be handmade, cannot be what it is called."""
    known, request = unknown.server_epoch, unknown.request
    good = {
        "request": isinstance(request, Mapping),
        "written_at": _is_time(unknown.written_at),
        "written_on": unknown.written_on is None or _is_time(unknown.written_on),
        "server_epoch": known is None
        or (isinstance(known, tuple | list) and len(known) == _PAIR and all(map(_is_time, known))),
        "loginid": unknown.loginid is None or isinstance(unknown.loginid, str),
        "parameters": unknown.parameters is None or isinstance(unknown.parameters, Mapping),
    }
    return next((name for name, is_good in good.items() if not is_good), None)


def _is_time(value: object) -> bool:
    """Return whether *value* is a time, or an end of time."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - NaN


def _is_complete(trade: str, request: Mapping[str, Any]) -> bool:
    """Return whether *request* has what the search needs; one that was not checked may lack it."""
    if trade == "buy":
        return True
    contract_id = request.get("contract_id" if trade == "contract_update" else trade)
    limits = {} if trade != "contract_update" else request.get("limit_order")
    return type(contract_id) is int and isinstance(limits, Mapping)


async def _investigate(investigation: Investigation, look: Look) -> Outcome:
    """Ask and look, until one of them gives an outcome."""
    if (answer := _answer(investigation)) is not None:
        return answer
    await investigation.reach_account()
    await investigation.timing.read_clock()
    pauses = iter(_PAUSES)
    while True:
        seen = _with_caveat(investigation, await look(investigation))
        # During the look, another task may have decided this trade, or its answer may have come.
        known = investigation.trades.outcomes.get(investigation.unknown)
        if (outcome := known or _answer(investigation)) is not None:
            return outcome
        if seen is not None:
            await investigation.reach_account()  # the client may have changed its account meanwhile
            return seen
        await investigation.timing.wait(next(pauses, _PAUSES[-1]))


def _answer(investigation: Investigation) -> Outcome | None:
    """Return what the server's reply to the trade says, if it came after all."""
    call = investigation.call
    if call is None or call.answer is None or not is_answered(call):
        return None
    answer, how = call.answer, "the server's answer came after all"
    try:
        if has_error(answer):
            return _refused(call.name, f"{how}: {api_error(answer['error'])}")
        match call.name:
            case "buy":
                purchase = purchase_in(answer)
                is_anothers = investigation.trades.is_known(purchase.contract_id, other_than=call)
                return None if is_anothers else Bought(purchase, how)
            case "contract_update":
                return Updated(limits_in(investigation.contract_id, answer["contract_update"]), how)
            case _:
                return Sold(sale_in(answer, investigation.contract_id), how)
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


def _with_caveat(investigation: Investigation, seen: Outcome | None) -> Outcome | None:
    """Return what was *seen*, but not a "no" if the trade may have been for another account."""
    if isinstance(seen, NotBought | NotSold | NotUpdated) and not investigation.knows_account:
        return Ambiguous(
            (), f"not on this account, and the order may have been for another: {seen.how}"
        )
    return seen
