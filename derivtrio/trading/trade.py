"""One trade, from its request to its decided end.

1. A request that trades is written at most once. Nothing here repeats it.
2. A proposal's id means something on one connection only. So its purchase is written there or not
   at all.
3. A reply that cannot be read does not say that nothing happened. It leaves the trade in doubt.
4. Where the caller wants it, a trade in doubt is looked up in the account. That can end in three
   ways: it was executed, it was not, or nobody can say.
"""

import time
from collections.abc import Callable, Mapping
from decimal import localcontext
from typing import Any, TypeVar, cast

import attrs
import trio

from derivtrio.api import codec
from derivtrio.api.parsing import UNREADABLE
from derivtrio.api.trades import contract_of
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import checked_call, repeat
from derivtrio.calls.session import Session
from derivtrio.concurrency.home import require_home
from derivtrio.errors import (
    ConnectionChanged,
    DerivError,
    NotExecuted,
    OutcomeUnknown,
    check_flag,
    invalid_request,
)
from derivtrio.models import (
    EXACTLY,
    Ambiguous,
    Bought,
    Limits,
    Money,
    Outcome,
    Proposal,
    Purchase,
    Sale,
    Sold,
    Updated,
)
from derivtrio.policy.retry import ONCE
from derivtrio.policy.server_clock import Moment
from derivtrio.trading.orders import (
    account_words,
    amount_of,
    check_proposal,
    contract_words,
    loginid_for,
)

T = TypeVar("T")

#: Makes a model from a reply.
Read = Callable[[Mapping[str, Any]], T]


def proposal_purchase(
    proposal: Proposal, price: Money | None, loginid: str | None, session: Session
) -> Call:
    """Return the call that buys *proposal*, by its id.

    Raises:
        InvalidRequest: *price* or *loginid* does not fit the proposal, or that is none.
        ConnectionChanged: the proposal's connection is gone.

    """
    check_proposal(proposal)
    limit = amount_of("price", proposal.ask_price if price is None else price)
    account = account_words(loginid_for(proposal, loginid), session.generation)
    asked = {name: each for name, each in proposal.parameters.items() if name != "loginid"}
    request = {"buy": proposal.id, "price": limit, **account}
    call = api_call(request, only_on=proposal.connection, terms=codec.own_copy(asked))
    now = Moment(trio.current_time(), time.time())
    session.trades.server_time.note_at_least(proposal.spot_time, now)
    connection = session.usable_connection
    if connection is None or connection.number != proposal.connection:
        raise _gone(proposal.connection)
    return call


def parameters_purchase(
    parameters: Mapping[str, Any], price: Money | None, loginid: str | None, session: Session
) -> Call:
    """Return the call that buys the contract with these *parameters*.

    Raises:
        InvalidRequest: an argument makes no sense, or there is no price.

    """
    words = contract_words(parameters, {}, session.generation)
    if price is None:
        text = "price says what the contract may cost at most; give it with parameters"
        raise invalid_request(text)
    request: dict[str, Any] = {
        "buy": "1",
        "price": amount_of("price", price),
        "parameters": words,
        **account_words(loginid, session.generation),
    }
    return checked_call(request, session)


async def make_trade(call: Call, read: Read[T], session: Session, *, reconcile: bool) -> T:
    """Make *call* and return its reply, read by *read*; or, if it is lost, what was found out."""
    check_flag("reconcile", reconcile)
    try:
        return _confirmed(*await _make(call, session), read, session)
    except OutcomeUnknown as unknown:
        if not reconcile:
            raise
        in_doubt = unknown
    try:
        outcome = await look_up(in_doubt, session)
    except DerivError as error:
        # An error of the lookup is not the caller's answer: "permission denied" from the statement
        # would read as if the order itself had been refused.
        raise in_doubt from error
    return cast("T", _executed(in_doubt, outcome))


async def look_up(unknown: OutcomeUnknown, session: Session) -> Outcome:
    """Find out what became of a trade in doubt."""
    require_home(session.home)
    # Most programs never get here, and every program would wait for this import at its start.
    from derivtrio.trading.reconcile.outcome import find_outcome  # noqa: PLC0415

    with localcontext(EXACTLY):  # whatever the program has set for its own sums
        return await find_outcome(unknown, session)


async def _make(call: Call, session: Session) -> tuple[Call, Mapping[str, Any]]:
    """Make *call*; return the call that was answered, and its reply.

    It is another one where the server no longer knew the account, and *call* was made once more.
    If it belongs to one connection, give up when that is lost before the write.
    """
    made = [call]

    def again(refused: Call) -> Call:
        made.append(attrs.evolve(refused))
        return made[-1]

    if call.only_on is None:
        reply = await repeat(call, again, session, ONCE)
        return made[-1], reply
    # The session cancels its guards when the connection is lost. A call that was written by then is
    # decided already, and raises `OutcomeUnknown`; only one that was not is cancelled here.
    with trio.CancelScope() as guard:
        session.guards.add(guard)
        try:
            reply = await repeat(call, again, session, ONCE)
            return made[-1], reply
        finally:
            session.guards.discard(guard)
    raise _gone(call.only_on)


def _confirmed(call: Call, reply: Mapping[str, Any], read: Read[T], session: Session) -> T:
    """Return what *reply* confirms; one that cannot be read leaves the trade in doubt.

    So does one that names a contract which another order has led to.
    """
    try:
        _check_contract(call, reply, session)
        return read(reply)
    except UNREADABLE as error:
        text = f"the server's answer to {call.name} cannot be read: {error!r}"
        raise session.trades.doubt(call, text) from error


def _check_contract(call: Call, reply: Mapping[str, Any], session: Session) -> None:
    contract_id = contract_of(reply) if call.name == "buy" else None
    if contract_id is not None and session.trades.is_known(contract_id, other_than=call):
        text = f"contract {contract_id} was bought by another order"
        raise ValueError(text)


def _executed(unknown: OutcomeUnknown, outcome: Outcome) -> Purchase | Sale | Limits:
    """Return what was executed after all; otherwise raise what is known instead."""
    match outcome:
        case Bought(purchase=purchase):
            return purchase
        case Sold(sale=sale):
            return sale
        case Updated(limits=limits):
            return limits
        case Ambiguous():
            unknown.outcome = outcome
            raise unknown
    text = f"not executed: {outcome.how}"
    raise NotExecuted(text, unknown.request, unknown.connection) from unknown


def _gone(connection: int | None) -> ConnectionChanged:
    text = f"connection {connection}, by which the proposal came, is gone; nothing was bought"
    return ConnectionChanged(text)
