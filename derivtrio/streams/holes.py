"""What is missing in a stream of ticks or candles, and how to ask for it. No I/O.

After an interruption a translator puts a `Hole` before the next live item: the open interval
between the last item delivered and the next. If there will be no next, because the server refuses
to go on, the hole reaches to the server's present. `backfill` has it filled, with a `Filler`.

A filler asks for history forwards, one window at a time, so what it fetches can be delivered at
once, and no more than a window is held. Three facts about Deriv's `ticks_history` shape it:

1. A reply has at most 5000 rows, the newest of the window. It does not say that there were more.
2. No symbol has more than one tick a second.
3. A window that lies too far in the past is answered with the newest rows instead. Only the times
   of the rows show that.

If the first window begins before what the server keeps, its rows just begin later, as they do in a
quiet market. To tell the two apart, the window begins a little before an item that the server is
known to have had, the `anchor`: that row must be in the reply. (A stream that begins with a `start`
of its own has no anchor. At the very edge of what is kept, its first 5000 seconds may be missing
without a `Gap`.)
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from derivtrio.api.parsing import epoch_of, price, whole
from derivtrio.events import Gap
from derivtrio.models import Candle, Tick

#: The most rows that the server returns, whatever `count` says.
MAX_ROWS: Final = 5000

#: How many units before its anchor a hole is asked for.
_MARGIN: Final = 10


class Hole(msgspec.Struct, frozen=True):
    """What is missing between the epochs `after` and `before`; None for the server's present.

    For candles `granularity` is their length, and the epochs are opening times; for ticks it is 0.
    `anchor` is the epoch of an item that the server is known to have had, not later than the first
    that can be missing; None where no such item is known.
    """

    symbol: str
    after: int
    before: int | None
    granularity: int = 0
    anchor: int | None = None


@attrs.define(eq=False)
class Filler:
    """Fetches what belongs into one hole: ask for `request`, and give the reply to `take`.

    Where the `hole` reaches to the server's present, its end is put in as soon as that is known.
    """

    hole: Hole
    _after: int = attrs.field(init=False)
    _window: int = attrs.field(init=False)
    _lost_after: int | None = attrs.field(default=None, init=False)
    _anchor: int | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._after = self.hole.after
        self._window = self._full
        self._anchor = self.hole.anchor

    @property
    def done(self) -> bool:
        """Whether there is nothing left to fetch."""
        return self.hole.before is not None and self._after + self._unit >= self.hole.before

    @property
    def request(self) -> dict[str, Any]:
        """The request for the next window; or first for the server's time, if it reaches there."""
        if self.hole.before is None:
            return {"time": 1}
        start, end = self._bounds
        window: dict[str, Any] = {"start": start, "end": str(end), "count": MAX_ROWS}
        if self.hole.granularity:
            window |= {"style": "candles", "granularity": self.hole.granularity}
        return {"ticks_history": self.hole.symbol, "style": "ticks", **window}

    def take(self, reply: Mapping[str, Any]) -> tuple[list[Tick | Candle], Gap | None]:
        """Return the items that *reply* has for the window, and the gap before them, if any."""
        if self.hole.before is None:
            self._end_at(epoch_of(reply["time"]))
            return [], None
        start, end = self._bounds
        received = _rows(reply, self.hole)
        rows = _in_order(received)
        items = [item for item in rows if self._after < _time_of(item) <= end]
        if rows and not items and _time_of(rows[0]) > end:  # the newest rows instead
            return [], self._lose(end)
        cut_off = len(received) >= MAX_ROWS and _time_of(rows[0]) > start
        if cut_off and self._window > self._full:
            self._window = self._full  # ask again, for a window that must fit into one reply
            return [], None
        if self._anchor is not None and not (rows and _time_of(rows[0]) <= self._anchor):
            self._lost_after = self._after
        self._anchor = None
        gap = self._end_loss(_time_of(items[0])) if items else None
        self._after = max(self._after, end)
        self._window = min(self._full, 2 * self._window) if items else 2 * self._window
        return items, gap or self._last_gap()

    def interrupted(self) -> None:
        """Ask for less at a time: connections may be too short-lived for more."""
        self._window = max(self._unit, min(self._window, self._full) // 2)

    def refused(self, code: str) -> Gap | None:
        """Return the gap that is left when the server refuses to say more.

        If the server does not say its time, this machine's clock is used instead.
        """
        if self.hole.before is None:
            self._end_at(int(time.time()))
            return None
        after = self._after if self._lost_after is None else self._lost_after
        self._after = self._end
        return self._gap(after, self._end, f"refused: {code}")

    @property
    def _unit(self) -> int:
        return self.hole.granularity or 1

    @property
    def _full(self) -> int:
        """The longest window that must fit into one reply, in seconds."""
        return self._unit * MAX_ROWS

    @property
    def _bounds(self) -> tuple[int, int]:
        start = end = self._after + 1
        if self._anchor is not None:  # it must be in the window, however little is asked for
            start, end = min(start, self._anchor - _MARGIN * self._unit), self._anchor
        return start, min(self._end - 1, max(end, start - 1 + self._window))

    @property
    def _end(self) -> int:
        assert self.hole.before is not None, "the server's time was asked first"  # noqa: S101
        return self.hole.before

    def _end_at(self, now: int) -> None:
        """End with the tick of this second, or with the last candle that is not forming."""
        before = now - now % self._unit if self.hole.granularity else now + 1
        self.hole = msgspec.structs.replace(self.hole, before=before)

    def _lose(self, end: int) -> Gap | None:
        """Note that the server no longer has the window up to *end*."""
        if self._lost_after is None:
            self._lost_after = self._after
        self._anchor = None
        self._after = max(self._after, end)
        self._window *= 2
        return self._last_gap()

    def _last_gap(self) -> Gap | None:
        return self._end_loss(self._end) if self.done else None

    def _end_loss(self, before: int) -> Gap | None:
        after, self._lost_after = self._lost_after, None
        return None if after is None else self._gap(after, before, "no longer kept")

    def _gap(self, after: int, before: int, reason: str) -> Gap:
        return Gap(self.hole.symbol, after, before, filled=False, reason=reason)


def _rows(reply: Mapping[str, Any], hole: Hole) -> list[Tick | Candle]:
    if hole.granularity:
        candles = reply.get("candles", ())
        return [candle_in(dict(row), hole.symbol, hole.granularity, closed=True) for row in candles]
    history = dict(reply.get("history", {}))
    pip_size = whole(reply.get("pip_size", 0))
    pairs = zip(history.get("times", ()), history.get("prices", ()), strict=True)
    return [Tick(hole.symbol, epoch_of(t), price(p), pip_size=pip_size) for t, p in pairs]


def candle_in(row: Mapping[str, Any], symbol: str, granularity: int, *, closed: bool) -> Candle:
    """Return the candle in *row*: a history's, or a live `ohlc`, whose prices are strings."""
    return Candle(
        symbol,
        granularity,
        epoch_of(row.get("open_time", row["epoch"])),
        epoch_of(row["epoch"]),
        price(row["open"]),
        price(row["high"]),
        price(row["low"]),
        price(row["close"]),
        closed,
    )


def _in_order(rows: Sequence[Tick | Candle]) -> list[Tick | Candle]:
    """Return *rows*, oldest first, and of those for one time the last."""
    by_time = {_time_of(row): row for row in rows}
    return [by_time[time] for time in sorted(by_time)]


def _time_of(item: Tick | Candle) -> int:
    return item.epoch if isinstance(item, Tick) else item.open_time
