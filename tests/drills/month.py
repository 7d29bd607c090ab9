"""The drill on the virtual clock: a month, with a fault every few minutes.

Each day has new servers. A day begins with a calm, in which memory is measured. Then faults come
at random: one every few minutes on average, and some so soon after another that the client is still
recovering from that. The settings are the defaults, so this is what a user would see.

Two consumers share the ticks of a one-second symbol: one stays for the whole month, the other one
comes and goes. A third consumer takes the finished candles of another symbol.
"""

import argparse
import gc
import random
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from derivtrio import Client, Closed, Gap, Ready, Settings, open_client
from derivtrio.connection.endpoints import Generation, LimitsSource
from derivtrio.simulator import Faults, Simulator, open_simulator
from tests.drills.console import perform
from tests.drills.witness import Witness, candle_row, candle_witness, tick_row, tick_witness

SYMBOL: Final = "1HZ100V"
CANDLES: Final = ("R_100", 300)

#: A calm, in seconds: the longest wait between two attempts, and `stable_after`, with a margin.
_CALM: Final = 150

#: How old the newest tick may be after a calm, in seconds.
_STALE: Final = 5

#: The share of faults that come right after another.
_OFTEN: Final = 0.2

#: How long a visit lasts on average, in seconds.
_VISIT: Final = 900

#: How many objects a month may leave behind. One for each fault would be eight thousand.
_OBJECTS: Final = 500

Chance = random.Random
Incident = Callable[[Faults, Chance, Client], Awaitable[None]]


async def _delay(faults: Faults, chance: Chance, _: Client) -> None:
    faults.delay(chance.uniform(0.1, 5))
    await trio.sleep(chance.uniform(1, 60))
    faults.delay(0)


async def _refuse(faults: Faults, chance: Chance, _: Client) -> None:
    """Refuse connections for about half a minute; a few times a month, for hours."""
    away = min(6 * 3600, chance.lognormvariate(3.4, 2))
    faults.refuse(away)
    faults.drop()
    await trio.sleep(away)


async def _storm(faults: Faults, chance: Chance, client: Client) -> None:
    """Break several connections, each while the client is still fetching what it missed."""
    faults.delay(0.2)
    for _ in range(chance.randint(2, 8)):
        faults.drop()
        await trio.sleep(0.01)
        await client.wait_ready()
        await trio.sleep(chance.uniform(0, 0.5))
    faults.drop()
    faults.delay(0)


def _at_once(fault: Callable[[Faults, Chance], None]) -> Incident:
    """Return an incident that needs no waiting."""

    async def incident(faults: Faults, chance: Chance, _: Client) -> None:
        fault(faults, chance)

    return incident


def _then_drop(fault: Callable[[Faults, Chance], None]) -> Incident:
    """Return a fault of the next attempts to connect, with a drop that makes them necessary."""

    async def incident(faults: Faults, chance: Chance, _: Client) -> None:
        fault(faults, chance)
        faults.drop(reset=chance.random() < 0.5)

    return incident


INCIDENTS: Final[Mapping[str, Incident]] = {
    "drop": _at_once(lambda faults, _: faults.drop()),
    "reset": _at_once(lambda faults, _: faults.drop(reset=True)),
    "close": _at_once(lambda f, chance: f.close(chance.choice([1000, 1001, 1011, 1012, 4000]))),
    "close without FIN": _at_once(lambda faults, _: faults.close_without_fin()),
    "freeze": _at_once(lambda faults, _: faults.freeze()),
    "cut": _at_once(lambda faults, chance: faults.cut(chance.randint(0, 300))),
    "garbage": _at_once(lambda faults, _: faults.garbage()),
    "garbage bytes": _at_once(lambda f, chance: f.garbage(chance.randbytes(20))),
    "unknown": _at_once(lambda faults, _: faults.unknown()),
    "huge": _at_once(lambda faults, _: faults.huge(200_000)),
    "delay": _delay,
    "refuse": _refuse,
    "storm": _storm,
    "silence": _then_drop(lambda f, chance: f.silence(chance.randint(1, 3))),
    "reject 503": _then_drop(lambda f, chance: f.reject(503, times=chance.randint(1, 3))),
    "hang up": _then_drop(lambda f, chance: f.hang_up(chance.randint(1, 3))),
    "garbage handshake": _then_drop(lambda faults, _: faults.garbage_handshake()),
    "accept, then close": _then_drop(lambda faults, _: faults.accept_then_close(1011)),
}


@attrs.frozen
class Plan:
    """How long the drill is: days of *day* seconds, with a fault *every* so many seconds."""

    days: int = 30
    seed: int = 1
    every: float = 240
    day: float = 86_400
    start: float = 1_748_736_000  # the first of June, midnight


@attrs.frozen
class Memory:
    """What is alive after a garbage collection: objects, and blocks of memory."""

    objects: int
    blocks: int


@attrs.define(eq=False)
class Site:
    """An endpoint with one server after another, and sometimes none."""

    generation: Generation = "v3"
    limits: LimitsSource = "website_status"
    sim: Simulator | None = None

    async def url(self) -> str:
        return "ws://drill.invalid/websockets/v3?app_id=1089"

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        if self.sim is None:
            await trio.lowlevel.checkpoint()
            raise ConnectionRefusedError
        return await self.sim.endpoint.open_stream(host, port)


