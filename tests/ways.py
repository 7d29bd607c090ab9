"""Follow a tick, a call, a reconnect and a lost purchase through the source.

    python -m tests.ways

prints, for each of them, the plain way and the fast one: the files of derivtrio that it passes, in
order, and how often it changes from one file to another. `test_ways` keeps the figures from
growing.

A *station* is a file that carries the thing on: it waits, or it keeps state. The others are asked
and answer at once: decisions (`policy/`), facts about the API (`api/`) and public data.

A profile hook (`sys.setprofile`) notes the file of every function that is called or resumed. The
server is the simulator, in memory and on the virtual clock; its own files do not count.
"""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import attrs
import trio
import trio.testing

import derivtrio
from derivtrio.simulator import Simulator, open_simulator

PACKAGE: Final = Path(derivtrio.__file__).parent
_SIMULATOR: Final = PACKAGE / "simulator"

#: Folders and files that are asked, and answer at once.
ASKED: Final = ("api", "policy", "errors.py", "events.py", "models.py", "redaction.py")

CONTRACT: Final = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 5,
    "duration_unit": "t",
}


@attrs.define
class Way:
    """The files that were passed, in order, with the functions that were called in each."""

    title: str
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
        return [file for file in self.files if file.split("/")[0] not in ASKED]

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow what runs in the block."""
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "call" or PACKAGE not in path.parents or _SIMULATOR in path.parents:
            return
        if frame.f_back and _SIMULATOR in Path(frame.f_back.f_code.co_filename).parents:
            return  # the simulator, too, encodes its messages
        file = path.relative_to(PACKAGE).as_posix()
        names = self.functions.setdefault(file, [])
        if frame.f_code.co_qualname not in names:
            names.append(frame.f_code.co_qualname)
        self.changes += file != self._last
        self._last = file

    def __str__(self) -> str:
        counts = f"{len(self.stations)} stations, {len(self.files)} files, {self.changes} changes"
        head = f"{self.title}: {counts}"
        lines = [f"  {file:<36} {', '.join(names)}" for file, names in self.functions.items()]
        return "\n".join([head, *lines])


async def tick(way: Way, sim: Simulator, client: derivtrio.Client) -> None:
    """From the socket to the `async for`."""
    async with client.ticks("1HZ100V") as ticks:
        for _ in range(3):
            await anext(ticks)
        with way.followed():
            await anext(ticks)


async def call(way: Way, sim: Simulator, client: derivtrio.Client) -> None:
    """From `client.call` to the socket, and back with the reply."""
    await client.call({"time": 1})
    with way.followed():
        await client.call({"time": 1})


async def reconnect(way: Way, sim: Simulator, client: derivtrio.Client) -> None:
    """From the loss of the connection to the tick after those that were missed."""
    async with client.ticks("1HZ100V") as ticks:
        before = (await anext(ticks)).epoch
        with way.followed():
            sim.faults.drop()
            while client.status.connection != 2:
                after = (await anext(ticks)).epoch
            after = (await anext(ticks)).epoch
        assert after > before


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


def walked(title: str, *, fast: bool = True) -> Way:
    """Follow the walk *title*, the fast way or the plain one; return its way."""
    walk, way = WALKS[title], Way(title)

    async def main() -> None:
        async with (
            open_simulator(port=None) as sim,
            derivtrio.open_client(
                endpoint=sim.endpoint,
                token="demo-token",
                settings=derivtrio.Settings(fast=fast),
            ) as client,
        ):
            await walk(way, sim, client)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return way


if __name__ == "__main__":
    for each in WALKS:
        for way in (walked(each, fast=False), walked(each)):
            print(way, end="\n\n")  # noqa: T201
