"""What a client is asked to do, and what is measured while it does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any, Final

from tests.benchmarks.importing import import_ratio
from tests.benchmarks.measuring import memory, middle_and_tail, stopwatch
from tests.benchmarks.session import Client, Session

Figures = dict[str, float]
Act = Callable[[Client, str, int], Awaitable[Figures]]

_WARM_UP: Final = 5000
_SETTLING: Final = 50


@dataclass(frozen=True)
class Figure:
    """A figure to report: its name, its unit, and whether more of it is better."""

    name: str
    unit: str
    more: bool = False


@dataclass(frozen=True)
class Scenario:
    """One thing to do, with what size and over what.

    `size` is how much there is to do in a full run. `sharing` says that the client must tell the
    messages of several requests apart, `ticks` that it is about them, `ours` that it is about
    derivtrio alone.
    """

    title: str
    act: Act
    size: int
    figures: tuple[Figure, ...]
    scheme: str = "ws"
    sharing: bool = False
    ticks: bool = False
    ours: bool = False


async def burst(client: Client, url: str, count: int, *, streams: int = 1) -> Figures:
    """Take ticks as fast as they come, from as many streams as there are consumers."""
    return await _take(client, url, count, 0, streams)


async def paced(client: Client, url: str, count: int, *, rate: int = 5000) -> Figures:
    """Take ticks that come one by one, so many a second."""
    return await _take(client, url, count, rate, 1)


async def round_trips(client: Client, url: str, count: int) -> Figures:
    """Ask for the time, again and again."""
    async with client.open(url) as session:
        await _calls(session, count // 10)
        with stopwatch() as spent:
            times = await _calls(session, count)
    middle, tail = middle_and_tail(times)
    figures = {"median_us": middle * 1e6, "p99_us": tail * 1e6, "cpu_us": spent.cpu / count * 1e6}
    return figures | spent.busy


async def callers(client: Client, url: str, count: int, *, callers: int = 100) -> Figures:
    """Ask for the time, again and again, a hundred side by side."""
    async with client.open(url) as session:
        await client.gather([partial(_quiet_calls, session, 10)] * callers)
        with stopwatch() as spent:
            await client.gather([partial(_quiet_calls, session, count // callers)] * callers)
    return {"cpu_us": spent.cpu / count * 1e6, "per_s": count / spent.wall} | spent.busy


async def history(client: Client, url: str, count: int) -> Figures:
    """Ask for 5000 ticks of the past, again and again."""
    async with client.open(url) as session:
        await session.history("R_100")
        with stopwatch() as spent:
            for _ in range(count):
                await session.history("R_100")
    return {"wall_ms": spent.wall / count * 1e3, "cpu_ms": spent.cpu / count * 1e3}


async def idle_memory(client: Client, url: str, count: int) -> Figures:
    """Open clients and let them be. The first two pay for the imports."""
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await (await stack.enter_async_context(client.open(url))).call({"ping": 1})
        before = memory()
        for _ in range(count):
            await (await stack.enter_async_context(client.open(url))).call({"ping": 1})
        return {"kb": (memory() - before) / count / 1e3}


async def stream_memory(client: Client, url: str, count: int) -> Figures:
    """Subscribe, and take the first tick of each stream. The first few pay for the room."""
    async with client.open(url) as session:
        kept = [
            await _subscribe(session, _symbol(count + 1 + number)) for number in range(_SETTLING)
        ]
        before = memory()
        kept += [await _subscribe(session, _symbol(number + 1)) for number in range(count)]
        return {"kb": (memory() - before) / count / 1e3}


async def imports(client: Client, url: str, count: int) -> Figures:
    """Start programs that import derivtrio, and others that import what it stands on."""
    return {"times": import_ratio(count)}


async def _take(client: Client, url: str, count: int, rate: int, streams: int) -> Figures:
    async with client.open(url) as session:
        taking = [await _subscribe(session, _symbol(number)) for number in range(streams)]

        async def take(count: int, rate: int) -> None:
            each = count // streams
            asking = partial(_start, session, each * streams, rate)
            if streams == 1:  # such loops cannot do two things at once
                await asking()
                await _consume(taking[0], each)
            else:
                await client.gather([*(partial(_consume, s, each) for s in taking), asking])

        await take(max(_WARM_UP, streams), 0)
        with stopwatch() as spent:
            await take(count, rate)
    figures = {"per_s": count / spent.wall, "cpu_us": spent.cpu / count * 1e6}
    return figures if rate else figures | spent.busy  # with a rate it looks at the clock all along


def _symbol(number: int) -> str:
    return f"BENCHMARK{number:06}"


async def _subscribe(session: Session, symbol: str) -> AsyncIterator[Any]:
    stream = await session.subscribe(symbol)
    await anext(stream)
    return stream


async def _start(session: Session, ticks: int, rate: int) -> None:
    await session.call({"time": 1, "passthrough": {"ticks": ticks, "rate": rate}})


async def _consume(stream: AsyncIterator[Any], count: int) -> None:
    seen = 0
    async for _ in stream:
        seen += 1
        if seen == count:
            return


async def _calls(session: Session, count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = perf_counter()
        await session.call({"time": 1})
        times.append(perf_counter() - start)
    return times


async def _quiet_calls(session: Session, count: int) -> None:
    for _ in range(count):
        await session.call({"time": 1})


_RATE: Final = Figure("per_s", "ticks a second", more=True)
_TICK: Final = Figure("cpu_us", "µs of CPU a tick")


def _ticks(title: str, act: Act, size: int, scheme: str) -> Scenario:
    figures = (_RATE, _TICK) if act is burst else (_TICK,)
    return Scenario(title, act, size, figures, scheme, ticks=True)


def _over(streams: int) -> Scenario:
    return Scenario(
        f"a burst over {streams} subscriptions, each with its consumer",
        partial(burst, streams=streams),
        100_000,
        (_RATE, _TICK),
        sharing=True,
        ticks=True,
    )


SCENARIOS: Final = {
    "burst": _ticks("ticks in a burst, ws", burst, 200_000, "ws"),
    "burst-wss": _ticks("ticks in a burst, wss", burst, 200_000, "wss"),
    "paced": _ticks("5000 ticks a second, one by one, ws", paced, 7500, "ws"),
    "paced-wss": _ticks("5000 ticks a second, one by one, wss", paced, 7500, "wss"),
    "round-trip": Scenario(
        "one call after another",
        round_trips,
        4000,
        (Figure("median_us", "µs, median"), Figure("p99_us", "µs, p99")),
    ),
    "callers": Scenario(
        "a hundred callers at a time",
        callers,
        20_000,
        (Figure("cpu_us", "µs of CPU a call"), Figure("per_s", "calls a second", more=True)),
        sharing=True,
    ),
    "history": Scenario(
        "5000 ticks of history",
        history,
        50,
        (Figure("cpu_ms", "ms of CPU"), Figure("wall_ms", "ms")),
    ),
    "memory-idle": Scenario(
        "an idle wss client, beyond the imports", idle_memory, 40, (Figure("kb", "kB"),), "wss"
    ),
    "memory-streams": Scenario(
        "1000 subscriptions",
        stream_memory,
        1000,
        (Figure("kb", "kB each"),),
        sharing=True,
        ticks=True,
    ),
    "import": Scenario(
        "the import, as a multiple of that of trio and trio_websocket",
        imports,
        21,
        (Figure("times", "times"),),
        ours=True,
    ),
    **{f"streams-{n}": _over(n) for n in (1, 10, 100, 1000)},
}
