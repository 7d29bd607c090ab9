"""An interruption at every step of everything that a program does with a client.

    python -m tests.drills.interruptions                    # every 7th step of every operation
    python -m tests.drills.interruptions ticks --every 1    # every step of some
    python -m tests.drills.interruptions ticks --replay cancelled:57:1

An *attempt* opens a simulator and a client on the virtual clock. Bystanders follow streams. Then
one operation begins, and just before the k-th step that any task takes, something happens, which
the `kind` of the attempt says:

- `cancelled`: the operation is cancelled;
- `dropped`: the connection ends, so that the operation has to go on across an outage;
- `both`: both at the same time;
- `late`: the server becomes slow to answer, again and again, and then the operation is cancelled;
- `raised`: the operation's own code raises an exception, when it gets there for the k-th time.

After that everything must be as if nothing had happened: each bystander has got each item once,
the server has the streams that are wanted, the tasks are those of before, and the same operation
succeeds.
"""

import argparse
import gc
import logging
import random
import sys
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import attrs
import trio

import derivtrio
from derivtrio import Client, DerivError, Settings, State
from derivtrio.simulator import Simulator, open_simulator
from tests.chaos import inside
from tests.chaos.determinism import HotLoop, run_seeded
from tests.chaos.run import client_tasks
from tests.drills.operations import CONTRACT, OPERATIONS, SHARED, START, judge_candles, judge_ticks

KINDS: Final = ("cancelled", "dropped", "both", "late", "raised")

#: How long everything is given to be mended, and how long the whole may last, in seconds.
_MENDED: Final = 100.0
_LONGEST: Final = 3600.0

#: The longest time between two ticks of `SHARED`, in seconds.
_PERIOD: Final = 2


class UsersError(Exception):
    """What the code of an operation raises."""


@attrs.define(eq=False)
class Attempt:
    """One operation, and what happens to it before its `step`-th step.

    Attributes:
        steps: how many there have been.
        struck: whether it has happened.
        wrong: what is wrong, in words.

    """

    operation: str
    kind: str
    step: int
    seed: int = 1
    fast: bool = True
    steps: int = 0
    struck: bool = False
    wrong: list[str] = attrs.field(factory=list)
    sim: Simulator = attrs.field(init=False)
    client: Client = attrs.field(init=False)
    contract_id: int = 0
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    part: trio.CancelScope | None = None
    _words: str = attrs.field(init=False)
    _dice: random.Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        way = "" if self.fast else " --plain"
        self._words = f"{self.operation} --replay {self.kind}:{self.step}:{self.seed}{way}"
        self._dice = random.Random(self._words)

    def __str__(self) -> str:
        return self._words

    def own(self) -> None:
        """Stand for code of the operation's own."""
        if self.kind == "raised":
            self.steps += 1
            if self.steps == self.step:
                self.struck = True
                raise UsersError

    def count(self) -> None:
        """Count a step, and let happen what happens before it."""
        if self.kind != "raised":
            self.steps += 1
            if self.steps == self.step:
                self.struck = True
                self.strike()

    def strike(self) -> None:
        """Let it happen."""
        if self.kind in ("dropped", "both"):
            self.sim.faults.drop()
        if self.kind == "late" and self._dice.random() < 2 / 3:
            self.slow_down()
        elif self.kind != "dropped":
            (self.part or self.scope).cancel()

    def slow_down(self) -> None:
        """Make the server slow in some way, and have something else happen soon."""
        faults, choose = self.sim.faults, self._dice.choice
        self.step = self.steps + self._dice.randrange(1, 40)
        match choose(("delay", "answer", "subscription")):
            case "delay":
                faults.delay(choose((0.0, 0.1, 1.0, 4.0)))
            case "answer":
                calls = ("ticks", "ticks_history", "forget", "time", "statement")
                faults.answer_late(choose((0.3, 2.0, 25.0)), choose(calls))
            case _:
                between = choose(("lost", "after", "before"))
                faults.late_subscription(choose((0.5, 2.0, 7.0)), between=between)

    def expect(self, what: str, *, holds: bool) -> None:
        """Note *what* is wrong, if it does not hold."""
        if not holds:
            self.wrong.append(what)

    def again(self) -> None:
        """Prepare for the same operation, to which nothing happens."""
        self.sim.faults.clear()
        self.kind, self.scope, self.part = "nothing", trio.CancelScope(), None


