"""The official schemas in the form that the simulator has them in."""

from typing import Any

_PROSE = {"description", "title", "default", "examples", "sensitive"}


def resolved(schema: Any, root: dict[str, Any]) -> Any:
    """Put definitions in the place of their references."""
    if isinstance(schema, list):
        return [resolved(item, root) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return root["definitions"][schema["$ref"].rpartition("/")[2]]
    return {name: resolved(value, root) for name, value in schema.items()}


def without_prose(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _bare(schema) for name, schema in fields.items()}


def _bare(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_bare(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _bare(value) for name, value in schema.items() if name not in _PROSE}
