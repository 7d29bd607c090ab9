"""Bounded buffers between user code and the socket. A memory channel is behind each.

`Mailbox` leads from the reader to one consumer. What its channel carries is not single items but
batches: the first item that comes while the consumer is away is posted in a new batch, later ones
join that batch, and the consumer takes it whole. So a consumer is woken once per batch, and the
reader never waits: when the consumer lags by more than `buffer` items, the overflow policy
decides on the spot.

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


@attrs.define(eq=False)
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
    _filling: deque[T] = attrs.field(factory=deque, init=False)
    _posted: bool = attrs.field(default=False, init=False)
    _taken: deque[T] = attrs.field(factory=deque, init=False)
    _post: trio.MemorySendChannel[deque[T]] = attrs.field(init=False)
    _door: trio.MemoryReceiveChannel[deque[T]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._post, self._door = trio.open_memory_channel(1)

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
        return len(self._taken) + len(self._filling)

    def put(self, item: T) -> bool:
        """Put *item* in, at once; return whether nothing was lost by it."""
        filling, lossless = self._filling, True
        if self.closed:
            return True
        if len(filling) + len(self._taken) >= self.buffer:
            lossless = self._make_room()
            if self.closed:
                return False
        filling.append(item)
        if not self._posted:
            self._post.send_nowait(filling)
            self._posted = True
        return lossless

    def close(self, error: Exception | None = None) -> None:
        """End the stream, after what is waiting, normally or with *error*."""
        if not self.closed:
            self.closed = True
            self._error = error
            self._post.close()

    async def get(self) -> T:
        """Return the next item.

        *Cancellation*: loses nothing.

        Raises:
            StopAsyncIteration: the stream is over.
            Exception: what the stream was closed with.

        """
        taken = self._taken
        if taken:
            if len(taken) % CHECKPOINT_EVERY == 0:
                await trio.lowlevel.checkpoint()
            return taken.popleft()
        with suppress(trio.EndOfChannel):
            taken = self._taken = await self._door.receive()
            self._filling, self._posted = deque(), False
            return taken.popleft()
        raise self._error or StopAsyncIteration  # as it is, its cause included

    def _make_room(self) -> bool:
        """Apply the overflow policy; the answer is always that something was lost."""
        if self.overflow == "error":
            self.dropped += 1
            self.close(SlowConsumer(self.name, self.buffer))
            return False
        most = 1 if self.overflow == "drop_oldest" else len(self)
        for _ in range(most):
            item = (self._taken or self._filling).popleft()
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