class Steps(trio.abc.Instrument):
    """Tells an attempt of each step."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count it."""
        del task
        self._attempt.count()


@attrs.define(eq=False)
class Bystander:
    """Follows one stream, and keeps what it has got."""

    name: str
    stream: Any
    got: list[Any] = attrs.field(factory=list)
    error: Exception | None = None

    async def follow(self, task_status: trio.TaskStatus[None]) -> None:
        """Follow the stream to its end."""
        try:
            async with self.stream as stream:
                task_status.started()
                async for item in stream:
                    self.got.append(item)
        except DerivError as error:
            self.error = error

    def judge(self, attempt: Attempt) -> None:
        """Note what is wrong about what it has got."""
        attempt.expect(f"{self.name} ended with {self.error!r}", holds=self.error is None)
        attempt.expect(f"{self.name} has gaps", holds=not self.stream.gaps)
        if self.name == "balance":
            truth = attempt.sim.ledger(next(iter(attempt.sim.accounts))).account.balance
            attempt.expect("the balance is wrong", holds=self.got[-1].balance == float(truth))
            return
        (judge_candles if self.name == "candles" else judge_ticks)(attempt, self.got)
        late = int(attempt.sim.now()) - self.got[-1].epoch
        attempt.expect(f"{self.name} is {late} s late", holds=late <= _PERIOD)


@attrs.frozen
class Before:
    """What there was before the operation."""

    tasks: Counter[str]
    streams: Counter[Any]
    subscriptions: int
    tables: Counter[str]

    @classmethod
    def of(cls, attempt: Attempt) -> "Before":
        """Return what there is now."""
        connections, client = attempt.sim.connections, attempt.client
        streams = Counter(tuple(s.key)[:3] for each in connections for s in each.streams)
        subscriptions = client.status.subscriptions
        return cls(client_tasks(), streams, subscriptions, inside.table_sizes(client))


def play(attempt: Attempt) -> Attempt:
    """Make one attempt."""
    hot = HotLoop()
    with _nothing_unraisable(attempt):
        try:
            run_seeded(attempt.seed, _with_simulator, attempt, hot=hot)
        except Exception as error:  # noqa: BLE001 - it is told
            attempt.wrong.append(repr(error))
    attempt.expect("tasks run on and on while no time passes", holds=not hot.found)
    return attempt


@contextmanager
def _nothing_unraisable(attempt: Attempt) -> Iterator[None]:
    """Note what is raised where nobody can catch it, and what is warned of."""

    def note(unraisable: Any) -> None:
        attempt.wrong.append(f"unraisable: {unraisable.exc_value!r}")

    before, sys.unraisablehook = sys.unraisablehook, note
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
            gc.collect()
        attempt.wrong += [f"warning: {each.message}" for each in caught]
    finally:
        sys.unraisablehook = before


async def _with_simulator(attempt: Attempt) -> None:
    settings = Settings(fast=attempt.fast, response_timeout=20)
    with trio.fail_after(_LONGEST):
        async with open_simulator(attempt.seed, port=None, start=START) as attempt.sim:
            async with derivtrio.open_client(
                endpoint=attempt.sim.endpoint, token="demo-token", settings=settings
            ) as attempt.client:
                purchase = await attempt.client.buy(CONTRACT, price=20)
                attempt.contract_id = purchase.contract_id
                async with _bystanders(attempt.client) as bystanders:
                    await _with_bystanders(attempt, bystanders)
            await trio.sleep(1)
            attempt.expect(f"{client_tasks()} are left", holds=not client_tasks())
            attempt.expect("the server has a connection", holds=not attempt.sim.connections)


