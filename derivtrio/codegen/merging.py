"""Makes one call of a call that both generations have.

1. It takes and gives every member that one of them has.
2. A member is required if both require it.
3. If a request requires a member in one generation only, both forms are kept, as `Alternatives`:
   a request must have one form or the other, not a mixture.
"""

import attrs

from derivtrio.codegen.reading import Schemas, Shape, union

Members = dict[str, Shape]


@attrs.frozen
class Alternatives:
    """An object in a request: it has what v3 requires, or what the Options API requires."""

    v3: Members
    options: Members


@attrs.frozen
class MergedCall:
    """One call: the members of its request and of its reply, without the envelope."""

    takes: Members | Alternatives
    gives: Members


def merged_call(name: str, schemas: Schemas) -> MergedCall:
    """Return the call *name*, merged from the generations that have it."""
    first, *others = [calls[name] for calls in schemas.values() if name in calls]
    if not others:
        return MergedCall(first.declares, first.gives)
    other = others[0]
    takes = _request(first.declares, other.declares)
    return MergedCall(takes, _members(first.gives, other.gives, request=False))


def _request(one: Members, other: Members) -> Members | Alternatives:
    merged = _members(one, other, request=True)
    if _required(one) | _required(other) == _required(merged):
        return merged
    return Alternatives(_like(one, merged), _like(other, merged))


def _members(one: Members, other: Members, *, request: bool) -> Members:
    ones = {key.rstrip("!"): shape for key, shape in one.items()}
    others = {key.rstrip("!"): shape for key, shape in other.items()}
    sure = _required(one) & _required(other)
    merged = {}
    for name in ones | others:
        shapes = [side[name] for side in (ones, others) if name in side]
        shape = shapes[0] if len(shapes) == 1 else _either(*shapes, request=request)
        merged[f"{name}!" if name in sure else name] = shape
    return merged


def _either(one: Shape, other: Shape, *, request: bool) -> Shape:
    if isinstance(one, dict) and isinstance(other, dict):
        if ("[]" in one) != ("[]" in other):
            return [one, other]
        return _request(one, other) if request else _members(one, other, request=False)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return tuple(dict.fromkeys((*one, *other)))
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return union(_either(*pair, request=request) for pair in zip(one, other, strict=True))
    return union((one, other))


def _required(members: Members) -> set[str]:
    return {key.rstrip("!") for key in members if key.endswith("!")}


def _like(members: Members, merged: Members) -> Members:
    """Return *members*, required as before, with the shapes from *merged*."""
    shapes = {key.rstrip("!"): shape for key, shape in merged.items()}
    return {key: shapes[key.rstrip("!")] for key in members}
