"""The bounded buffer between the socket and user code. A memory channel is behind it.

`Mailbox` leads from the reader to one consumer. Its channel carries no items, but the word that
there are some: the consumer that finds its mailbox empty waits for that word, and then takes all
that has come. So a consumer is woken once per batch, and the reader never waits: when the consumer
lags by more than `buffer` items, the overflow policy decides on the spot. A mailbox in which there
is nothing, and at which nobody has waited, is only a few hundred bytes.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Literal, TypeVar

import attrs
import trio

from derivtrio.errors import SlowConsumer
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
