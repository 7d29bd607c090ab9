"""What chaos has found and the client does not do right yet; an entry goes when it is repaired.

1. `HELD_BACK`: faults that are not drawn soon after others. Together they break a promise nearly
   every time, so that nothing else would be found.
2. `KNOWN`: findings that are counted, and do not end the run.

`--all` draws every fault, and takes every finding for what it is; so does `--replay`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

#: Faults that are not drawn soon after others, by patterns for their texts, and why.
HELD_BACK: Final[Mapping[tuple[str, str], str]] = {
    (r"id_storm", r"mute:(?!calls)"): (
        "G05: while the stream itself is mute, a tick under a strange id hides that others are"
        " missing before it: looking at the id of each tick that is newer than the last costs a"
        " burst 3 to 7 %"
    ),
}

#: How long *soon after* is, in seconds: a mute stream is found out by then.
SOON: Final = 300.0

#: Findings, by promise and a pattern for their texts, and what is behind them.
KNOWN: Final[Mapping[tuple[str, str], str]] = {
    ("G09", r"^contracts?:.* ended with AlreadySubscribed"): (
        "seed 1007: while streams of contracts are cleared, a late one may still be refused"
    ),
}


def is_held_back(fault: str, recent: Iterable[str]) -> bool:
    """Return whether this fault is not to be drawn, after those that were drawn `SOON` before."""
    return any(
        re.match(pattern, fault) and any(re.match(before, each) for each in recent)
        for pattern, before in HELD_BACK
    )


def known(promise: str, text: str) -> str | None:
    """Return what is behind a finding, if that is known."""
    for (number, pattern), cause in KNOWN.items():
        if number == promise and re.search(pattern, text):
            return cause
    return None
