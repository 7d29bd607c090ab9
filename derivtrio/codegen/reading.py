"""Deriv's JSON schemas, reduced to shapes: what a value may be, in Python literals.

The notation is described in `published`, which is made of it. What the schemas say of lengths of
arrays and of conditions between fields is left out, and so are patterns that Python's `re` does
not read the way Perl does: a request is better let through than refused by mistake.
"""

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from derivtrio.redaction import SECRET_FIELDS

Schema = Mapping[str, Any]
Shape = Any

#: Members of every request and every reply; they are not repeated in the data.
ENVELOPE: Final = frozenset({"echo_req", "msg_type", "passthrough", "req_id"})

#: Where Deriv's own pages contradict the schemas, the looser one holds for what is let through.
CORRECTIONS: Final[Mapping[tuple[str, str], dict[str, Shape]]] = {
    ("options", "forget"): {"forget!": "text"},
    ("options", "forget_all"): {"forget_all!": ["text", {"[]": "text"}]},
}

_SIMPLE: Final = {"boolean": "boolean", "null": "null"}


@attrs.frozen
class CallSchema:
    """One call of one generation.

    Attributes:
        scopes: any one of them is enough; empty where no authorization is needed.
        answers: the message types of its replies.
        takes: the shape of the request, without the envelope, and with the corrections.
        declares: the same as the schema has it, for type checkers: they had better know the values.
        gives: the shape of the reply, without the envelope.

    """

    scopes: tuple[str, ...]
    answers: tuple[str, ...]
    takes: dict[str, Shape]
    declares: dict[str, Shape]
    gives: dict[str, Shape]


#: By generation, then by call.
Schemas = dict[str, dict[str, CallSchema]]


def read_schemas(root: Path) -> Schemas:
    """Return all calls that have schemas in the folder *root*, in alphabetical order."""
    v3 = {
        path.name: (path / "send.json", path / "receive.json")
        for path in sorted((root / "v3").iterdir())
    }
    options = {
        path.name.removesuffix("_request.schema.json"): (
            path,
            path.with_name(path.name.replace("_request.", "_response.")),
        )
        for path in sorted((root / "options").glob("*_request.schema.json"))
    }
    found = {"v3": v3, "options": options}
    return {
        generation: {
            call: _call(generation, call, _load(send), _load(receive))
            for call, (send, receive) in files.items()
            if "auth_required" in _load(send)  # the others are of the REST API
        }
        for generation, files in found.items()
    }


def _load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _call(generation: str, call: str, send: Schema, receive: Schema) -> CallSchema:
    declares = _without_envelope(_Reader(send, secrets=True).shape(send))
    answers = tuple(receive["properties"]["msg_type"]["enum"])
    reply = _Reader(receive, secrets=False).shape(receive)
    gives = reply if isinstance(reply, dict) else {}
    return CallSchema(
        scopes=tuple(send.get("auth_scopes", ())),
        answers=answers,
        takes=declares | CORRECTIONS.get((generation, call), {}),
        declares=declares,
        gives=_with_payload(_without_envelope(gives), call, answers),
    )


def _without_envelope(shape: dict[str, Shape]) -> dict[str, Shape]:
    return {key: value for key, value in shape.items() if key.rstrip("!") not in ENVELOPE}


def _with_payload(gives: dict[str, Shape], call: str, answers: tuple[str, ...]) -> dict[str, Shape]:
    """Return *gives* with the payload required: no schema says so, as an error reply has none.

    Of a call that returns, there was no error.
    """
    payload = {key.rstrip("!") for key in gives} - {"subscription"}
    if len(answers) > 1:
        return gives
    sure = payload if len(payload) == 1 else payload & {call, *answers}
    return {
        f"{key.rstrip('!')}!" if key.rstrip("!") in sure else key: shape
        for key, shape in gives.items()
    }


@attrs.frozen
class _Reader:
    root: Schema
    secrets: bool

    def shape(self, schema: Schema, *, secret: bool = False) -> Shape:
        """Return what *schema* allows; texts of a *secret* are never to be shown."""
        if "$ref" in schema:
            return self.shape(self._target(schema["$ref"]), secret=secret)
        choices = schema.get("oneOf") or schema.get("anyOf")
        if choices:
            return union(self.shape(choice, secret=secret) for choice in choices)
        secret = self.secrets and (secret or bool(schema.get("sensitive")))
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types
        return union(self._typed(kind, schema, secret=secret) for kind in types)

    def _target(self, reference: str) -> Any:
        target: Any = self.root
        for name in reference.removeprefix("#/").split("/"):
            target = target[name]
        return target

    def _typed(self, kind: str, schema: Schema, *, secret: bool) -> Shape:
        if kind == "object":
            return self._object(schema, secret=secret)
        if kind == "array":
            items = schema.get("items")
            return {"[]": self.shape(items, secret=secret) if items else "any"}
        if kind in _SIMPLE:
            return _SIMPLE[kind]
        values = tuple(value for value in schema.get("enum", ()) if value is not None)
        if values:
            return values
        if kind == "string":
            return _text(schema, secret=secret)
        return kind + _range(schema)

    def _object(self, schema: Schema, *, secret: bool) -> Shape:
        required = schema.get("required", ())
        shape = {
            f"{name}!" if name in required else name: self.shape(
                member, secret=secret or name in SECRET_FIELDS
            )
            for name, member in schema.get("properties", {}).items()
        }
        others = list(schema.get("patternProperties", {}).values())
        if isinstance(schema.get("additionalProperties"), Mapping):
            others.append(schema["additionalProperties"])
        if others:
            shape["*"] = union(self.shape(other, secret=secret) for other in others)
        return shape or "object"


def union(shapes: Iterable[Shape]) -> Shape:
    """Return the shape that allows what any of *shapes* allows."""
    kept: list[Shape] = []
    for shape in shapes:
        kept += [part for part in _parts(shape) if part not in kept]
    if "any" in kept or not kept:
        return "any"
    if "text" in kept:
        kept = [part for part in kept if part == "text" or not _is_text(part)]
    return kept[0] if len(kept) == 1 else kept


def _is_text(shape: Shape) -> bool:
    if isinstance(shape, tuple):
        return all(isinstance(value, str) for value in shape)
    return isinstance(shape, str) and shape.startswith("text")


def _parts(shape: Shape) -> list[Shape]:
    return shape if isinstance(shape, list) else [shape]


def _text(schema: Schema, *, secret: bool) -> str:
    words = ["secret" if secret else "text"]
    if "minLength" in schema or "maxLength" in schema:
        words.append(f"{schema.get('minLength', '')}..{schema.get('maxLength', '')}")
    if "pattern" in schema and _is_python(schema["pattern"]):
        words.append(f"~ {schema['pattern']}")
    return " ".join(words)


def _range(schema: Schema) -> str:
    if "minimum" not in schema and "maximum" not in schema:
        return ""
    above = ">" if schema.get("exclusiveMinimum") else ""
    return f" {above}{schema.get('minimum', '')}..{schema.get('maximum', '')}"


def _is_python(pattern: str) -> bool:
    if "[[:" in pattern:  # a POSIX class: compiles, to something else
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            re.compile(pattern)
        except (re.error, FutureWarning, DeprecationWarning):
            return False
    return True
