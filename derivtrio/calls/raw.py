"""Messages of the user's own making, which are written as they are and have no reply."""

from collections.abc import Mapping
from typing import Any

from derivtrio.api import codec
from derivtrio.api.catalog import CHANGES, NAMES
from derivtrio.calls.call import Call
from derivtrio.calls.routing import FIRST_FOREIGN_ID
from derivtrio.errors import invalid_request
from derivtrio.policy.rate_limits import urgency_of
from derivtrio.wording import shown


def raw_call(data: str | bytes | Mapping[str, Any]) -> Call:
    """Return *data* as a message to write as it is; a mapping is written as JSON.

    Raises:
        InvalidRequest: it is not str, bytes or a mapping, or its `req_id` is one that the client
            may use itself.

    """
    if isinstance(data, Mapping):
        try:
            data = codec.encode(data)
        except (TypeError, ValueError) as error:
            raise invalid_request(codec.error_text(error, data)) from error
    if not isinstance(data, (str, bytes)):
        text = f"a message is str, bytes or a mapping, not {type(data).__name__}"
        raise invalid_request(text)
    message = _object_in(data)
    req_id = message.get("req_id", FIRST_FOREIGN_ID)
    if type(req_id) is not int or req_id < FIRST_FOREIGN_ID:  # a server may take "7" for 7
        refusal = (
            f"req_id {shown(req_id)} may be one of the client's own;"
            f" use a whole number from {FIRST_FOREIGN_ID} up"
        )
        raise invalid_request(refusal)
    # Of several calls in one message nobody knows which the server makes; these are refused.
    named = (member for member in (*CHANGES, *message) if member in message and member in NAMES)
    name = next(named, "a raw message")
    return Call(name, {}, data, safe=False, urgency=urgency_of(name))


def _object_in(data: str | bytes) -> dict[str, Any]:
    """Return the JSON object in *data*; an empty one where there is none."""
    if isinstance(data, bytes):
        return {}  # it is written as a binary message, which is no request to the API
    try:
        message = codec.decode_with_halves(data)
    except codec.UNDECODABLE:
        return {}
    return message if isinstance(message, dict) else {}
