"""What a call comes to that both generations have: it takes and gives what either does.

Required is what both require. Where a request needs what that of the other generation does not
need, it is like the one or like the other: these are `Alternatives`.
"""

import attrs

from derivtrio.codegen.reading import Schemas, Shape, union

Members = dict[str, Shape]


@attrs.frozen
class Alternatives:
    """An object of a request that has what the one or what the other generation requires."""

    v3: Members
    options: Members


@attrs.frozen
class MergedCall:
    """One call of either generation: its request, and its reply, without the envelope."""

    takes: Members | Alternatives
    gives: Members


def merged_call(name: str, schemas: Schemas) -> MergedCall:
    """Return what the call *name* is."""
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
    """Return *members*, required as they are, in the shapes that they have in *merged*."""
    shapes = {key.rstrip("!"): shape for key, shape in merged.items()}
    return {key: shapes[key.rstrip("!")] for key in members}