@attrs.define(eq=False)
class Drill:
    """One run of the drill, with its results so far."""

    plan: Plan
    site: Site
    client: Client
    ticks: Witness
    candles: Witness
    tell: Callable[[str], None]
    begin: float = attrs.field(factory=trio.current_time)
    chance: Chance = attrs.field(init=False)
    suffered: Counter[str] = attrs.field(factory=Counter, init=False)
    visits: int = attrs.field(default=0, init=False)
    visitors: list[str] = attrs.field(factory=list, init=False)
    events: Counter[str] = attrs.field(factory=Counter, init=False)
    memory: list[Memory] = attrs.field(factory=list, init=False)
    gaps: list[str] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.chance = Chance(self.plan.seed)

    @property
    def growth(self) -> Memory:
        """How much memory has grown since the first day."""
        first, last = self.memory[1], self.memory[-1]
        return Memory(last.objects - first.objects, last.blocks - first.blocks)

    @property
    def passed(self) -> bool:
        """Whether nothing was lost and memory did not grow."""
        satisfied = self.ticks.is_satisfied and self.candles.is_satisfied and not self.visitors
        return satisfied and not self.gaps and self.growth.objects < _OBJECTS

    async def run(self) -> None:
        """Run all days, and a last calm."""
        async with trio.open_nursery() as nursery:
            for task in (self._count, self._follow_ticks, self._follow_candles, self._come_and_go):
                nursery.start_soon(task)
            for number in range(1, self.plan.days + 1):
                await self._live(self.begin + number * self.plan.day)
                await trio.sleep(self.chance.uniform(0, 60))
            await self._live(trio.current_time())
            nursery.cancel_scope.cancel()

    async def _live(self, until: float) -> None:
        """Run one day: two calm servers, then faults *until* the given time.

        On the first server the client fetches what it missed. When that connection ends, it was
        stable; so the client forgets its failed attempts, and the memory measured on the second
        server does not contain them.
        """
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
            often = self.chance.random() < _OFTEN
            pause = self.chance.expovariate(1 / (2 if often else self.plan.every))
            await trio.sleep(pause)
            name = self.chance.choice(names)
            self.suffered[name] += 1
            await INCIDENTS[name](faults, self.chance, self.client)

    def _measure(self) -> None:
        """Measure memory, and check that ticks still come."""
        now = self._now()
        if self.ticks.last is None or self.ticks.last < now - _STALE:
            self.ticks.remark(f"nothing after {self.ticks.last}, at {now:.0f}")
        self.ticks.rest()
        self.candles.rest()
        gc.collect()
        self.memory.append(Memory(len(gc.get_objects()), sys.getallocatedblocks()))
        day, faults = len(self.memory) - 1, sum(self.suffered.values())
        self.tell(f"day {day}, {faults} faults; {self.ticks}; {self.memory[-1]}")

    def _now(self) -> float:
        return self.plan.start + trio.current_time() - self.begin

    async def _follow_ticks(self) -> None:
        async with self.client.ticks(SYMBOL) as ticks:
            async for tick in ticks:
                self.ticks.note(tick_row(tick))

    async def _follow_candles(self) -> None:
        async with self.client.candles(*CANDLES, closed_only=True) as candles:
            async for candle in candles:
                self.candles.note(candle_row(candle))

    async def _come_and_go(self) -> None:
        """Subscribe for about a quarter of an hour, leave, and come again."""
        chance = Chance(self.plan.seed)
        while True:
            witness = tick_witness(f"visitor {self.visits}", self.plan.seed, SYMBOL)
            with trio.move_on_after(chance.expovariate(1 / _VISIT)):
                async with self.client.ticks(SYMBOL) as ticks:
                    async for tick in ticks:
                        witness.note(tick_row(tick))
            self.visits += 1
            self.visitors += witness.remarks
            await trio.sleep(chance.expovariate(1 / _VISIT))

    async def _count(self) -> None:
        async with self.client.events() as events:
            async for event in events:
                if isinstance(event, Closed):
                    self.events[event.by] += 1
                elif isinstance(event, Ready):
                    self.events["ready"] += 1
                elif isinstance(event, Gap):
                    self.gaps.append(str(event))


async def run(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Drill:
    """Run the drill, under a `MockClock`; *tell* is called with a line about each day."""
    random.seed(plan.seed)  # the client's backoff draws from there
    site = Site()
    ticks = tick_witness("ticks", plan.seed, SYMBOL)
    candles = candle_witness("candles", plan.seed, *CANDLES)
    settings = Settings(wait_ready=False)
    async with open_client(endpoint=site, settings=settings) as client:
        drill = Drill(plan, site, client, ticks, candles, tell)
        await drill.run()
    return drill


def summary(drill: Drill) -> str:
    """Return the results, on one screen."""
    suffered, ended = drill.suffered, drill.events.copy()
    ready, growth = ended.pop("ready"), drill.growth
    first, last = drill.ticks.first, drill.ticks.last
    return "\n".join(
        [
            f"{drill.plan.days} days, {sum(suffered.values())} faults, seed {drill.plan.seed}:",
            "  " + ", ".join(f"{count} {name}" for name, count in suffered.most_common()),
            f"{ready} times ready; ended by",
            "  " + ", ".join(f"{by} {count}" for by, count in ended.most_common()),
            f"{drill.ticks}, from {first} to {last}",
            f"{drill.candles}",
            f"visits: {drill.visits}; gaps: {len(drill.gaps)}",
            f"memory after the first day: {drill.memory[1]}; change since: {growth}",
            *drill.ticks.remarks,
            *drill.candles.remarks,
            *(drill.visitors + drill.gaps)[:10],
            "PASSED" if drill.passed else "FAILED",
        ]
    )


def main() -> None:
    """Run the drill from the command line; exit with 1 if it failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.month", description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=240, help="seconds between faults (240)")
    given = parser.parse_args()
    perform(run, Plan(given.days, given.seed, given.every), summary)


if __name__ == "__main__":
    main()
