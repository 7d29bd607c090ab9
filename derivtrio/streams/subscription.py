"""Subscriptions: what user code iterates over."""

from collections import deque
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import Any, Generic, Never, Protocol, TypeVar, cast

import attrs
import trio

from derivtrio.api.catalog import name_of
from derivtrio.api.parsing import UNREADABLE
from derivtrio.calls.call import api_call
from derivtrio.calls.request import make_call
from derivtrio.calls.session import Session
from derivtrio.calls.status import EventBus
from derivtrio.concurrency.buffer import CHECKPOINT_EVERY, Buffer
from derivtrio.errors import (
    ApiError,
    ClientClosed,
    ConnectionLost,
    DerivError,
    NotContinuous,
    ResponseTimeout,
    unreadable,
)
from derivtrio.events import Event, Gap
from derivtrio.policy.retry import RETRY_PAUSE, is_passing
from derivtrio.streams.continuity import Filler, Hole

T = TypeVar("T")

T_co = TypeVar("T_co", covariant=True)


class Source(Protocol):
    """Where a subscription's items come from."""

    @property
    def id(self) -> str | None:
        """The server's id of the stream on the present connection."""
        ...

    async def open(self) -> None:
        """Let items flow into the mailbox; raise what stands against it."""
        ...

    def close(self) -> None:
        """Let them flow no more. It need not have been opened."""
        ...


class Reader(Protocol[T_co]):
    """Reads a buffer of items and holes, and fills the holes."""

    @property
    def gaps(self) -> Sequence[Gap]:
        """The holes that could not be closed."""
        ...

    def get(self) -> Awaitable[T_co]:
        """Return the next item."""
        ...


def _not_entered() -> Never:
    text = "enter the subscription first: async with client.subscribe(…) as stream"
    raise RuntimeError(text)


@attrs.define(eq=False)
class Subscription(Generic[T]):
    """A stream, to be entered with `async with` and read with `async for`.

    Entering asks the server and waits for its first reply, so a refusal is raised there. Leaving
    forgets the stream. The `async for` ends when the stream is over: the contract is sold, the
    client was closed. It raises what ended the stream otherwise: an `ApiError`, `SlowConsumer`,
    `ConnectionFailed`. Across reconnects it goes on.

    *Cancellation*: nothing is lost by cancelling the wait for the next item.
    """

    _items: Buffer[Any]
    _source: Source = attrs.field(repr=False)
    _reader: Reader[T] | None = attrs.field(default=None, repr=False)
    _entered: bool = attrs.field(default=False, init=False)

    @property
    def id(self) -> str | None:
        """The server's `subscription.id` on the present connection; None without one."""
        return self._source.id

    @property
    def dropped(self) -> int:
        """How many items the overflow policy has taken from this consumer."""
        return self._items.dropped

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The holes that the server's history could not close."""
        return () if self._reader is None else tuple(self._reader.gaps)

    async def __aenter__(self) -> "Subscription[T]":
        if self._entered:
            text = "a subscription is entered once; make a new one"
            raise RuntimeError(text)
        self._entered = True
        try:
            await self._source.open()
        except BaseException:
            self._source.close()  # the reply may have come at the very moment of a cancellation
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._source.close()

    def __aiter__(self) -> "Subscription[T]":
        if not self._entered:
            _not_entered()
        return self

    def __anext__(self) -> Awaitable[T]:
        if not self._entered:
            _not_entered()
        reader = self._reader
        return self._items.get() if reader is None else reader.get()


@attrs.define(eq=False)
class Repair(Generic[T]):
    """A hole that is being closed: who says what to ask for, and what has come of it so far.

    Several tasks may read a stream; they fetch `one_at_a_time`.
    """

    filler: Filler
    page: deque[T] = attrs.field(factory=deque, init=False)
    one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)


@attrs.define(eq=False)
class Continuous(Generic[T]):
    """Reads a mailbox of ticks or candles, and closes the holes in it from the server's history.

    It is the consumer that fetches what is missing, when it gets there: nothing piles up, nobody
    else waits, and a fetch that is cut off by the next outage is simply made again. One that is cut
    off by the end of the client is the end of the stream, for nothing can come after the hole.
    """

    _desk: Session
    _mailbox: Buffer[T | Hole]
    _strict: bool
    gaps: list[Gap] = attrs.field(factory=list, init=False)
    _repair: Repair[T] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._mailbox.on_drop = self._lose

    async def get(self) -> T:
        """Return the next item. *Cancellation*: loses nothing."""
        while True:
            if self._repair is not None:
                item = await self._repaired(self._repair)
                if item is not None:
                    return item
                continue
            try:
                arrived = self._mailbox.take() or await self._mailbox.get()
            except (DerivError, StopAsyncIteration):
                if self._repair is not None:
                    continue  # another task is at the hole before this end
                raise
            if not isinstance(arrived, Hole):
                return arrived
            self._repair = Repair(Filler(arrived))

    async def _repaired(self, repair: Repair[T]) -> T | None:
        """Return the next item of the hole; None where it has to be asked for again."""
        page = repair.page
        if page:
            if len(page) % CHECKPOINT_EVERY == 0:
                await trio.lowlevel.checkpoint()
            return page.popleft() if page else None
        if repair.filler.done:
            self._repair = None
            return None
        async with repair.one_at_a_time:
            if not (page or repair.filler.done):
                await self._fetch(repair)
        return None

    async def _fetch(self, repair: Repair[T]) -> None:
        """Fetch one window of the hole."""
        filler = repair.filler
        try:
            reply = await make_call(api_call(filler.request), self._desk)
        except (ConnectionLost, ResponseTimeout):
            filler.interrupted()  # and ask again
            return
        except ClientClosed:
            raise StopAsyncIteration from None
        except ApiError as error:
            if is_passing(error):
                await trio.sleep(RETRY_PAUSE)
                return
            self._note(filler.refused(error.code))
            return
        try:
            items, gap = filler.digest(reply)
        except UNREADABLE as error:
            what = f"{name_of(filler.request)} message"
            raise unreadable(what, error) from error
        repair.page.extend(cast("list[T]", items))  # of the kind that the hole is in
        self._note(gap)

    def _lose(self, item: T | Hole) -> None:
        """Tell of a hole that the overflow policy has taken: it will not be filled."""
        if isinstance(item, Hole) and item.before is not None:  # the last of all stays
            reason = "dropped by the overflow policy"
            self._record(Gap(item.symbol, item.after, item.before, filled=False, reason=reason))

    def _note(self, gap: Gap | None) -> None:
        if gap is None:
            return
        self._record(gap)
        if self._strict:
            raise NotContinuous(gap)

    def _record(self, gap: Gap) -> None:
        self.gaps.append(gap)
        self._desk.bus.announce(gap)


@attrs.define(eq=False)
class EventStream:
    """The source of a subscription to the client's own events."""

    _journal: EventBus
    _mailbox: Buffer[Event]
    _traffic: bool
    id: None = None

    async def open(self) -> None:
        """Listen from now on."""
        self._journal.listen(self._mailbox, traffic=self._traffic)

    def close(self) -> None:
        """Stop listening."""
        self._mailbox.close()
        self._journal.ignore(self._mailbox)
