"""What a consumer has been given of a stream, what is missing, and how to fetch it. No I/O.

A *line* translates the server's messages for one consumer, in order and each tick once. After an
interruption the next live message shows how far time has gone on, and the line puts a `Hole`
before it: the open interval between the last item delivered and the next. If there will be no next,
because the server refuses to go on, the hole reaches to the server's present. Whoever reads the
line has the hole filled before going on, with a `Filler`.

A filler asks for history forwards, a window at a time, so that what it fetches can be delivered
at once and no more than a window is ever held. Three facts about Deriv's `ticks_history` shape
it: a reply has at most 5000 rows, the newest of the window, without saying that there were more;
no symbol has more than one tick a second; and a window that lies too far in the past is answered
with the newest rows instead, which only their times give away. If the first window reaches back
beyond what the server keeps, its rows just begin later, as in a quiet market. That is why it begins
a little before the last item delivered: of those rows one must be there. (A stream that begins
with a `start` of its own has no such witness; on the very edge of what is kept, the first 5000
seconds of it may be missing without a `Gap`.)
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from derivtrio.events import Gap
from derivtrio.models import Candle, Tick

#: The most rows that the server returns, whatever `count` says.
MAX_ROWS: Final = 5000

#: How many units before its witness a hole is asked for.
_MARGIN: Final = 10


class Hole(msgspec.Struct, frozen=True):
    """What is missing between the epochs `after` and `before`; None for the server's present.

    For candles `granularity` is theirs, and the epochs are opening times; for ticks it is 0.
    `witness` is the epoch of an item that the server is known to have had, not later than the
    first that can be missing.
    """

    symbol: str
    after: int
    before: int | None
    granularity: int = 0
    witness: int | None = None


@attrs.define
class TickTranslator:
    """The ticks of one symbol for one consumer. With `start`, from that epoch on."""

    symbol: str
    start: int | None = None
    over: bool = attrs.field(default=False, init=False)
    _last: int | None = attrs.field(default=None, init=False)
    _interrupted: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        if self.start is not None:
            self._last, self._interrupted = self.start - 1, True

    def feed(self, message: Mapping[str, Any]) -> Sequence[Tick | Hole]:
        """Return what *message* adds: a tick, perhaps a hole before it, or nothing."""
        tick = message.get("tick")
        if not isinstance(tick, dict) or "quote" not in tick:
            return ()
        prices = float(tick["quote"]), _price(tick.get("ask")), _price(tick.get("bid"))
        return self.advance(Tick(self.symbol, tick["epoch"], *prices, tick["pip_size"]))

    def advanced(self, ticks: Sequence[Tick]) -> Sequence[Tick | Hole]:
        """Return what *ticks* add."""
        last = self._last
        if not self._interrupted and last is not None:
            for tick in ticks:
                if tick.epoch <= last:
                    break
                last = tick.epoch
            else:
                self._last = last
                return ticks
        return [item for tick in ticks for item in self.advance(tick)]

    def advance(self, tick: Tick) -> Sequence[Tick | Hole]:
        """Return *tick*, perhaps a hole before it, or nothing if it was delivered already."""
        last, epoch = self._last, tick.epoch
        if last is None:
            self._last = epoch
            return (tick,)
        if epoch <= last:
            return ()
        self._last = epoch
        if not self._interrupted:
            return (tick,)
        self._interrupted = False
        return (tick,) if epoch == last + 1 else (self._hole(last, epoch), tick)

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        self._interrupted = self._last is not None

    def missing(self) -> Sequence[Hole]:
        """Return what may be missing if nothing more comes."""
        last = self._last
        return (self._hole(last, None),) if self._interrupted and last is not None else ()

    def _hole(self, last: int, before: int | None) -> Hole:
        witness = None if self.start is not None and last < self.start else last
        return Hole(self.symbol, last, before, witness=witness)


@attrs.define(eq=False)
class CandleTranslator:
    """The candles of one symbol for one consumer, each delivered as it forms, and when closed.

    Or with `closed_only` only then: what a consumer does not want takes up no room in its mailbox.
    """

    symbol: str
    granularity: int
    start: int | None = None
    closed_only: bool = False
    over: bool = attrs.field(default=False, init=False)
    _forming: Candle | None = attrs.field(default=None, init=False)
    _interrupted: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._interrupted = self.start is not None

    def feed(self, message: Mapping[str, Any]) -> Sequence[Candle | Hole]:
        """Return what *message* adds: the forming candle, and what came to an end before it."""
        items = self._added_by(message)
        if self.closed_only:
            return [item for item in items if isinstance(item, Hole) or item.closed]
        return items

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        if self._forming is not None:
            self._interrupted = True

    def missing(self) -> Sequence[Hole]:
        """Return what may be missing if nothing more comes, the forming candle's end included."""
        if not self._interrupted:
            return ()
        if self._forming is not None:
            return (self._hole_since(self._forming, None),)
        return () if self.start is None else (self._hole(self.start - 1, None),)

    def _added_by(self, message: Mapping[str, Any]) -> Sequence[Candle | Hole]:
        row = _newest_row(message)
        if row is None:
            return ()
        candle = _candle(row, self.symbol, self.granularity, closed=False)
        before, earliest = self._forming, self.start if self.start is not None else 0
        if candle.open_time < (earliest if before is None else before.open_time):
            return ()
        interrupted, self._interrupted, self._forming = self._interrupted, False, candle
        if before is None:
            hole = self._hole(earliest - 1, candle.open_time)
            return (hole, candle) if interrupted else (candle,)
        if candle.open_time == before.open_time:
            return (candle,)
        if not interrupted:
            return (msgspec.structs.replace(before, closed=True), candle)
        return (self._hole_since(before, candle.open_time), candle)

    def _hole_since(self, forming: Candle, before: int | None) -> Hole:
        last = forming.open_time
        return self._hole(last - self.granularity, before, last)

    def _hole(self, after: int, before: int | None, witness: int | None = None) -> Hole:
        return Hole(self.symbol, after, before, self.granularity, witness)


