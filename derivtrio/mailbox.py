"""Bounded buffers between user code and the socket. A memory channel is behind each.

`Mailbox` leads from the reader to one consumer. Its channel carries no items, but the word that
there are some: the consumer that finds its mailbox empty waits for that word, and then takes all
that has come. So a consumer is woken once per batch, and the reader never waits: when the consumer
lags by more than `buffer` items, the overflow policy decides on the spot. A mailbox in which there
is nothing, and at which nobody has waited, is only a few hundred bytes.

`Outbox` leads from user code to the writer. Its channel has room for so many requests; then
callers wait at the door.
"""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, Literal, TypeVar

import attrs
import trio

from derivtrio.calls import Call
from derivtrio.errors import DerivError, SlowConsumer
from derivtrio.events import Gap

T = TypeVar("T")

#: What to do when a consumer lags: end it with `SlowConsumer`, drop its oldest item, or keep
#: only the newest.
OverflowPolicy = Literal["error", "drop_oldest", "latest"]

#: A consumer of a full buffer lets other tasks run at least this often.
CHECKPOINT_EVERY: Final = 256


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)  # validating each count would cost time
class Mailbox(Generic[T]):
    """A bounded buffer of items for one consumer; `dropped` counts what was lost to it.

    Once it is `closed` nothing more can be put in.
    `on_drop` is told of each item that a lossy policy takes. A mailbox knows of no `gaps`: what
    it holds is as the server sent it.
    """

    name: str
    buffer: int = attrs.field()
    overflow: OverflowPolicy = attrs.field()
    dropped: int = attrs.field(default=0, init=False)
    closed: bool = attrs.field(default=False, init=False)
    gaps: tuple[Gap, ...] = attrs.field(default=(), init=False)
    on_drop: Callable[[T], None] | None = attrs.field(default=None, init=False, repr=False)
    _error: Exception | None = attrs.field(default=None, init=False)
    _items: deque[T] | None = attrs.field(default=None, init=False)
    _rung: bool = attrs.field(default=False, init=False)
    _bell: trio.MemorySendChannel[None] | None = attrs.field(default=None, init=False)
    _door: trio.MemoryReceiveChannel[None] | None = attrs.field(default=None, init=False)

    @buffer.validator
    def _check_buffer(self, _: object, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            text = f"buffer is a number of items, at least 1, not {value!r}"
            raise ValueError(text)

    @overflow.validator
    def _check_overflow(self, _: object, value: object) -> None:
        if value not in ("error", "drop_oldest", "latest"):
            text = f'overflow is "error", "drop_oldest" or "latest", not {value!r}'
            raise ValueError(text)

    def __len__(self) -> int:
        return len(self._items or ())

    def put(self, item: T) -> bool:
        """Put *item* in, at once; return whether nothing was lost by it."""
        items, lossless = self._items, True
        if self.closed:
            return True
        if items is None:
            items = self._items = deque()
        elif len(items) >= self.buffer:
            lossless = self._make_room(items)
            if self.closed:
                return False
        items.append(item)
        if not self._rung and self._bell is not None:
            self._rung = True
            self._bell.send_nowait(None)
        return lossless

    def close(self, error: Exception | None = None) -> None:
        """End the stream, after what is waiting, normally or with *error*."""
        if not self.closed:
            self.closed = True
            self._error = error
            if self._bell is not None:
                self._bell.close()

    async def get(self) -> T:
        """Return the next item.

        *Cancellation*: loses nothing.

        Raises:
            StopAsyncIteration: the stream is over.
            Exception: what the stream was closed with.

        """
        while True:
            item = self.take()
            if item is not None:
                return item
            if self._items:
                await trio.lowlevel.checkpoint()
                return self._items.popleft() if self._items else await self.get()
            await self._more()

    def take(self) -> T | None:
        """Return the next item if one is there; None if it is to be waited for with `get`.

        That is also the case now and then with a full mailbox, to let other tasks run.
        """
        items = self._items
        if not items or not len(items) % CHECKPOINT_EVERY:
            return None
        item = items.popleft()
        if not items:
            self._items = None  # it would be the largest part of an idle subscription
        return item

    async def _more(self) -> None:
        """Wait until something is put in; raise what the stream ended with, if it is over."""
        if self.closed:
            await trio.lowlevel.checkpoint_if_cancelled()
            raise self._error or StopAsyncIteration  # as it is, its cause included
        if self._door is None:
            self._bell, self._door = trio.open_memory_channel(1)
        try:  # `suppress` would cost a fifth of the wait
            await self._door.receive()
        except trio.EndOfChannel:
            return
        self._rung = False

    def _make_room(self, items: deque[T]) -> bool:
        """Apply the overflow policy; the answer is always that something was lost."""
        if self.overflow == "error":
            self.dropped += 1
            self.close(SlowConsumer(self.name, self.buffer))
            return False
        most = 1 if self.overflow == "drop_oldest" else len(items)
        for _ in range(most):
            item = items.popleft()
            if self.on_drop is not None:
                self.on_drop(item)
        self.dropped += most
        return False


@attrs.define(eq=False)
class Outbox:
    """Requests on their way to the writer, in order, with a lane for what goes first."""

    capacity: int
    _first: deque[Call] = attrs.field(factory=deque, init=False)
    _door: trio.MemorySendChannel[Call | None] = attrs.field(init=False)
    _waiting: trio.MemoryReceiveChannel[Call | None] = attrs.field(init=False)
    _knocked: bool = attrs.field(default=False, init=False)
    _refusal: Callable[[], DerivError] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._door, self._waiting = trio.open_memory_channel(self.capacity)

    def __len__(self) -> int:
        waiting = self._waiting.statistics().current_buffer_used
        return len(self._first) + waiting - self._knocked

    async def put(self, call: Call) -> None:
        """Queue *call*; wait while there are `capacity` others.

        *Cancellation*: the call is not queued.

        Raises:
            DerivError: what the outbox was closed with.

        """
        if self._refusal is not None:
            await trio.lowlevel.checkpoint_if_cancelled()
            raise self._refusal()
        try:
            self._door.send_nowait(call)  # the caller will wait for the reply soon enough
        except trio.WouldBlock:
            await self._door.send(call)

    def put_first(self, calls: Sequence[Call]) -> None:
        """Queue *calls* before all others, in their order, without waiting."""
        if self._refusal is not None:
            for call in calls:
                call.fail(self._refusal())
            return
        self._first.extendleft(reversed(calls))
        if calls and not self._waiting.statistics().current_buffer_used:
            self._door.send_nowait(None)  # the writer may be waiting at the other lane
            self._knocked = True

    async def get(self) -> Call:
        """Return the next request to write. *Cancellation*: loses nothing."""
        while not self._first:
            call = await self._waiting.receive()
            if call is not None:
                return call
            self._knocked = False
        return self._first.popleft()

    def get_more(self, most: int) -> list[Call]:
        """Return up to *most* further requests that are waiting, without waiting for any."""
        more: list[Call] = []
        with suppress(trio.WouldBlock):
            while len(more) < most:
                if self._first:
                    more.append(self._first.popleft())
                elif (call := self._waiting.receive_nowait()) is not None:
                    more.append(call)
                else:
                    self._knocked = False
        return more

    def close(self, refusal: Callable[[], DerivError]) -> None:
        """Refuse what comes and fail what waits, each with an error made by *refusal*."""
        if self._refusal is not None:
            return
        self._refusal = refusal
        calls: list[Call | None] = list(self._first)
        self._first.clear()
        with suppress(trio.WouldBlock):
            while True:  # those who wait at the door are let in, and turned away with the rest
                calls.append(self._waiting.receive_nowait())
        self._knocked = False
        for call in calls:
            if call is not None:
                call.fail(refusal())
