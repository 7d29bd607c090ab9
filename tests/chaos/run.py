"""One run: a plan is played, step by step, and the first promise that does not hold ends it."""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

import attrs
import trio
import trio.lowlevel

from derivtrio import (
    Backoff,
    Closed,
    Connecting,
    DerivError,
    Gap,
    Settings,
    State,
    open_client,
)
from derivtrio.simulator import Limits, open_simulator
from tests.chaos import faults, inside
from tests.chaos.consumers import OPEN as STREAMS
from tests.chaos.consumers import new_consumer
from tests.chaos.determinism import HotLoop, run_seeded
from tests.chaos.invariants import AT_THE_END, IN_A_CALM, check
from tests.chaos.requests import RUN, Request
from tests.chaos.schedule import Plan, Step
from tests.chaos.server import Received
from tests.chaos.world import SETTLED, Finding, World

#: A Monday morning, so that forex is open for a while.
START: Final = 1_749_456_000

#: How long after a calm's beginning what is in doubt is looked up, and when it is over, in s.
_LOOK_UP: Final = 40.0
CALM: Final = SETTLED + 60

#: How long nothing must have waited for a rate limit, and how long such waiting may take, in s.
_UNTHROTTLED: Final = 20.0
_THROTTLED: Final = 7200.0

#: A symbol with few ticks, and how many seconds there are between two.
SLOW: Final = "R_75"
SLOW_PERIOD: Final = 40

_DEPOSIT: Final = Decimal(10_000_000)
_LARGEST: Final = 1_000_000


@attrs.frozen
class Result:
    """What came of a run: the finding, if there is one, and what happened on the way.

    *virtual* is how long it has lasted, *processor* what it has cost, in seconds.
    """

    plan: Plan = attrs.field(repr=False)
    strict: bool
    finding: Finding | None
    cause: BaseException | None = attrs.field(repr=False)
    trace: str
    figures: Counter[str]
    faults: Counter[str]
    connections: int
    virtual: float
    processor: float


def play(plan: Plan, *, strict: bool = False) -> Result:
    """Play *plan*, from nothing to nothing; the same plan has the same result.

    With *strict* a finding that is known ends the run like any other.
    """
    begun, hot = time.process_time(), HotLoop()
    result = run_seeded(plan.seed, partial(_live, plan, hot, strict=strict), hot=hot)
    return attrs.evolve(result, processor=time.process_time() - begun)


async def _live(plan: Plan, hot: HotLoop, *, strict: bool) -> Result:
    limits = Limits() if plan.limits else None
    async with open_simulator(plan.seed, port=None, start=START, limits=limits) as sim:
        inside.slow_down(sim.market, SLOW, SLOW_PERIOD)
        sim.deposit(next(iter(sim.accounts)), _DEPOSIT)
        nobody: Any = None
        world = World(plan, sim, nobody, _settings(plan), hot.scope, strict)
        with hot.scope:
            await _live_with_client(world)
        if hot.found:
            world.finding = Finding("G11", "tasks run on and on while no time passes")
        return Result(
            plan=plan,
            strict=strict,
            finding=world.finding,
            cause=world.cause,
            trace=world.trace,
            figures=world.figures,
            faults=world.faults,
            connections=sim.accepted,
            virtual=trio.current_time(),
            processor=0,
        )


def _settings(plan: Plan) -> Settings:
    """Return the default settings, or such as let more happen in less time."""
    if not plan.quick:
        return Settings(max_message_size=_LARGEST)
    return Settings(
        connect_timeout=5,
        restore_timeout=10,
        heartbeat_interval=10,
        heartbeat_timeout=5,
        response_timeout=20,
        backoff=Backoff(first=0.2, cap=5),
        max_message_size=_LARGEST,
    )


