"""The memory channel from the socket to user code: bounded, and with an overflow policy.

trio's own memory channel makes a sender wait, or refuses, when it is full. The reader must do
neither: it serves everybody. So `Buffer` is a memory channel of our own, made as trio's is: a
consumer that finds it empty is parked, and whoever puts something in wakes it. When the consumer
lags by more than `buffer` items, the overflow policy decides on the spot.

The consumer is woken once per batch: woken by the first item of a batch, it takes all of them when
its turn comes. What it has taken is in one list and what is arriving in another, the smallest
containers that there are when they are empty.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, Literal, TypeVar

import attrs
import trio

from derivtrio.concurrency.parking import Parked, park, wake_all, wake_one
from derivtrio.errors import SlowConsumer
from derivtrio.events import Gap

T = TypeVar("T")

#: What to do when a consumer lags: end it with `SlowConsumer`, drop its oldest item, or keep
#: only the newest.
OverflowPolicy = Literal["error", "drop_oldest", "latest"]

#: A consumer of a full buffer lets other tasks run at least this often.
CHECKPOINT_EVERY: Final = 256


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)  # validating each count would cost time
class Buffer(Generic[T]):
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
    _filling: list[T] = attrs.field(factory=list, init=False)
    _taken: list[T] = attrs.field(factory=list, init=False)
    _parked: Parked | None = attrs.field(default=None, init=False)

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
        return len(self._filling) + len(self._taken)

    def put(self, item: T) -> bool:
        """Put *item* in, at once; return whether nothing was lost by it."""
        lossless = True
        if self.closed:
            return True
        if len(self._filling) + len(self._taken) >= self.buffer:
            lossless = self._make_room()
            if self.closed:
                return False
        self._filling.append(item)
        if self._parked:
            wake_one(self._parked)
        return lossless

    def put_all(self, items: Sequence[T]) -> bool:
        """Put *items* in, in their order; return whether nothing was lost by it."""
        if len(items) == 1:
            return self.put(items[0])
        if items and len(self) + len(items) <= self.buffer and not self.closed:
            self._filling += items[:-1]
            return self.put(items[-1])  # which wakes the consumer
        lossless = [self.put(item) for item in items]
        return all(lossless)

    def clear(self) -> None:
        """Drop what waits, which is of no use any more; it does not count as lost."""
        self._filling.clear()
        self._taken.clear()

    def close(self, error: Exception | None = None, last: Sequence[T] = ()) -> None:
        """End the stream, after what is waiting and *last*, normally or with *error*.

        There is room for *last* in any case, as nothing can come after it.
        """
        if not self.closed:
            self.closed = True
            self._error = error
            self._filling += last
            wake_all(self._parked or [])

    async def get(self) -> T:
        """Return the next item.

        *Cancellation*: loses nothing.

        Raises:
            StopAsyncIteration: the stream is over.
            Exception: what the stream was closed with.

        """
        if len(taken := self._taken) % CHECKPOINT_EVERY:  # the usual case in a flood, made quick
            return taken.pop()
        while not (self._filling or self._taken):
            if self.closed:
                await trio.lowlevel.checkpoint_if_cancelled()
                raise self._error or StopAsyncIteration  # as it is, its cause included
            if self._parked is None:
                self._parked = []
            await park(self._parked)
            if self._parked and len(self) > 1:  # one was woken for what several could take
                wake_one(self._parked)
        if not self._taken and len(self._filling) == 1:  # and the usual case otherwise
            return self._filling.pop()
        item = self.take()
        if item is not None:
            return item
        await trio.lowlevel.checkpoint()
        return self._taken.pop() if self._taken else await self.get()

    def take(self) -> T | None:
        """Return the next item if one is there; None if it is to be waited for with `get`.

        That is also the case now and then with a full mailbox, to let other tasks run.
        """
        taken = self._taken or (self._filling and self._take_all())
        return taken.pop() if len(taken) % CHECKPOINT_EVERY else None

    def _take_all(self) -> list[T]:
        """Take what has come, the oldest last."""
        if self._filling:
            self._taken = self._filling[::-1]
            self._filling.clear()
        return self._taken

    def _make_room(self) -> bool:
        """Apply the overflow policy; the answer is always that something was lost."""
        if self.overflow == "error":
            self.dropped += 1
            self.close(SlowConsumer(self.name, self.buffer))
            return False
        most = 1 if self.overflow == "drop_oldest" else len(self)
        for _ in range(most):
            item = (self._taken or self._take_all()).pop()
            if self.on_drop is not None:
                self.on_drop(item)
        self.dropped += most
        return False
