"""What a client under test does, and what is measured while it does it."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

from tests.benchmarks.importing import import_ratio
from tests.benchmarks.measuring import memory, middle_and_tail, stopwatch
from tests.benchmarks.session import Client, Session

Figures = dict[str, float]
Act = Callable[[Client, str, int], Awaitable[Figures]]
Ask = Callable[[], object]

_WARM_UP: Final = 5000
_SETTLING: Final = 50


async def burst(client: Client, url: str, count: int, *, streams: int = 1) -> Figures:
    """Take ticks as fast as they come, from as many streams as there are consumers."""
    async with client.open(url) as session:
        taking = [await _subscribe(session, _symbol(number)) for number in range(streams)]

        async def take(count: int) -> None:
            each = count // streams
            start = partial(_start, session, ticks=each * streams)
            if streams == 1:  # some clients cannot do two things at once
                await start()
                await _consume(taking[0], each)
            else:
                await client.gather([*(partial(_consume, s, each) for s in taking), start])

        await take(max(_WARM_UP, streams))
        with stopwatch() as spent:
            await take(count)
    return {"per_s": count / spent.wall, "cpu_us": spent.cpu / count * 1e6} | spent.busy


async def lone_ticks(client: Client, url: str, count: int) -> Figures:
    """Ask for one tick, take it, ask for the next: however slow the client is, none can batch.

    The figures include the asking, which costs every client the same: nothing is subtracted.
    """
    async with client.open(url) as session:
        ticks = await _subscribe(session, _symbol(0))
        with _pipe() as (path, ask):
            await _start(session, ticks=count + count // 10, pipe=path)
            await _consume_one_by_one(ticks, count // 10, ask)
            with stopwatch() as spent:
                await _consume_one_by_one(ticks, count, ask)
    return {"cpu_us": spent.cpu / count * 1e6, "wall_us": spent.wall / count * 1e6}


async def lone_calls(client: Client, url: str, count: int) -> Figures:
    """Ask for the time, again and again."""
    async with client.open(url) as session:
        await _timed_calls(session, count // 10)
        with stopwatch() as spent:
            times = await _timed_calls(session, count)
    middle, tail = middle_and_tail(times)
    figures = {"median_us": middle * 1e6, "p99_us": tail * 1e6, "cpu_us": spent.cpu / count * 1e6}
    return figures | spent.busy


async def callers(client: Client, url: str, count: int, *, callers: int = 100) -> Figures:
    """Ask for the time, again and again, a hundred side by side."""
    async with client.open(url) as session:
        await client.gather([partial(_calls, session, 10)] * callers)
        with stopwatch() as spent:
            await client.gather([partial(_calls, session, count // callers)] * callers)
    return {"cpu_us": spent.cpu / count * 1e6, "per_s": count / spent.wall} | spent.busy


async def pending(client: Client, url: str, count: int, *, at_once: int) -> Figures:
    """Start so many tasks that make one call each; when all have a reply, start as many again.

    *count* is how many calls there are in all. Each has a task of its own, so for different
    *at_once* a call may differ in cost only by how many others wait beside it.
    """
    rounds = max(1, count // at_once)
    async with client.open(url) as session:
        tasks = [partial(_calls, session, 1)] * at_once
        await client.gather(tasks)
        with stopwatch() as spent:
            for _ in range(rounds):
                await client.gather(tasks)
    calls = rounds * at_once
    return {"cpu_us": spent.cpu / calls * 1e6, "per_s": calls / spent.wall} | spent.busy


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


def _symbol(number: int) -> str:
    return f"BENCHMARK{number:06}"


async def _subscribe(session: Session, symbol: str) -> AsyncIterator[Any]:
    stream = await session.subscribe(symbol)
    await anext(stream)
    return stream


async def _start(session: Session, **plan: int | str) -> None:
    """Have the server send ticks; see `server` for what *plan* can say."""
    await session.call({"time": 1, "passthrough": plan})


async def _consume(stream: AsyncIterator[Any], count: int) -> None:
    seen = 0
    async for _ in stream:
        seen += 1
        if seen == count:
            return


@contextmanager
def _pipe() -> Iterator[tuple[str, Ask]]:
    """Make a named pipe to the server: yield its path, and what asks for a tick through it.

    Asking is one write of one byte, and does not involve the client under test.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder, "asking")
        os.mkfifo(path)
        end = os.open(path, os.O_RDWR)  # write-only, it would have to wait for the server
        try:
            yield str(path), partial(os.write, end, b".")
        finally:
            os.close(end)


async def _consume_one_by_one(stream: AsyncIterator[Any], count: int, ask: Ask) -> None:
    seen = 0
    ask()
    async for _ in stream:
        seen += 1
        if seen == count:
            return
        ask()


async def _timed_calls(session: Session, count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = perf_counter()
        await session.call({"time": 1})
        times.append(perf_counter() - start)
    return times


async def _calls(session: Session, count: int) -> None:
    for _ in range(count):
        await session.call({"time": 1})
