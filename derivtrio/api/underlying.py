"""Which symbol a payload is about: the member that says so, or else its shortcode. No I/O."""

import re
from collections.abc import Mapping
from typing import Any, Final

#: Where a payload names its symbol: on the Options API, in an open contract of v3, and elsewhere.
_MEMBERS: Final = ("underlying_symbol", "underlying", "symbol")

#: What follows the symbol in a shortcode, by the type that it begins with. A symbol may have an
#: underscore and a number, as "R_100" has; so only the whole of what follows tells where it ends.
_CODES: Final = tuple(
    rf"(?:{types})_(?P<symbol>[A-Z0-9_]+?)_{terms}"
    for types, terms in (
        ("MULTUP|MULTDOWN", r"[\d.]+_[\d.]+_\d{9,}(?:_|$)"),  # stake, multiplier, start
        ("ACCU", r"[\d.]+_\d+_0?\.\d+_"),  # stake, …, growth rate
        ("[A-Z]+", r"[\d.]+_\d{9,}F?_"),  # stake or payout, start
    )
)

#: Beginnings of symbols that Deriv writes in small letters; a shortcode has capitals only.
_SMALL: Final = ("frx", "cry", "stp")


def symbol_of(payload: Mapping[str, Any]) -> str:
    """Return the symbol that *payload* is about; "" if it does not say, or is about money alone."""
    for member in _MEMBERS:
        if isinstance(symbol := payload.get(member), str) and symbol:
            return symbol
    return symbol_in(payload.get("shortcode"))


def symbol_in(shortcode: Any) -> str:
    """Return the symbol in *shortcode*, as requests have it; "" if there is none to be found."""
    if not isinstance(shortcode, str):
        return ""
    for code in _CODES:
        if (found := re.match(code, shortcode, re.IGNORECASE)) is not None:
            return _as_requested(found["symbol"])
    return ""


def _as_requested(symbol: str) -> str:
    start = symbol[:3].lower()
    if start not in _SMALL:
        return symbol
    return "stpRNG" + symbol[6:] if start == "stp" else start + symbol[3:]
