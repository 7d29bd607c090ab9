"""Subscriptions: what user code enters and iterates over.

A subscription puts three parts together:

- a *source*, which fills a buffer as long as the subscription is entered;
- the *buffer* of items, from which the user's task reads;
- if the source leaves holes, a *reader* that fills each one when the user's task gets to it.
"""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, cast

import attrs

from derivtrio.calls.status import EventBus
from derivtrio.concurrency.buffer import Buffer, OverflowPolicy
from derivtrio.errors import DerivError, SlowConsumer
from derivtrio.events import Event, Gap

T = TypeVar("T")


class Source(Protocol):
    """Where a subscription's items come from."""

    @property
    def id(self) -> str | None:
        """The server's id of the stream on the present connection."""
        ...

    @property
    def last_at(self) -> float | None:
        """When the stream last got something, in seconds since the epoch."""
        ...

    async def attach(self) -> None:
        """Let items flow into the buffer; raise what the server has against it."""
        ...

    def detach(self) -> None:
        """Let no more items flow. The source need not have been attached."""
        ...


class Reader(Protocol[T]):
    """Fills the holes in a buffer, when they are read."""

    @property
    def stand_in(self) -> type:
        """The class of what stands for missing items."""
        ...

    @property
    def behind(self) -> bool:
        """Whether items may be missing that come before those in the buffer."""
        ...

    @property
    def accepts(self) -> Callable[[T], bool] | None:
        """Returns whether an item is wanted; None: each is."""
        ...

    @property
    def gaps(self) -> Sequence[Gap]:
        """The holes that could not be filled."""
        ...

    def note_missing(self, stand_in: Any, /) -> None:
        """Note that what *stand_in* stands for is missing."""
        ...

    async def next_missing(self) -> T | None:
        """Return the next missing item, when it is there; None if the caller has to look again."""
        ...

    async def goes_on_after(self, error: Exception) -> bool:
        """Return whether the stream goes on after its end with *error*, when it does."""
        ...


def new_buffer(name: str, buffer: int, overflow: OverflowPolicy) -> Buffer[Any]:
    """Return a buffer for a consumer; `SlowConsumer` ends it if that is its policy.

    Raises:
        ValueError: *buffer* is not a number of items, or *overflow* is not a policy.

    """
    return Buffer(name, buffer, overflow, SlowConsumer)


@attrs.define(eq=False)
class Subscription(Generic[T]):
    """A stream, to be entered with `async with` and read with `async for`.

    Entering asks the server and waits for its first reply, so a refusal is raised there. Leaving
    unsubscribes, if nobody else follows the same stream. The `async for` ends when the stream is
    over: the contract is sold, the client was closed. It raises what ended the stream otherwise:
    an `ApiError`, `SlowConsumer`, `StreamFailed`, `ConnectionFailed`. Across reconnects it goes on.

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
    def last_at(self) -> float | None:
        """When the stream last got something from the server, in seconds since the epoch.

        None before the first message. What is fetched from the server's history does not count.
        """
        return self._source.last_at

    @property
    def dropped(self) -> int:
        """How many items the overflow policy has taken from this consumer."""
        return self._items.dropped

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The holes that the server's history could not fill."""
        return () if self._reader is None else tuple(self._reader.gaps)

    async def __aenter__(self) -> "Subscription[T]":
        if self._entered:
            text = "a subscription is entered once; make a new one"
            raise RuntimeError(text)
        self._entered = True
        try:
            await self._source.attach()
        except BaseException:
            self._source.detach()  # the reply may have come at the very moment of a cancellation
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._source.detach()

    def __aiter__(self) -> "Subscription[T]":
        self._require_entered()
        return self

    def __anext__(self) -> Awaitable[T]:
        if not self._entered:
            self._require_entered()
        reader = self._reader
        return self._items.get() if reader is None else self._next(reader)

    async def _next(self, reader: Reader[T]) -> T:
        """Return the next item; what is missing before it comes first."""
        items = self._items
        while True:
            if reader.behind:
                missing = await reader.next_missing()
                if missing is not None:
                    return missing
                continue
            try:
                item = items.take() or await items.get()
            except (DerivError, StopAsyncIteration) as error:
                # While another task fills a hole that comes before this end, it is not the end yet.
                if not reader.behind and not await reader.goes_on_after(error):
                    raise
                continue
            if item.__class__ is reader.stand_in:
                reader.note_missing(item)
            elif (accepts := reader.accepts) is None or accepts(item):
                return cast("T", item)

    def _require_entered(self) -> None:
        if not self._entered:
            text = "enter the subscription first: async with client.subscribe(…) as stream"
            raise RuntimeError(text)


def event_stream(
    bus: EventBus, *, traffic: bool, buffer: int, overflow: OverflowPolicy
) -> Subscription[Event]:
    """Return the subscription that `client.events` describes."""
    items: Buffer[Event] = new_buffer("events", buffer, overflow)
    return Subscription(items, EventSource(bus, items, traffic=traffic))


class EventSource:
    """The source of a subscription to the client's own events."""

    id: None = None

    def __init__(self, bus: EventBus, items: Buffer[Event], *, traffic: bool) -> None:
        self._bus, self._items, self._traffic = bus, items, traffic

    @property
    def last_at(self) -> float | None:
        """When the client last announced an event, in seconds since the epoch."""
        return self._bus.last_wall

    async def attach(self) -> None:
        """Listen from now on."""
        self._bus.listen(self._items, traffic=self._traffic)

    def detach(self) -> None:
        """Stop listening."""
        self._items.close()
        self._bus.ignore(self._items)