async def _live_with_client(world: World) -> None:
    v3 = world.plan.generation == "v3"
    endpoint = world.sim.endpoint if v3 else world.sim.options_account()
    token = "demo-token" if v3 else None
    tasks_before = client_tasks()
    async with trio.open_nursery() as nursery:
        try:
            async with open_client(
                endpoint=endpoint, token=token, settings=world.settings
            ) as client:
                world.client = client
                await Player(world, nursery).play()
                world.closing, left_at = True, trio.current_time()
        except DerivError as error:
            world.broken("G10", f"the client has ended with {error!r}", error)
            return
        await _say_goodbye(world, left_at)
        nursery.cancel_scope.cancel()
    if left := client_tasks() - tasks_before:
        world.broken("G02", f"tasks remain after the client's end: {sorted(left)}")


async def _say_goodbye(world: World, left_at: float) -> None:
    """Hold the end of the client against G02 and G03."""
    took = trio.current_time() - left_at
    if took > world.settings.close_timeout + 0.01:
        world.broken("G02", f"closing took {took:.1f} s")
    await trio.sleep(1)
    stalled = (each.stalled_until for each in world.consumers.values() if not each.over)
    await trio.sleep_until(max(stalled, default=0) + 1)  # who does not read cannot see the end
    check(AT_THE_END, world)


def client_tasks() -> Counter[str]:
    """Return the names of the client's tasks below this one."""
    names: Counter[str] = Counter()
    nurseries = list(trio.lowlevel.current_task().child_nurseries)
    for nursery in nurseries:
        for task in nursery.child_tasks:
            names[task.name] += 1
            nurseries += task.child_nurseries
    return Counter({name: count for name, count in names.items() if _is_of_client(name)})


def _is_of_client(name: str) -> bool:
    return name.startswith("derivtrio.") and not name.startswith("derivtrio.simulator.")


