"""The drill of kills: a recorder that dies again and again, and a store that equals the market.

`derivtrio record` runs in a process of its own, behind a proxy that breaks its connections, at many
times the speed of the real clock. It is killed with SIGKILL at random moments, and started again. A
last run ends with SIGTERM. Then the store must have every tick of the market, from the first that
is kept to the last, each once, and no gap.
"""

import argparse
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from derivtrio.recording import TICKS
from derivtrio.recording.files import FileStore
from derivtrio.recording.formats import FORMATS
from derivtrio.recording.reading import read
from derivtrio.recording.tables import Selection
from derivtrio.simulator import Market
from tests.drills.server import open_server
from tests.proxy import HOST, Fate, Proxy, open_proxy, random_fates

SYMBOLS: Final = ("R_100", "1HZ100V")

#: The stores that it can be tried with.
STORES: Final = ("sqlite", "csv", "jsonl", "parquet", "postgres")

_ROOT: Final = str(Path(__file__).parents[2])

#: How long the last run may take to end, in seconds.
_LAST: Final = 3.0

#: Settings of a recorder that notices a broken connection soon, as the rate of the clock demands.
_PROGRAM: Final = """
import sys
from derivtrio import Backoff, Settings
from derivtrio.cli import commands, target
hasty = Settings(
    connect_timeout=0.5, restore_timeout=1, close_timeout=0.1, heartbeat_interval=0.2,
    heartbeat_timeout=0.2, backoff=Backoff(first=0.01, cap=0.05), pacing=False,
)
target.Settings = lambda **changes: hasty.but(**changes)
commands.cli(sys.argv[1:])
"""

#: Reads what is kept: for each symbol the epochs and quotes of its ticks, in order.
Reading = Callable[[str], Mapping[str, list[tuple[int, float]]]]


@attrs.frozen
class Plan:
    """How often to kill, and how fast time passes: *rate* is market seconds in a real second."""

    kills: int = 100
    seed: int = 1
    rate: float = 50
    longest: float = 1.5
    target: str = "ticks.db"
    read: Reading | None = None


@attrs.define(eq=False)
class Drill:
    """What one run of the drill found."""

    plan: Plan
    killed: int = 0
    broken: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0
    kept: dict[str, int] = attrs.field(factory=dict)
    faults: list[str] = attrs.field(factory=list)

    @property
    def passed(self) -> bool:
        """Whether every kill happened, and nothing is missing, doubled or wrong."""
        complete = self.killed == self.plan.kills and set(self.kept) == set(SYMBOLS)
        complete = complete and min(self.kept.values()) > 5 * self.killed  # most runs kept some
        return complete and not self.faults and self.last_seconds <= _LAST


async def run(plan: Plan) -> Drill:
    """Run the drill."""
    drill, begun = Drill(plan), time.perf_counter()
    fates = _endless(plan.seed)
    async with open_server(plan.seed, plan.rate) as port, open_proxy(port, fates) as proxy:
        proxy.begin()
        chance = random.Random(plan.seed)
        while drill.killed < plan.kills:
            seconds = chance.uniform(0, plan.longest)
            lived = await _live(plan.target, proxy, seconds, signal.SIGKILL)
            drill.killed += lived.returncode == -signal.SIGKILL
            if lived.returncode != -signal.SIGKILL:
                drill.faults.append(f"the recorder ended by itself: {lived.text}")
                break
        await _finish(drill, proxy)
        drill.broken = sum(proxy.suffered.values())
    if not drill.faults:
        _compare(drill)
    drill.seconds = time.perf_counter() - begun
    return drill


@attrs.frozen
class Life:
    """How a recorder ended."""

    returncode: int
    seconds: float
    text: str


async def _live(target: str, proxy: Proxy, seconds: float, end: signal.Signals) -> Life:
    """End a recorder so long after it has begun to connect; return how, and how long that took."""
    url = f"ws://{HOST}:{proxy.port}/websockets/v3"
    accepted = proxy.accepted
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-c", _PROGRAM, "record", *SYMBOLS, "--to", target, "--url", url],
        env={**os.environ, "PYTHONPATH": _ROOT},
        stderr=-1,
    )
    assert process.stderr is not None
    text: list[bytes] = []
    async with process.stderr, trio.open_nursery() as nursery:
        nursery.start_soon(_collect, process.stderr, text)
        while proxy.accepted == accepted and process.poll() is None:  # noqa: ASYNC110
            await trio.sleep(0.01)
        with trio.move_on_after(seconds):
            await process.wait()
        begun = time.perf_counter()
        if process.returncode is None:
            process.send_signal(end)
        await process.wait()
        ended = time.perf_counter() - begun
    assert process.returncode is not None
    return Life(process.returncode, ended, b"".join(text).decode()[-2000:])


