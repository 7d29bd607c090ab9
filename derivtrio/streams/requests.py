"""The requests of streams: which can be subscribed to, which are equal, and what resumes them.

Subscription ids live and die with a connection, so a stream is kept by its request, which is asked
again on every new connection. No I/O in here.
"""

from collections.abc import Mapping
from typing import Any

from derivtrio.api import codec
from derivtrio.api.catalog import is_safe, may_stream
from derivtrio.calls.call import api_call
from derivtrio.errors import invalid_request


def subscribing(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *request* with `subscribe: 1`.

    Raises:
        InvalidRequest: it cannot be subscribed to.

    """
    call = api_call(request)
    if request.get("subscribe", 1) != 1:
        text = f"subscribe is 1 or left out, not {request['subscribe']!r}"
        raise invalid_request(text, request)
    if not may_stream(call.name):
        text = f"{call.name} does not stream; ask it with client.call"
        raise invalid_request(text, request)
    return {**request, "subscribe": 1}


def key_of(name: str, request: Mapping[str, Any]) -> str | None:
    """Return a text that equal requests have in common; None for a request that is never shared.

    Deriv allows one stream of each on a connection, whatever the order of a request's members. A
    `req_id` makes no difference: the writer gives every request its own.
    """
    if not is_safe(name):
        return None
    return codec.sorted_text({member: request[member] for member in request if member != "req_id"})


def resumption(
    name: str, request: Mapping[str, Any], first: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the request that resumes a stream on a new connection; None where none can.

    `name` and `request` opened it, `first` was its first reply. A stream that a purchase opened
    must not be resumed by another purchase: it goes on as `proposal_open_contract`.
    """
    if is_safe(name):
        return request
    purchase = first.get("buy")
    if isinstance(purchase, dict) and "contract_id" in purchase:
        account = {"loginid": request["loginid"]} if "loginid" in request else {}
        contract = {"contract_id": purchase["contract_id"], "subscribe": 1}
        return {"proposal_open_contract": 1, **contract, **account}
    return None
