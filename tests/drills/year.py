"""The drill on the virtual clock: a recorder that is left running for a year.

It keeps the ticks and hourly candles of an index that never sleeps, and of a currency pair that
has weekends, in SQLite. A fault comes about once a day; a few last for hours, and some fall on a
closing or an opening. Each week has new servers. Once a month the recorder itself is started anew.

Ticks are rarer than Deriv's, so that a year takes minutes. At the end the tables must equal the
market, memory and open files must not have grown, and the log must be short enough to be read.
"""

import argparse
import gc
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from derivtrio import Client, open_client
from derivtrio.cli.logs import JsonFormatter
from derivtrio.recording import CANDLES, GAPS, TICKS, record
from derivtrio.recording.reading import read
from derivtrio.recording.sqlite import SqliteStore
from derivtrio.recording.tables import Selection
from derivtrio.simulator import Faults, Simulator, open_simulator
from derivtrio.simulator.market import market
from derivtrio.simulator.market.market import Market
from tests.drills.console import perform
from tests.drills.month import INCIDENTS, Memory, Site
from tests.recording.stores import InLoop

#: The symbols, and their seconds from tick to tick.
SYMBOLS: Final = {"R_100": 24, "frxEURUSD": 55}
HOUR: Final = 3600
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY

#: A calm, in seconds, in which the client forgets its failed attempts.
_CALM: Final = 150

#: How many objects and open files a year may leave behind, and lines of the log a day may have.
_OBJECTS: Final = 500
_FILES: Final = 0
_LINES: Final = 12


@attrs.frozen
class Plan:
    """How many weeks, how often a fault comes, in seconds, and where the tables and the log go."""

    weeks: int = 52
    week: float = WEEK
    seed: int = 1
    every: float = DAY
    restart: float = 30 * DAY
    folder: Path = attrs.field(factory=lambda: Path(tempfile.mkdtemp()))
    start: int = 1_735_516_800  # Monday, 30 December 2024, midnight


class Log(logging.Handler):
    """Counts the lines of the log by kind, and writes them into a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(logging.INFO)
        self.kinds: Counter[str] = Counter()
        self.file = path.open("w", encoding="utf-8")
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Count a record, and write it."""
        self.kinds[f"{record.levelname} {record.msg}"] += 1
        self.file.write(self.format(record) + "\n")

    def close(self) -> None:
        """Close the file."""
        self.file.close()
        super().close()


@contextmanager
def logging_into(path: Path) -> Iterator[Log]:
    """Have the client's log go there, from INFO up."""
    logger, handler = logging.getLogger("derivtrio"), Log(path)
    before, logger.propagate = logger.level, False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = True
        handler.close()


@contextmanager
def rarer_ticks() -> Iterator[None]:
    """Have the simulator's symbols tick as rarely as `SYMBOLS` says."""
    known = market.SYMBOLS
    slow = {name: attrs.evolve(known[name], period=period) for name, period in SYMBOLS.items()}
    market.SYMBOLS = {**known, **slow}
    try:
        yield
    finally:
        market.SYMBOLS = known


