"""Ticks of one symbol: in order, each once, with a hole where some may be missing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Never

import attrs
import trio

from derivtrio.api.parsing import shown, tick_in
from derivtrio.concurrency.buffer import Buffer, OverflowPolicy
from derivtrio.models import Tick
from derivtrio.streams.backfill import BackfillReader
from derivtrio.streams.epochs import FAR_BEHIND, Epochs
from derivtrio.streams.holes import Hole
from derivtrio.streams.registry import Registry
from derivtrio.streams.requests import check_start, check_strict, check_symbol
from derivtrio.streams.source import ServerStream
from derivtrio.streams.subscription import Subscription, new_buffer


def tick_stream(
    registry: Registry,
    symbol: str,
    start: int | None,
    *,
    strict: bool,
    buffer: int,
    overflow: OverflowPolicy,
) -> Subscription[Tick]:
    """Return the subscription that `client.ticks` describes."""
    check_symbol(symbol)
    check_start(start)
    check_strict(overflow, strict=strict)
    items: Buffer[Tick | Hole] = new_buffer(symbol, buffer, overflow)
    request = {"ticks": symbol, "subscribe": 1}
    translator = TickTranslator(symbol, start, Epochs(clock=trio.current_time))
    source = ServerStream(registry, "ticks", request, translator, items)
    return Subscription(items, source, BackfillReader(registry.session, items, strict))


@attrs.define
class TickTranslator:
    """Translates messages into the ticks of one symbol, for one consumer.

    With `start` the ticks begin at that epoch. `feed` is the plain way; a tick that was decoded
    without its envelope goes the fast way, through `advance` or `advance_all`.

    Attributes:
        doubt: why the last tick was not believed, until somebody takes note of it.

    """

    symbol: str
    start: int | None = None
    _epochs: Epochs = attrs.field(factory=Epochs, eq=False)
    over: bool = attrs.field(default=False, init=False)
    doubt: Exception | None = attrs.field(default=None, init=False)
    _last: int | None = attrs.field(default=None, init=False)
    _interrupted: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        if self.start is not None:
            self._last, self._interrupted = self.start - 1, True

    def feed(self, message: Mapping[str, Any]) -> Sequence[Tick | Hole]:
        """Return what *message* adds: a tick, perhaps a hole before it, or nothing."""
        tick = message.get("tick")
        if not isinstance(tick, dict) or "quote" not in tick:
            return self._doubted("a message without a price")
        return self.advance(tick_in(tick, self.symbol))

    def advance(self, tick: Tick) -> Sequence[Tick | Hole]:
        """Return *tick*, perhaps a hole before it, or nothing if it was delivered already."""
        last, epoch = self._last, tick.epoch
        if tick.symbol != self.symbol:
            return self._doubted(f"a tick of {shown(tick.symbol)}")
        epochs = self._epochs
        if last is None or (epoch > last and epochs.horizon == math.inf):
            epochs.begin(epoch)
        if last is None:
            self._last = epoch
            return (tick,)
        near = last - FAR_BEHIND <= epoch <= epochs.horizon and not epochs.suspects
        if not near and epochs.is_far(epoch, last):
            return self._suspected(tick, last)
        if epoch <= last:
            return ()
        self._last = epoch
        if not self._interrupted:
            return (tick,)
        self._interrupted = False
        return (tick,) if epoch == last + 1 else (self._hole(last, epoch), tick)

    def advance_all(self, ticks: Sequence[Tick]) -> Sequence[Tick | Hole]:
        """Return what *ticks* add; usually that is *ticks*."""
        last = self._last
        if ticks and not self._interrupted and last is not None:
            for tick in ticks:
                if tick.epoch <= last:
                    break
                last = tick.epoch
            else:  # a look at the last one is enough for what concerns all of them
                if last <= self._epochs.horizon and tick.symbol == self.symbol:
                    self._last = last
                    return ticks
        return [item for tick in ticks for item in self.advance(tick)]

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        self._interrupted = self._last is not None

    def skip(self) -> Sequence[Never]:
        """Note a message that cannot be read: its tick is lost."""
        self.interrupt()
        return ()

    def missing(self) -> Sequence[Hole]:
        """Return what may be missing if nothing more comes."""
        last = self._last
        return (self._hole(last, None),) if self._interrupted and last is not None else ()

    def _suspected(self, tick: Tick, last: int) -> Sequence[Tick | Hole]:
        """Hold *tick* back, which is far from the *last*; or return it, if it is believed now."""
        believed: list[Tick | Hole] = self._epochs.suspect(tick.epoch, tick)
        if not believed:
            return self._doubted(f"a tick of the epoch {shown(tick.epoch)} after one of {last}")
        self._last, self._interrupted = tick.epoch, False
        first = believed[0].epoch  # type: ignore[union-attr]  # a tick
        return [self._hole(last, first), *believed] if first > last + 1 else believed

    def _doubted(self, what: str) -> Sequence[Never]:
        self.doubt = ValueError(what)
        return self.skip()

    def _hole(self, last: int, before: int | None) -> Hole:
        anchor = None if self.start is not None and last < self.start else last
        return Hole(self.symbol, last, before, anchor=anchor)
