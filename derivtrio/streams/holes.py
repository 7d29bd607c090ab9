"""What is missing in a stream of ticks or candles, and how to ask for it. No I/O.

After an interruption a translator puts a `Hole` before the next live item: the open interval
between the last item delivered and the next. If there will be no next, because the server refuses
to go on, the hole reaches to the server's present. `backfill` has it filled, with a `Filler`.

A filler asks for history forwards, one window at a time, so what it fetches can be delivered at
once, and no more than a window is held. Four facts about `ticks_history` shape it:

1. A reply has only so many rows, the newest of the window. It does not say that there were more.
   So each window begins with a row that the server is known to have, the `anchor`; while that is
   lacking, less is asked for. How much, and when more, `policy.fetch_window` says.
2. Epochs are whole seconds, and several ticks may have the same. So a hole in ticks can begin and
   end within a second. What belongs into it there, the quotes tell: those of the ticks that were
   `seen` in its first second, and of the tick with which it ends (`HoleEnd`).
3. A window that lies too far in the past is answered with the newest rows instead. Only the times
   of the rows show that.
4. History may lag behind the live stream, because another part of the server keeps it. So a hole
   that ends with a live item is asked for up to this item. While the reply does not have it, others
   before it may lack, too, and the last candle may not be final. Then the same is asked again after
   a pause (`PAUSES`). What is not there after the last of them is a gap.

If the first window begins before what the server keeps, its rows just begin later, as they do in a
quiet market. To tell the two apart, the window begins a little before the anchor. If that row is
lacking from a shorter window, too, the server no longer keeps it. (A stream that begins with a
`start` of its own has no anchor. At the very edge of what is kept, its first 5000 seconds may be
missing without a `Gap`; on a server with a lower limit, more.)
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from derivtrio.api.parsing import candle_in, epoch_of, history_in
from derivtrio.events import Gap
from derivtrio.models import Candle, Tick
from derivtrio.policy.fetch_window import MAX_ROWS, FetchWindow

#: How many units before its anchor a hole is asked for.
_MARGIN: Final = 10

#: How long to wait before a history that lags behind is asked again, in seconds.
PAUSES: Final = (0.5, 1.0, 2.0, 4.0)


class HoleEnd(msgspec.Struct, frozen=True):
    """The tick with which a hole ends, among the ticks of its second.

    It `is_newest` if it is the reply to a subscription: of equal quotes it is then the last. A live
    tick is the first, because those after it come live as well.
    """

    quote: float
    is_newest: bool


class Hole(msgspec.Struct, frozen=True):
    """What is missing between the epochs `after` and `before`; None for the server's present.

    For candles `granularity` is their length, and the epochs are opening times; for ticks it is 0.
    `anchor` is the epoch of an item that the server is known to have had, not later than the first
    that can be missing; None where no such item is known.

    Ticks with the epoch `after` are missing too, except those whose quotes were `seen`; none are
    where nothing was. With an `end`, ticks with the epoch `before` that come before it are missing.
    """

    symbol: str
    after: int
    before: int | None
    granularity: int = 0
    anchor: int | None = None
    seen: tuple[float, ...] = ()
    end: HoleEnd | None = None


@attrs.define(eq=False, repr=False)
class Filler:
    """Fetches what belongs into one hole: ask for `request`, and give the reply to `take`.

    Where the `hole` reaches to the server's present, its end is put in as soon as that is known.
    `pause` is how long to wait before the next request, in seconds.
    """

    hole: Hole
    pause: float = attrs.field(default=0.0, init=False)
    _after: int = attrs.field(init=False)
    _window: FetchWindow = attrs.field(init=False)
    _lost_after: int | None = attrs.field(default=None, init=False)
    _anchor: int | None = attrs.field(init=False)
    _is_first: bool = attrs.field(default=True, init=False)
    #: Whether the hole ends with a live item, which the history has sooner or later.
    _ends_live: bool = attrs.field(init=False)
    _pauses: int = attrs.field(default=0, init=False)
    _reason: str = attrs.field(default="no longer kept", init=False)

    def __attrs_post_init__(self) -> None:
        has_end = self.hole.end is not None or self.hole.granularity > 0
        self._ends_live = has_end and self.hole.before is not None
        self._after = self.hole.after - bool(self.hole.seen)
        self._window = FetchWindow(self.hole.granularity)
        self._anchor = self.hole.anchor

    @property
    def done(self) -> bool:
        """Whether there is nothing left to fetch."""
        return self.hole.before is not None and self._after + self._unit > self._last

    @property
    def reached(self) -> int:
        """Up to which epoch nothing is left to fetch."""
        return self._end if self.done else max(self._after, self.hole.after)

    @property
    def request(self) -> dict[str, Any]:
        """The request for the next window; or first for the server's time, if it reaches there."""
        if self.hole.before is None:
            return {"time": 1}
        start, end = self._bounds
        window: dict[str, Any] = {"start": start, "end": str(end), "count": MAX_ROWS}
        if self.hole.granularity:
            window |= {"style": "candles", "granularity": self.hole.granularity}
            if self._ends_live and end == self._last:  # the live candle, too: fact 4
                window["end"] = str(self._end + self._unit - 1)
        return {"ticks_history": self.hole.symbol, "style": "ticks", **window}

    def take(self, reply: Mapping[str, Any]) -> tuple[list[Tick | Candle], Gap | None]:
        """Return the items that *reply* has for the window, and the gap before them, if any."""
        if self.hole.before is None:
            self._end_at(epoch_of(reply["time"]))
            return [], None
        self.pause = 0.0
        start, end = self._bounds
        received = _rows(reply, self.hole)
        rows = _in_order(received)
        items = [item for item in rows if self._after < _time_of(item) <= end]
        asked_to = self._end if self._ends_live and end == self._last else end
        if rows and _time_of(rows[0]) > asked_to:  # the newest rows instead
            return [], self._lose(end)
        # A reply may lack its first rows (fact 1): ask again, for a shorter window.
        count = len(received)
        lacks_anchor = self._anchor is not None and not (rows and _time_of(rows[0]) <= self._anchor)
        if count >= self._window.most_rows and self._window.reply_full(
            cut_off=_time_of(rows[0]) > start
        ):
            return [], None
        lacks_end = self._lacks_end(rows, end)
        if (lacks_anchor and self._window.known_row_lacking(count)) or (
            (lacks_end or self._ends_in_mid_second(rows)) and self._is_to_wait()
        ):
            return [], None
        items = self._without_known(items)
        if lacks_anchor:  # the window begins before what the server keeps
            self._lost_after = self._after
        self._window.explained(kept=not lacks_anchor)
        if items or lacks_anchor:
            self._anchor = _time_of(items[-1]) if items else None
        self._is_first = False
        gap = self._end_loss(_time_of(items[0])) if items else None
        if lacks_end and items:  # what is behind these is asked for once more, and then a gap
            self._after = _time_of(items[-1])
            return items, gap
        if lacks_end and self._lost_after is None:
            self._lost_after, self._reason = self._after, "not in the server's history"
        self._window.filled(count, end - start + 1, anything=bool(items))
        self._after = max(self._after, end)
        return items, gap or self._last_gap()

    def interrupted(self) -> None:
        """Ask for less at a time: connections may be too short-lived for more."""
        self._window.interrupted()

    def refused(self, reason: str) -> Gap | None:
        """Return the gap that is left when the server refuses to say more, for this *reason*.

        If the server does not say its time, this machine's clock is used instead.
        """
        if self.hole.before is None:
            self._end_at(int(time.time()))
            return None
        after = self._after if self._lost_after is None else self._lost_after
        self._after = self._end
        return self._gap(after, self._end, reason)

    @property
    def _unit(self) -> int:
        return self.hole.granularity or 1

    @property
    def _bounds(self) -> tuple[int, int]:
        start, window = self._after + 1, self._window.length
        if self._anchor is None:
            end = self._after + window
        elif self._is_first:  # the anchor must be in it, however little is asked for
            start = min(start, self._anchor - _MARGIN * self._unit)
            end = max(self._anchor, start - 1 + window)
        else:  # between the anchor and what is asked for there is nothing
            start, end = self._anchor, self._after + max(self._unit, window - self._unit)
        return start, min(self._last, end)

    @property
    def _last(self) -> int:
        """The last epoch of which anything can be missing."""
        return self._end if self.hole.end is not None else self._end - 1

    @property
    def _end(self) -> int:
        assert self.hole.before is not None, "the server's time was asked first"  # noqa: S101
        return self.hole.before

    def _end_at(self, now: int) -> None:
        """End with the tick of this second, or with the last candle that is not forming."""
        before = now - now % self._unit if self.hole.granularity else now + 1
        self.hole = msgspec.structs.replace(self.hole, before=before)

    def _lacks_end(self, rows: Sequence[Tick | Candle], end: int) -> bool:
        """Return whether *rows*, up to *end*, should have the live item, and do not.

        Of a symbol with one tick a second, no tick can be missing before the next second.
        """
        if not self._ends_live or end < self._last:
            return False
        newest = _time_of(rows[-1]) if rows else self._after
        seconds = {_time_of(row) for row in rows}
        once_a_second = len(seconds) == len(rows) and not self.hole.seen[1:]
        follows = once_a_second and not self.hole.granularity and newest == self._end - 1
        return newest < self._end and not follows

    def _ends_in_mid_second(self, rows: Sequence[Tick | Candle]) -> bool:
        """Return whether *rows* have ticks of the live one's second, and do not have that one.

        Unless its quote is just written in another way, others of that second may lack, too.
        """
        live = self.hole.end
        quotes = _quotes([row for row in rows if _time_of(row) == self.hole.before])
        return live is not None and quotes != () and live.quote not in quotes

    def _is_to_wait(self) -> bool:
        """Return whether to wait for a history that lags behind; say how long."""
        if self._pauses == len(PAUSES):
            return False
        self.pause = PAUSES[self._pauses]
        self._pauses += 1
        return True

    def _without_known(self, items: list[Tick | Candle]) -> list[Tick | Candle]:
        """Return *items* without those of the first and the last second that are delivered."""
        hole = self.hole
        if hole.end is not None:
            at_end = [item for item in items if _time_of(item) == hole.before]
            items = items[: len(items) - len(at_end) + _place_of(hole.end, at_end)]
        if hole.seen:
            at_start = [item for item in items if _time_of(item) == hole.after]
            items = items[_seen_of(hole.seen, at_start) :]
        return items

    def _lose(self, end: int) -> Gap | None:
        """Note that the server no longer has the window up to *end*."""
        if self._lost_after is None:
            self._lost_after = self._after
        self._window.lost()
        self._anchor = None
        self._after = max(self._after, end)
        return self._last_gap()

    def _last_gap(self) -> Gap | None:
        return self._end_loss(self._end) if self.done else None

    def _end_loss(self, before: int) -> Gap | None:
        after, self._lost_after = self._lost_after, None
        return None if after is None else self._gap(after, before, self._reason)

    def _gap(self, after: int, before: int, reason: str) -> Gap:
        after = max(after, self.hole.after)
        return Gap(self.hole.symbol, after, before, filled=False, reason=reason)


