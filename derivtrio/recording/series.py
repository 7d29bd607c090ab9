"""One series: the ticks or the candles of one symbol, from where the store has them.

A series is followed with `client.ticks` or `client.candles`, which fill what an outage swallows.
Around that stands a second loop, for what ends a stream, or the whole program:

1. The stream begins with the newest row that is kept, that row included. After a crash the rows of
   its second may be incomplete; those that are known come again, and the store ignores them.
2. While the market is closed, the stream waits. Whatever ends it later (the server cannot serve it
   just now, rows came faster than the disk takes them) is waited out, and the stream begins again
   as in 1.
3. A refusal of the first request is an error: the symbol may be misspelled. One of which rows are
   kept is not; it has vanished, perhaps for a while, and the other series go on. `Waits` has it.
4. The row that is kept must come again. If not, the server's history no longer reaches there, and
   that is a gap.
"""

import logging
import time
from collections.abc import Iterator
from typing import Any, Final, Protocol

import attrs
import trio

from derivtrio.api.parsing import is_epoch
from derivtrio.client import Client
from derivtrio.errors import (
    ApiError,
    ClientClosed,
    ConnectionFailed,
    DerivError,
    SlowConsumer,
)
from derivtrio.events import Gap
from derivtrio.logs import TolerantLogger
from derivtrio.models import Candle, Tick
from derivtrio.policy.retry import is_passing
from derivtrio.recording.store import Store
from derivtrio.recording.tables import CANDLES, GAPS, TICKS, Table, candle_row, gap_row
from derivtrio.recording.waits import Waits
from derivtrio.recording.writer import BatchWriter, patiently
from derivtrio.streams.subscription import Subscription

_log: Final = TolerantLogger(logging.getLogger("derivtrio.recording"))

#: How long to wait before a stream that was refused or ended is asked for again, in seconds.
PAUSE: Final = 60.0

#: By how many seconds the first row may be later than it was asked for, without a gap being noted;
#: and the newest one later than this machine's clock.
_TOLERANCE: Final = 60


class SeriesKind(Protocol):
    """What ticks and candles of one symbol have each their own way of."""

    symbol: str
    granularity: int
    table: Table

    def subscribe(self, client: Client, start: int | None) -> Subscription[Any]:
        """Return the stream from the epoch *start* on."""
        ...

    async def newest(self, store: Store) -> int | None:
        """Return the epoch of the newest row that *store* has."""
        ...

    def add(self, item: Any, writer: BatchWriter) -> int:
        """Give the row of *item* to *writer*; return its epoch."""
        ...

    def restart(self) -> None:
        """Note that the items of the newest second come again."""
        ...


@attrs.define(eq=False)
class TickSeries:
    """The ticks of `symbol`. Rows that share a second are numbered in their order."""

    symbol: str
    granularity: int = attrs.field(default=0, init=False)
    table: Table = attrs.field(default=TICKS, init=False)
    _epoch: int = attrs.field(default=-1, init=False)
    _n: int = attrs.field(default=0, init=False)

    def subscribe(self, client: Client, start: int | None) -> Subscription[Tick]:
        """Return the ticks from the epoch *start* on."""
        return client.ticks(self.symbol, start=start, when_closed="wait")

    async def newest(self, store: Store) -> int | None:
        """Return the epoch of the newest tick."""
        return await store.newest(TICKS, self.symbol)

    def add(self, item: Tick, writer: BatchWriter) -> int:
        """Give the row of a tick to *writer*."""
        epoch = item.epoch
        self._n = self._n + 1 if epoch == self._epoch else 0
        self._epoch = epoch
        writer.add(TICKS, (item.symbol, epoch, self._n, item.quote, item.ask, item.bid))
        return epoch

    def restart(self) -> None:
        """Count anew within the second that comes first."""
        self._epoch = -1


@attrs.define(eq=False)
class CandleSeries:
    """The candles of `symbol`, each of `granularity` seconds, once they have closed."""

    symbol: str
    granularity: int
    table: Table = attrs.field(default=CANDLES, init=False)

    def subscribe(self, client: Client, start: int | None) -> Subscription[Candle]:
        """Return the closed candles that open at the epoch *start* or later."""
        return client.candles(
            self.symbol, self.granularity, start=start, closed_only=True, when_closed="wait"
        )

    async def newest(self, store: Store) -> int | None:
        """Return the opening time of the newest candle."""
        return await store.newest(CANDLES, self.symbol, self.granularity)

    def add(self, item: Candle, writer: BatchWriter) -> int:
        """Give the row of a candle to *writer*."""
        writer.add(CANDLES, candle_row(item))
        return item.open_time

    def restart(self) -> None:
        """Do nothing: no two candles open in one second."""


