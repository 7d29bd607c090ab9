"""Follow a tick, a call, a reconnect and a lost purchase through the source.

    python -m tests.ways

prints, for each of them, the files of derivtrio that it passes, in order, and how often it changes
from one file to another: first the plain way, then the fast one. `test_ways` keeps the figures from
growing.

What is counted:

- A file is *passed* when a line of it runs. (A function that only waits, further up in the stack of
  a task, while what it has called goes on, is not passed again: nobody reads it at this point.)
- A *station* is a file that carries the thing on: it waits, or it keeps state. The others are asked
  and answer at once, without I/O: decisions (`policy/`), facts about the API (`api/`), public data,
  and the files in `ASKED`. A test says that these never wait.
- A station is *new* if none of the ways before passes it. Whoever follows the four in their order
  reads each station once.
- Tasks that only watch are not followed (`BESIDE`). That they begin with a connection, or that
  their alarm rings while a tick passes, says nothing about the way of the tick. What they start,
  when they find something, has another name, and is followed.

The server is the simulator, in memory and on the virtual clock; its own files do not count. The
order in which trio runs its tasks is seeded, so that a walk passes the same files each time.
"""

import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import attrs
import trio

import derivtrio
from derivtrio.simulator import Simulator, open_simulator
from tests.chaos.determinism import run_seeded

PACKAGE: Final = Path(derivtrio.__file__).parent
_SIMULATOR: Final = PACKAGE / "simulator"

#: Folders and files that are asked, and answer at once.
ASKED: Final = (
    "api",
    "policy",
    "errors.py",
    "events.py",
    "logs.py",
    "models.py",
    "redaction.py",
    "wording.py",
    "concurrency/home.py",  # which run of trio a task belongs to
    "concurrency/waking.py",  # what a task is woken with
    "connection/url.py",  # which URLs are refused
    "connection/disconnect.py",  # the end of a connection, as data
    "supervision/tokens.py",  # what a token is
    "trading/orders.py",  # which arguments of a trade make sense
    "trading/reconcile/assignment.py",  # which order can have led to which purchase
)

#: The most that is waited before the connection is opened again: long enough to miss ticks.
_PAUSE: Final = 20.0

#: Tasks that only watch: what is mute, silent, late, waiting, refused, or throttled.
BESIDE: Final = (
    "derivtrio.staleness",
    "derivtrio.heartbeat",
    "derivtrio.deadlines",
    "derivtrio.restore-timeout",
    "derivtrio.waiting",
    "derivtrio.forgets",
    "derivtrio.limits",
)

CONTRACT: Final = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 5,
    "duration_unit": "t",
}


Tracer = Callable[[FrameType, str, Any], Any]


def is_asked(file: str) -> bool:
    """Return whether *file* is asked, and answers at once."""
    if file == "api/__init__.py":  # the typed methods, which make calls
        return False
    return file in ASKED or file.partition("/")[0] in ASKED


def _is_beside() -> bool:
    try:
        name = trio.lowlevel.current_task().name
    except RuntimeError:  # trio itself, between two tasks
        return False
    return name.startswith(BESIDE)


