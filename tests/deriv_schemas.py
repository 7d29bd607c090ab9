"""The official Deriv schemas, where they are at hand.

They are looked for in `shared/deriv-schemas` beside the repository, or where the environment
variable DERIV_SCHEMAS says; `available` tells whether they were found.
"""

import functools
import json
import os
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator

from derivtrio.api.catalog import PUBLISHED

ROOT = Path(
    os.environ.get("DERIV_SCHEMAS")
    or Path(__file__).resolve().parents[2] / "shared" / "deriv-schemas"
)

#: The calls that are published: generation and name.
CALLS = [(generation, name) for generation, calls in PUBLISHED.items() for name in calls]

#: Published examples that their own schemas do not allow.
WRONG_EXAMPLES = {
    "exchange_verification_code",
    "p2p_advert_update",
    "partner_account_creation",
    "unsubscribe_email",
}

#: Live candles and live ticks of a history are in no published schema of their call.
_UNPUBLISHED = {("ticks_history", "ohlc"), ("ticks_history", "tick")}

#: The published schemas have no `error`, and reject some error replies by their `msg_type`.
_ENVELOPE = {
    "type": "object",
    "required": ["echo_req", "msg_type"],
    "properties": {
        "echo_req": {"type": "object"},
        "msg_type": {"type": "string"},
        "req_id": {"type": "integer"},
        "passthrough": {"type": "object"},
        "subscription": {
            "type": "object",
            "additionalProperties": False,
            "required": ["id"],
            "properties": {"id": {"type": "string", "pattern": "^[\\w-]{32,128}$"}},
        },
        "error": {
            "type": "object",
            "additionalProperties": False,
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "pattern": "^[A-Za-z]+$"},
                "message": {"type": "string", "minLength": 1},
                "details": {"type": "object", "minProperties": 1},
            },
        },
    },
}


def available() -> bool:
    return (ROOT / "v3").is_dir()


@functools.cache
def calls(generation: str = "v3") -> list[str]:
    """Return the WebSocket calls of a generation, `v3` or `options`."""
    if generation == "v3":
        return sorted(path.name for path in (ROOT / "v3").iterdir())
    names = (path.name for path in (ROOT / "options").glob("*_request.schema.json"))
    found = (name.removesuffix("_request.schema.json") for name in names)
    return sorted(c for c in found if c in load(c, "send", "options").get("properties", ()))


@functools.cache
def load(call: str, direction: str, generation: str = "v3") -> dict[str, Any]:
    """Return the schema of *call* for `send` or `receive`, as published."""
    path = ROOT / "v3" / call / f"{direction}.json"
    if generation == "options":
        word = {"send": "request", "receive": "response"}[direction]
        path = ROOT / "options" / f"{call}_{word}.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


def load_request(call: str, generation: str) -> dict[str, Any]:
    """Return the schema of the request *call* of either generation."""
    if generation == "v3":
        return load(call, "send")
    path = ROOT / generation / f"{call}_request.schema.json"
    schema: dict[str, Any] = json.loads(path.read_text())
    return schema


@functools.cache
def validator(call: str, direction: str, generation: str = "v3") -> Draft4Validator:
    """Return a validator that leaves out the patterns that are not in Python's dialect."""
    return Draft4Validator(portable(load(call, direction, generation)))


def check_request(request: dict[str, Any], generation: str = "v3") -> None:
    """Raise `ValidationError` unless *request* is one that the official schema allows."""
    call = next(member for member in request if member in calls(generation))
    validator(call, "send", generation).validate(request)


def check_message(message: dict[str, Any], generation: str = "v3") -> None:
    """Raise `ValidationError` unless *message* is one that a Deriv server may send."""
    Draft4Validator(_ENVELOPE).validate(message)
    if generation == "options":
        assert "passthrough" not in message
    call = next((member for member in message["echo_req"] if member in calls(generation)), None)
    if (call, message["msg_type"]) == ("buy", "proposal_open_contract"):
        call = "proposal_open_contract"
    if "error" in message or call is None or (call, message["msg_type"]) in _UNPUBLISHED:
        return
    validator(call, "receive", generation).validate(message)
    assert message["msg_type"] in message


def portable(schema: Any) -> Any:
    """Return *schema* without the patterns that are not in Python's dialect."""
    if isinstance(schema, list):
        return [portable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: portable(value)
        for name, value in schema.items()
        if not (name == "pattern" and isinstance(value, str) and not _is_python(value))
    }


def _is_python(pattern: str) -> bool:
    if "[[:" in pattern:  # compiles, to something else
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
