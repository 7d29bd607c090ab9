"""Find out whether a contract has the limits that a `contract_update` in doubt asked for.

The contract shows its limits while it is open. What it shows is the answer, whichever request
brought it about; it does not show them any more when it is over.
"""

from collections.abc import Mapping

import trio

from derivtrio.api.parsing import UNREADABLE
from derivtrio.api.trades import limits_in
from derivtrio.errors import unreadable
from derivtrio.models import Ambiguous, Limits, Money, NotUpdated, OpenContract, Outcome, Updated
from derivtrio.trading.reconcile.investigation import Investigation
from derivtrio.trading.reconcile.terms import same_amount


async def look_for_limits(investigation: Investigation) -> Outcome | None:
    """Return what the contract's limits say about the request; None if it is too early to say."""
    # Decide this before asking: the answer then shows everything that was executed until now.
    is_certain = trio.current_time() >= investigation.timing.end_mono(investigation.call)
    contract = await investigation.contract()
    if contract is not None and not contract.is_sold:
        limits = _limits_of(contract)
        if _are_met(investigation.unknown.request["limit_order"], limits):
            return Updated(limits, "the contract has these limits")
        return NotUpdated("the contract has other limits") if is_certain else None
    if not is_certain:
        return None
    return Ambiguous((), "the contract is over, and does not show its limits any more")


def _limits_of(contract: OpenContract) -> Limits:
    try:
        return limits_in(contract.contract_id, contract.limit_order or {})
    except UNREADABLE as error:
        what = "contract's limit_order"
        raise unreadable(what, error) from error


def _are_met(asked: Mapping[str, Money | None], limits: Limits) -> bool:
    shown = {"take_profit": limits.take_profit, "stop_loss": limits.stop_loss}
    return all(same_amount(amount, shown.get(name)) for name, amount in asked.items())
