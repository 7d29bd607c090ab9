"""Whether a request is well-formed: the part of JSON Schema that Deriv's send schemas use.

The texts are those of the validator behind the live API, as third parties recorded them.
"""

import re
from collections.abc import Callable
from typing import Any

from derivtrio.simulator.protocol.call_definitions import CallDefinition
from derivtrio.simulator.protocol.envelope import UNKNOWN_MEMBER, Message, invalid
from derivtrio.simulator.protocol.field_schemas import Schema


def check(request: Message, call: CallDefinition) -> None:
    """Raise the `Refusal` that *request* gets if *call* does not allow it."""
    unknown = {name: f"{UNKNOWN_MEMBER} {name}." for name in sorted(request.keys() - call.fields)}
    missing = {name: "Missing property." for name in call.required if name not in request}
    wrong = {
        name: fault
        for name, schema in call.fields.items()
        if name in request and (fault := _fault(schema, request[name])) is not None
    }
    if details := missing | wrong | unknown:
        raise invalid(details)


def _fault(schema: Schema, value: Any) -> str | None:
    """Return what *schema* finds wrong with *value*, or `None`."""
    for keyword, rule in _RULES.items():
        if keyword in schema and (fault := rule(schema[keyword], value)) is not None:
            return fault
    return None


def _wrong_type(wanted: str | list[str], value: Any) -> str | None:
    found, allowed = _type_name(value), [wanted] if isinstance(wanted, str) else wanted
    if found in allowed or (found == "integer" and "number" in allowed):
        return None
    return f"Expected {'/'.join(allowed)} - got {found}."


def _not_listed(listed: list[Any], value: Any) -> str | None:
    names = ", ".join(str(item) for item in listed)
    return None if value in listed else f"Not in enum list: {names}."


def _no_match(pattern: str, value: str) -> str | None:
    # JSON Schema means ECMA's `$`, which does not match before a final newline.
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
    faults = ((name, _fault(schemas[name], member)) for name, member in value.items())
    return next((f"/{name}: {fault}" for name, fault in faults if fault is not None), None)


def _wrong_item(schema: Schema, value: list[Any]) -> str | None:
    faults = (_fault(schema, item) for item in value)
    return next((fault for fault in faults if fault is not None), None)


def _no_alternative(alternatives: list[Schema], value: Any) -> str | None:
    """Return the fault of the alternative that has the type of *value*, or of the first."""
    faults = [_fault(schema, value) for schema in alternatives]
    if None in faults:
        return None
    fitting = [schema["type"] == _type_name(value) for schema in alternatives]
    return faults[fitting.index(True) if True in fitting else 0]


#: In the order of checking: a value of the wrong type is not looked at any further.
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
