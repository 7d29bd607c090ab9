"""A bounded buffer for a producer that must never wait.

The problem: one task produces for many consumers, so it cannot wait for a slow one. A trio memory
channel is bounded, but its sender waits when it is full, or gets `WouldBlock`, and each item that
is sent wakes the receiver.

The solution here is a memory channel that carries *batches*:

1. Items are put into a list, the batch. The first item sends the list through the channel. This
   wakes a consumer that waits.
2. Items that come before the consumer takes the list are appended to it. So the channel never
   holds more than one batch, and sending never waits. However many items there are, the consumer
   is woken once.
3. The consumer takes the list out of the channel and reads it item by item, without waiting. Its
   previous list, which is empty now, is for the next batch.
4. An item waits from the moment it is put in until the consumer reads it, wherever it is. If too
   many wait, the overflow policy decides at once what is lost.

The channel is opened when a consumer first has to wait: it takes more memory than all the rest.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Literal, TypeVar

import attrs
import trio

T = TypeVar("T")

#: What to do when a consumer lags: end its stream with an error, drop its oldest item, or keep
#: only the newest.
OverflowPolicy = Literal["error", "drop_oldest", "latest"]

#: A consumer that never has to wait lets other tasks run at least after so many items.
CHECKPOINT_EVERY: Final = 256


class BufferFull(Exception):
    """A consumer lagged by more items than its buffer may hold."""


@attrs.define(eq=False, on_setattr=attrs.setters.NO_OP)  # validating each count would cost time
class Buffer(Generic[T]):
    """A bounded buffer of items, usually for one consumer; several tasks may read it.

    Attributes:
        name: what the items are, for reports.
        buffer: how many items may wait. With `"latest"` it is one, whatever is given.
        overflow: what happens to the item that is one too many.
        overflow_error: makes the error of the policy `"error"`, from `name` and `buffer`.
        dropped: how many items the consumer has lost to the policy.
        closed: whether nothing more can be put in.
        on_drop: is called with each item that the policy drops.

    """

    name: str
    buffer: int = attrs.field()
    overflow: OverflowPolicy = attrs.field()
    overflow_error: Callable[[str, int], Exception] = attrs.field(default=BufferFull, repr=False)
    dropped: int = attrs.field(default=0, init=False)
    closed: bool = attrs.field(default=False, init=False)
    on_drop: Callable[[T], None] | None = attrs.field(default=None, init=False, repr=False)
    _error: Exception | None = attrs.field(default=None, init=False)
    #: The batch that is being filled. If it is `_sent`, it is in the channel, or on its way to a
    #: task that was woken and has not run yet.
    _batch: list[T] = attrs.field(factory=list, init=False)
    _sent: bool = attrs.field(default=False, init=False)
    #: The batch that is being read, the oldest item last.
    _taken: list[T] = attrs.field(factory=list, init=False)
    _send: "trio.MemorySendChannel[list[T]] | None" = attrs.field(default=None, init=False)
    _receive: "trio.MemoryReceiveChannel[list[T]] | None" = attrs.field(default=None, init=False)

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

    def __attrs_post_init__(self) -> None:
        if self.overflow == "latest":  # which is to drop the oldest of one
            self.buffer = 1

    def __len__(self) -> int:
        return len(self._taken) + len(self._batch)

    def put(self, item: T) -> bool:
        """Put *item* in, at once; return whether nothing was lost by it."""
        if self.closed:
            return True
        lossless = len(self._taken) + len(self._batch) < self.buffer or self._make_room()
        if self.closed:
            return False
        self._batch.append(item)
        if not self._sent:
            self._send_batch()
        return lossless

    def put_all(self, items: Sequence[T]) -> bool:
        """Put *items* in, in their order; return whether nothing was lost by it."""
        if len(self) + len(items) > self.buffer or self.closed or not items:
            return all([self.put(item) for item in items])  # noqa: C419 - each is to be put in
        self._batch += items
        if not self._sent:
            self._send_batch()
        return True

    def clear(self) -> None:
        """Drop what waits, which is of no use any more; it does not count as lost."""
        self._taken.clear()
        self._batch.clear()

    def close(self, error: Exception | None = None, last: Sequence[T] = ()) -> None:
        """End the stream, after what is waiting and *last*, normally or with *error*.

        There is room for *last* in any case, as nothing can come after it.
        """
        if self.closed:
            return
        self.closed, self._error = True, error
        self._batch += last
        if self._batch and not self._sent:
            self._send_batch()
        if self._send is not None:
            self._send.close()

    async def get(self) -> T:
        """Return the next item.

        *Cancellation*: loses nothing.

        Raises:
            StopAsyncIteration: the stream is over.
            Exception: what the stream was closed with.

        """
        if len(taken := self._taken) % CHECKPOINT_EVERY:  # the usual case in a burst, made quick
            return taken.pop()
        while (item := self.take()) is None:
            if self._taken:
                await trio.lowlevel.checkpoint()
                if self._taken:
                    return self._taken.pop()
            elif self.closed and not self._batch:
                await trio.lowlevel.checkpoint_if_cancelled()
                raise self._error or StopAsyncIteration  # as it is, its cause included
            else:
                try:
                    self._read(await (self._receive or self._open_channel()).receive())
                except trio.EndOfChannel:
                    await trio.lowlevel.checkpoint()  # another task may be taking the last batch
        return item

    def take(self) -> T | None:
        """Return the next item if one is there; None if `get` has to wait for it.

        It is also None now and then when many items wait, so that `get` lets other tasks run.
        """
        taken = self._taken or self._take_batch()
        return taken.pop() if len(taken) % CHECKPOINT_EVERY else None

    def _send_batch(self) -> None:
        """Send the batch that is being filled; this wakes a consumer that waits."""
        if self._send is not None:
            self._sent = True
            self._send.send_nowait(self._batch)  # there is room: the batch before it was taken

    def _take_batch(self) -> list[T]:
        """Take the batch out of the channel, unless it is on its way to another task already."""
        if self._batch:
            try:
                if self._sent and self._receive is not None:
                    self._receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                return self._taken
            self._read(self._batch)
        return self._taken

    def _read(self, batch: list[T]) -> None:
        """Read *batch* from now on; the list that was read before is filled next."""
        batch.reverse()
        self._taken, self._batch, self._sent = batch, self._taken, False
        if len(batch) > 1 and self._receive is not None and _waits(self._receive):
            # Several tasks wait, and only this one was woken: pass on what is left.
            self._batch += batch[-2::-1]
            del batch[:-1]
            self._send_batch()

    def _open_channel(self) -> "trio.MemoryReceiveChannel[list[T]]":
        self._send, self._receive = trio.open_memory_channel[list[T]](1)
        return self._receive

    def _make_room(self) -> bool:
        """Apply the overflow policy to the oldest item; the answer is that something was lost."""
        self.dropped += 1
        if self.overflow == "error":
            self.close(self.overflow_error(self.name, self.buffer))
            return False
        oldest = self._taken.pop() if self._taken else self._batch.pop(0)
        if self.on_drop is not None:
            self.on_drop(oldest)
        return False


def _waits(channel: trio.MemoryReceiveChannel[Any]) -> bool:
    """Return whether a task waits for something from *channel*."""
    return channel.statistics().tasks_waiting_receive > 0
