"""The drill of mutations: a server whose messages are nearly right, on a virtual clock.

The simulator's messages are changed on their way: a member is missing, or has a value of another
type, or an odd one. A client works meanwhile with all that it has: streams of every kind, calls,
orders, lists, logins (`workload`). Then the messages are right again for a while, and so on.

What must hold (G03, G12, G18):

1. Nothing but errors of `derivtrio.errors` comes out of the client, whatever came in.
2. Nothing waits for ever: not what was begun while messages were wrong, and not what is closed.
3. A reply is the reply to this request: each carries a number that is never changed.
4. A model has values of the types that it declares, and numbers that are finite.
5. When the messages are right again, so are the replies, and the ticks are the market's.

Which values a model has is not judged while messages are changed; the client cannot know better.
"""

import argparse
import json
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import attrs
import trio

from derivtrio import Backoff, Client, DerivError, Settings, open_client
from derivtrio.api.codec import encode
from derivtrio.simulator import Simulator, open_simulator
from derivtrio.simulator.faults.malformations import Malformations
from tests.drills.console import perform
from tests.drills.workload import PATIENCE, Workload

START: Final = 1_749_800_000

#: How likely a message is changed; how many of its members then are; how likely one is left out.
_LIKELY: Final = 0.2
_HOW_MANY: Final = (1, 1, 2, 4)
_LIKELY_GONE: Final = 0.2

#: Rather not changed: a reply without its number is no reply to anything.
_ENVELOPE: Final = ("req_id", "echo_req")
_LIKELY_KEPT: Final = 0.75

#: Of a list, the first members may be changed.
_MOST: Final = 4

#: For how many seconds messages are changed, and how long all may take to work again.
_BAD: Final = 40.0
_HEALED: Final = 120.0

#: How many ticks are compared with the market.
_TICKS: Final = 3

#: What stands in a member's place.
ODD: Final = (
    *(None, True, False, -1, 0, 1.5, 1e308, -1e9, 10**18, START - 1000),
    *("", "x" * 300, "12", "-5", "nan", "\x00", "\ud800", "zz", "R_100", "sold", str(START)),
    *([], [1], [None], [[]], [{}], ["R_50"], {}, {"id": 1}, {"a": []}, {"id": "zz"}),
)

Path = tuple[str | int, ...]


def places_in(value: Any, before: Path = ()) -> Iterator[Path]:
    """Yield where there is something in *value*: names and indices, from the outside in."""
    members = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        members = enumerate(value[:_MOST])
    for name, inner in members:
        yield (*before, name)
        yield from places_in(inner, (*before, name))


@attrs.define(eq=False)
class Mutator:
    """Changes messages, while it is `active`; notes the last changes."""

    chance: random.Random
    active: bool = False
    count: int = 0
    last: deque[str] = attrs.field(factory=lambda: deque(maxlen=8), init=False)

    def encoded(self, message: Any) -> str:
        """Return *message* as JSON text, perhaps changed."""
        text = encode(message)
        if not self.active or self.chance.random() > _LIKELY:
            return text
        changed = json.loads(text)
        for _ in range(self.chance.choice(_HOW_MANY)):
            self._change(changed)
        return json.dumps(changed, separators=(",", ":"))

    def _change(self, message: dict[str, Any]) -> None:
        *way, name = self.chance.choice(list(places_in(message)) or [("x",)])
        whole: Any = message
        for each in way:
            whole = whole[each]
        is_kept = (way or [name])[0] in _ENVELOPE and self.chance.random() < _LIKELY_KEPT
        if is_kept or "passthrough" in (*way, name) or ([name], way) == (["echo_req"], []):
            return
        self.count += 1
        odd = self.chance.choice(ODD)
        if isinstance(whole, dict) and self.chance.random() < _LIKELY_GONE:
            del whole[name]
            what = "is left out"
        else:
            whole[name] = json.loads(json.dumps(odd))
            what = f"= {ascii(odd)[:30]}"
        place = ".".join(map(str, (*way, name)))
        self.last.append(f"{trio.current_time():.2f} {message.get('msg_type')}: {place} {what}")

    @contextmanager
    def between(self) -> Iterator[None]:
        """Stand between the simulators that are opened and their clients, during the block."""
        usual = Malformations.encoded
        Malformations.encoded = lambda _, message: self.encoded(message)  # type: ignore[method-assign]
        try:
            yield
        finally:
            Malformations.encoded = usual  # type: ignore[method-assign]


@attrs.frozen
class Plan:
    """What to do: so many *rounds* of wrong and right messages with each of the *seeds*."""

    seeds: range
    rounds: int = 5


