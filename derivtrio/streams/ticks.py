"""Ticks of one symbol: in order, each once, with a hole where some may be missing."""

import math
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final, Never, Protocol

import attrs
import trio
from msgspec.structs import replace

from derivtrio.api import codec
from derivtrio.api.parsing import tick_in
from derivtrio.api.validation import check_epoch
from derivtrio.calls.routing import stream_id_of
from derivtrio.concurrency.buffer import Buffer, OverflowPolicy
from derivtrio.models import Tick
from derivtrio.policy.newest import shorten
from derivtrio.streams.backfill import HistoryBackfill
from derivtrio.streams.epochs import FAR_BEHIND, Epochs
from derivtrio.streams.holes import Hole, HoleEnd
from derivtrio.streams.interfaces import TooLate
from derivtrio.streams.registry import Registry
from derivtrio.streams.requests import (
    WhenClosed,
    check_strict,
    check_symbol,
    check_when_closed,
)
from derivtrio.streams.source import ServerStream
from derivtrio.streams.subscription import Subscription, new_buffer
from derivtrio.wording import shown

#: A late reply that was so many seconds old may have missed a tick: a second, less what latencies
#: differ by.
_OLD: Final = 0.8

#: How many ticks of one second are remembered, at most.
_MOST_A_SECOND: Final = 20
#: How many ids of a stream are remembered, at most.
_MOST_IDS: Final = 8


def tick_stream(
    registry: Registry,
    symbol: str,
    start: int | None,
    *,
    strict: bool,
    buffer: int,
    overflow: OverflowPolicy,
    when_closed: WhenClosed = "raise",
) -> Subscription[Tick]:
    """Return the subscription that `client.ticks` describes."""
    check_symbol(symbol)
    check_epoch("start", start)
    check_strict(overflow, strict=strict)
    check_when_closed(when_closed)
    items: Buffer[Tick | Hole] = new_buffer(symbol, buffer, overflow)
    request = {"ticks": symbol, "subscribe": 1}
    translator = TickTranslator(symbol, start, Epochs(clock=trio.current_time))
    source = ServerStream(registry, "ticks", request, translator, items)
    translator.source = source.consumer
    backfill: HistoryBackfill[Tick] = HistoryBackfill(registry.session, items, strict)
    if when_closed == "raise":
        return Subscription(items, source, backfill)
    from derivtrio.streams.closed_markets import waiting  # noqa: PLC0415 - not all need it

    return Subscription(items, waiting(symbol, source, translator, backfill), backfill)


class TickSource(Protocol):
    """What a translator of ticks knows of where they come from."""

    def newest(self) -> Any:
        """Return the message before the one that is taken now, decoded or as JSON."""
        ...

    def leave_fast_way(self) -> None:
        """Let further messages of the stream come as messages, on this connection."""
        ...


def _id_in(message: Any) -> str | None:
    if isinstance(message, str | bytes):
        try:
            message = codec.decode(message)
        except codec.UNDECODABLE:
            return None
    return stream_id_of(message) if isinstance(message, Mapping) else None


class Seam(Enum):
    """Where the ticks of two connections, or of a reply and what follows it, meet.

    - `LOST`: ticks may be missing, and the reply that resumes the stream has not come.
    - `OPEN`: it has come, and brought nothing new. Ticks may still be missing.
    - `ANSWERED`: it was delivered. The next tick may repeat it; or it was old when it came, and
      ticks between the two were never sent.
    """

    LOST = auto()
    OPEN = auto()
    ANSWERED = auto()