def _rows(reply: Mapping[str, Any], hole: Hole) -> list[Tick | Candle]:
    if not hole.granularity:
        return [*history_in(reply, hole.symbol)]
    rows = reply.get("candles", ())
    return [candle_in(dict(row), hole.symbol, hole.granularity, closed=True) for row in rows]


def _in_order(rows: Sequence[Tick | Candle]) -> list[Tick | Candle]:
    """Return *rows*, oldest first; of candles for one time the last."""
    by_time = {row.open_time: row for row in rows if isinstance(row, Candle)}
    return sorted(by_time.values() if by_time else rows, key=_time_of)


def _place_of(end: HoleEnd, second: Sequence[Tick | Candle]) -> int:
    """Return how many ticks of its *second* come before *end*."""
    quotes = _quotes(second)
    if end.quote not in quotes:  # it is there, but its quote is written in another way
        return max(0, len(quotes) - 1) if end.is_newest else 0
    if end.is_newest:
        return len(quotes) - 1 - quotes[::-1].index(end.quote)
    return quotes.index(end.quote)


def _seen_of(seen: tuple[float, ...], second: Sequence[Tick | Candle]) -> int:
    """Return how many ticks of the *second* come before those that are not *seen*.

    They are the first of the second, or, where the stream began in the middle of it, later ones.
    """
    quotes, length = _quotes(second), len(seen)
    if quotes[:length] == seen:
        return length
    ends = range(len(quotes), length - 1, -1)
    return next((end for end in ends if quotes[end - length : end] == seen), len(quotes))


def _quotes(ticks: Sequence[Tick | Candle]) -> tuple[float, ...]:
    return tuple(tick.quote for tick in ticks if isinstance(tick, Tick))


def _time_of(item: Tick | Candle) -> int:
    return item.epoch if isinstance(item, Tick) else item.open_time