@attrs.define(eq=False)
class Drill:
    """What has happened, and what was wrong with it."""

    plan: Plan
    changes: int = 0
    clients: int = 0
    done: Counter[str] = attrs.field(factory=Counter)
    remarks: list[str] = attrs.field(factory=list)

    @property
    def passed(self) -> bool:
        """Whether all promises were kept, and there was something to keep them against."""
        return not self.remarks and self.changes > 0 and bool(self.done)

    async def play(self, seed: int) -> None:
        """Do the rounds of *seed*: even ones the plain way, every other pair on the Options API."""
        random.seed(seed)  # the client's backoff draws from there
        chance = random.Random(seed)
        mutator = Mutator(chance)
        with mutator.between():
            async with open_simulator(seed, port=None, start=START + 10_000 * seed) as sim:
                for _ in range(self.plan.rounds):
                    await self._round(seed, sim, mutator)
                    if self.remarks:
                        break
        self.changes += mutator.count
        if self.remarks:
            self.remarks += [f"seed {seed}, the last changes:", *mutator.last]

    async def _round(self, seed: int, sim: Simulator, mutator: Mutator) -> None:
        """Open a client; while it works, have messages changed, and then right again."""
        v3 = bool(seed // 2 % 2)
        settings = Settings(
            fast=bool(seed % 2),
            backoff=Backoff(first=0.2, cap=2),
            response_timeout=20,
            restore_timeout=10,
            pacing=False,
        )
        endpoint = sim.endpoint if v3 else sim.options_account()
        token = "demo-token" if v3 else None
        self.clients += 1
        mutator.active = False
        with trio.move_on_after(_BAD + _HEALED + PATIENCE) as limit:
            try:
                async with open_client(endpoint=endpoint, token=token, settings=settings) as client:
                    await self._work(client, sim, mutator, v3=v3)
            except (
                DerivError
            ) as error:  # a verdict about its account, say; the next round begins anew
                self.done[f"ended by {type(error).__name__}"] += 1
            except Exception as error:  # noqa: BLE001 - what no promise allows
                self.remarks.append(f"the client ended with {error!r}")
        if limit.cancelled_caught:
            self.remarks.append("the client could not be closed")

    async def _work(self, client: Client, sim: Simulator, mutator: Mutator, *, v3: bool) -> None:
        work = Workload(client, sim, v3, mutator.chance, self)
        async with trio.open_nursery() as nursery:
            work.start(nursery)
            mutator.active = True
            await trio.sleep(_BAD)
            mutator.active = False
            with trio.move_on_after(_HEALED) as limit:
                await self._heal(client, sim)
            if limit.cancelled_caught:
                self.remarks.append(f"nothing works {_HEALED:.0f} s after the last change")
            nursery.cancel_scope.cancel()

    async def _heal(self, client: Client, sim: Simulator) -> None:
        """Return when a call and a stream of ticks have worked, as they should."""
        begin, market = int(sim.now()), sim.market
        while True:
            with suppress(DerivError):
                told = (await client.call({"time": 1}))["time"]
                if not begin <= told <= sim.now():
                    self.remarks.append(f"it is not {told}")
                async with client.ticks("R_100") as ticks:
                    seen = 0
                    while seen < _TICKS:
                        tick = await anext(ticks)
                        if tick.epoch > begin + 1:  # what came before may have been changed
                            seen += 1
                            if tick.quote != market.tick("R_100", tick.epoch).quote:
                                self.remarks.append(f"the market has no {tick}")
                return
            await trio.sleep(1)


async def run(plan: Plan, tell: Callable[[str], None] = lambda _: None) -> Drill:
    """Run the drill, under a `MockClock`; *tell* is called with a line now and then."""
    drill = Drill(plan)
    for seed in plan.seeds:
        await drill.play(seed)
        tell(f"seed {seed}: {drill.changes} changes")
        if drill.remarks:
            break
    return drill


def summary(drill: Drill) -> str:
    """Return the results, on one screen."""
    done = ", ".join(f"{count} {name}" for name, count in sorted(drill.done.items()))
    return "\n".join(
        [
            f"{drill.changes} changes, {drill.clients} clients; {done}",
            *drill.remarks[:30],
            "PASSED" if drill.passed else "FAILED",
        ]
    )


def main() -> None:
    """Run the drill from the command line; exit with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.mutations", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--rounds", type=int, default=5, help="for each of them")
    given = parser.parse_args()
    plan = Plan(range(given.first, given.first + given.seeds), given.rounds)
    perform(run, plan, summary)


if __name__ == "__main__":
    main()
