"""What the asyncio clients share: a loop, and a dispatcher by `req_id` such as people write."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.benchmarks.session import Client, Session, Task, history_request


def client(open_session: Callable[[str], AbstractAsyncContextManager[Session]]) -> Client:
    """Return the client that *open_session* opens."""
    return Client(open_session, run, gather)


def run(task: Task) -> None:
    """Run *task* in an event loop."""

    async def main() -> None:
        await task()

    asyncio.run(main())


async def gather(tasks: Sequence[Task]) -> None:
    """Run *tasks* side by side."""

    async def as_coroutine(task: Task) -> None:
        await task()

    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(as_coroutine(task))


class Queue:
    """An `asyncio.Queue` to iterate over."""

    __slots__ = ("_items", "put")

    def __init__(self) -> None:
        self._items: asyncio.Queue[Any] = asyncio.Queue()
        self.put = self._items.put_nowait

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await self._items.get()


class Inbox:
    """The same by hand, and cheaper."""

    __slots__ = ("_items", "_waiter")

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: Any) -> None:
        """Add *item*; wake the consumer if it waits."""
        self._items.append(item)
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        while not self._items:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._items.popleft()


class Dispatcher:
    """A session that gives each message to the future or the queue of its `req_id`."""

    def __init__(
        self,
        send: Callable[[dict[str, Any]], Awaitable[None]],
        queue: type[Queue | Inbox] = Queue,
    ) -> None:
        self._send = send
        self._queue = queue
        self._replies: dict[int, asyncio.Future[Any]] = {}
        self._streams: dict[int, Queue | Inbox] = {}
        self._last_id = 0

    def dispatch(self, message: dict[str, Any]) -> None:
        """Give *message* to whoever waits for it."""
        req_id = message["req_id"]
        stream = self._streams.get(req_id)
        if stream is not None:
            stream.put(message)
            return
        reply = self._replies.pop(req_id, None)
        if reply is not None and not reply.done():
            reply.set_result(message)

    async def call(self, request: dict[str, Any]) -> Any:
        """Send *request* and wait for its reply."""
        self._last_id += 1
        reply = asyncio.get_running_loop().create_future()
        self._replies[self._last_id] = reply
        await self._send(request | {"req_id": self._last_id})
        return await reply

    async def history(self, symbol: str) -> Any:
        """Return 5000 ticks of the past."""
        return await self.call(history_request(symbol))

    async def subscribe(self, symbol: str) -> AsyncIterator[Any]:
        """Return the ticks of *symbol*."""
        self._last_id += 1
        stream = self._streams[self._last_id] = self._queue()
        await self._send({"ticks": symbol, "subscribe": 1, "req_id": self._last_id})
        return stream