@asynccontextmanager
async def _bystanders(client: Client) -> AsyncGenerator[list[Bystander]]:
    bystanders = [
        Bystander("ticks", client.ticks(SHARED)),
        Bystander("lossy ticks", client.ticks(SHARED, overflow="drop_oldest")),
        Bystander("candles", client.candles(SHARED, 60)),
        Bystander("balance", client.balance()),
    ]
    async with trio.open_nursery() as nursery:
        for each in bystanders:
            await nursery.start(each.follow)
        await trio.sleep(5)
        yield bystanders
        nursery.cancel_scope.cancel()


async def _with_bystanders(attempt: Attempt, bystanders: list[Bystander]) -> None:
    before, steps = Before.of(attempt), Steps(attempt)
    trio.lowlevel.add_instrument(steps)
    try:
        with attempt.scope:
            await OPERATIONS[attempt.operation](attempt)
    except* UsersError:
        attempt.expect("UsersError", holds=attempt.kind == "raised" and attempt.struck)
    except* DerivError as group:
        attempt.expect(f"it ended with {group.exceptions}", holds=attempt.kind == "late")
    finally:
        trio.lowlevel.remove_instrument(steps)
    for _ in range(2):
        attempt.again()
        await trio.sleep(_MENDED)
        await _judge(attempt, bystanders, before)
        await OPERATIONS[attempt.operation](attempt)


async def _judge(attempt: Attempt, bystanders: list[Bystander], before: Before) -> None:
    """Note what is wrong some time after the operation."""
    expect, client = attempt.expect, attempt.client
    with trio.move_on_after(_PERIOD) as patience:
        await client.call({"time": 1})
        await trio.sleep(0.1)  # a stream may be checked just now
    expect("no reply", holds=not patience.cancelled_caught)
    expect(f"it is {client.status.state}", holds=client.status.state is State.READY)
    expect(f"{client.status.pending} calls are pending", holds=client.status.pending == 0)
    after = Before.of(attempt)
    for name in ("tasks", "streams", "subscriptions"):
        there, now = getattr(before, name), getattr(after, name)
        expect(f"{name}: {now} instead of {there}", holds=now == there)
    for name, size in after.tables.items():
        most = max(before.tables[name] + 25, inside.BOUNDED.get(name, 0))
        expect(f"{name} has {size} entries", holds=size <= most)
    for each in bystanders:
        each.judge(attempt)


def walk(operation: str, kind: str, every: int, seed: int, *, fast: bool) -> Iterator[Attempt]:
    """Make one attempt after another, until one is over before its step."""
    step = 1 + seed % every
    while (attempt := play(Attempt(operation, kind, step, seed, fast))).struck:
        yield attempt
        step += 1 if kind == "raised" else every
    yield attempt


def main() -> None:
    """Do what the command line says; exit with 1 if something was wrong."""
    given = _parser().parse_args()
    logging.getLogger("derivtrio").setLevel(logging.CRITICAL)
    if given.replay:
        kind, step, seed = given.replay.split(":")
        operation, fast = given.operations[0], not given.plain
        attempts = iter([play(Attempt(operation, kind, int(step), int(seed), fast))])
    else:
        attempts = (
            attempt
            for seed in range(given.seed, given.seed + given.seeds)
            for operation in given.operations or OPERATIONS
            for kind in given.kinds.split(",")
            for attempt in walk(operation, kind, given.every, seed, fast=not given.plain)
        )
    made = failed = 0
    for attempt in attempts:
        made += 1
        failed += bool(attempt.wrong)
        if attempt.wrong:
            _say(f"{attempt}\n  " + "\n  ".join(attempt.wrong))
    _say(f"{made} attempts, {failed} failed")
    sys.exit(failed > 0)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("operations", nargs="*", help=", ".join(OPERATIONS))
    parser.add_argument("--kinds", default=",".join(KINDS), help="(%(default)s)")
    parser.add_argument("--every", type=int, default=7, help="every so many steps (7)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds (1)")
    parser.add_argument("--plain", action="store_true", help="with Settings(fast=False)")
    parser.add_argument("--replay", help="KIND:STEP:SEED, as a failure prints it")
    return parser


if __name__ == "__main__":
    main()
