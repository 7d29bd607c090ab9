"""`Store`: what a recorder needs of a place where rows are kept; and how it can fail.

Any object with these two methods is a store. Two rules make it right:

1. `write` keeps all rows or raises, and writing a row again does no harm (see `tables`).
2. `newest` says what is kept for certain. The recorder goes on from there after a restart. It asks
   again when the store was busy, and fetches what is gone.

A store for a library that blocks has the same methods without `async`, and `close`: that is a
`BlockingStore`. `worker.in_thread` makes a `Store` of it.
"""

from typing import Protocol

from derivtrio.errors import DerivError
from derivtrio.recording.tables import Batch, Table


class StoreError(DerivError):
    """A store cannot keep rows, and waiting does not help: the text says why."""


class StoreBusy(StoreError):
    """A store cannot keep rows just now: the disk is full, the file is locked, a server is away."""


class StoreRewound(StoreError):
    """A store has lost rows that it had kept: its server crashed, or a copy took its place."""


class MissingExtra(StoreError):
    """A package is needed that is not installed, or fails to be imported; the text says which."""


class Unreadable(StoreError):
    """A file of a store is damaged."""


class Store(Protocol):
    """Where a recorder keeps what it gets."""

    async def newest(self, table: Table, *key: str | int) -> int | None:
        """Return the highest value that is kept of the key's next column; None without a row.

        *key* has values for the first columns of the table's key: `newest(TICKS, "R_100")` is the
        epoch of the newest tick, `newest(CANDLES, "R_100", 60)` an opening time.

        Raises:
            StoreError: it cannot be read.

        """
        ...

    async def write(self, batch: Batch) -> None:
        """Keep all rows of *batch*: when this returns they are safe from a crash of the program.

        A row whose key is known replaces the old one if `table.replaces`; otherwise the old one
        stays.

        Raises:
            StoreBusy: it cannot be done just now; the recorder tries again.
            StoreError: it cannot be done at all; the recorder ends.

        """
        ...


class BlockingStore(Protocol):
    """The same, for code that blocks: it runs in a worker thread, one call at a time."""

    def newest(self, table: Table, *key: str | int) -> int | None:
        """Return what `Store.newest` returns."""
        ...

    def write(self, batch: Batch) -> None:
        """Keep all rows of *batch*, as `Store.write` does."""
        ...

    def close(self) -> None:
        """Close what is open."""
        ...
