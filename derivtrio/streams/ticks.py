"""Ticks of one symbol: in order, each once, with a hole where some may be missing."""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from derivtrio.concurrency.buffer import Buffer, OverflowPolicy
from derivtrio.models import Tick
from derivtrio.streams.backfill import BackfillReader
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
    source = ServerStream(registry, "ticks", request, TickTranslator(symbol, start), items)
    return Subscription(items, source, BackfillReader(registry.session, items, strict))


@attrs.define
class TickTranslator:
    """Translates messages into the ticks of one symbol, for one consumer.

    With `start` the ticks begin at that epoch. `feed` is the plain way; a tick that was decoded
    without its envelope goes the fast way, through `advance` or `advance_all`.
    """

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

    def advance_all(self, ticks: Sequence[Tick]) -> Sequence[Tick | Hole]:
        """Return what *ticks* add; usually that is *ticks*."""
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

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        self._interrupted = self._last is not None

    def missing(self) -> Sequence[Hole]:
        """Return what may be missing if nothing more comes."""
        last = self._last
        return (self._hole(last, None),) if self._interrupted and last is not None else ()

    def _hole(self, last: int, before: int | None) -> Hole:
        anchor = None if self.start is not None and last < self.start else last
        return Hole(self.symbol, last, before, anchor=anchor)


def _price(value: Any) -> float | None:
    return None if value is None else float(value)