@attrs.define
class Way:
    """The files that were passed, in order, with the functions that were called in each."""

    title: str
    known: frozenset[str] = frozenset()
    _last: str = attrs.field(default="", init=False)
    functions: dict[str, list[str]] = attrs.field(factory=dict, init=False)
    changes: int = attrs.field(default=0, init=False)

    @property
    def files(self) -> list[str]:
        """The files, in the order in which they were first passed."""
        return list(self.functions)

    @property
    def stations(self) -> list[str]:
        """Those of them that carry on what passes."""
        return [file for file in self.files if not is_asked(file)]

    @property
    def new_stations(self) -> list[str]:
        """Those of them that are not known from another way."""
        return [file for file in self.stations if file not in self.known]

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow what runs in the block."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, *_: Any) -> "Tracer | None":
        """Follow the lines of *frame*, which begins or goes on, if it is to be followed."""
        path = Path(frame.f_code.co_filename)
        if PACKAGE not in path.parents or _SIMULATOR in path.parents or _is_beside():
            return None
        if frame.f_back and _SIMULATOR in Path(frame.f_back.f_code.co_filename).parents:
            return None  # the simulator, too, encodes its messages
        return self._pass

    def _pass(self, frame: FrameType, event: str, _: Any) -> "Tracer":
        if event == "line":
            file = Path(frame.f_code.co_filename).relative_to(PACKAGE).as_posix()
            names = self.functions.setdefault(file, [])
            if frame.f_code.co_qualname not in names:
                names.append(frame.f_code.co_qualname)
            self.changes += file != self._last
            self._last = file
        return self._pass

    def __str__(self) -> str:
        stations = f"{len(self.stations)} stations, {len(self.new_stations)} of them new (+)"
        head = f"{self.title}: {stations}; {len(self.files)} files, {self.changes} changes"
        lines = [
            f"{'+' if file in self.new_stations else ' '} {file:<36} {', '.join(names)}"
            for file, names in self.functions.items()
        ]
        return "\n".join([head, *lines])


async def tick(way: Way, sim: Simulator, client: derivtrio.Client) -> None:
    """From the socket to the `async for`."""
    async with client.ticks("1HZ100V") as ticks:
        for _ in range(3):
            await anext(ticks)
        with way.followed():
            await anext(ticks)


async def call(way: Way, sim: Simulator, client: derivtrio.Client) -> None:
    """From `client.call` to the socket, and back with the reply.

    (`time` would be a special one: what it says of the server's clock is kept.)
    """
    await client.call({"active_symbols": "brief"})
    with way.followed():
        await client.call({"active_symbols": "brief"})


async def reconnect(way: Way, sim: Simulator, client: derivtrio.Client) -> None:
    """From the loss of the connection to the first live tick after those that were missed."""
    async with client.ticks("1HZ100V") as ticks:
        before = (await anext(ticks)).epoch
        with way.followed():
            sim.faults.drop()
            after, there = (await anext(ticks)).epoch, trio.current_time()
            while trio.current_time() == there:  # until one that had to be waited for
                after = (await anext(ticks)).epoch
        assert after > before + 2


async def lost_purchase(way: Way, sim: Simulator, client: derivtrio.Client) -> None:
    """From `client.buy`, whose reply is lost, to `OutcomeUnknown`."""
    await client.call({"time": 1})
    sim.faults.lose_after("buy")
    with way.followed():
        try:
            await client.buy(CONTRACT, price=10)
        except derivtrio.OutcomeUnknown:
            return
    raise AssertionError


Walk = Callable[[Way, Simulator, derivtrio.Client], Awaitable[None]]

WALKS: Final[dict[str, Walk]] = {
    "a tick": tick,
    "a call and its reply": call,
    "a reconnect with one stream": reconnect,
    "a purchase whose reply is lost": lost_purchase,
}


def walked(title: str, *, fast: bool = True, known: Iterable[str] = ()) -> Way:
    """Follow the walk *title*, the fast way or the plain one; return its way.

    *known* are the stations of other ways.
    """
    walk, way = WALKS[title], Way(title, frozenset(known))

    async def main() -> None:
        async with (
            open_simulator(port=None) as sim,
            derivtrio.open_client(
                endpoint=sim.endpoint,
                token="demo-token",
                settings=derivtrio.Settings(fast=fast, backoff=derivtrio.Backoff(first=_PAUSE)),
            ) as client,
        ):
            await walk(way, sim, client)

    run_seeded(1, main)
    return way


def walked_in_order(*, fast: bool) -> Iterator[Way]:
    """Follow all walks, the fast way or the plain one."""
    known: set[str] = set()
    for title in WALKS:
        way = walked(title, fast=fast, known=known)
        known.update(way.stations)
        yield way


if __name__ == "__main__":
    for is_fast in (False, True):
        print("The fast way:" if is_fast else "The plain way:", end="\n\n")  # noqa: T201
        for each in walked_in_order(fast=is_fast):
            print(each, end="\n\n")  # noqa: T201
