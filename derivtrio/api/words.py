"""What a value may be, in words; and what a wrong name may have meant. No I/O.

The notation of shapes is told in `_published`. `schema` turns it into checks.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

NUMBER: Final = re.compile(r"(integer|number)(?: (>?)([\d.]*?)\.\.([\d.]*))?$")
TEXT: Final = re.compile(r"(text|secret)(?: (\d*)\.\.(\d*))?(?: ~ (.*))?$", re.DOTALL)

#: How many of a list of values are shown.
_MOST: Final = 12

#: How much alike a name and another must be, or the end of another (as in difflib).
_LIKELY: Final = 0.7
_ALIKE: Final = 0.8

_WORDS: Final = {"boolean": "true or false", "null": "null", "object": "an object", "any": "any"}

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
    if match := NUMBER.match(shape):
        return _in_words("a whole number" if match[1] == "integer" else "a number", match)
    if match := TEXT.match(shape):
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


def secret_in_words(value: Any) -> str:
    """Return what a secret *value* is called; it is never shown."""
    kind = type(value).__name__
    return "this text (a secret, so not shown)" if kind == "str" else f"this {kind}"


def is_secret(shape: Any) -> bool:
    """Return whether a value of *shape* is a secret, or may contain one."""
    if isinstance(shape, str):
        return shape.startswith("secret")
    inside = shape.values() if isinstance(shape, dict) else shape if isinstance(shape, list) else ()
    return any(map(is_secret, inside))


def _in_words(kind: str, match: re.Match[str]) -> str:
    _, above, low, high = match.groups()
    lowest = f"{'more than' if above else 'at least'} {low}" if low else ""
    highest = f"at most {high}" if high else ""
    return f"{kind}, {' and '.join(filter(None, (lowest, highest)))}".removesuffix(", ")


def _form_in_words(pattern: str | None) -> str:
    """Return in words what texts *pattern* allows, which is Deriv's regular expression."""
    if pattern is None:
        return ""
    return f" such as {_EXAMPLES[pattern]}" if pattern in _EXAMPLES else " in Deriv's own form"
