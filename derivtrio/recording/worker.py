"""A store that blocks, in a worker thread, so that trio's loop never waits for a disk.

One call runs at a time: a limiter with one token stands in for one thread. A call that is cancelled
goes on in its thread and keeps the token until it ends, so the next call never meets it halfway.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import attrs
import trio

from derivtrio.recording.store import BlockingStore, Store
from derivtrio.recording.tables import Batch, Table

T = TypeVar("T")

#: How long closing may take, in seconds; a disk that hangs must not keep the program from ending.
_PATIENCE: Final = 2.0


@asynccontextmanager
async def in_thread(make: Callable[[], BlockingStore]) -> AsyncGenerator[Store]:
    """Open the store that *make* returns, in a thread; close it at the end of the block.

    *Cancellation*: ends the waiting; what runs in the thread goes on there.

    Raises:
        StoreError: what *make* raises.

    """
    limiter = trio.CapacityLimiter(1)
    store = await trio.to_thread.run_sync(make, limiter=limiter, abandon_on_cancel=True)
    try:
        yield StoreInThread(store, limiter)
    finally:
        with trio.move_on_after(_PATIENCE, shield=True):
            await trio.to_thread.run_sync(store.close, limiter=limiter, abandon_on_cancel=True)


@attrs.frozen(eq=False)
class StoreInThread:
    """A `Store` whose work is done in a thread."""

    _store: BlockingStore
    _limiter: trio.CapacityLimiter

    async def newest(self, table: Table, *key: str | int) -> int | None:
        """Return what the blocking store returns."""
        return await self._run(partial(self._store.newest, table, *key))

    async def write(self, batch: Batch) -> None:
        """Have the blocking store write *batch*."""
        await self._run(partial(self._store.write, batch))

    async def _run(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)
