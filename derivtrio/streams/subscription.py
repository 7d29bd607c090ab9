"""One consumer's part in a stream: the two ends of its buffer.

- A `BufferedConsumer` takes what the server sends, from the upstream, and puts items in.
- A `Subscription` is what user code enters and iterates over. It takes the items out. Its *source*
  lets items flow into the buffer as long as it is entered. If the source leaves holes, a *backfill*
  fills each one when the user's task gets to it.
"""

import logging
import math
from collections.abc import Awaitable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

import attrs
import trio

from derivtrio.api import codec
from derivtrio.api.parsing import UNREADABLE
from derivtrio.concurrency.buffer import Buffer, OverflowPolicy
from derivtrio.errors import DerivError, ProtocolViolation, SlowConsumer, unreadable
from derivtrio.events import Gap, Overflow
from derivtrio.models import Tick
from derivtrio.policy.throttling import LeakyBucket
from derivtrio.streams.interfaces import Backfill, Source, TooLate, Translator
from derivtrio.streams.registry import Registry
from derivtrio.streams.upstream import Upstream
from derivtrio.wording import counted

T = TypeVar("T")

#: How many messages of a stream may be unreadable before it ends, and one more each minute.
_MOST_UNREADABLE: Final = 30
_UNREADABLE_A_SECOND: Final = 1 / 60

#: How many seconds are between two log records that items were left out.
_TELLING_PAUSE: Final = 60.0


def new_buffer(name: str, buffer: int, overflow: OverflowPolicy) -> Buffer[Any]:
    """Return a buffer for a consumer; `SlowConsumer` ends it if that is its policy.

    Raises:
        ValueError: *buffer* is not a number of items, or *overflow* is not a policy.

    """
    return Buffer(name, buffer, overflow, SlowConsumer)


@attrs.define(eq=False, repr=False)
class Subscription(Generic[T]):
    """A stream, to be entered with `async with` and read with `async for`.

    Entering asks the server and waits for its first reply, so a refusal is raised there. Leaving
    unsubscribes, if nobody else follows the same stream. The `async for` ends when the stream is
    over: the contract is sold, the client was closed. It raises what ended the stream otherwise.
    Across reconnects it goes on. After its block, a task that still reads gets what waits in the
    buffer, up to the first hole, and then the end; nothing is fetched any more.

    *Cancellation*: nothing is lost by cancelling the wait for the next item. Reading is a
    checkpoint when it has to wait, and at least once in 256 items that wait already. Leaving is
    none.

    Raises:
        ApiError: the server refuses the stream, or has ended it.
        StreamFailed: it has broken three connections.
        OutcomeUnknown: a call that changes something was to open it, such as `buy`, and its reply
            was lost (on entering).
        ConnectionLost: such a call has opened it, and it cannot be resumed.
        ResponseTimeout: there was no first reply within `Settings.response_timeout` (on entering).
        SlowConsumer: more items waited than `buffer`, and `overflow` is `"error"`.
        NotContinuous: there is a gap, and the stream is `strict`.
        ProtocolViolation: what the server sends cannot be read, or ends without being over.
        ClientClosed: the client is closed (on entering; an `async for` ends normally).
        ConnectionFailed: the client has failed for good.
        RuntimeError: it is entered twice, or read without having been entered.

    """

    _items: Buffer[Any]
    _source: Source
    _backfill: Backfill[T] | None = None
    _entered: bool = attrs.field(default=False, init=False)
    _left: bool = attrs.field(default=False, init=False)

    def __repr__(self) -> str:
        waiting = counted(len(self._items), "item")
        return f"<derivtrio.Subscription {self._items.name}, {waiting} waiting>"

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
        """The holes that the server's history could not fill; the newest thousand of them."""
        return () if self._backfill is None else tuple(self._backfill.gaps)

    @property
    def gap_count(self) -> int:
        """How many such holes there have been."""
        return 0 if self._backfill is None else self._backfill.gap_count

    def gaps_after(self, count: int) -> tuple[Gap, ...]:
        """Return the holes after the first *count*, so that each is told once; as far as kept."""
        new = self.gap_count - count
        return self.gaps[-new:] if new > 0 else ()

    @trio.lowlevel.enable_ki_protection
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

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left = True
        self._source.detach()

    def __aiter__(self) -> "Subscription[T]":
        self._require_entered()
        return self

    def __anext__(self) -> Awaitable[T]:
        if not self._entered:
            self._require_entered()
        backfill = self._backfill
        return self._items.get() if backfill is None else self._next(backfill)

    async def _next(self, backfill: Backfill[T]) -> T:
        """Return the next item; what is missing before it comes first."""
        items = self._items
        while True:
            # What is missing comes before whatever waits in the buffer.
            if backfill.behind:
                missing = await self._next_missing(backfill)
                if missing is not None:
                    return missing
                continue
            try:
                item = items.take()
                if item is None:
                    item = await items.get()
                    if backfill.behind:  # another task has come to a hole before it meanwhile
                        items.put_back(item)
                        continue
            except (DerivError, StopAsyncIteration) as error:
                # While another task fills a hole that comes before this end, it is not the end yet.
                if not backfill.behind and not await backfill.goes_on_after(error):
                    raise
                continue
            if item.__class__ is backfill.stand_in:
                backfill.note_missing(item)
            elif (accepts := backfill.accepts) is None or accepts(item):
                return item  # type: ignore[no-any-return]  # `cast` would be a call for each item

    def _next_missing(self, backfill: Backfill[T]) -> Awaitable[T | None]:
        if self._left:  # nothing is fetched any more, and nothing may come after a hole
            raise StopAsyncIteration
        return backfill.next_missing()

    def _require_entered(self) -> None:
        if not self._entered:
            text = "enter the subscription first: async with client.subscribe(…) as stream"
            raise RuntimeError(text)


