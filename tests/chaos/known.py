"""What chaos has found and the client does not do right yet; an entry goes when it is repaired.

1. `HELD_BACK`: faults that are not drawn. They break a promise nearly every time, so that nothing
   else would be found.
2. `KNOWN`: findings that are counted, and do not end the run.

`--all` draws every fault, and takes every finding for what it is; so does `--replay`.
"""

import re
from collections.abc import Mapping
from typing import Final

#: Faults, by a pattern for their texts, and what becomes of them.
HELD_BACK: Final[Mapping[str, str]] = {}

#: Findings, by promise and a pattern for their texts, and what is behind them.
KNOWN: Final[Mapping[tuple[str, str], str]] = {
    ("G09", r"^contracts?:.* ended with AlreadySubscribed"): (
        "seed 1007: while streams of contracts are cleared, a late one may still be refused"
    ),
}


def is_held_back(fault: str) -> bool:
    """Return whether this fault is not to be drawn."""
    return any(re.match(pattern, fault) for pattern in HELD_BACK)


def known(promise: str, text: str) -> str | None:
    """Return what is behind a finding, if that is known."""
    for (number, pattern), cause in KNOWN.items():
        if number == promise and re.search(pattern, text):
            return cause
    return None
