"""The task that writes: it gathers rows, and gives them to the store in batches.

Rows wait here for at most `INTERVAL` seconds, or until there are `BATCH` of them. If the store is
busy (a full disk, a lock), the batch is kept and tried again, with a WARNING each time. Meanwhile
rows pile up to `MOST`; then those that add rows wait. Nothing is lost by that: what a stream cannot
deliver is fetched from the server's history later.

A store that was busy may come back without its newest rows: a server that crashed has those of its
last snapshot, and a standby those that had reached it. To write on would leave a hole that nobody
is told of. So before that the writer asks whether the newest rows are still there.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import attrs
import trio

from derivtrio.logs import TolerantLogger
from derivtrio.recording.store import Store, StoreBusy, StoreRewound
from derivtrio.recording.tables import CANDLES, TRANSACTIONS, Row, Table

T = TypeVar("T")

_log: Final = TolerantLogger(logging.getLogger("derivtrio.recording"))

#: For how long rows are gathered, in seconds.
INTERVAL: Final = 0.5

#: So many rows are written without waiting for more.
BATCH: Final = 5_000

#: So many rows may wait.
MOST: Final = 20_000

#: The first pause between two attempts to write, in seconds; it doubles, up to the longest.
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0


@attrs.define(eq=False)
class BatchWriter:
    """Gathers rows for `store`, and writes them.

    Attributes:
        written: how many rows the store has confirmed; those that it already had count, too.

    """

    _store: Store
    written: int = attrs.field(default=0, init=False)
    _rows: dict[Table, list[Row]] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)
    #: What the store was given and has not confirmed.
    _batch: dict[Table, list[Row]] = attrs.field(factory=dict, init=False)
    #: Of each series: the newest epoch that the store has confirmed.
    _kept: dict[tuple[Table, tuple[Any, ...]], int] = attrs.field(factory=dict, init=False)
    _was_busy: bool = attrs.field(default=False, init=False)
    _begun: trio.Event = attrs.field(factory=trio.Event, init=False)
    _plenty: trio.Event = attrs.field(factory=trio.Event, init=False)
    _room: trio.Event = attrs.field(factory=trio.Event, init=False)
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @property
    def unwritten(self) -> int:
        """How many rows the store has not confirmed."""
        return self._count + sum(map(len, self._batch.values()))

    @property
    def is_full(self) -> bool:
        """Whether whoever adds rows has to wait for `room`."""
        return self._count >= MOST

    def add(self, table: Table, row: Row) -> None:
        """Have *row* written soon."""
        rows = self._rows.get(table)
        if rows is None:
            rows = self._rows[table] = []
        rows.append(row)
        self._count += 1
        if self._count == 1:
            self._begun.set()
        elif self._count == BATCH:
            self._plenty.set()

    async def room(self) -> None:
        """Wait until fewer rows than `MOST` wait."""
        while self.is_full:
            await self._room.wait()

    async def run(self) -> None:
        """Write until cancelled.

        Raises:
            StoreRewound: the store has lost rows that it had confirmed.
            StoreError: it has failed for good.

        """
        while True:
            await self._begun.wait()
            with trio.move_on_after(INTERVAL):
                await self._plenty.wait()
            await patiently(self._write_alone, lambda: self.unwritten)

    async def flush(self) -> None:
        """Write everything that waits.

        Raises:
            StoreError: it cannot be written, or not now.

        """
        async with self._one_at_a_time:
            while self.unwritten:
                await self._write()

    def discard(self) -> None:
        """Forget everything that waits, and what the store had: all is fetched again."""
        self._take()
        self._batch, self._kept, self._was_busy = {}, {}, False

    async def _write_alone(self) -> None:
        async with self._one_at_a_time:
            await self._write()

    async def _write(self) -> None:
        """Write what waits; what a cancelled or failed attempt has left comes first.

        If the attempt was carried out all the same, its rows are written twice, which does no harm.
        """
        if not self._batch:
            self._take()
        if self._was_busy:
            await self._require_kept()
        try:
            await self._store.write(self._batch)
        except StoreBusy:
            self._was_busy = True
            raise
        self._was_busy = False
        self.written += sum(map(len, self._batch.values()))
        self._note_kept()
        self._batch = {}

    def _note_kept(self) -> None:
        for table, rows in self._batch.items():
            if table.ordered or table is TRANSACTIONS:
                width = 2 if table is CANDLES else 1  # so much of the key is known when it is asked
                self._kept.update(((table, row[:width]), int(row[width] or 0)) for row in rows)

    async def _require_kept(self) -> None:
        """Raise a StoreRewound if rows are gone from between others.

        A store that has none at all is another one, or was emptied: in it nothing is missing.
        """
        for (table, key), epoch in self._kept.items():
            newest = await self._store.newest(table, *key)
            if newest is not None and newest < epoch:
                text = f"{key[0]}: rows after {newest} were kept, up to {epoch}, and are gone"
                raise StoreRewound(text)

    def _take(self) -> None:
        self._batch, self._rows, self._count = self._rows, {}, 0
        self._room.set()
        self._begun, self._plenty, self._room = trio.Event(), trio.Event(), trio.Event()


async def patiently(work: Callable[[], Awaitable[T]], waiting: Callable[[], int]) -> T:
    """Do *work*, again and again while the store is busy; *waiting* is how many rows wait for it.

    Raises:
        StoreError: the store has failed for good.

    """
    pause = _FIRST_PAUSE
    while True:
        try:
            return await work()
        except StoreBusy as error:
            text = "%s; rows waiting: %d; trying again in %.0f s"
            _log.warning(text, error, waiting(), pause)
        await trio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)
