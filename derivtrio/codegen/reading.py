"""Reads Deriv's JSON schemas into shapes: Python literals that say what a value may be.

`api/_published.py` describes the notation. Some things are left out: the lengths of arrays,
conditions between fields, and patterns that mean something else in Python's `re` than in Perl. It
is better to let a wrong request through than to refuse a right one.
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

#: Every request and every reply may have these members; the data does not list them.
ENVELOPE: Final = frozenset({"echo_req", "msg_type", "passthrough", "req_id"})

#: For checking requests: the looser of the two where Deriv's documentation contradicts the schemas.
CORRECTIONS: Final[Mapping[tuple[str, str], dict[str, Shape]]] = {
    ("options", "forget"): {"forget!": "text"},
    ("options", "forget_all"): {"forget_all!": ["text", {"[]": "text"}]},
}

_SIMPLE: Final = {"boolean": "boolean", "null": "null"}


@attrs.frozen
class CallSchema:
    """One call of one generation.

    Attributes:
        scopes: a token needs one of them; empty if the call needs no authorization.
        answers: the message types of its replies.
        takes: the shape of the request, without the envelope, corrected: for checking requests.
        declares: the same without the corrections: type checkers should know the stricter values.
        gives: the shape of the reply, without the envelope.

    """

    scopes: tuple[str, ...]
    answers: tuple[str, ...]
    takes: dict[str, Shape]
    declares: dict[str, Shape]
    gives: dict[str, Shape]


#: Calls by their generation, then by their name.
Schemas = dict[str, dict[str, CallSchema]]


def read_schemas(root: Path) -> Schemas:
    """Return all calls that have schemas in the folder *root*, sorted by name."""
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
            if "auth_required" in _load(send)  # the others belong to the REST API
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
    """Return *gives* with the payload required.

    The schemas do not require it, because an error reply has none. But a call that returns had no
    error.
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
        """Return what *schema* allows; with *secret*, its texts become secrets."""
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
    if "[[:" in pattern:  # a POSIX class: it compiles, but means something else
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            re.compile(pattern)
        except (re.error, FutureWarning, DeprecationWarning):
            return False
    return True
