"""What a value may be: the notation of `published`, turned into checks and into words.

A check is a function of a value: None if the value is as it may be, else a complaint. Whatever is
in doubt is let through; the server has the last word.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

#: Where, below the value that was checked (`.limit_order.stop_loss`), and what is wrong there.
Complaint = tuple[str, str]
Check = Callable[[Any], Complaint | None]

_NUMBER: Final = re.compile(r"(integer|number)(?: (>?)([\d.]*?)\.\.([\d.]*))?$")
_TEXT: Final = re.compile(r"(text|secret)(?: (\d*)\.\.(\d*))?(?: ~ (.*))?$", re.DOTALL)

#: How much of a value, and of a list of values, is shown.
_LONGEST: Final = 60
_MOST: Final = 12

#: How much alike a name and another must be, or the end of another (as in difflib).
_LIKELY: Final = 0.7
_ALIKE: Final = 0.8


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
    return _number(shape) if _NUMBER.match(shape) else _text(shape)


def described(shape: Any) -> str:
    """Return in words what *shape* allows."""
    if isinstance(shape, tuple):
        shown = ", ".join(map(repr, shape[:_MOST]))
        more = f", … ({len(shape)} values)" if len(shape) > _MOST else ""
        return f"one of {shown}{more}" if len(shape) > 1 else shown
    if isinstance(shape, list):
        return " or ".join(map(described, shape))
    if isinstance(shape, dict):
        return f"a list, each item {described(shape['[]'])}" if "[]" in shape else "an object"
    if match := _NUMBER.match(shape):
        return _in_words("a whole number" if match[1] == "integer" else "a number", match)
    if match := _TEXT.match(shape):
        size = f" of {match[2] or 0} to {match[3]} characters" if match[3] else ""
        return f"a text{size}" + _form_in_words(match[4])
    return _WORDS[shape]


def near(name: str, names: Sequence[str]) -> str | None:
    """Return the one of *names* that may have been meant by *name*."""
    from difflib import get_close_matches  # noqa: PLC0415 - of use only when something is wrong

    if found := get_close_matches(name, names, 1, _LIKELY):
        return found[0]
    ends = {n[place + 1 :]: n for n in names for place, mark in enumerate(n) if mark == "_"}
    found = get_close_matches(name, ends, 1, _ALIKE)  # as `symbl` is of `underlying_symbol`
    return ends[found[0]] if found else None


#: What fits the regular expressions in Deriv's schemas. A quoted expression helps nobody.
_EXAMPLES: Final = {
    r"^(latest|[0-9]{1,10})$": "'latest' or '1700000000', an epoch in seconds",
    r"^(?=.{1,20}$)[+-]?[0-9]+\.?[0-9]*$": "'+0.30' or '1234.5'",
    r"^(?=.{1,20}$)[+-]?\d+\.?\d*$": "'+0.30' or '1234.5'",
    r"^\w{2,30}$": "'R_100', of 2 to 30 letters, digits and '_'",
    r"^[A-Za-z]+[0-9]+$": "'CR90000001'",
    r"^(current|all|[A-Z]{2,4}[0-9]{1,10})$": "'current', 'all' or 'CR90000001'",
    r"^[a-zA-Z0-9]{2,20}$": "'USD'",
    r"^(|[a-zA-Z0-9]{2,20})$": "'USD'",
    r"^[a-z]{2}$": "'id', a country in two small letters",
    r"^([a-z]{2})?$": "'id', a country in two small letters",
    r"^\w\w$": "'id', a country in two letters",
    r"^[0-9]{1,18}$": "'123', of digits alone",
    r"^(?:[\w-]{32,128}|1)$": "a proposal's id, or '1' with parameters",
    r"^[\w-]{32,128}$": "a stream's id",
    r"^\w+$": "'60m'",
    r"^[\w-]{1,128}$": "an id of letters, digits, '-' and '_'",
    r"^MT[DR]?[0-9]+$": "'MTR1000'",
    r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$": "'2026-11-27'",
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$": "'2026-11-27'",
    r"^[0-9]{4}-(0?[1-9]|1[012])-(0?[1-9]|[12][0-9]|3[01])$": "'2026-11-27'",
    r"^([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|today)$": "'today' or '2026-11-27'",
    r"^([0-9]{4}-(0?[1-9]|1[012])-(0?[1-9]|[12][0-9]|3[01])|[0-9]{1,10})$": (
        "'2026-11-27' or '1700000000', an epoch in seconds"
    ),
    r"^([0-9]{4}-(0?[1-9]|1[012])-(0?[1-9]|[12][0-9]|3[01])|[0-9]{10})$": (
        "'2026-11-27' or '1700000000', an epoch in seconds"
    ),
    r"^([0-9]{4}-(0?[1-9]|1[012])-(0?[1-9]|[12][0-9]|3[01]) ([01]?[0-9]|2[0-3]):([0-5]?[0-9])"
    r":([0-5]?[0-9])|[0-9]{1,10})$": "'2026-11-27 12:00:00' or '1700000000', an epoch in seconds",
    r"^[a-zA-Z0-9_.+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,63}$": "'me@example.com'",
    r"^[\w\-]{1,128}$": "a token of letters, digits, '-' and '_'",
    r"^\d{1,4}$": "'62', of 1 to 4 digits",
    r"^\d{6,8}$": "'123456', of 6 to 8 digits",
}
_HUGE: Final[int] = 10**20

_WORDS: Final = {"boolean": "true or false", "null": "null", "object": "an object", "any": "any"}
_PLAIN: Final[Mapping[str, Callable[[Any], bool]]] = {
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, Mapping),
}


def _in_words(kind: str, match: re.Match[str]) -> str:
    _, above, low, high = match.groups()
    lowest = f"{'more than' if above else 'at least'} {low}" if low else ""
    highest = f"at most {high}" if high else ""
    return f"{kind}, {' and '.join(filter(None, (lowest, highest)))}".removesuffix(", ")


def _shown(value: Any) -> str:
    if isinstance(value, int) and abs(value) >= _HUGE:
        return "such a number"  # Python limits how long its text may be
    if value is None or isinstance(value, (bool, int, float, Decimal, str)):
        text = repr(value)
        return text if len(text) <= _LONGEST else f"one of {len(text)} characters"
    return f"a {type(value).__name__}"


def _named(value: Any) -> str:
    """Return what a secret *value* is called; it is never shown."""
    kind = type(value).__name__
    return "this text (a secret, so not shown)" if kind == "str" else f"this {kind}"


def _is_secret(shape: Any) -> bool:
    """Return whether a value of *shape* is a secret, or may contain one."""
    if isinstance(shape, str):
        return shape.startswith("secret")
    inside = shape.values() if isinstance(shape, dict) else shape if isinstance(shape, list) else ()
    return any(map(_is_secret, inside))


def _refused(shape: Any, value: Any) -> Complaint:
    shown = _named(value) if _is_secret(shape) else _shown(value)
    meant = None
    if isinstance(shape, tuple) and isinstance(value, str):
        meant = near(value, [allowed for allowed in shape if isinstance(allowed, str)])
    if (text := _as_text(shape, value)) is not None:
        return "", f"is {described(shape)}: write {text!r}, with quotes, not {shown}"
    return "", f"is {described(shape)}, not {shown}" + (
        f"; did you mean {meant!r}?" if meant else ""
    )


def _as_text(shape: Any, value: Any) -> str | None:
    """Return what to write for *value*, if it is a number and *shape* wants that as a text."""
    if value.__class__ is bool or not isinstance(value, int | float | Decimal):
        return None
    shapes = shape if isinstance(shape, list) else [shape]
    text = _shown(value) if isinstance(value, int | float) else str(value)
    if any(map(_is_secret, shapes)):
        return None
    texts = [each for each in shapes if isinstance(each, str) and each.startswith("text")]
    return text if any(check_of(each)(text) is None for each in texts) else None


def _form_in_words(pattern: str | None) -> str:
    """Return in words what texts *pattern* allows, which is Deriv's regular expression."""
    if pattern is None:
        return ""
    return f" such as {_EXAMPLES[pattern]}" if pattern in _EXAMPLES else " in Deriv's own form"


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
    match = _NUMBER.match(shape)
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
        if not lowest <= value <= highest or (above and value == lowest):
            return _refused(shape, value)
        return None

    return check_bounds if low or high else check


def _bound(number: str | None, otherwise: float) -> float:
    if not number:
        return otherwise
    return float(number) if "." in number else int(number)


def _text(shape: str) -> Check:
    match = _TEXT.match(shape)
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


def _stranger(name: str, names: Sequence[str]) -> str:
    meant = near(name, names)
    hint = f"did you mean {meant!r}?" if meant else f"there are {', '.join(sorted(names))}"
    return f"is no member here; {hint}"
