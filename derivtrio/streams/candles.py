"""Candles of one symbol, as they form and when they close, with a hole where some may be missing.

Deriv does not say when a candle closes: the next one opens. So the translator delivers the forming
candle at each change, and once more, `closed`, when it sees the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Never

import attrs
import msgspec
import trio

from derivtrio.api.parsing import candle_in, text_of, whole
from derivtrio.api.validation import check_epoch
from derivtrio.concurrency.buffer import Buffer, OverflowPolicy
from derivtrio.errors import check_flag
from derivtrio.models import Candle
from derivtrio.streams.backfill import HistoryBackfill
from derivtrio.streams.epochs import Epochs
from derivtrio.streams.holes import Hole
from derivtrio.streams.interfaces import TooLate
from derivtrio.streams.registry import Registry
from derivtrio.streams.requests import (
    WhenClosed,
    check_granularity,
    check_strict,
    check_symbol,
    check_when_closed,
)
from derivtrio.streams.source import ServerStream
from derivtrio.streams.subscription import Subscription, new_buffer
from derivtrio.wording import shown


def candle_stream(
    registry: Registry,
    symbol: str,
    granularity: int,
    start: int | None,
    *,
    closed_only: bool,
    strict: bool,
    buffer: int,
    overflow: OverflowPolicy,
    when_closed: WhenClosed = "raise",
) -> Subscription[Candle]:
    """Return the subscription that `client.candles` describes."""
    check_symbol(symbol)
    check_granularity(granularity)
    check_epoch("start", start)
    check_flag("closed_only", closed_only)
    check_strict(overflow, strict=strict)
    check_when_closed(when_closed)
    items: Buffer[Candle | Hole] = new_buffer(symbol, buffer, overflow)
    newest = {"end": "latest", "count": 1, "subscribe": 1}
    request = {"ticks_history": symbol, "style": "candles", "granularity": granularity, **newest}
    epochs = Epochs(2 * granularity, trio.current_time)
    translator = CandleTranslator(symbol, granularity, start, closed_only, epochs)
    source = ServerStream(registry, "ticks_history", request, translator, items)
    backfill: HistoryBackfill[Candle] = HistoryBackfill(registry.session, items, strict)
    if when_closed == "raise":
        return Subscription(items, source, backfill)
    from derivtrio.streams.closed_markets import waiting  # noqa: PLC0415 - not all need it

    return Subscription(items, waiting(symbol, source, translator, backfill), backfill)


@attrs.define(eq=False, repr=False)
class CandleTranslator:
    """Translates messages into the candles of one symbol, for one consumer.

    With `start` the candles begin with the first that opens at or after that epoch. With
    `closed_only` each is delivered once: what a consumer does not want takes no room in its buffer.

    Attributes:
        implausible: why the last candle was not believed, or is left out, until somebody takes
            note of it.

    """

    symbol: str
    granularity: int
    start: int | None = None
    closed_only: bool = False
    _epochs: Epochs = attrs.field(factory=Epochs)
    over: bool = attrs.field(default=False, init=False)
    implausible: Exception | None = attrs.field(default=None, init=False)
    _forming: Candle | None = attrs.field(default=None, init=False)
    _interrupted: bool = attrs.field(default=False, init=False)
    _reply_due: bool = attrs.field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        self._interrupted = self.start is not None

    def feed(self, message: Mapping[str, Any]) -> Sequence[Candle | Hole]:
        """Return what *message* adds: the forming candle, and what came to an end before it."""
        items = self._added_by(message)
        if self.closed_only:
            return [item for item in items if isinstance(item, Hole) or item.closed]
        return items

    def answered(self, *, late: bool) -> None:  # noqa: ARG002 - any reply may be old
        """Note that the last message fed was the reply with which the stream begins, or resumes.

        It may be old. So its candle may have gone on unseen, if another one opens next.
        """
        self._reply_due = False
        if self._forming is not None:
            self._interrupted = True

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        self._reply_due = True
        if self._forming is not None:
            self._interrupted = True

    def resume(self, delivered: Sequence[Candle]) -> None:
        """Go on after the candles *delivered* from history, if any; others may be missing then."""
        self.interrupt()
        if delivered:
            self.start, self._forming = delivered[-1].open_time + self.granularity, None
            self._interrupted = True

    def skip(self) -> Sequence[Never]:
        """Note a message that cannot be read: what it said is lost."""
        self._interrupted = self._interrupted or self._forming is not None
        return ()

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
        candle = candle_in(row, self.symbol, self.granularity, closed=False)
        before, earliest = self._forming, self.start if self.start is not None else 0
        is_reply = "candles" in message
        if (why := self._contradiction(row, candle)) is not None:
            return self._reject(why)
        if before is None:
            self._epochs.begin(candle.open_time)
        elif self._epochs.is_far(candle.open_time, before.open_time):
            return self._set_aside(candle, before)
        # All candles of a stream open a whole number of their lengths apart.
        elif (candle.open_time - before.open_time) % self.granularity:
            return self._reject(f"a candle of {candle.open_time} after one of {before.open_time}")
        if candle.open_time < earliest or self._is_older(candle, before, is_reply=is_reply):
            return ()
        return self._continued(candle, before, earliest)

    def _reject(self, why: str) -> Sequence[Never]:
        self.implausible = ValueError(why)
        return self.skip()

    def _contradiction(self, row: Mapping[str, Any], candle: Candle) -> str | None:
        """Return why *candle*, made of *row*, is none of this stream; None if it may be."""
        symbol, opens, length = row.get("symbol"), candle.open_time, self.granularity
        if symbol is not None and text_of(symbol).lower() != self.symbol.lower():
            return f"a candle of {shown(symbol)}"
        if whole(row.get("granularity", length)) != length:
            return f"a candle of {shown(row['granularity'])} s, not {length}"
        if not opens <= candle.epoch <= opens + length:
            return f"a candle that opens at {opens} and has a tick of {candle.epoch}"
        return None

    def _continued(
        self, candle: Candle, before: Candle | None, earliest: int
    ) -> Sequence[Candle | Hole]:
        """Return what comes between the candle *before* and this one, and this one."""
        interrupted, self._interrupted, self._forming = self._interrupted, False, candle
        if before is None:
            hole = self._hole(earliest - 1, candle.open_time)
            return (hole, candle) if interrupted else (candle,)
        if candle.open_time == before.open_time:
            return (candle,)
        if not interrupted:
            return (msgspec.structs.replace(before, closed=True), candle)
        return (self._hole_since(before, candle.open_time), candle)

    def _set_aside(self, candle: Candle, before: Candle) -> Sequence[Candle | Hole]:
        """Set *candle* aside, which is far from the one *before*; or return it, if believed now."""
        earliest = self._epochs.earliest(candle.open_time)
        believed: list[Candle] = self._epochs.set_aside(candle.open_time, candle)
        if not believed:
            return self._reject(f"a candle of {candle.open_time} after one of {before.open_time}")
        self._forming, self._interrupted = candle, False
        first = before if candle.open_time > before.open_time else believed[0]
        if candle.open_time <= first.open_time:
            return (candle,)
        if first.open_time >= earliest:
            return (self._hole_since(first, candle.open_time), candle)
        since = (candle.open_time - earliest) // self.granularity * self.granularity
        return (self._hole(candle.open_time - since, candle.open_time), candle)

    def _is_older(self, candle: Candle, before: Candle | None, *, is_reply: bool) -> bool:
        """Return whether *candle* says less than the one *before*, which was newer.

        A reply does not say when it was made. It is older than all live messages that it opens.
        """
        if before is None:
            return False
        if is_reply:
            return not self._reply_due or candle.open_time < before.open_time
        if candle.open_time < before.open_time and not self._interrupted:
            # It changes one that was delivered as closed.
            text = f"a candle of {candle.open_time} came after one of {before.open_time}"
            self.implausible = TooLate(text)
        return (candle.open_time, candle.epoch) < (before.open_time, before.epoch)

    def _hole_since(self, forming: Candle, before: int | None) -> Hole:
        """Return the hole that begins with the candle that was *forming*: its end is missing."""
        last = forming.open_time
        return self._hole(last - self.granularity, before, last)

    def _hole(self, after: int, before: int | None, anchor: int | None = None) -> Hole:
        return Hole(self.symbol, after, before, self.granularity, anchor)


def _newest_row(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the candle in *message*: the last of a first reply, or a live one."""
    if "ohlc" in message:
        return dict(message["ohlc"])
    candles = list(message["candles"])
    return dict(candles[-1]) if candles else None