async def _collect(stream: trio.abc.ReceiveStream, text: list[bytes]) -> None:
    async for data in stream:
        text.append(data)  # noqa: PERF401 - what has come is wanted, also when this is cancelled


async def _finish(drill: Drill, proxy: Proxy) -> None:
    """Let a last recorder fetch everything, and end it properly."""
    life = await _live(drill.plan.target, proxy, 4.0, signal.SIGTERM)
    drill.last_seconds = life.seconds
    if life.returncode != 128 + signal.SIGTERM:
        drill.faults.append(f"the last run ended with {life.returncode}: {life.text}")


def _endless(seed: int) -> Iterator[Fate]:
    for number in cycle(range(10_000)):
        yield from random_fates(seed + number, 100)


def _compare(drill: Drill) -> None:
    market = Market(drill.plan.seed)
    for symbol, rows in (drill.plan.read or read_sqlite)(drill.plan.target).items():
        drill.kept[symbol] = len(rows)
        due = [(t.epoch, t.quote) for t in market.ticks(symbol, rows[0][0], rows[-1][0])]
        if rows != due:
            missing, extra = sorted(set(due) - set(rows)), sorted(set(rows) - set(due))
            text = f"{symbol}: {len(missing)} missing {missing[:3]}, {len(extra)} wrong {extra[:3]}"
            drill.faults.append(f"{text}, {len(rows) - len(set(rows))} doubled")


def read_sqlite(path: str) -> dict[str, list[tuple[int, float]]]:
    """Return the ticks in the SQLite file at *path*; fail if it is damaged or has gaps."""
    db = sqlite3.connect(path)
    try:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT * FROM gaps").fetchall() == []
        query = "SELECT epoch, quote FROM ticks WHERE symbol = ? ORDER BY epoch, n"
        return {symbol: db.execute(query, (symbol,)).fetchall() for symbol in SYMBOLS}
    finally:
        db.close()


def read_files(template: str) -> dict[str, list[tuple[int, float]]]:
    """Return the ticks in the files of *template*, in the order of the files and their lines."""
    found, store = {}, FileStore(template)
    for symbol in SYMBOLS:
        store.newest(TICKS, symbol)
    store.close()  # if the last run had no time for that
    for symbol in SYMBOLS:
        paths = sorted(Path(template.split("{", maxsplit=1)[0], symbol).glob("????-??-??.*"))
        assert {path.suffix for path in paths} == {Path(template).suffix}, paths
        rows = [row for path in paths for row in FORMATS[path.suffix].read(path, TICKS)]
        found[symbol] = [(int(row[1] or 0), float(row[3] or 0)) for row in rows]
    return found


def read_postgres(url: str) -> dict[str, list[tuple[int, float]]]:
    """Return the ticks in the database at *url*."""
    return {
        symbol: [(int(row[1] or 0), float(row[3] or 0)) for rows in found for row in rows]
        for symbol in SYMBOLS
        for found in [read(url, Selection(TICKS, (symbol,)))]
    }


@contextmanager
def opened(store: str) -> Iterator[tuple[str, Reading]]:
    """Make an empty store; yield its target, and what reads it."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if store == "postgres":
            from tests.recording_servers import postgres  # noqa: PLC0415 - needs pytest

            yield stack.enter_context(postgres()).url, read_postgres
        elif store == "sqlite":
            yield str(Path(folder, "ticks.db")), read_sqlite
        else:
            yield f"{folder}/{{symbol}}/{{date}}.{store}", read_files


def summary(drill: Drill) -> str:
    """Return the results, on one screen."""
    kept = ", ".join(f"{count} ticks of {symbol}" for symbol, count in drill.kept.items())
    lines = [
        f"{drill.killed} kills in {drill.seconds:.0f} s, seed {drill.plan.seed}",
        f"{drill.broken} broken connections; SIGTERM to exit {drill.last_seconds:.2f} s",
        f"kept: {kept}",
        *drill.faults,
        "PASSED" if drill.passed else "FAILED",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the drill from the command line; exit with 1 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=50, help="market seconds a second (50)")
    parser.add_argument("--store", choices=STORES, default=STORES[0])
    given: Any = parser.parse_args()
    with opened(given.store) as (target, reading):
        plan = Plan(given.kills, given.seed, given.rate, target=target, read=reading)
        drill = trio.run(run, plan)
    sys.stdout.write(f"{given.store}: {summary(drill)}\n")
    sys.exit(not drill.passed)


if __name__ == "__main__":
    main()
