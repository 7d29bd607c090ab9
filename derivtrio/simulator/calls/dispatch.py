"""From one request to its replies, without any I/O.

The checks, in this order; the first that fails gives the reply:

1. The request is JSON, and an object.
2. The call is known, and simulated.
3. It is within the rate limits.
4. It is well-formed; v3 takes a number for a text, and the other way round.
5. The login has a scope for it.
"""

from collections.abc import Callable, Iterable, Iterator

from derivtrio.api.codec import DecodeError, decode
from derivtrio.simulator.calls import (
    authorization,
    balance,
    listings,
    offerings,
    positions,
    prices,
    proposals,
    reports,
    service,
    trading,
)
from derivtrio.simulator.calls.notifications import settle_and_notify
from derivtrio.simulator.dialects.dialect import Dialect
from derivtrio.simulator.protocol.envelope import Message, Refusal, error_reply
from derivtrio.simulator.protocol.validation import check, understood
from derivtrio.simulator.sessions.session import ServerSession

_Handler = Callable[[ServerSession, Message, int], Iterable[Message | None]]

_HANDLERS: dict[str, _Handler] = {
    "ping": service.ping,
    "time": service.time,
    "website_status": service.website_status,
    "active_symbols": listings.active_symbols,
    "trading_times": listings.trading_times,
    "contracts_for": offerings.contracts_for,
    "ticks": prices.ticks,
    "ticks_history": prices.ticks_history,
    "forget": service.forget,
    "forget_all": service.forget_all,
    "authorize": authorization.authorize,
    "logout": authorization.logout,
    "balance": balance.balance,
    "proposal": proposals.proposal,
    "buy": trading.buy,
    "sell": trading.sell,
    "cancel": trading.cancel,
    "contract_update": trading.contract_update,
    "contract_update_history": reports.contract_update_history,
    "proposal_open_contract": positions.proposal_open_contract,
    "portfolio": reports.portfolio,
    "statement": reports.statement,
    "profit_table": reports.profit_table,
    "transaction": positions.transaction,
    "sell_expired": trading.sell_expired,
    "topup_virtual": trading.topup_virtual,
}

#: The calls whose errors have another `msg_type` than the call (recorded from the live API).
_ERROR_TYPES = {"ticks": "tick"}


def parse(text: str | bytes) -> Message:
    """Return the request in *text*; an empty one if *text* is not a JSON object."""
    try:
        request = decode(text)
    except DecodeError:
        return {}
    return request if isinstance(request, dict) else {}


def answer(session: ServerSession, request: Message, epoch: int) -> Iterator[Message | None]:
    """Execute *request* at *epoch*, and yield the replies.

    A long computation yields `None` from time to time: there the caller may run other tasks.
    """
    settle_and_notify(session.backend, epoch)
    dialect = session.dialect
    name = call_of(session, request)
    if name is None:
        yield _not_executed(request, dialect)
        return
    try:
        session.charge(name)
        request = understood(request, dialect.calls[name], v3=session.speaks_v3)
        check(request, dialect.calls[name])
        session.require(dialect.calls[name].scopes, request.get("loginid"))
        yield from _HANDLERS[name](session, dialect.request(request), epoch)
    except Refusal as refused:
        yield error_reply(request, error_type(name), refused)


def call_of(session: ServerSession, request: Message) -> str | None:
    """Return the name of the call in *request*, or `None` if it is not simulated."""
    return next((member for member in request if member in session.dialect.calls), None)


def error_type(name: str) -> str:
    """Return the `msg_type` of the errors of the call *name*."""
    return _ERROR_TYPES.get(name, name)


def _not_executed(request: Message, dialect: Dialect) -> Message:
    if not request:
        text = "The application sent an invalid request."
        return error_reply(request, "error", Refusal(code="BadRequest", message=text))
    name = next((member for member in request if member in dialect.not_simulated), None)
    if name is None:
        text = "Unrecognised request."
        return error_reply(request, "error", Refusal(code="UnrecognisedRequest", message=text))
    text = f"The simulator does not have {name}, though Deriv does."
    return error_reply(request, name, Refusal(code="NotSimulated", message=text))
