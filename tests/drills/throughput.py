"""How many ticks a second a recorder keeps in SQLite, beside a bare `executemany`.

Both write the same rows into the same table, in batches of the same size. The recorder's ticks come
from memory, through an `async for` as a client's do; what a client does before that is measured by
`python -m tests.benchmarks`. Memory is measured between the first tenth and the end.
"""

import argparse
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import attrs
import trio

from derivtrio import Tick
from derivtrio.recording import open_store, record
from derivtrio.recording.sqlite import SqliteStore
from derivtrio.recording.writer import BATCH

SYMBOLS: Final = 10

#: At least so much of the bare speed, and so many ticks a second, must a recorder reach.
SHARE: Final = 0.5
RATE: Final = 20_000

#: How many ticks a client hands over before it lets other tasks run, as its buffers do.
_AT_ONCE: Final = 256


@attrs.define(eq=False)
class Source:
    """A stream of ticks from memory, as `client.ticks` returns one."""

    symbol: str
    count: int
    memory: "Memory"
    gap_count: int = 0

    def gaps_after(self, count: int) -> tuple[()]:  # noqa: ARG002 - there are none
        return ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Tick]:
        for number in range(self.count):
            if number % _AT_ONCE == 0:
                self.memory.note(_AT_ONCE)
                await trio.lowlevel.checkpoint()
            yield tick(self.symbol, number)


@attrs.define(eq=False)
class Client:
    """As much of a client as a recorder of ticks asks for."""

    count: int
    memory: "Memory"

    def ticks(self, symbol: str, *, start: int | None, when_closed: str) -> Source:  # noqa: ARG002
        """Return a stream."""
        return Source(symbol, self.count, self.memory)


@attrs.define(eq=False)
class Memory:
    """The most memory that the process has had, in MiB, after the first tenth of the ticks."""

    ticks: int
    seen: int = 0
    warm: float = 0.0

    def note(self, more: int) -> None:
        """Note that so many ticks more have come."""
        self.seen += more
        if not self.warm and self.seen >= self.ticks // 10:
            self.warm = peak()


def peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tick(symbol: str, number: int) -> Tick:
    """Return a tick."""
    return Tick(symbol, 1_700_000_000 + number, 1000 + number % 997 / 100, 1000.5, 999.5, 2)


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of *count* ticks of each symbol, in the order in which a recorder has them."""
    for number in range(0, count, _AT_ONCE):
        for symbol in range(SYMBOLS):
            for each in range(number, min(count, number + _AT_ONCE)):
                t = tick(f"S{symbol}", each)
                yield (t.symbol, t.epoch, 0, t.quote, t.ask, t.bid)


@attrs.frozen
class Result:
    """Ticks a second of a core, bare and recorded, and the growth of memory in MiB."""

    count: int
    bare: float
    recorded: float
    growth: float

    @property
    def passed(self) -> bool:
        """Whether the recorder is fast enough."""
        return self.recorded >= RATE and self.recorded >= SHARE * self.bare

    def __str__(self) -> str:
        share = self.recorded / self.bare
        lines = [
            f"{self.count} ticks, of {SYMBOLS} symbols, a second of one core:",
            f"  bare executemany {self.bare:9,.0f}",
            f"  record           {self.recorded:9,.0f}   ({share:.2f} of it)",
            f"memory grew by {self.growth:.1f} MiB after the beginning",
            "PASSED" if self.passed else "FAILED",
        ]
        return "\n".join(lines)


def measure(count: int, folder: Path) -> Result:
    """Measure with *count* ticks of each symbol, in files in *folder*."""
    folder.mkdir(exist_ok=True)
    memory = Memory(count * SYMBOLS)
    recorded = recording(count, folder / "recorded.db", memory)
    growth = peak() - memory.warm
    bare = executing(count, folder / "bare.db")
    same = counted(folder / "recorded.db") == counted(folder / "bare.db") == count * SYMBOLS
    assert same, "the tables differ"
    return Result(count * SYMBOLS, count * SYMBOLS / bare, count * SYMBOLS / recorded, growth)


def recording(count: int, path: Path, memory: Memory) -> float:
    """Return the seconds of CPU that a recorder takes."""

    async def main() -> None:
        async with open_store(path) as store:
            await record(Client(count, memory), [f"S{n}" for n in range(SYMBOLS)], store)  # type: ignore[arg-type]

    begun = time.process_time()
    trio.run(main)
    return time.process_time() - begun


def executing(count: int, path: Path) -> float:
    """Return the seconds of CPU that a bare `executemany` takes, rows included."""
    SqliteStore(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = NORMAL")
    begun, source = time.process_time(), rows(count)
    while batch := list(islice(source, BATCH)):
        db.execute("BEGIN")
        db.executemany("INSERT INTO ticks VALUES (?, ?, ?, ?, ?, ?)", batch)
        db.execute("COMMIT")
    seconds = time.process_time() - begun
    db.close()
    return seconds


def counted(path: Path) -> int:
    """Return how many ticks are kept."""
    db = sqlite3.connect(path)
    try:
        return int(db.execute("SELECT count(*) FROM ticks").fetchone()[0])
    finally:
        db.close()


def main() -> None:
    """Measure from the command line; exit with 1 if it is too slow."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.throughput", description=__doc__)
    parser.add_argument("--ticks", type=int, default=1_000_000, help="how many in all (1000000)")
    with tempfile.TemporaryDirectory() as folder:
        result = measure(parser.parse_args().ticks // SYMBOLS, Path(folder))
    sys.stdout.write(f"{result}\n")
    sys.exit(not result.passed)


if __name__ == "__main__":
    main()