@attrs.define(eq=False)
class Filler:
    """Fetches what belongs into one hole. `request` what it says, and have the reply `digest`ed.

    Where the `hole` reaches to the server's present, its end is put in as soon as that is known.
    """

    hole: Hole
    _after: int = attrs.field(init=False)
    _window: int = attrs.field(init=False)
    _lost_after: int | None = attrs.field(default=None, init=False)
    _witness: int | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._after = self.hole.after
        self._window = self._full
        self._witness = self.hole.witness

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

    def digest(self, reply: Mapping[str, Any]) -> tuple[list[Tick | Candle], Gap | None]:
        """Return the items that *reply* has for the window, and the gap before them, if any."""
        if self.hole.before is None:
            self._end_at(int(reply["time"]))
            return [], None
        start, end = self._bounds
        received = _rows(reply, self.hole)
        rows = _in_order(received)
        items = [item for item in rows if self._after < _time_of(item) <= end]
        if rows and not items and _time_of(rows[0]) > end:
            return [], self._lose(end)
        cut_off = len(received) >= MAX_ROWS and _time_of(rows[0]) > start
        if cut_off and self._window > self._full:
            self._window = self._full  # a window that must fit
            return [], None
        if self._witness is not None and not (rows and _time_of(rows[0]) <= self._witness):
            self._lost_after = self._after
        self._witness = None
        gap = self._end_loss(_time_of(items[0])) if items else None
        self._after = max(self._after, end)
        self._window = min(self._full, 2 * self._window) if items else 2 * self._window
        return items, gap or self._last_gap()

    def interrupted(self) -> None:
        """Ask for less at a time: connections may be too short-lived for more."""
        self._window = max(self._unit, min(self._window, self._full) // 2)

    def refused(self, code: str) -> Gap | None:
        """Return the gap that is left when the server refuses to say more.

        If it is its time that it does not say, this machine's has to do.
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
        if self._witness is not None:  # which must be in it, however little is asked for
            start, end = min(start, self._witness - _MARGIN * self._unit), self._witness
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
        self._witness = None
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
        return [_candle(dict(row), hole.symbol, hole.granularity, closed=True) for row in candles]
    history = dict(reply.get("history", {}))
    pip_size = int(reply.get("pip_size", 0))
    pairs = zip(history.get("times", ()), history.get("prices", ()), strict=True)
    return [Tick(hole.symbol, int(t), float(p), pip_size=pip_size) for t, p in pairs]


def _price(value: Any) -> float | None:
    return None if value is None else float(value)


def _in_order(rows: Sequence[Tick | Candle]) -> list[Tick | Candle]:
    """Return *rows*, oldest first, and of those for one time the last."""
    by_time = {_time_of(row): row for row in rows}
    return [by_time[time] for time in sorted(by_time)]


def _newest_row(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    candles = message.get("candles")
    row = candles[-1] if candles else message.get("ohlc")
    return row if isinstance(row, dict) and "close" in row else None


def _candle(row: Mapping[str, Any], symbol: str, granularity: int, *, closed: bool) -> Candle:
    """Return the candle in *row*: a history's, or a live `ohlc`, whose prices are strings."""
    return Candle(
        symbol,
        granularity,
        int(row.get("open_time", row["epoch"])),
        int(row["epoch"]),
        float(row["open"]),
        float(row["high"]),
        float(row["low"]),
        float(row["close"]),
        closed,
    )


def _time_of(item: Tick | Candle) -> int:
    return item.epoch if isinstance(item, Tick) else item.open_time
