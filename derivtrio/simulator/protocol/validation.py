"""Validation of requests: the part of JSON Schema that Deriv's send schemas use.

Deriv's v3 server takes a number for a text, and a text that looks like a number for a number; its
schemas do not. `understood` does so, too. It leaves a listed value as it is: a `granularity` that
is a text is refused. Sources: Deriv's own tests of its server, and what its engineers say.

A number without a fraction is an integer, also if it is written as `1.0`. For the Options API its
schemas say so, which are of draft 7. Those of v3 are of draft 4, which does not; but its server
looks at the digits of a value that Perl has decoded, and Perl's 1.0 has none behind the point.
(Source: `FastSchemaValidator.pm`, and JSON::Validator, whose words its errors are.)

The texts are those of the live API's validator, as third parties recorded them.
"""

import re
from collections.abc import Callable
from typing import Any

from derivtrio.api.codec import decode
from derivtrio.simulator.protocol.call_definitions import CallDefinition
from derivtrio.simulator.protocol.envelope import (
    UNKNOWN_MEMBER,
    Message,
    TranslatedRequest,
    invalid,
)
from derivtrio.simulator.protocol.field_schemas import Schema


def understood(request: Message, call: CallDefinition, *, v3: bool) -> Message:
    """Return *request* as Deriv's server reads it; its replies repeat it as it came."""
    read = _read_members(call.fields, request, v3)
    # A reply has the `req_id` of its request, whatever its type.
    read |= {name: request[name] for name in ("req_id",) if name in request}
    if all(read[name] is value for name, value in request.items()):  # 1 and 1.0 are equal
        return request
    translated = TranslatedRequest(read)
    translated.original = request
    return translated


def check(request: Message, call: CallDefinition) -> None:
    """Raise the `Refusal` of *request* unless it fits the definition of its *call*."""
    unknown = {name: f"{UNKNOWN_MEMBER} {name}." for name in sorted(request.keys() - call.fields)}
    missing = {name: "Missing property." for name in call.required if name not in request}
    wrong = {
        name: error
        for name, schema in call.fields.items()
        if name in request and (error := _error(schema, request[name])) is not None
    }
    if details := missing | wrong | unknown:
        raise invalid(details)


def _read_members(schemas: Schema, members: Message, v3: bool) -> Message:  # noqa: FBT001
    return {name: _read(schemas.get(name, {}), value, v3) for name, value in members.items()}


def _read(schema: Schema, value: Any, v3: bool) -> Any:  # noqa: FBT001
    if "properties" in schema and isinstance(value, dict):
        return _read_members(schema["properties"], value, v3)
    if (
        isinstance(value, float)
        and value.is_integer()
        and "integer" in _listed(schema.get("type", []))
    ):
        return int(value)
    if not v3:
        return value
    wanted = [] if "enum" in schema else _listed(schema.get("type", []))
    found = _type_name(value)
    if wanted == ["string"] and found in ("integer", "number"):
        return str(value)
    is_numeric = found == "string" and _NUMBER.fullmatch(value)
    return decode(value) if is_numeric and {"integer", "number"}.intersection(wanted) else value


#: The texts that look like a number; JSON has no other numbers, either.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,10})?")


def _listed(wanted: str | list[str]) -> list[str]:
    return [wanted] if isinstance(wanted, str) else wanted


def _error(schema: Schema, value: Any) -> str | None:
    """Return the error that *schema* finds in *value*, or `None`."""
    for keyword, rule in _RULES.items():
        if keyword in schema and (error := rule(schema[keyword], value)) is not None:
            return error
    return None


def _wrong_type(wanted: str | list[str], value: Any) -> str | None:
    found, allowed = _type_name(value), _listed(wanted)
    if found in allowed or (found == "integer" and "number" in allowed):
        return None
    return f"Expected {'/'.join(allowed)} - got {found}."


def _not_listed(listed: list[Any], value: Any) -> str | None:
    names = ", ".join(str(item) for item in listed)
    return None if value in listed else f"Not in enum list: {names}."


def _no_match(pattern: str, value: str) -> str | None:
    # JSON Schema uses ECMAScript's `$`, which does not match before a final newline; Python's does.
    matches = re.search(pattern.replace("$", r"\Z"), value)
    return None if matches else f"String does not match '{pattern}'."


def _too_small(minimum: int, value: int) -> str | None:
    return f"{value} < minimum({minimum})" if value < minimum else None


def _too_large(maximum: int, value: int) -> str | None:
    return f"{value} > maximum({maximum})" if value > maximum else None


def _too_many(most: int, value: list[Any]) -> str | None:
    return f"Too many items: {len(value)}/{most}." if len(value) > most else None


def _missing_member(required: list[str], value: Message) -> str | None:
    missing = [name for name in required if name not in value]
    return f"/{missing[0]}: Missing property." if missing else None


def _wrong_member(schemas: Schema, value: Message) -> str | None:
    if unknown := sorted(value.keys() - schemas.keys()):
        return f"{UNKNOWN_MEMBER} {', '.join(unknown)}."
    errors = ((name, _error(schemas[name], member)) for name, member in value.items())
    return next((f"/{name}: {error}" for name, error in errors if error is not None), None)


def _wrong_item(schema: Schema, value: list[Any]) -> str | None:
    errors = (_error(schema, item) for item in value)
    return next((error for error in errors if error is not None), None)


def _no_alternative(alternatives: list[Schema], value: Any) -> str | None:
    """Return the error of the alternative for the type of *value*, or else of the first."""
    errors = [_error(schema, value) for schema in alternatives]
    if None in errors:
        return None
    fitting = [schema["type"] == _type_name(value) for schema in alternatives]
    return errors[fitting.index(True) if True in fitting else 0]


#: In the order of checking; a value of the wrong type is not checked further.
_RULES: dict[str, Callable[[Any, Any], str | None]] = {
    "type": _wrong_type,
    "enum": _not_listed,
    "pattern": _no_match,
    "minimum": _too_small,
    "maximum": _too_large,
    "maxItems": _too_many,
    "items": _wrong_item,
    "required": _missing_member,
    "properties": _wrong_member,
    "oneOf": _no_alternative,
}

_TYPE_NAMES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


def _type_name(value: Any) -> str:
    return _TYPE_NAMES[type(value)]
