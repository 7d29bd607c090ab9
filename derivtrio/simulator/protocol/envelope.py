"""The envelope: what every reply has around its payload.

A reply repeats its request in `echo_req`, names itself in `msg_type`, and carries `req_id` and
`passthrough` only if the request had them. A token is never repeated. (Official v3 schemas; the
mask as recorded from the live API.)
"""

from collections.abc import Mapping
from typing import Any

import attrs

Message = dict[str, Any]


class TranslatedRequest(Message):
    """A request in other words than it came in; a reply repeats the *original*."""

    original: Message


#: How the fault of a member begins that no request of this call has.
UNKNOWN_MEMBER = "Properties not allowed:"

_MASK = "<not shown>"
_SECRET = ("authorize", "tokens")


@attrs.define
class Refusal(Exception):
    """A request is answered with an error of this *code*, text and details per bad field."""

    code: str
    message: str
    details: Mapping[str, str] = attrs.field(factory=dict)


def invalid(details: Mapping[str, str]) -> Refusal:
    """Return the refusal of a request whose fields have the faults in *details*."""
    texts = [
        fault.rstrip(".") if fault.startswith(UNKNOWN_MEMBER) else name
        for name, fault in details.items()
    ]
    text = f"Input validation failed: {', '.join(texts)}"
    return Refusal(code="InputValidationFailed", message=text, details=details)


def masked(request: Message) -> Message:
    """Return *request* as it may be repeated and recorded: as it came, without its tokens."""
    if isinstance(request, TranslatedRequest):
        request = request.original
    return {name: _MASK if name in _SECRET else value for name, value in request.items()}


def reply(request: Message, msg_type: str, *, subscription: str | None = None) -> Message:
    """Return the envelope of an answer to *request*, to which the caller adds the payload."""
    message: Message = {"echo_req": masked(request), "msg_type": msg_type}
    if isinstance(req_id := request.get("req_id"), int):
        message["req_id"] = req_id
    if isinstance(passthrough := request.get("passthrough"), dict):
        message["passthrough"] = passthrough
    if subscription is not None:
        message["subscription"] = {"id": subscription}
    return message


def refusal(request: Message, msg_type: str, refused: Refusal) -> Message:
    """Return the answer to *request* that says why it was *refused*."""
    error: Message = {"code": refused.code, "message": refused.message}
    if refused.details:
        error["details"] = dict(refused.details)
    return reply(request, msg_type) | {"error": error}