@attrs.define(eq=False)
class Player:
    """Lets the steps of a plan happen at their times."""

    world: World
    nursery: trio.Nursery
    received: Received = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.received = Received(self.world)

    async def play(self) -> None:
        """Play all steps; return at the last one's end."""
        world = self.world
        self.nursery.start_soon(self._listen, name="chaos.events")
        self.nursery.start_soon(self.received.watch, name="chaos.received")
        await trio.lowlevel.checkpoint()
        world.tables = inside.table_sizes(world.client)
        start = trio.current_time()
        for step in sorted(world.plan.steps, key=lambda step: step.at):
            await trio.sleep_until(start + step.at)
            if step.name == "calm":
                start += await self._calm()
            elif step.after:
                self.nursery.start_soon(self._later, step, name="chaos.step")
            else:
                await self._perform(step)

    async def _later(self, step: Step) -> None:
        for _ in range(step.after):
            await trio.lowlevel.checkpoint()
        await self._perform(step)

    async def _perform(self, step: Step) -> None:
        world = self.world
        world.note("step", str(step))
        if faults.is_fault(step):
            world.faults[step.name] += 1
            fault = faults.struck(step)
            world.codes.update(word for word in step.words if word in faults.CODES)
            getattr(world.sim.faults, fault.name)(*fault.arguments)
        elif step.name in STREAMS:
            consumer = new_consumer(step.name, step.words)
            world.consumers[consumer.number] = consumer
            self.nursery.start_soon(consumer.follow, world, name=f"chaos.{consumer}")
        elif step.name in RUN:
            self._ask(step)
        else:
            await ACTIONS[step.name](self, step.words)

    def _ask(self, step: Step) -> None:
        number, *words = step.words
        request = Request(int(number), step.name, tuple(words), trio.current_time())
        self.world.requests[request.number] = request
        if step.name == "buy":
            self.world.orders[request.number] = request
        self.world.figures["requests"] += 1
        self.nursery.start_soon(request.run, self.world, name=f"chaos.{request}")

    async def leave(self, words: tuple[str, ...]) -> None:
        """Make a consumer leave, wherever it is."""
        if consumer := self.world.consumers.get(int(words[0])):
            consumer.scope.cancel()

    async def stop(self, words: tuple[str, ...]) -> None:
        """Cancel a request, wherever it is."""
        if request := self.world.requests.get(int(words[0])):
            request.scope.cancel()

    async def stall(self, words: tuple[str, ...]) -> None:
        """Make a consumer stop reading for a while."""
        if consumer := self.world.consumers.get(int(words[0])):
            consumer.stalls += 1
            consumer.stalled_until = trio.current_time() + float(words[1])

    async def storm(self, words: tuple[str, ...]) -> None:
        """Break one connection after another, each as it begins to give back what was missed."""
        self.nursery.start_soon(self._storm, int(words[0]), float(words[1]), name="chaos.storm")

    async def _storm(self, times: int, pause: float) -> None:
        try:
            for _ in range(times):
                if self.world.calm_since is not None:
                    return
                self.world.sim.faults.drop()
                await trio.sleep(0.01)
                await self.world.client.wait_ready()
                await trio.sleep(pause)
        except DerivError:
            if not self.world.closing:
                raise

    async def _calm(self) -> float:
        """Let everything be repaired, look up what is in doubt, and hold it all to account.

        Return how long it had to wait for that, since the client respects a rate limit.
        """
        world = self.world
        world.note("calm")
        world.sim.faults.clear()
        extra = await self._while_throttled()
        world.calm_since = begun = trio.current_time()
        pending = list(world.requests.values())
        await trio.sleep_until(begun + _LOOK_UP)
        await self._look_up()
        await trio.sleep_until(begun + SETTLED)
        self._stick()
        await trio.sleep_until(begun + CALM - 5)
        self.received.collect()
        check(IN_A_CALM, world)
        if late := [request for request in pending if not request.over and request.kind != "guard"]:
            world.broken("G03", f"still undecided {CALM - 5:.0f} s after the last fault: {late[0]}")
        await trio.sleep_until(begun + CALM)
        world.calm_since = None
        return extra

    async def _while_throttled(self) -> float:
        """Wait while requests wait for a rate limit; return how long that took."""
        client, begun, idle = self.world.client, trio.current_time(), False
        # What a storm of ids brings is forgotten as the limits allow, and that begins at once.
        may_be = self.world.events["Throttled"] or self.world.faults["id_storm"]
        while may_be and not idle:
            before = client.metrics.throttled_seconds
            await trio.sleep(_UNTHROTTLED)
            is_ready = client.status.state is State.READY
            idle = is_ready and client.metrics.throttled_seconds == before
            idle = idle or trio.current_time() > begun + _THROTTLED
        return trio.current_time() - begun

    def _stick(self) -> None:
        """Let one consumer be stuck while the others are watched (G07)."""
        reading = [each for each in self.world.consumers.values() if each.is_reading]
        if len(reading) > 1:
            reading[-1].stalls += 1
            reading[-1].stalled_until = trio.current_time() + 30

    async def _look_up(self) -> None:
        """Have `reconcile` find out everything that is in doubt."""
        world = self.world
        for request in [*world.orders.values(), *world.sales]:
            if request.report in ("unknown", "ambiguous") and request.unknown is not None:
                try:
                    outcome = await world.client.reconcile(request.unknown)
                except DerivError as error:
                    world.broken("G04", f"{request} cannot be cleared up: {error!r}")
                    return
                request.cleared_up(outcome)
                world.note("cleared up", request.number, request.report)
                world.figures[f"cleared up: {request.report}"] += 1

    async def _listen(self) -> None:
        world = self.world
        async with world.client.events(buffer=100_000) as events:
            async for event in events:
                name = type(event).__name__
                world.events[name] += 1
                world.note("event", name)
                if isinstance(event, Connecting):
                    world.attempts_at.append(trio.current_time())
                elif isinstance(event, Closed):
                    world.figures[f"ended by {event.by}"] += 1
                elif isinstance(event, Gap):
                    world.figures["gaps"] += 1


#: What the actions do that are neither streams nor requests.
ACTIONS: Final[Mapping[str, Callable[[Player, tuple[str, ...]], Awaitable[None]]]] = {
    "leave": Player.leave,
    "stop": Player.stop,
    "stall": Player.stall,
    "storm": Player.storm,
}
