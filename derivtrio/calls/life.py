"""The life of a call: its states, and what may happen to it in each.

`TRANSITIONS` is the whole table; what is not in it changes nothing (a reply to a decided call, for
example). A test draws this picture from the table:

    QUEUED  ── write  ──> WRITTEN
    QUEUED  ── decide ──> DECIDED
    QUEUED  ── leave  ──> ABANDONED
    WRITTEN ── decide ──> DECIDED
    WRITTEN ── leave  ──> ABANDONED
    WRITTEN ── lose   ──> QUEUED

What decides a call is told in `call`.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class Life(IntEnum):
    """The states of a call. They are integers because these are quick keys of a table."""

    QUEUED = 0
    WRITTEN = 1
    DECIDED = 2
    ABANDONED = 3


class Step(IntEnum):
    """What may happen to a call."""

    WRITE = 0
    DECIDE = 1
    LEAVE = 2
    LOSE = 3


# Plain names, because looking up a member of an enum takes as long as a small function in Python
# 3.11, and each call does it a dozen times.
QUEUED, WRITTEN, DECIDED, ABANDONED = Life
WRITE, DECIDE, LEAVE, LOSE = Step

TRANSITIONS: Final[Mapping[tuple[Life, Step], Life]] = {
    (QUEUED, WRITE): WRITTEN,
    (QUEUED, DECIDE): DECIDED,
    (QUEUED, LEAVE): ABANDONED,
    (WRITTEN, DECIDE): DECIDED,
    (WRITTEN, LEAVE): ABANDONED,
    (WRITTEN, LOSE): QUEUED,
}
