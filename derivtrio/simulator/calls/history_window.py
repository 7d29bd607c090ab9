"""The window of time that a `ticks_history` request asks for.

Sources: the official schema, and probes of the live API.

1. `count` is capped at 5000, without an error.
2. The server has about a year of history. For an `end` before that it returns the latest data,
   without an error.
3. The default of `start` is a day before `end`; for candles with a count and a granularity it is
   the beginning of the history.
4. If a window has more rows than `count`, the newest are returned.
"""

import attrs

from derivtrio.simulator.market.hours import DAY, Hours
from derivtrio.simulator.protocol.envelope import Message, Refusal, invalid

MAX_COUNT = 5000
KEPT = 365 * DAY

_DEFAULT_COUNT = 1000


@attrs.frozen
class HistoryWindow:
    """The newest *count* rows from *start* to *end*, both bounds included."""

    start: int
    end: int
    count: int


def window_of(request: Message, hours: Hours, now: int) -> HistoryWindow:
    """Return the window of *request* at the epoch *now*.

    Raises:
        Refusal: the window is empty, or the count is not positive.

    """
    end = now if request["end"] == "latest" else min(int(request["end"]), now)
    start = request.get("start")
    if end < now - KEPT:
        start, end = None, now
    if start is None:
        start = end - DAY if _wants_a_day(request) else 0
    if start > end:
        text = f"Start time {start} must be before end time {end}"
        raise Refusal(code="InvalidStartEnd", message=text)
    closed_for = end - hours.last_open(end) if "adjust_start_time" in request else 0
    return HistoryWindow(max(start - closed_for, now - KEPT), end - closed_for, _count(request))


def _wants_a_day(request: Message) -> bool:
    return request.get("style") != "candles" or not {"count", "granularity"} <= request.keys()


def _count(request: Message) -> int:
    count: int = request.get("count", _DEFAULT_COUNT)
    if count < 1:
        raise invalid({"count": f"{count} < minimum(1)"})
    return min(count, MAX_COUNT)
