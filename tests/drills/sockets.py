"""The drill over real sockets: a client, a proxy that breaks its connections, and a server.

The server is in another process. Two consumers follow the same ticks all the time, one follows
candles as they form, and one comes and goes. What each of them got is compared with the market.
"""

import argparse
import logging
import math
import random
import sys
from collections import Counter
from typing import Any, Final

import attrs
import trio

from derivtrio import Backoff, Candle, Client, Closed, Ready, Settings, open_client
from derivtrio.simulator import Market
from tests.drills.server import open_server
from tests.drills.witness import Witness, candle_row, candle_witness, tick_row, tick_witness
from tests.proxy import HOST, Proxy, open_proxy, random_fates

SYMBOL: Final = "1HZ100V"
LENGTH: Final = 60
SETTINGS: Final = Settings(
    connect_timeout=0.5,
    restore_timeout=1,
    close_timeout=0.1,
    heartbeat_interval=0.2,
    heartbeat_timeout=0.2,
    backoff=Backoff(first=0.01, cap=0.05),
)

#: For how long each consumer must go on after the last break, in market seconds.
_AFTERMATH: Final = 2 * LENGTH + 10


@attrs.frozen
class Plan:
    """How much breaks, and how fast time passes: *rate* is market seconds in a real second."""

    breaks: int = 300
    seed: int = 1
    rate: float = 50
    most: int = 40_000
    settings: Settings = SETTINGS


@attrs.define(eq=False)
class Drill:
    """One run of the drill, with its results so far."""

    plan: Plan
    proxy: Proxy
    client: Client
    first: Witness
    second: Witness
    candles: Witness
    visits: int = attrs.field(default=0, init=False)
    forming: int = attrs.field(default=0, init=False)
    visitors: list[str] = attrs.field(factory=list, init=False)
    events: Counter[str] = attrs.field(factory=Counter, init=False)
    gaps: int = attrs.field(default=0, init=False)
    goal: float = attrs.field(default=math.inf, init=False)
    seconds: float = attrs.field(default=0.0, init=False)

    @property
    def passed(self) -> bool:
        """Whether every break happened, and nothing was lost."""
        broken = sum(self.proxy.suffered.values()) == self.plan.breaks
        witnesses = (self.first, self.second, self.candles)
        satisfied = all(each.is_satisfied for each in witnesses) and not self.visitors
        return broken and satisfied and not self.gaps

    async def run(self) -> None:
        """Run until everything has broken and each consumer has seen enough after that."""
        begin = trio.current_time()
        async with trio.open_nursery() as passing:
            passing.start_soon(self._count_events)
            async with trio.open_nursery() as lasting:
                await lasting.start(self._follow_ticks, self.first)
                await lasting.start(self._follow_ticks, self.second)
                await lasting.start(self._follow_candles)
                passing.start_soon(self._come_and_go)
                self.proxy.begin()
                await self.proxy.done.wait()
                self.goal = (await self.client.call({"time": 1}))["time"] + _AFTERMATH
            passing.cancel_scope.cancel()
        self.seconds = trio.current_time() - begin

    async def _follow_ticks(self, witness: Witness, *, task_status: Any) -> None:
        async with self.client.ticks(SYMBOL) as ticks:
            task_status.started()
            async for tick in ticks:
                witness.note(tick_row(tick))
                if tick.epoch >= self.goal:
                    break
            self.gaps += len(ticks.gaps)

    async def _follow_candles(self, *, task_status: Any) -> None:
        market, newest = Market(self.plan.seed), 0
        async with self.client.candles(SYMBOL, LENGTH) as candles:
            task_status.started()
            async for candle in candles:
                if candle.closed:
                    self.candles.note(candle_row(candle))
                else:
                    self._check_forming(candle, newest, market)
                    newest = candle.open_time
                if candle.epoch >= self.goal:
                    break
            self.gaps += len(candles.gaps)

    def _check_forming(self, candle: Candle, newest: int, market: Market) -> None:
        """Compare a forming candle with the market at its epoch, if it has one."""
        self.forming += 1
        if candle.open_time < newest:
            self.candles.remark(f"{candle} after {newest}")
        if candle.epoch > candle.open_time:
            (due,) = market.candles(SYMBOL, LENGTH, candle.epoch, candle.epoch)
            if candle_row(candle) != (due.open_time, due.open, due.high, due.low, due.close):
                self.candles.remark(f"{candle} instead of {due}")

    async def _come_and_go(self) -> None:
        """Subscribe for a while, leave, and come again."""
        chance = random.Random(self.plan.seed)
        while True:
            witness = tick_witness(f"visitor {self.visits}", self.plan.seed, SYMBOL)
            stay = chance.randint(1, 100)
            async with self.client.ticks(SYMBOL) as ticks:
                async for tick in ticks:
                    witness.note(tick_row(tick))
                    if witness.seen >= stay:
                        break
            self.visits += 1
            self.visitors += witness.remarks

    async def _count_events(self) -> None:
        async with self.client.events() as events:
            async for event in events:
                if isinstance(event, Closed):
                    self.events[event.by] += 1
                elif isinstance(event, Ready):
                    self.events["ready"] += 1


async def run(plan: Plan) -> Drill:
    """Run the drill."""
    random.seed(plan.seed)  # the client's backoff draws from there
    fates = random_fates(plan.seed, plan.breaks, most=plan.most)
    witnesses = (
        tick_witness("first consumer", plan.seed, SYMBOL),
        tick_witness("second consumer", plan.seed, SYMBOL),
        candle_witness("candles", plan.seed, SYMBOL, LENGTH),
    )
    async with (
        open_server(plan.seed, plan.rate) as port,
        open_proxy(port, fates) as proxy,
        open_client(
            endpoint=f"ws://{HOST}:{proxy.port}/websockets/v3", settings=plan.settings
        ) as client,
    ):
        drill = Drill(plan, proxy, client, *witnesses)
        await drill.run()
    return drill


def summary(drill: Drill) -> str:
    """Return the results, on one screen."""
    suffered, ended = drill.proxy.suffered, drill.events.copy()
    ready = ended.pop("ready")
    return "\n".join(
        [
            f"{sum(suffered.values())} breaks in {drill.seconds:.1f} s, seed {drill.plan.seed}:",
            "  " + ", ".join(f"{count} {kind}" for kind, count in suffered.most_common()),
            f"{drill.proxy.accepted} connections, {ready} times ready again; ended by",
            "  " + ", ".join(f"{by} {count}" for by, count in ended.most_common()),
            *(str(each) for each in (drill.first, drill.second, drill.candles)),
            f"forming candles: {drill.forming} seen",
            f"visits: {drill.visits}; gaps: {drill.gaps}",
            *(drill.first.remarks + drill.second.remarks + drill.candles.remarks),
            *drill.visitors[:5],
            "PASSED" if drill.passed else "FAILED",
        ]
    )


def main() -> None:
    """Run the drill from the command line; exit with 1 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.sockets", description=__doc__)
    parser.add_argument("--breaks", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--rate", type=float, default=50, help="market seconds in a real second (50)"
    )
    parser.add_argument("--plain", action="store_true", help="receive every frame through wsproto")
    given = parser.parse_args()
    logging.getLogger("derivtrio").setLevel(logging.CRITICAL)
    settings = SETTINGS.but(fast=not given.plain)
    drill = trio.run(run, Plan(given.breaks, given.seed, given.rate, settings=settings))
    sys.stdout.write(summary(drill) + "\n")
    sys.exit(not drill.passed)


if __name__ == "__main__":
    main()
