"""From one request to its replies, without any I/O.

The order of the checks: is it JSON, is it an object, is its call known, is there a budget for it,
is it well-formed, may this login make it. A refusal at any of them is the reply.
"""

from collections.abc import Callable, Iterable, Iterator

from derivtrio.codec import DecodeError, decode
from derivtrio.simulator import identity, listings, quotes, service
from derivtrio.simulator.catalogue import CALLS
from derivtrio.simulator.envelope import Message, Refusal, refusal
from derivtrio.simulator.session import Session
from derivtrio.simulator.validation import check

_Handler = Callable[[Session, Message, int], Iterable[Message | None]]

_HANDLERS: dict[str, _Handler] = {
    "ping": service.ping,
    "time": service.time,
    "website_status": service.website_status,
    "active_symbols": listings.active_symbols,
    "trading_times": listings.trading_times,
    "contracts_for": listings.contracts_for,
    "ticks": quotes.ticks,
    "ticks_history": quotes.ticks_history,
    "forget": service.forget,
    "forget_all": service.forget_all,
    "authorize": identity.authorize,
    "logout": identity.logout,
    "balance": identity.balance,
}

#: The calls whose errors do not carry the call's own name (recorded from the live API).
_ERROR_TYPES = {"ticks": "tick"}


def parse(text: str | bytes) -> Message:
    """Return the request that *text* is; anything but a JSON object is an empty one."""
    try:
        request = decode(text)
    except DecodeError:
        return {}
    return request if isinstance(request, dict) else {}


def answer(session: Session, request: Message, epoch: int) -> Iterator[Message | None]:
    """Yield the replies to *request*, made at *epoch*, and change *session* accordingly.

    Some take a while to compute; each `None` in between is a place where others may have a turn.
    """
    name = next((member for member in request if member in CALLS), None)
    if name is None:
        yield refusal(request, "error", _nothing_to_do(request))
        return
    try:
        session.charge(name)
        check(request, CALLS[name])
        session.require(CALLS[name].scopes, request.get("loginid"))
        yield from _HANDLERS[name](session, request, epoch)
    except Refusal as refused:
        yield refusal(request, _ERROR_TYPES.get(name, name), refused)


def _nothing_to_do(request: Message) -> Refusal:
    if not request:
        return Refusal(code="BadRequest", message="The application sent an invalid request.")
    return Refusal(code="UnrecognisedRequest", message="Unrecognised request.")
