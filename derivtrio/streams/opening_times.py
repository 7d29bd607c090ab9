"""When markets open, by the server's trading times.

`trading_times` has, for one day, the times at which each symbol opens and closes; a market may open
several times a day, or not at all. The days are UTC's.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import trio

from derivtrio.calls.request import request_until_answered
from derivtrio.calls.session import Session

_DAY: Final = 86_400

#: How many days are looked at for an opening, today included: no market is closed for longer.
_DAYS: Final = 8

#: When each symbol opens and closes on one day, in epochs.
_Spans = Mapping[str, Sequence[tuple[int, int]]]


@attrs.define(eq=False, repr=False)
class OpeningTimes:
    """When markets open, by the server's trading times; asked once a day for each day."""

    _session: Session
    _today: int = attrs.field(default=0, init=False)
    _days: dict[int, _Spans] = attrs.field(factory=dict, init=False)
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def next_opening(self, symbol: str, now: int) -> int | None:
        """Return the epoch at which *symbol* opens; *now* if it is open, None if nobody knows.

        Raises:
            DerivError: the server does not say; or the client has ended.
            ValueError, TypeError, …: its answer cannot be read (`UNREADABLE`).

        """
        today = now - now % _DAY
        for midnight in range(today, today + _DAYS * _DAY, _DAY):
            for opening, closing in (await self._spans(midnight, today)).get(symbol, ()):
                if now <= closing:
                    return max(now, opening)
        return None

    async def _spans(self, midnight: int, today: int) -> _Spans:
        async with self._one_at_a_time:
            if today != self._today:
                self._today, self._days = today, {}
            if midnight not in self._days:
                date = datetime.fromtimestamp(midnight, UTC).strftime("%Y-%m-%d")
                reply = await request_until_answered({"trading_times": date}, self._session)
                self._days[midnight] = _spans_in(reply, midnight)
            return self._days[midnight]


def _spans_in(reply: Mapping[str, Any], midnight: int) -> _Spans:
    """Return what *reply* says of the day that begins at *midnight*; a symbol has either name."""
    return {
        row.get("symbol") or row["underlying_symbol"]: list(_spans_of(row["times"], midnight))
        for market in reply["trading_times"]["markets"]
        for submarket in market.get("submarkets", ())
        for row in submarket["symbols"]
        if "times" in row
    }


def _spans_of(times: Mapping[str, Any], midnight: int) -> Iterator[tuple[int, int]]:
    """Yield when a market opens and closes; a day on which it stays closed has `--`."""
    for opening, closing in zip(times["open"], times["close"], strict=True):
        if ":" in opening:
            opens, closes = _seconds(opening), _seconds(closing)
            yield midnight + opens, midnight + closes + (_DAY if closes <= opens else 0)


def _seconds(clock_time: str) -> int:
    """Return how many seconds after midnight a *clock_time* such as `20:55:00` is."""
    hours, minutes, *seconds = map(int, clock_time.split(":"))
    return 3600 * hours + 60 * minutes + sum(seconds)
