"""The envelope: the members that every reply has around its payload.

A reply repeats its request in `echo_req`, names its type in `msg_type`, and carries `req_id` and
`passthrough` if the request has them. A token is never repeated. Sources: the official v3 schemas;
the text that masks a token was recorded from the live API.
"""

from collections.abc import Mapping
from typing import Any

import attrs

Message = dict[str, Any]


class TranslatedRequest(Message):
    """A request translated to v3; its replies repeat the *original*."""

    original: Message


#: The first words of the error for a member that the call does not have.
UNKNOWN_MEMBER = "Properties not allowed:"

_MASK = "<not shown>"
_SECRET = ("authorize", "tokens")


@attrs.define
class Refusal(Exception):
    """The request is answered with this error; *details* has a text for each bad field."""

    code: str
    message: str
    details: Mapping[str, str] = attrs.field(factory=dict)


def invalid(details: Mapping[str, str]) -> Refusal:
    """Return the refusal of a request with an error in each field of *details*."""
    texts = [
        error.rstrip(".") if error.startswith(UNKNOWN_MEMBER) else name
        for name, error in details.items()
    ]
    text = f"Input validation failed: {', '.join(texts)}"
    return Refusal(code="InputValidationFailed", message=text, details=details)


def masked(request: Message) -> Message:
    """Return the original *request* with its tokens masked, to be repeated or recorded."""
    if isinstance(request, TranslatedRequest):
        request = request.original
    return {name: _MASK if name in _SECRET else value for name, value in request.items()}


def reply(request: Message, msg_type: str, *, subscription: str | None = None) -> Message:
    """Return the envelope of a reply to *request*; the caller adds the payload."""
    message: Message = {"echo_req": masked(request), "msg_type": msg_type}
    if isinstance(req_id := request.get("req_id"), int):
        message["req_id"] = req_id
    if isinstance(passthrough := request.get("passthrough"), dict):
        message["passthrough"] = passthrough
    if subscription is not None:
        message["subscription"] = {"id": subscription}
    return message


def error_reply(request: Message, msg_type: str, refused: Refusal) -> Message:
    """Return the reply that says why *request* was *refused*."""
    error: Message = {"code": refused.code, "message": refused.message}
    if refused.details:
        error["details"] = dict(refused.details)
    return reply(request, msg_type) | {"error": error}
