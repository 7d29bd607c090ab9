"""The requests of streams: what may be asked for, which are equal, and what resumes them. No I/O.

Subscription ids live and die with a connection, so a stream is kept by its request, which is asked
again on every new connection.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from derivtrio.api import codec
from derivtrio.api.catalog import GRANULARITIES, is_safe_request, may_stream
from derivtrio.api.trades import contract_of
from derivtrio.calls.call import api_call
from derivtrio.errors import check_flag, invalid_request
from derivtrio.wording import shown

#: What a stream does when its market is closed: raise `MarketClosed`, or wait until it opens.
WhenClosed = Literal["raise", "wait"]


def subscribing(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *request* with `subscribe: 1`.

    Raises:
        InvalidRequest: it cannot be subscribed to.

    """
    call = api_call(request)
    if request.get("subscribe", 1) != 1:
        text = f"subscribe is 1 or left out, not {shown(request['subscribe'])}"
        raise invalid_request(text, request)
    if not may_stream(call.name):
        text = f"{call.name} does not stream; ask it with client.call"
        raise invalid_request(text, request)
    return {**request, **call.request, "subscribe": 1}


def key_of(name: str, request: Mapping[str, Any]) -> str | None:
    """Return a text that equal requests have in common; None for a request that is never shared.

    Deriv allows one stream of each on a connection, whatever the order of a request's members. A
    `req_id` makes no difference: the writer gives every request its own.

    Raises:
        InvalidRequest: the request has no JSON form.

    """
    if not is_safe_request(name, request):
        return None
    asked = {member: request[member] for member in request if member != "req_id"}
    try:
        return codec.sorted_text(asked)
    except (TypeError, ValueError, RecursionError) as error:
        raise invalid_request(codec.error_text(error, asked), asked) from None


def resumption(
    name: str, request: Mapping[str, Any], first: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the request that resumes a stream on a new connection; None where none can.

    `name` and `request` opened it, `first` was its first reply. A stream that a purchase opened
    must not be resumed by another purchase: it goes on as `proposal_open_contract`.
    """
    if is_safe_request(name, request):
        return request
    contract_id = contract_of(first)
    if contract_id is not None:
        account = {"loginid": request["loginid"]} if "loginid" in request else {}
        contract = {"contract_id": contract_id, "subscribe": 1}
        return {"proposal_open_contract": 1, **contract, **account}
    return None


def check_symbol(symbol: object) -> None:
    """Raise an InvalidRequest if *symbol* is not a symbol."""
    if not isinstance(symbol, str) or not symbol:
        text = f"a symbol is a str such as 'R_100', not {shown(symbol)}"
        raise invalid_request(text)


def check_granularity(granularity: object) -> None:
    """Raise an InvalidRequest if *granularity* is not one of those that Deriv has."""
    if type(granularity) is not int or granularity not in GRANULARITIES:
        text = f"granularity is one of {sorted(GRANULARITIES)} seconds, not {shown(granularity)}"
        raise invalid_request(text)


def check_strict(overflow: object, *, strict: bool) -> None:
    """Raise an InvalidRequest if a *strict* stream has a policy that drops items."""
    check_flag("strict", strict)
    if strict and overflow != "error":
        text = f"the overflow of a strict stream is 'error', not {shown(overflow)}: it drops items"
        raise invalid_request(text)


def check_when_closed(when_closed: object) -> None:
    """Raise an InvalidRequest if *when_closed* is not what a stream can do then."""
    if when_closed not in get_args(WhenClosed):
        text = f'when_closed is "raise" or "wait", not {shown(when_closed)}'
        raise invalid_request(text)
