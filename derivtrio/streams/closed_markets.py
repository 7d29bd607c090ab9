"""Streams that wait while their market is closed: `when_closed="wait"`.

The server refuses a stream whose market is closed, or ends it, with `MarketClosed`. A
`WaitingStream` is a source that takes such an end back:

1. The buffer is closed with that error, as for any consumer. So what was missed before, which is a
   hole, comes first: the consumer reads it from the history.
2. When the consumer gets to the error, its backfill calls `reopen`. That sleeps until the market
   opens, opens the buffer again, and subscribes anew. The translator stays. So the first message is
   to it what it is after a reconnect: before it there may be a hole.

Meanwhile the stream has no upstream: on a reconnect nobody asks for it, and it cannot be mute.

When the market opens, `opening_times` says. The sleep ends after ten minutes at the latest, and the
stream is asked for: the times may be wrong, or have changed.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import attrs
import trio

from derivtrio.api.parsing import UNREADABLE, epoch_of
from derivtrio.calls.request import request_until_answered
from derivtrio.concurrency.buffer import Buffer
from derivtrio.errors import (
    ApiError,
    ClientClosed,
    ConnectionFailed,
    DerivError,
    MarketClosed,
)
from derivtrio.policy.retry import is_passing
from derivtrio.streams.backfill import HistoryBackfill
from derivtrio.streams.interfaces import Translator
from derivtrio.streams.registry import Registry
from derivtrio.streams.source import ServerStream

#: The longest time between two requests for a stream, in seconds; and the shortest. From that on
#: it doubles, where the market should be open, or nobody knows.
_LONGEST: Final = 600.0
_SHORTEST: Final = 5.0


class ContinuedTranslator(Translator, Protocol):
    """A translator that can go on after items that others have delivered."""

    def resume(self, delivered: Sequence[Any]) -> None:
        """Go on after the items *delivered* from history, if any; others may be missing then."""
        ...


def waiting(
    symbol: str,
    stream: ServerStream,
    translator: ContinuedTranslator,
    backfill: HistoryBackfill[Any],
) -> "WaitingStream":
    """Return *stream* as one that waits while the market of *symbol* is closed; *backfill* also."""
    source = WaitingStream(symbol, stream, translator)
    backfill.outlast = source.reopen
    return source


@attrs.define(eq=False, repr=False)
class WaitingStream:
    """The source of a consumer that waits while the market of `_symbol` is closed."""

    _symbol: str
    _stream: ServerStream
    _translator: ContinuedTranslator
    _items: Buffer[Any] = attrs.field(init=False)
    _registry: Registry = attrs.field(init=False)
    _last_at: float | None = attrs.field(default=None, init=False)
    _detached: trio.Event = attrs.field(factory=trio.Event, init=False)
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    #: When the stream is asked for next, on trio's clock; None where that is not decided.
    _due_mono: float | None = attrs.field(default=None, init=False)
    _pause: float = attrs.field(default=_SHORTEST, init=False)
    #: What was said last of the opening; -1 if nothing was.
    _announced: int | None = attrs.field(default=-1, init=False)

    def __attrs_post_init__(self) -> None:
        consumer = self._stream.consumer
        self._items, self._registry = consumer.items, consumer.registry

    @property
    def id(self) -> str | None:
        """The server's id of the stream; None while it waits."""
        return None if self._items.closed else self._stream.id

    @property
    def last_at(self) -> float | None:
        """When the server last sent something for it, in seconds since the epoch."""
        return self._stream.last_at or self._last_at

    async def attach(self) -> None:
        """Subscribe, or if the market is closed, leave that to `reopen`."""
        try:
            await self._stream.attach()
        except MarketClosed as error:
            self._stream.consumer.conclude(error)
            self._stream.detach()

    def detach(self) -> None:
        """Leave the upstream, or wait no longer."""
        self._detached.set()
        self._stream.detach()

    async def reopen(self, closed: MarketClosed, delivered: Sequence[Any]) -> None:
        """Wait until the market opens, and let the stream go on; called after its end *closed*.

        *delivered* are the last items that history had for the hole before that end. If the stream
        cannot go on, the buffer is closed again: with *closed* for another try.

        *Cancellation*: another call goes on waiting for the same moment.
        """
        async with self._one_at_a_time:
            if not self._items.closed:  # another task that reads it has waited
                return
            self._leave(delivered)
            try:
                await self._until_due(closed)
                await self._attach_again()
            except ClientClosed:
                self._close(None)
            except ApiError as error:
                passes = isinstance(error, MarketClosed) or is_passing(error)
                self._close(closed if passes else error)
            except DerivError as error:
                self._close(error)
            except trio.Cancelled:
                self._close(closed)
                raise

    def _leave(self, delivered: Sequence[Any]) -> None:
        """Leave the upstream that has ended; go on after what was *delivered* since."""
        self._last_at = self.last_at
        self._stream.detach()
        self._translator.resume(delivered)

    def _close(self, error: DerivError | None) -> None:
        self._items.reopen()
        self._items.close(None if self._detached.is_set() else error)
        self._stream.detach()  # the reply may have come at the very moment of a cancellation

    async def _attach_again(self) -> None:
        if self._detached.is_set():
            text = "the stream was left"
            raise ClientClosed(text)
        self._due_mono = None
        self._items.reopen()
        self._translator.interrupt()
        await self._stream.attach()
        self._pause, self._announced = _SHORTEST, -1

    async def _until_due(self, closed: MarketClosed) -> None:
        """Sleep until it is time to ask again, or the client or this stream ends."""
        if self._due_mono is None:
            pause = await self._next_pause(closed)
            self._due_mono = trio.current_time() + pause
        async with trio.open_nursery() as nursery:
            for end in (self._registry.session.state.wait_ending, self._detached.wait):
                nursery.start_soon(_cancel_after, end, nursery.cancel_scope)
            await trio.sleep_until(self._due_mono)
            nursery.cancel_scope.cancel()

    async def _next_pause(self, closed: MarketClosed) -> float:
        """Return for how long to sleep now: until the opening, but not for too long."""
        session = self._registry.session
        now, opening = 0, None
        try:
            now = epoch_of((await request_until_answered({"time": 1}, session))["time"])
            opening = await self._registry.opening_times().next_opening(self._symbol, now)
        except (ClientClosed, ConnectionFailed):
            raise
        except (DerivError, *UNREADABLE) as error:
            session.bus.log(logging.DEBUG, "no trading times: %s", error, symbol=self._symbol)
        self._announce(opening, now, closed)
        if opening is not None and opening > now:
            self._pause = _SHORTEST
            return min(_LONGEST, opening - now)
        pause, self._pause = self._pause, min(_LONGEST, 2 * self._pause)
        return pause

    def _announce(self, opening: int | None, now: int, closed: MarketClosed) -> None:
        """Say once until when the stream waits, and again if that changes."""
        if opening == self._announced or (opening is not None and opening <= now):
            return
        self._announced = opening
        until = "the server does not say until when"
        if opening is not None:
            until = f"waiting until {datetime.fromtimestamp(opening, UTC):%Y-%m-%d %H:%M:%S} UTC"
        text = "%s: the market is closed (%s); %s"
        log = self._registry.session.bus.log
        log(logging.INFO, text, self._symbol, closed.code, until, symbol=self._symbol)


@trio.lowlevel.enable_ki_protection
async def _cancel_after(end: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await end()
    scope.cancel()
