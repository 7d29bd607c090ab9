"""Recording: what a client gets, kept in a file or a database.

- `recorder`: `record`, its tasks and their end.
- `series`: one symbol's ticks or candles, resumed from what is kept. `account`: the account's side.
- `waits`: the series that the server refuses just now.
- `writer`: the task that writes batches, and waits for a store that is busy.
- `store`: the protocol of a store, and its errors. `tables`: what a store keeps, as data.
- `worker`: a store that blocks, in a thread.
- `sqlite`, `sql` (PostgreSQL), `files`: the stores.
- `relaying`: what relays have in common. `redis` and `nats` (with `jetstream`): their stores.
- `formats` with `parquet`, `file_names`, `safe_files`: what files look like and are called,
  and how they survive a crash.
- `targets`: which store a target means. `extras`: what to say when a package is missing.
- `reading`: rows read back from a store; `chart` draws them.

Imports: the client, and everything below it. Begin with `recorder`, then `series`.
"""

from derivtrio.recording.recorder import record
from derivtrio.recording.store import (
    BlockingStore,
    MissingExtra,
    Store,
    StoreBusy,
    StoreError,
    StoreRewound,
    Unreadable,
)
from derivtrio.recording.tables import (
    BALANCES,
    CANDLES,
    CONTRACTS,
    GAPS,
    TABLES,
    TICKS,
    TRANSACTIONS,
    Batch,
    Row,
    Table,
)
from derivtrio.recording.targets import open_store
from derivtrio.recording.waits import Wait, Waits
from derivtrio.recording.worker import in_thread

__all__ = [
    "BALANCES",
    "CANDLES",
    "CONTRACTS",
    "GAPS",
    "TABLES",
    "TICKS",
    "TRANSACTIONS",
    "Batch",
    "BlockingStore",
    "MissingExtra",
    "Row",
    "Store",
    "StoreBusy",
    "StoreError",
    "StoreRewound",
    "Table",
    "Unreadable",
    "Wait",
    "Waits",
    "in_thread",
    "open_store",
    "record",
]
