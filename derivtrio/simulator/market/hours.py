"""Opening hours: a market is open for one span of seconds at the start of every week (UTC).

Deriv's synthetic indices trade around the clock; forex closes early on Friday and opens again
on Monday. There are no holidays, so that no test depends on one.
"""

from collections.abc import Iterator

import attrs

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

#: The epoch of the first Monday; 1 January 1970 was a Thursday.
_FIRST_MONDAY = 4 * DAY


@attrs.frozen
class Hours:
    """Open for the first *span* seconds of every week, and closed for the rest."""

    span: int

    def is_open(self, epoch: int) -> bool:
        """Whether the market is open at *epoch*."""
        return (epoch - _FIRST_MONDAY) % WEEK < self.span

    def last_open(self, epoch: int) -> int:
        """Return the latest open second at or before *epoch*."""
        into_week = (epoch - _FIRST_MONDAY) % WEEK
        return epoch - max(0, into_week - self.span + 1)

    def next_open(self, epoch: int) -> int:
        """Return the earliest open second at or after *epoch*."""
        return epoch if self.is_open(epoch) else epoch + (_FIRST_MONDAY - epoch) % WEEK

    def windows(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the open parts of *start*..*end*, newest first, both bounds included."""
        while start <= (last := self.last_open(end)):
            week = last - (last - _FIRST_MONDAY) % WEEK
            yield max(start, week), last
            end = week - 1


ALWAYS = Hours(WEEK)
FOREX = Hours(4 * DAY + 20 * HOUR + 55 * MINUTE)