@attrs.define(eq=False)
class Drill:
    """One run of the drill, and its results so far."""

    plan: Plan
    log: Log
    tell: Callable[[str], None]
    site: Site = attrs.field(factory=Site)
    begin: float = attrs.field(factory=trio.current_time)
    client: Client | None = attrs.field(default=None, init=False)
    chance: random.Random = attrs.field(init=False)
    suffered: Counter[str] = attrs.field(factory=Counter, init=False)
    memory: list[Memory] = attrs.field(factory=list, init=False)
    files: list[int] = attrs.field(factory=list, init=False)
    starts: int = attrs.field(default=0, init=False)
    kept: dict[str, int] = attrs.field(factory=dict, init=False)
    wrong: list[str] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.chance = random.Random(self.plan.seed)

    @property
    def path(self) -> Path:
        """Where the tables are."""
        return self.plan.folder / "ticks.db"

    @property
    def end(self) -> float:
        """When it is over, on trio's clock."""
        return self.begin + self.plan.weeks * self.plan.week

    @property
    def grown(self) -> tuple[int, int]:
        """By how many objects and open files it has grown since the first weeks.

        Bounded tables fill and are emptied, by some two thousand objects from week to week; what
        leaks raises the lowest of a quarter.
        """
        early = min(2, len(self.files) - 1)
        counts = [memory.objects for memory in self.memory[early:]]
        quarter = max(1, len(counts) // 4)
        objects = min(counts[-quarter:]) - min(counts[:quarter])
        return objects, self.files[-1] - self.files[early]

    @property
    def lines_a_day(self) -> float:
        """How many lines a day the log has."""
        return sum(self.log.kinds.values()) / (self.plan.weeks * self.plan.week / DAY)

    @property
    def passed(self) -> bool:
        """Whether all is kept, nothing has grown, and the log can be read."""
        objects, files = self.grown
        flat = objects < _OBJECTS and files <= _FILES
        return flat and not self.wrong and self.lines_a_day <= _LINES

    async def run(self) -> None:
        """Run all weeks."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._record)
            for week in range(1, self.plan.weeks + 1):
                await self._live(self.begin + week * self.plan.week)
            async with self._server():
                await trio.sleep(2 * HOUR)
            nursery.cancel_scope.cancel()

    async def _record(self) -> None:
        while True:
            self.starts += 1
            store = SqliteStore(self.path)
            try:
                with trio.move_on_after(self.plan.restart):
                    async with open_client(endpoint=self.site) as self.client:
                        await record(self.client, SYMBOLS, InLoop(store), candles=[HOUR])
            finally:
                store.close()
            await trio.sleep(self.chance.uniform(1, HOUR))

    async def _live(self, until: float) -> None:
        """Run one week: two calm servers, then faults *until* the given time."""
        async with self._server():
            await trio.sleep(_CALM)
        async with self._server() as sim:
            await trio.sleep(_CALM)
            self._measure()
            with trio.move_on_at(until):
                await self._suffer(sim.faults)

    @asynccontextmanager
    async def _server(self) -> AsyncGenerator[Simulator]:
        async with open_simulator(self.plan.seed, port=None, start=self._now()) as sim:
            self.site.sim = sim
            yield sim
        self.site.sim = None

    async def _suffer(self, faults: Faults) -> None:
        names = list(INCIDENTS)
        while True:
            await trio.sleep(self.chance.expovariate(1 / self.plan.every))
            name = self.chance.choice(names)
            if self.client is not None:
                self.suffered[name] += 1
                await INCIDENTS[name](faults, self.chance, self.client)

    def _measure(self) -> None:
        gc.collect()
        self.memory.append(Memory(len(gc.get_objects()), sys.getallocatedblocks()))
        self.files.append(open_files())
        week, lines = len(self.files), sum(self.log.kinds.values())
        self.tell(f"week {week}: {self.memory[-1]}, {self.files[-1]} files, {lines} lines")

    def _now(self) -> float:
        return self.plan.start + trio.current_time() - self.begin

    def compare(self) -> None:
        """Compare the tables with the market."""
        made, path = Market(self.plan.seed), str(self.path)
        for symbol in SYMBOLS:
            ticks = [row for rows in read(path, Selection(TICKS, (symbol,))) for row in rows]
            due = made.ticks(symbol, int(ticks[0][1] or 0), int(ticks[-1][1] or 0))
            self._check(symbol, [row[1::2][:2] for row in ticks], [(t.epoch, t.quote) for t in due])
            candles = [row for rows in read(path, Selection(CANDLES, (symbol,))) for row in rows]
            first, last = int(candles[0][2] or 0), int(candles[-1][2] or 0)
            complete = made.candles(symbol, HOUR, first, last + HOUR - 1)
            wanted = [(c.open_time, c.open, c.high, c.low, c.close) for c in complete]
            self._check(f"candles of {symbol}", [row[2:] for row in candles], wanted)
        gaps = [row for rows in read(path, Selection(GAPS)) for row in rows]
        self.wrong += [f"a gap: {gap}" for gap in gaps]

    def _check(self, what: str, kept: Sequence[Any], due: Sequence[Any]) -> None:
        self.kept[what] = len(kept)
        missing, more = set(due) - set(kept), set(kept) - set(due)
        doubled = [row for row, count in Counter(kept).items() if count > 1]
        for kind, rows in (("missing", missing), ("wrong", more), ("doubled", doubled)):
            if rows:
                self.wrong.append(f"{what}: {len(rows)} {kind}, the first {min(rows)}")


def open_files() -> int:
    """Return how many files this process has open; 0 where that cannot be known."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


async def run(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Drill:
    """Run the drill, under a `MockClock`; *tell* is called with a line about each week."""
    random.seed(plan.seed)  # the client's backoff draws from there
    with rarer_ticks(), logging_into(plan.folder / "log.json") as log:
        drill = Drill(plan, log, tell)
        await drill.run()
        drill.compare()
    return drill


def summary(drill: Drill) -> str:
    """Return the results, on one screen."""
    objects, files = drill.grown
    kept = ", ".join(f"{count} {what}" for what, count in drill.kept.items())
    lines = [
        f"{drill.plan.weeks} weeks, {sum(drill.suffered.values())} faults, {drill.starts} starts",
        f"kept: {kept}",
        f"grown by {objects} objects and {files} open files",
        f"{sum(drill.log.kinds.values())} lines in the log, {drill.lines_a_day:.1f} a day:",
        *(f"  {count:6} {kind}" for kind, count in drill.log.kinds.most_common()),
        *drill.wrong[:20],
        "PASSED" if drill.passed else "FAILED",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the drill from the command line; exit with 1 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.year", description=__doc__)
    parser.add_argument("--weeks", type=int, default=52)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="a folder for the log and the tables")
    given = parser.parse_args()
    if given.log is not None:
        given.log.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        perform(run, Plan(given.weeks, seed=given.seed, folder=given.log or Path(folder)), summary)


if __name__ == "__main__":
    main()
