"""What a value may be: the notation of `_published`, turned into checks. No I/O.

A check is a function of a value: None if the value is as it may be, else a complaint. Whatever is
in doubt is let through; the server has the last word. `words` says what is wrong.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from derivtrio.api.words import (
    NUMBER,
    TEXT,
    described,
    is_secret,
    near,
    secret_in_words,
)
from derivtrio.wording import shown

#: Where, below the value that was checked (`.limit_order.stop_loss`), and what is wrong there.
Complaint = tuple[str, str]
Check = Callable[[Any], Complaint | None]

_PLAIN: Final[Mapping[str, Callable[[Any], bool]]] = {
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, Mapping),
}


def check_of(shape: Any) -> Check:
    """Return the check for *shape*."""
    if isinstance(shape, tuple):
        return _one_of(shape)
    if isinstance(shape, list):
        return _any_of(shape)
    if isinstance(shape, dict):
        return _array(shape) if "[]" in shape else members_check(shape)
    if shape == "any":
        return lambda _: None
    if shape in _PLAIN:
        return _plain(shape, _PLAIN[shape])
    return _number(shape) if NUMBER.match(shape) else _text(shape)


def members_check(shape: Mapping[str, Any]) -> Check:
    """Return the check for an object that has the members of *shape*."""
    members = {key.rstrip("!"): item for key, item in shape.items() if key != "*"}
    checks = {name: check_of(item) for name, item in members.items()}
    others = check_of(shape["*"]) if "*" in shape else None
    required = tuple(key[:-1] for key in shape if key.endswith("!"))

    def check(value: Any) -> Complaint | None:
        if value.__class__ is not dict and not isinstance(value, Mapping):
            return _refused(shape, value)
        for name, item in value.items():
            check_member = checks.get(name, others)
            if check_member is None:
                return f".{name}", _stranger(str(name), (*members,))
            complaint = check_member(item)
            if complaint is not None:
                where, what = complaint
                return f".{name}{where}", what
        for name in required:
            if name not in value:
                return f".{name}", f"is missing; it is {described(members[name])}"
        return None

    return check


def _plain(shape: str, holds: Callable[[Any], bool]) -> Check:
    return lambda value: None if holds(value) else _refused(shape, value)


def _one_of(values: tuple[Any, ...]) -> Check:
    allowed = frozenset(values)
    kind = type(values[0])

    def check(value: Any) -> Complaint | None:
        if isinstance(value, kind) and value in allowed and value.__class__ is not bool:
            return None
        return _refused(values, value)

    return check


def _number(shape: str) -> Check:
    match = NUMBER.match(shape)
    assert match  # noqa: S101 - the caller has seen that it does
    kind, above, low, high = match.groups()
    kinds = int if kind == "integer" else (int, float, Decimal)
    lowest, highest = _bound(low, -math.inf), _bound(high, math.inf)

    def check(value: Any) -> Complaint | None:
        if isinstance(value, kinds) and value.__class__ is not bool:
            return None
        return _refused(shape, value)

    def check_bounds(value: Any) -> Complaint | None:
        complaint = check(value)
        if complaint is not None:
            return complaint
        # A program may have set its decimals so that they are not compared with floats.
        number = float(value) if isinstance(value, Decimal) else value
        if not lowest <= number <= highest or (above and number == lowest):
            return _refused(shape, value)
        return None

    return check_bounds if low or high else check


def _bound(number: str | None, otherwise: float) -> float:
    if not number:
        return otherwise
    return float(number) if "." in number else int(number)


def _text(shape: str) -> Check:
    match = TEXT.match(shape)
    assert match  # noqa: S101 - every other shape has been tried
    shortest, longest = int(match[2] or 0), int(match[3] or 0)
    pattern = match[4]
    search = None

    def check(value: Any) -> Complaint | None:
        nonlocal search
        if isinstance(value, str):
            if pattern is None:
                return None
            if search is None:
                search = re.compile(pattern).search  # when it is needed, not before
            if search(value):
                return None
        return _refused(shape, value)

    def check_size(value: Any) -> Complaint | None:
        if isinstance(value, str) and not shortest <= len(value) <= longest:
            return _refused(shape, value)
        return check(value)

    return check_size if longest else check


def _any_of(shapes: list[Any]) -> Check:
    checks = [check_of(shape) for shape in shapes]

    def check(value: Any) -> Complaint | None:
        complaints = []
        for one in checks:
            complaint = one(value)
            if complaint is None:
                return None
            complaints.append(complaint)
        return next((found for found in complaints if found[0]), _refused(shapes, value))

    return check


def _array(shape: Mapping[str, Any]) -> Check:
    check_item = check_of(shape["[]"])

    def check(value: Any) -> Complaint | None:
        if not isinstance(value, (list, tuple, set, frozenset)):
            return _refused(shape, value)
        for place, item in enumerate(value):
            complaint = check_item(item)
            if complaint is not None:
                where, what = complaint
                return f"[{place}]{where}", what
        return None

    return check


def _refused(shape: Any, value: Any) -> Complaint:
    found = secret_in_words(value) if is_secret(shape) else shown(value)
    meant = None
    if isinstance(shape, tuple) and isinstance(value, str):
        meant = near(value, [allowed for allowed in shape if isinstance(allowed, str)])
    if (text := _as_text(shape, value)) is not None:
        return "", f"is {described(shape)}: write {text!r}, with quotes, not {found}"
    return "", f"is {described(shape)}, not {found}" + (
        f"; did you mean {meant!r}?" if meant else ""
    )


def _as_text(shape: Any, value: Any) -> str | None:
    """Return what to write for *value*, if it is a number and *shape* wants that as a text."""
    if value.__class__ is bool or not isinstance(value, int | float | Decimal):
        return None
    shapes = shape if isinstance(shape, list) else [shape]
    text = shown(value) if isinstance(value, int | float) else str(value)
    if any(map(is_secret, shapes)):
        return None
    texts = [each for each in shapes if isinstance(each, str) and each.startswith("text")]
    return text if any(check_of(each)(text) is None for each in texts) else None


def _stranger(name: str, names: Sequence[str]) -> str:
    meant = near(name, names)
    hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(sorted(names))}"
    return f"is no member here; {hint}"