@attrs.define(repr=False)
class TickTranslator:
    """Translates messages into the ticks of one symbol, for one consumer.

    With `start` the ticks begin at that epoch. `feed` is the plain way; a tick that was decoded
    without its envelope goes the fast way, through `advance` or `advance_all`.

    A symbol may have several ticks in one second. Live ticks come in order and each once, so their
    epochs may be equal. Only at a seam does a tick with the epoch and the quote of one that was
    delivered count as the same. Where the stream's id changes is a seam, too: a stream that begins
    anew repeats the newest tick. If a server has granted the stream twice, each tick comes under
    both ids: nothing is missing before an id that has brought the last tick as well. The fast way
    looks at ids only where a tick is repeated; once one has changed there, the rest of the stream
    goes the plain way, which looks at all of them.

    Attributes:
        implausible: why the last tick was not believed, or is left out, until somebody takes note
            of it.
        source: what the messages come from; None if nothing is known of it.

    """

    symbol: str
    start: int | None = None
    _epochs: Epochs = attrs.field(factory=Epochs, eq=False)
    over: bool = attrs.field(default=False, init=False)
    implausible: Exception | None = attrs.field(default=None, init=False)
    source: TickSource | None = attrs.field(default=None, init=False, eq=False, repr=False)
    #: The id in the last message that was not taken the fast way.
    _id: Any = attrs.field(default=None, init=False)
    #: If there are several, the newest epoch under each of the last few.
    _epoch_under: dict[Any, int] = attrs.field(factory=dict, init=False, eq=False)
    _last: Tick | None = attrs.field(default=None, init=False)
    #: What was delivered before `_last` in the same second; older ones may be in it as well.
    _earlier: tuple[Tick, ...] = attrs.field(default=(), init=False)
    _seam: Seam | None = attrs.field(default=None, init=False)
    _answered_mono: float = attrs.field(default=0.0, init=False, eq=False)
    _late: bool = attrs.field(default=False, init=False)
    #: Whether the stream began, or was resumed, with a message that cannot be read.
    _first_unread: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        if self.start is not None:
            self._last, self._seam = Tick(self.symbol, self.start - 1, math.nan), Seam.LOST

    def feed(self, message: Mapping[str, Any]) -> Sequence[Tick | Hole]:
        """Return what *message* adds: a tick, perhaps a hole before it, or nothing."""
        tick = message.get("tick")
        if not isinstance(tick, dict) or "quote" not in tick:
            return self._reject("a message without a price")
        subscription = message.get("subscription")
        stream_id = subscription.get("id") if isinstance(subscription, dict) else None
        came = tick_in(tick, self.symbol)
        if (stream_id != self._id or self._epoch_under) and isinstance(stream_id, str):
            self._note_id(stream_id, came.epoch)
        return self.advance(came)

    def advance(self, tick: Tick, message: Any = None, before: Any = None) -> Sequence[Tick | Hole]:
        """Return *tick*, perhaps a hole before it, or nothing if it was delivered already.

        It came the fast way, in *message*; the message *before* that is the newest of the source,
        if it is not given.
        """
        last, seam, epoch = self._last, self._seam, tick.epoch
        if tick.symbol != self.symbol:
            return self._reject(f"a tick of {shown(tick.symbol)}")
        epochs = self._epochs
        # The first live tick; with `start`, the last one is made up.
        if last is None or (epoch > last.epoch and epochs.horizon == math.inf):
            epochs.begin(epoch)
        if last is None:
            self._last = tick
            self._end_seam()
            return (tick,)
        # The usual case needs no more than these comparisons.
        near = last.epoch - FAR_BEHIND <= epoch <= epochs.horizon and not epochs.aside
        if not near and epochs.is_far(epoch, last.epoch):
            return self._set_aside(tick, last)
        if epoch < last.epoch:
            # At a seam a reply may bring what was delivered before; elsewhere it is out of order.
            if seam is None:
                self._note_too_late(tick, last)
            return ()
        if epoch == last.epoch and self._is_known(tick) and (seam or self._begins(message, before)):
            return ()
        items = (self._hole(last, tick), tick) if self._may_lack_ticks_before(tick) else (tick,)
        if epoch == last.epoch:
            self._earlier = (*self._earlier, last)[-_MOST_A_SECOND:]
        # In the second of the reply, the tick after this one may still repeat the reply's.
        if seam is not Seam.ANSWERED or epoch > last.epoch:
            self._end_seam()
        self._last = tick
        return items

    def advance_all(
        self, ticks: Sequence[Tick], data: Any = None, batch: Sequence[Any] = ()
    ) -> Sequence[Tick | Hole]:
        """Return what *ticks* add, from the messages of *batch* up to *data*; usually *ticks*."""
        tick = self._last
        if self._seam is None and tick is not None:
            epoch, symbol = tick.epoch, self.symbol
            for tick in ticks:
                if tick.epoch <= epoch or tick.symbol != symbol:
                    break
                epoch = tick.epoch
            else:  # a look at the last one is enough for what concerns all of them
                if epoch <= self._epochs.horizon:
                    self._last = tick
                    return ticks
        # Each tick with its message and the one before it; with none where these are not known.
        end = next((i for i, each in enumerate(batch, 1) if each is data), 0)
        messages = [None] * len(ticks) if end < len(ticks) else batch[end - len(ticks) : end]
        triples = zip(ticks, messages, [None, *messages[:-1]], strict=False)
        return [item for triple in triples for item in self.advance(*triple)]

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        self._id = None
        self._first_unread = False
        self._epoch_under.clear()
        self._lose()

    def resume(self, delivered: Sequence[Tick]) -> None:
        """Go on after the ticks *delivered* from history, if any; others may be missing then."""
        if delivered:
            known = delivered if self._last is None else (*self._earlier, self._last, *delivered)
            last = self._last = delivered[-1]
            same_second = [tick for tick in known[:-1] if tick.epoch == last.epoch]
            self._earlier = tuple(same_second[-_MOST_A_SECOND:])
        self.interrupt()

    def answered(self, *, late: bool) -> None:
        """Note that the last message fed was the reply with which the stream begins, or resumes."""
        if self._seam is Seam.LOST:
            self._seam = Seam.OPEN
        elif self._last is not None and self._seam is None:
            self._seam, self._late = Seam.ANSWERED, late
            self._answered_mono = self._epochs.clock() if late else 0.0

    def skip(self) -> Sequence[Never]:
        """Note a message that cannot be read: its tick is lost."""
        if self._last is None or self._seam is Seam.LOST:
            self._first_unread = True
        else:
            self._seam = Seam.OPEN
        return ()

    def missing(self) -> Sequence[Hole]:
        """Return what may be missing if nothing more comes."""
        is_open = self._seam in (Seam.LOST, Seam.OPEN)
        return (self._hole(self._last, None),) if is_open and self._last is not None else ()

    def _lose(self) -> None:
        self._epochs.interrupt()
        self._seam = Seam.LOST

    def _note_id(self, stream_id: str, epoch: int) -> None:
        """Note that a tick of this *epoch* has come under an id, which may be another than before.

        It is a seam where ticks may be missing, unless that id has brought the last tick, too.
        """
        last, newest = self._last, self._epoch_under
        if not self._id or last is None:
            self._id = stream_id
            self._lose()
            return
        changed = stream_id != self._id
        if changed:
            newest.setdefault(self._id, last.epoch)
        if stream_id not in newest or (epoch > last.epoch and newest[stream_id] != last.epoch):
            self._lose()
        elif changed and self._seam is None:
            self._seam, self._late = Seam.ANSWERED, False
        self._id = stream_id
        newest.pop(stream_id, None)  # the newest comes last
        newest[stream_id] = epoch
        shorten(newest, _MOST_IDS)

    def _end_seam(self) -> None:
        """Note that a tick is delivered which is not the one before.

        If the message before it was the first, and could not be read, it may be a late reply: that
        message may have been a live tick, and newer.
        """
        self._seam = None
        if self._first_unread:
            self._first_unread, self._seam, self._late = False, Seam.ANSWERED, True
            self._answered_mono = self._epochs.clock()

    def _set_aside(self, tick: Tick, last: Tick) -> Sequence[Tick | Hole]:
        """Set *tick* aside, which is far from the *last*; or return it, if it is believed now."""
        earliest = self._epochs.earliest(tick.epoch)
        believed: list[Tick] = self._epochs.set_aside(tick.epoch, tick)
        if not believed:
            text = f"a tick of the epoch {shown(tick.epoch)} after one of {last.epoch}"
            return self._reject(text)
        first = believed[0]
        missing = [self._hole(last, first)] if first.epoch > last.epoch + 1 else []
        if missing and last.epoch < earliest:
            missing = [replace(missing[0], after=earliest, anchor=None, seen=())]
        self._last, self._earlier, self._seam = tick, (), None
        return [*missing, *believed]

    def _note_too_late(self, tick: Tick, last: Tick) -> None:
        """Note that *tick* is left out, which came after the *last* one, and not at a seam."""
        if self.implausible is None:
            text = f"a tick of the epoch {tick.epoch} came after one of {last.epoch}"
            self.implausible = TooLate(text)

    def _reject(self, what: str) -> Sequence[Never]:
        self.implausible = ValueError(what)
        return self.skip()

    @property
    def _seen(self) -> tuple[float, ...]:
        """The quotes that were delivered in the second of the last tick; of `start`, none."""
        last = self._last
        if last is None or self._is_before_start(last):
            return ()
        return (*(each.quote for each in self._earlier if each.epoch == last.epoch), last.quote)

    def _is_known(self, tick: Tick) -> bool:
        """Return whether *tick*, of the last tick's second, was delivered, or is not wanted."""
        return self._is_before_start(tick) or tick.quote in self._seen

    def _begins(self, message: Any, before: Any) -> bool:
        """Return whether the stream begins anew with *message*: the one *before* has another id.

        Then all ids are looked at from now on.
        """
        if self.source is None or message is None:
            return False
        ids = _id_in(self.source.newest() if before is None else before), _id_in(message)
        if None in ids or ids[0] == ids[1]:
            return False
        self._id = ""
        self.source.leave_fast_way()
        return True

    def _is_before_start(self, tick: Tick) -> bool:
        return self.start is not None and tick.epoch < self.start

    def _may_lack_ticks_before(self, tick: Tick) -> bool:
        """Return whether ticks may be missing between the last one and *tick*.

        Deriv documents one tick a second. So between two seconds that follow each other one can be
        missing only if this symbol has had two in a second.

        After a reply that came promptly, none is missing. How old a late one was when it came is
        known when the next tick comes, which is new. (If it was old, the symbol may just be a slow
        one; then history has nothing in between.)
        """
        last, seam = self._last, self._seam
        if last is None or seam is None:
            return False
        seconds = tick.epoch - last.epoch
        if seam is not Seam.ANSWERED:
            return seconds != 1 or bool(self._earlier)
        age = seconds - (self._epochs.clock() - self._answered_mono) if self._late else 0.0
        return age >= _OLD and (seconds > 1 or bool(self._earlier))

    def _hole(self, last: Tick, tick: Tick | None) -> Hole:
        """Return the hole between *last* and *tick*, or the server's present."""
        anchor = None if self._is_before_start(last) else last.epoch
        if tick is None:
            return Hole(self.symbol, last.epoch, None, anchor=anchor, seen=self._seen)
        end = HoleEnd(tick.quote, is_newest=self._seam is Seam.LOST)
        return Hole(self.symbol, last.epoch, tick.epoch, anchor=anchor, seen=self._seen, end=end)
