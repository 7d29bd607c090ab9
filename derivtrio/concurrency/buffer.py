"""A bounded buffer for a producer that must never wait.

The problem: one task produces for many consumers, so it cannot wait for a slow one. A trio memory
channel is bounded, but its sender waits when it is full, or gets `WouldBlock`, and each item that
is sent wakes the receiver.

The solution here:

1. Items are put into a list, the batch. The first item wakes a consumer that waits.
2. Items that come before the consumer runs are appended to the batch. However many there are, the
   consumer is woken once.
3. The consumer takes the whole batch and reads it item by item, without waiting. Its previous
   list, which is empty now, is for the next batch.
4. An item waits from the moment it is put in until the consumer reads it, wherever it is. If too
   many wait, the overflow policy decides at once what is lost.

Waiting is done with `trio.lowlevel`, as trio's own events and channels do it. A memory channel
that carries the batches is as short, and costs twice as much for each wake-up where a thousand
consumers wait (measured: 13 µs a tick over TLS instead of 8), and takes 1.8 kB a buffer.
"""

import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, Literal, TypeVar

import attrs
import trio

from derivtrio.concurrency.home import run_of_this_task
from derivtrio.concurrency.waking import WOKEN
from derivtrio.wording import shown

T = TypeVar("T")

#: What to do when a consumer lags: end its stream with an error, drop its oldest item, or keep
#: only the newest.
OverflowPolicy = Literal["error", "drop_oldest", "latest"]

#: After how many items a consumer that never has to wait lets other tasks run.
CHECKPOINT_EVERY: Final = 256


def _present_run() -> trio.lowlevel.TrioToken | None:
    try:
        return trio.lowlevel.current_trio_token()
    except RuntimeError:
        return None


def _own(error: Exception) -> Exception:
    """Return a copy of *error* for one task to raise, its cause and its notes included.

    Python adds the trace of each raise to the object, and tasks add notes. Several tasks may raise
    this error, at the same time and again and again.
    """
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001 - an error of any class, which need not allow copies
        return error.with_traceback(None)
    own.__cause__, own.__context__ = error.__cause__, error.__context__
    own.__suppress_context__ = error.__suppress_context__
    if notes := getattr(error, "__notes__", None):
        own.__notes__ = [*notes]
    return own


class BufferFull(Exception):
    """A consumer lagged by more items than its buffer may hold."""


# NO_OP: validating each count would cost time.
@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
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
    overflow_error: Callable[[str, int], Exception] = BufferFull
    dropped: int = attrs.field(default=0, init=False)
    closed: bool = attrs.field(default=False, init=False)
    on_drop: Callable[[T], None] | None = attrs.field(default=None, init=False)
    _error: Exception | None = attrs.field(default=None, init=False)
    #: The batch that is being filled.
    _batch: list[T] = attrs.field(factory=list, init=False)
    #: The batch that is being read, the oldest item last.
    _taken: list[T] = attrs.field(factory=list, init=False)
    #: The run of trio that it was made in; None outside of one. Tasks of others cannot be woken.
    _run: trio.lowlevel.TrioToken | None = attrs.field(factory=_present_run, init=False, repr=False)
    #: The tasks that wait in `get`, oldest first; None before the first.
    _waiting: list[trio.lowlevel.Task] | None = attrs.field(default=None, init=False)

    @buffer.validator
    def _check_buffer(self, _: object, value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            text = f"buffer is a number of items, at least 1, not {shown(value)}"
            raise ValueError(text)

    @overflow.validator
    def _check_overflow(self, _: object, value: object) -> None:
        if value not in ("error", "drop_oldest", "latest"):
            text = f'overflow is "error", "drop_oldest" or "latest", not {shown(value)}'
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
        if self.closed:  # by the policy "error", just now
            return False
        self._batch.append(item)
        if self._waiting:
            self._wake()
        return lossless

    def put_all(self, items: Sequence[T]) -> bool:
        """Put *items* in, in their order; return whether nothing was lost by it."""
        # Not all of them have room, so the policy decides about each.
        if len(self) + len(items) > self.buffer or self.closed or not items:
            return all([self.put(item) for item in items])  # noqa: C419 - each is to be put in
        self._batch += items
        if self._waiting:
            self._wake()
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
        while self._waiting:
            self._wake()

    def reopen(self) -> None:
        """Undo `close`: items can be put in again."""
        self.closed, self._error = False, None

    @trio.lowlevel.enable_ki_protection
    async def get(self) -> T:
        """Return the next item.

        *Cancellation*: loses nothing.

        Raises:
            StopAsyncIteration: the stream is over.
            Exception: a copy of what the stream was closed with.

        """
        # The usual case in a burst, made quick: there is an item, and no checkpoint is due.
        if len(taken := self._taken) % CHECKPOINT_EVERY:
            return taken.pop()
        while (item := self.take()) is None:
            if self._taken:
                await trio.lowlevel.checkpoint()
                # Another task may have read them meanwhile.
                if self._taken:
                    return self._taken.pop()
            elif self.closed:
                # A loop that catches the error and reads on must not stop all other tasks.
                await trio.lowlevel.checkpoint()
                if self.closed:
                    if self._error is None:
                        raise StopAsyncIteration
                    raise _own(self._error)
            else:
                await self._wait()
                if self._waiting and len(self) > 1:
                    self._wake()  # several items came, but only one task was woken
        return item

    def put_back(self, item: T) -> None:
        """Make *item*, which was taken just now, the next one again; wake another reader."""
        self._taken.append(item)
        self._wake()

    def take(self) -> T | None:
        """Return the next item if one is there; None if `get` has to wait for it.

        It is also None now and then when many items wait, so that `get` lets other tasks run.
        """
        if not self._taken and self._batch:
            self._taken, self._batch = self._batch, self._taken
            # `pop` takes the last one quickly, so the oldest has to be the last.
            self._taken.reverse()
        return self._taken.pop() if len(self._taken) % CHECKPOINT_EVERY else None

    def _wait(self) -> Awaitable[None]:
        """Wait until woken. *Cancellation*: leaves; a task that was woken is not cancelled."""
        run = run_of_this_task()
        if run is None or self._run not in (None, run):
            text = (
                f"{self.name} is read by a task of the trio.run that it belongs to, not by another"
            )
            raise RuntimeError(text)
        if self._waiting is None:
            self._waiting = []
        task, waiting = trio.lowlevel.current_task(), self._waiting

        def leave(_: object) -> trio.lowlevel.Abort:
            waiting.remove(task)
            return trio.lowlevel.Abort.SUCCEEDED

        waiting.append(task)
        return trio.lowlevel.wait_task_rescheduled(leave)  # noqa: ASYNC105 - `get` awaits it

    def _wake(self) -> None:
        """Wake the task that has waited longest."""
        if self._waiting:
            trio.lowlevel.reschedule(self._waiting.pop(0), WOKEN)

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