@attrs.define(eq=False, repr=False)
class BufferedConsumer:
    """Puts what an upstream brings into the buffer `items`, as `translator` has it.

    Without a translator it is *untyped*: messages go into the buffer as they are. Nothing is then
    known of what may be missing after an interruption; the next message is the new truth.

    A message that cannot be read, or not be believed, is logged and counts as lost: of ticks,
    candles and transactions that is a hole, which is filled from the history; any other stream is
    asked for again. Only if there are many of them does the stream end. An item that comes after
    later ones is logged, and left out.

    A consumer that joins others `copies` its messages: what it gets is its own, and it may change
    that.
    """

    registry: Registry
    name: str
    translator: Translator | None
    items: Buffer[Any]
    upstream: Upstream | None = attrs.field(default=None, init=False)
    copies: bool = attrs.field(default=False, init=False)
    _next_report: int = attrs.field(default=1, init=False)
    _unreadable: LeakyBucket | None = attrs.field(default=None, init=False)
    #: Why the newest message could not be read, if it is one that nothing stands for.
    _unread: Exception | None = attrs.field(default=None, init=False)
    _counted: int = attrs.field(default=0, init=False)
    #: When it is next told that an item is left out, on trio's clock.
    _tell_mono: float = attrs.field(default=-math.inf, init=False)

    def newest(self) -> Any:
        """Return the newest message, decoded or as JSON; while that is taken, the one before."""
        return None if self.upstream is None else self.upstream.latest

    def leave_fast_way(self) -> None:
        """Let further messages of the stream come as messages, on this connection."""
        routes = self.registry.session.router.fast_ticks.routes
        for req_id in [key for key, route in routes.items() if route is self.upstream]:
            del routes[req_id]

    def take(self, message: Mapping[str, Any]) -> bool:
        """Put what *message* adds into the buffer; return whether more is wanted."""
        translator, items = self.translator, self.items
        if self.copies:
            message = codec.copy_of(message)
        if translator is None:
            return items.put(message) or self._survives()
        try:
            added = translator.feed(message)
        except UNREADABLE as error:
            return self._skip(error)
        if not items.put_all(added):
            self._survives()
        if translator.over:
            items.close()
        trusted = translator.implausible is None or self._trusts(translator)
        return trusted and not items.closed

    def take_all(self, messages: list[dict[str, Any]]) -> bool:
        """Take each of *messages*."""
        if self.translator is None:
            if self.copies:
                messages = list(map(codec.copy_of, messages))
            return self.items.put_all(messages) or self._survives()
        return all(map(self.take, messages))

    def take_ticks(self, ticks: list[Tick], data: bytes, batch: Sequence[Any]) -> bool:
        """Put *ticks*, from *batch* up to *data*, into the buffer; return whether to go on."""
        translator: Any = self.translator  # a `TickTranslator`: see `fast_ticks`
        added = translator.advance_all(ticks, data, batch)
        survives = self.items.put_all(added) or self._survives()
        return survives if translator.implausible is None else self._trusts(translator) and survives

    def answered(self, *, late: bool) -> None:
        """Note that the last message taken was the reply that begins the stream or resumes it."""
        if self.translator is not None:
            self.translator.answered(late=late)

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next.

        Prices that wait cannot be bought any more, and are dropped.
        """
        self._unread = None
        if self.translator is not None:
            self.translator.interrupt()
            if self.name == "proposal":
                self.items.clear()

    def conclude(self, error: Exception) -> None:
        """End with what may be missing, and then with *error*."""
        self.items.close(error, () if self.translator is None else self.translator.missing())

    def finish(self) -> None:
        """End: normally, if the last message could be read."""
        self.items.close(self._unread)

    def close(self, error: Exception | None = None) -> None:
        """End, normally or with *error*."""
        self.items.close(error)

    def _trusts(self, translator: Translator) -> bool:
        """Return whether the stream goes on; take note of an item that was not believed."""
        reason, translator.implausible = translator.implausible, None
        if isinstance(reason, TooLate):
            self._tell(reason)
            return True
        return reason is None or self._bears(self._violation(reason))

    def _tell(self, reason: TooLate) -> None:
        """Log that an item is left out, once in a while."""
        now = trio.current_time()
        if now >= self._tell_mono:
            self._tell_mono = now + _TELLING_PAUSE
            log, name = self.registry.session.bus.log, self.items.name
            log(logging.WARNING, "%s: %s, and is left out", name, reason, symbol=name)

    def _skip(self, error: Exception) -> bool:
        """Go on without a message that cannot be read; return whether the stream does."""
        violation = self._violation(error)
        if not self._bears(violation):
            return False
        missing = self.translator.skip()  # type: ignore[union-attr]  # only this one can fail
        if missing is None:
            self._unread = violation
            self.registry.ask_again(self.upstream)
        elif not self.items.put_all(missing):
            self._survives()
        return not self.items.closed

    def _violation(self, error: Exception) -> ProtocolViolation:
        return unreadable(f"{self.name} message", error)

    def _bears(self, violation: ProtocolViolation) -> bool:
        """Log and count what cannot be read or believed; end the stream if it is too much."""
        bucket = self._unreadable = self._unreadable or LeakyBucket(_UNREADABLE_A_SECOND)
        if bucket.add(1, trio.current_time()) > _MOST_UNREADABLE:
            self.items.close(violation)
            return False
        log, name = self.registry.session.bus.log, self.items.name
        log(logging.WARNING, "%s: %s; it counts as lost", name, violation, symbol=name)
        return True

    def _survives(self) -> bool:
        """Return whether it does, now that its buffer has lost something.

        The first loss is announced, and then each time that the losses have doubled.
        """
        session, dropped = self.registry.session, self.items.dropped
        session.bus.counters.dropped_items += dropped - self._counted
        self._counted = dropped
        if dropped >= self._next_report:
            self._next_report = 2 * dropped
            session.bus.announce(Overflow(self.items.name, dropped))
        return not self.items.closed
