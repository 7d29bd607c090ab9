"""The drill on the virtual clock: how long a recorder takes to fetch a day of many symbols.

The simulator has Deriv's limits. The least time is what they allow: as many requests as the day's
ticks need, 5000 ticks an answer, as fast as the server accepts them, by its minute and its hour.
"""

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import attrs
import trio

from derivtrio import open_client
from derivtrio.policy.fetch_window import MAX_ROWS
from derivtrio.recording import Batch, Table, record
from derivtrio.recording.tables import GAPS, TICKS
from derivtrio.simulator import Limits, open_simulator
from derivtrio.simulator.market import market
from tests.drills.console import perform

#: How many times the least time a recorder may take.
FACTOR: Final = 2.0

_START: Final = 1_748_822_400  # a Monday, midnight
_MINUTE: Final = 60.0


@attrs.frozen
class Plan:
    """How many symbols, and how many seconds of each; every second symbol has a tick a second."""

    symbols: int = 50
    seconds: int = 86_400


@attrs.define(eq=False)
class CountingStore:
    """A store that counts ticks, and notes when each symbol has reached the present."""

    symbols: Sequence[str]
    present: int
    ticks: Counter[str] = attrs.field(factory=Counter, init=False)
    newest_epoch: dict[str, int] = attrs.field(factory=dict, init=False)
    gaps: int = attrs.field(default=0, init=False)
    done: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def newest(self, table: Table, *key: str | int) -> int | None:  # noqa: ARG002
        """Return that nothing is kept."""
        await trio.lowlevel.checkpoint()
        return None

    async def write(self, batch: Batch) -> None:
        """Count *batch*."""
        await trio.lowlevel.checkpoint()
        self.gaps += len(batch.get(GAPS, ()))
        for symbol, epoch, *_ in batch.get(TICKS, ()):
            self.ticks[str(symbol)] += 1
            self.newest_epoch[str(symbol)] = int(epoch or 0)
        reached = [epoch >= self.present for epoch in self.newest_epoch.values()]
        if len(reached) == len(self.symbols) and all(reached):
            self.done.set()


@attrs.define(eq=False)
class Drill:
    """One run of the drill, and its results."""

    plan: Plan
    seconds: float = 0.0
    ticks: int = 0
    due: int = 0
    gaps: int = 0
    asked: int = 0
    refused: int = 0

    @property
    def least(self) -> float:
        """In how many seconds the limits allow the requests that the ticks need."""
        return allowed_after(math.ceil(self.due / MAX_ROWS))

    @property
    def factor(self) -> float:
        """How many times the least time it took."""
        return self.seconds / self.least

    @property
    def passed(self) -> bool:
        """Whether it was fast enough, with every tick."""
        complete = self.ticks == self.due and not self.gaps
        return complete and self.factor <= FACTOR


def allowed_after(requests: int) -> float:
    """Return after how many seconds the server has accepted so many requests, at the earliest."""
    minutely = Limits().general.minutely
    return max(1.0, (math.ceil(requests / minutely) - 1) * _MINUTE)


@contextmanager
def symbols_made(count: int) -> Iterator[list[str]]:
    """Have the simulator know *count* symbols more; every second one has a tick a second."""
    known = market.SYMBOLS
    kinds = (known["1HZ100V"], known["R_100"])
    made = {f"S{n}": attrs.evolve(kinds[n % 2], name=f"S{n}") for n in range(count)}
    market.SYMBOLS = {**known, **made}
    try:
        yield list(made)
    finally:
        market.SYMBOLS = known


async def run(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Drill:
    """Run the drill, under a `MockClock`; *tell* is called with a line about its beginning."""
    drill, begin = Drill(plan), _START - plan.seconds
    with symbols_made(plan.symbols) as symbols:
        async with (
            open_simulator(port=None, start=_START, limits=Limits()) as sim,
            open_client(endpoint=sim.endpoint) as client,
            trio.open_nursery() as nursery,
        ):
            store = CountingStore(symbols, present=_START)
            tell(f"{plan.symbols} symbols, {plan.seconds / 3600:.0f} hours")
            begun, sent = trio.current_time(), client.metrics.messages_sent
            nursery.start_soon(partial(record, client, symbols, store, start=begin))
            await store.done.wait()
            drill.seconds = trio.current_time() - begun
            drill.asked = client.metrics.messages_sent - sent
            nursery.cancel_scope.cancel()
        drill.refused = sum(sim.refused.values())
        for name in symbols:
            due = sim.market.ticks(name, begin, store.newest_epoch[name])
            drill.due += len(due)
    drill.ticks, drill.gaps = sum(store.ticks.values()), store.gaps
    return drill


def summary(drill: Drill) -> str:
    """Return the results, on one screen."""
    needed = math.ceil(drill.due / MAX_ROWS)
    lines = [
        f"{drill.ticks} ticks of {drill.due}, {drill.gaps} gaps",
        f"{drill.asked} requests, {drill.refused} of them refused; {needed} would do",
        f"{drill.seconds:.0f} s, {drill.factor:.2f} times the {drill.least:.0f} s of the limits",
        "PASSED" if drill.passed else "FAILED",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the drill from the command line; exit with 1 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.replay", description=__doc__)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--hours", type=int, default=24)
    given = parser.parse_args()
    perform(run, Plan(given.symbols, 3600 * given.hours), summary)


if __name__ == "__main__":
    main()
