"""A store that blocks, in a worker thread, so that trio's loop never waits for a disk.

One call runs at a time. A call that is cancelled goes on in its thread and keeps the lock until it
ends, so the next call never meets it halfway; closing comes after it, too, even if nobody waits for
it any more. A limiter with one token keeps callers from piling up threads behind such a call.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from threading import Lock
from typing import Final, TypeVar

import attrs
import trio

from derivtrio.recording.store import BlockingStore, Store
from derivtrio.recording.tables import Batch, Table

T = TypeVar("T")

#: How long closing may take, in seconds; a disk that hangs must not keep the program from ending.
_PATIENCE: Final = 2.0

#: The same, where a call is still at work: it has been waited for already.
_BUSY_PATIENCE: Final = 0.2


@asynccontextmanager
async def in_thread(make: Callable[[], BlockingStore]) -> AsyncGenerator[Store]:
    """Open the store that *make* returns, in a thread; close it at the end of the block.

    *Cancellation*: ends the waiting; what runs in the thread goes on there.

    Raises:
        StoreError: what *make* raises.

    """
    store = StoreInThread(await trio.to_thread.run_sync(make, abandon_on_cancel=True))
    try:
        yield store
    finally:
        patience = _BUSY_PATIENCE if store.is_busy else _PATIENCE
        with trio.move_on_after(patience, shield=True):
            await store.close()


@attrs.frozen(eq=False)
class StoreInThread:
    """A `Store` whose work is done in a thread."""

    _store: BlockingStore
    _lock: Lock = attrs.field(factory=Lock, init=False)
    _limiter: trio.CapacityLimiter = attrs.field(
        factory=partial(trio.CapacityLimiter, 1), init=False
    )

    @property
    def is_busy(self) -> bool:
        """Whether a call is at work, though perhaps nobody waits for it any more."""
        return self._lock.locked()

    async def newest(self, table: Table, *key: str | int) -> int | None:
        """Return what the blocking store returns."""
        return await self._run(partial(self._store.newest, table, *key))

    async def write(self, batch: Batch) -> None:
        """Have the blocking store write *batch*."""
        await self._run(partial(self._store.write, batch))

    async def close(self) -> None:
        """Close the blocking store once it is idle; when cancelled, leave that to the thread."""
        # Not by the limiter: a call that hangs would keep this thread from being started at all.
        await trio.to_thread.run_sync(self._alone, self._store.close, abandon_on_cancel=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(
            self._alone, work, limiter=self._limiter, abandon_on_cancel=True
        )

    def _alone(self, work: Callable[[], T]) -> T:
        with self._lock:
            return work()
