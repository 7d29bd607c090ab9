"""A store in memory, for the virtual clock; and what the simulator's market should have left."""

from typing import Any

import attrs
import trio

from derivtrio.recording import Batch, BlockingStore, Row, StoreBusy, StoreError, Table
from derivtrio.simulator import Simulator


@attrs.define(eq=False)
class MemoryStore:
    """Keeps rows as SQLite does. `failures` are raised by the next writes, before they write."""

    tables: dict[str, dict[Row, Row]] = attrs.field(factory=dict)
    failures: list[StoreError] = attrs.field(factory=list)
    writes: int = 0
    hung: bool = False

    async def newest(self, table: Table, *key: str | int) -> int | None:
        await trio.lowlevel.checkpoint()
        place = len(key)
        found = [row[place] for row in self.rows(table) if row[:place] == key]
        return max(found, default=None)

    async def write(self, batch: Batch) -> None:
        await trio.lowlevel.checkpoint()
        if self.hung:
            await trio.sleep_forever()
        if self.failures:
            raise self.failures.pop(0)
        self.writes += 1
        for table, rows in batch.items():
            kept = self.tables.setdefault(table.name, {})
            for row in rows:
                if table.replaces:
                    kept[row[: table.key]] = row
                else:
                    kept.setdefault(row[: table.key], row)

    def rows(self, table: Table) -> list[Any]:
        return sorted(self.tables.get(table.name, {}).values())


@attrs.frozen
class InLoop:
    """A blocking store without a thread: the virtual clock would not wait for that."""

    store: BlockingStore

    async def newest(self, table: Table, *key: str | int) -> int | None:
        await trio.lowlevel.checkpoint()
        return self.store.newest(table, *key)

    async def write(self, batch: Batch) -> None:
        await trio.lowlevel.checkpoint()
        self.store.write(batch)


def busy(text: str = "disk full") -> StoreBusy:
    return StoreBusy(text)


def market_rows(sim: Simulator, symbol: str, rows: list[Row]) -> list[tuple[int, float]]:
    """Return what the market had from the first to the last of *rows*."""
    ticks = sim.market.ticks(symbol, rows[0][1], rows[-1][1])
    return [(tick.epoch, tick.quote) for tick in ticks]


def quotes(rows: list[Row]) -> list[tuple[Any, Any]]:
    return [(row[1], row[3]) for row in rows]