@attrs.define(eq=False)
class Follower:
    """Follows one series for as long as the client lives."""

    _kind: SeriesKind
    _client: Client
    _writer: BatchWriter
    _start: int | None
    _waits: Waits = attrs.field(factory=Waits)
    #: The newest row: of the store at first, then of those given to the writer.
    _newest: int | None = attrs.field(default=None, init=False)
    #: Whether the server knows the series, or has known it before.
    _granted: bool = attrs.field(default=False, init=False)

    def __str__(self) -> str:
        length = self._kind.granularity
        return f"{self._kind.symbol}, {length} s candles" if length else self._kind.symbol

    async def run(self, store: Store) -> None:
        """Follow the series; return when the client was closed.

        Raises:
            ApiError: the server refuses the first request, and no row is kept.
            ConnectionFailed: the client has ended.
            StoreError: *store* cannot be read.

        """
        self._newest = await patiently(lambda: self._kind.newest(store), lambda: 0)
        if self._newest is not None:
            self._granted = is_epoch(self._newest)
            _log.info("%s: going on after the row of %d", self, self._newest)
            if self._newest > time.time() + _TOLERANCE:
                text = "%s: its newest row is of %s, in the future; nothing is kept until then"
                _log.warning(text, self, self._newest)
        while True:
            try:
                await self._follow()
            except ClientClosed:
                return
            except SlowConsumer:
                _log.info("%s: rows come faster than they are written; reading on later", self)
                await self._writer.room()
            except DerivError as error:
                await self._wait_after(error)
            else:
                return

    async def _follow(self) -> None:
        begin = self._start if self._newest is None else self._newest
        self._kind.restart()
        async with self._kind.subscribe(self._client, begin) as stream:
            self._granted = True
            self._waits.end(str(self))
            known, gaps = self._newest, 0
            try:
                async for item in stream:
                    gaps = self._note_gaps(stream, gaps)
                    newest = self._kind.add(item, self._writer)
                    if known is not None:
                        self._check_reach(known, newest, gaps)
                        known = None
                    self._newest = newest
                    if self._writer.is_full:
                        await self._writer.room()
            finally:
                self._note_gaps(stream, gaps)

    def _note_gaps(self, stream: Subscription[Any], noted: int) -> int:
        for gap in stream.gaps_after(noted):
            self._add_gap(gap)
        return stream.gap_count

    def _add_gap(self, gap: Gap) -> None:
        if self._newest is not None:
            gap = attrs.evolve(gap, after=max(gap.after, self._newest))
        if gap.after < gap.before:
            _log.warning("%s: nothing from %d to %d (%s)", self, gap.after, gap.before, gap.reason)
            self._writer.add(GAPS, gap_row(gap, self._kind.granularity))

    def _check_reach(self, known: int, first: int, gaps: int) -> None:
        """Note a gap if the row that is *known* did not come again, and nothing was said of it."""
        if first - known > max(_TOLERANCE, self._kind.granularity) and not gaps:
            reason = "no longer kept"
            self._add_gap(Gap(self._kind.symbol, known, first, filled=False, reason=reason))

    async def _wait_after(self, error: DerivError) -> None:
        """Wait until the stream may be asked for again; raise *error* if that is no use."""
        if isinstance(error, ConnectionFailed) or not (self._granted or _may_pass(error)):
            raise error
        self._waits.begin(str(self), error)
        _log.warning("%s: %s; trying again in %.0f s", self, error, PAUSE)
        await trio.sleep(PAUSE)


def _may_pass(error: DerivError) -> bool:
    return is_passing(error) if isinstance(error, ApiError) else True


def series_of(symbols: Iterator[str], lengths: tuple[int, ...], *, ticks: bool) -> list[SeriesKind]:
    """Return the series of *symbols*: ticks, and candles of each of the *lengths*."""
    found: list[SeriesKind] = []
    for symbol in symbols:
        if ticks:
            found.append(TickSeries(symbol))
        found += [CandleSeries(symbol, length) for length in lengths]
    return found
