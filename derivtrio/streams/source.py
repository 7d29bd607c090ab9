"""The source of a subscription at the server: one consumer of an upstream.

Deriv allows one stream of each kind on a connection. So consumers with equal requests meet at a
`SharedUpstream`: one at a time subscribes, or joins the upstream of the others. Detaching needs no
waiting: the last consumer has the upstream removed, and the next to come finds it over and
subscribes anew.

One thing can go wrong: the server may still count a stream that was unsubscribed a moment ago, and
answer `AlreadySubscribed`. It is asked again, a few times. Streams of contracts share what the
server sends (`contracts`).

A message that cannot be read, or not be believed, is logged and counts as lost: of ticks, candles
and transactions that is a hole, which is filled from the history; any other stream is asked for
again. Only if there are many of them does the stream end.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
import trio

from derivtrio.api.parsing import UNREADABLE
from derivtrio.calls.call import api_call
from derivtrio.calls.request import make_call
from derivtrio.concurrency.buffer import Buffer
from derivtrio.errors import (
    AlreadySubscribed,
    ApiError,
    ConnectionLost,
    OutcomeUnknown,
    stream_failed,
    unreadable,
)
from derivtrio.events import Overflow
from derivtrio.models import Tick
from derivtrio.policy.retry import RETRY_PAUSE
from derivtrio.policy.throttling import LeakyBucket
from derivtrio.streams.registry import Registry, SharedUpstream
from derivtrio.streams.requests import key_of
from derivtrio.streams.upstream import Upstream

logger = logging.getLogger("derivtrio")

_TRIES: Final = 4

#: How many messages of a stream may be unreadable before it ends, and one more each minute.
_MOST_UNREADABLE: Final = 30
_UNREADABLE_A_SECOND: Final = 1 / 60


class Translator(Protocol):
    """Translates the server's messages into items, for one consumer.

    `doubt` says why the last item was not believed, until somebody takes note of it.
    """

    doubt: Exception | None

    @property
    def over(self) -> bool:
        """Whether the last message fed was the last of all."""
        ...

    def feed(self, message: Mapping[str, Any]) -> Sequence[Any]:
        """Return the items that *message* adds."""
        ...

    def answered(self, *, late: bool) -> None:
        """Note that the last message fed was the reply with which the stream begins, or resumes."""
        ...

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        ...

    def skip(self) -> Sequence[Any] | None:
        """Note a message that cannot be read; return what stands for it.

        None: nothing can, and the stream is to be asked for again.
        """
        ...

    def missing(self) -> Sequence[Any]:
        """Return what stands for what may be missing if nothing more comes."""
        ...


@attrs.define(eq=False)
class ServerStream:
    """Puts what an upstream brings into the buffer `items`, as `translator` has it.

    Without a translator it is *untyped*: messages go into the buffer as they are. Nothing is then
    known of what may be missing after an interruption; the next message is the new truth.
    """

    registry: Registry = attrs.field(repr=False)
    name: str
    request: Mapping[str, Any] = attrs.field(repr=False)
    translator: Translator | None = attrs.field(repr=False)
    items: Buffer[Any] = attrs.field(repr=False)
    _shared: SharedUpstream | None = attrs.field(default=None, init=False, repr=False)
    _upstream: Upstream | None = attrs.field(default=None, init=False)
    _next_report: int = attrs.field(default=1, init=False)
    _unreadable: LeakyBucket | None = attrs.field(default=None, init=False, repr=False)
    _counted: int = attrs.field(default=0, init=False)

    @property
    def id(self) -> str | None:
        """The first of the ids it has on the present connection."""
        return None if self._upstream is None else next(iter(self._upstream.ids), None)

    @property
    def last_at(self) -> float | None:
        """When the server last sent something for it, in seconds since the epoch."""
        return None if self._upstream is None else self._upstream.last_wall

    def newest(self) -> Any:
        """Return the newest message, decoded or as JSON; while that is taken, the one before."""
        return None if self._upstream is None else self._upstream.latest

    async def attach(self) -> None:
        """Subscribe and wait for the first reply, or join consumers that have."""
        session = self.registry.session
        session.require_home()
        shared = self._shared = self.registry.hold(key_of(self.name, self.request))
        session.router.fast_ticks.untyped_consumers += self._takes_untyped_ticks
        async with shared.one_at_a_time():
            upstream = shared.upstream
            if upstream is None or upstream.over or not await self._joined(upstream):
                shared.upstream = await self._subscribed()

    def detach(self) -> None:
        """Leave the upstream; the last consumer has it removed."""
        self.items.close()
        if self._shared is None:
            return
        self.registry.release(self._shared)
        self.registry.session.router.fast_ticks.untyped_consumers -= self._takes_untyped_ticks
        self._shared = None
        if self._upstream is not None and not self._upstream.detach(self):
            self.registry.remove(self._upstream)

    async def _subscribed(self) -> Upstream:
        """Return a new upstream, which the server has granted."""
        registry, contracts = self.registry, self.registry.contracts
        session, let_go = registry.session, registry.session.router.note_stranger
        upstream = self._upstream = registry.new_upstream(
            self.name, self.request, registry.renew, let_go, session.bus.counters
        )
        upstream.attach(self)
        if self.name in ("buy", "proposal_open_contract"):
            upstream.sharing = contracts
        for tries_left in reversed(range(_TRIES)):
            if self.name == "proposal_open_contract":
                await contracts.cleared()
            if await self._is_granted(upstream, is_last_try=not tries_left):
                break
            await trio.sleep(RETRY_PAUSE)
        return upstream

    async def _is_granted(self, upstream: Upstream, *, is_last_try: bool) -> bool:
        """Ask for *upstream*; return whether it has begun, by itself or as a part of another."""
        registry, contracts = self.registry, self.registry.contracts
        call = upstream.asked = api_call(self.request, then=upstream)
        try:
            await make_call(call, registry.session)
        except AlreadySubscribed:
            upstream.asked = None
            if contracts.borrow(upstream):
                registry.add(upstream)
                await contracts.catch_up(upstream)
                return True
            if is_last_try:
                raise
            if upstream.is_family:
                await contracts.clear_now()
            return False
        except ApiError:
            upstream.asked = None
            raise
        except ConnectionLost as error:
            if isinstance(error, OutcomeUnknown):
                raise
            raise stream_failed(upstream.label, self.request, error.history) from error
        registry.add(upstream)
        return True

    async def _joined(self, upstream: Upstream) -> bool:
        """Join *upstream*; return whether it is still there.

        The first reply to an untyped `ticks_history` is the history, and each consumer asks for
        its own. A proposal that is being bought just now is not replayed: it is used up.
        """
        session = self.registry.session
        if self.translator is None and "ticks_history" in self.request:
            once = {name: value for name, value in self.request.items() if name != "subscribe"}
            self.take(await make_call(api_call(once), session))
            if upstream.over:
                return False
        self._upstream = upstream
        upstream.attach(self, replay=not session.trades.is_buying(upstream.ids))
        return True

    @property
    def _takes_untyped_ticks(self) -> bool:
        calls_with_ticks = {"ticks", "ticks_history"}
        return self.translator is None and not calls_with_ticks.isdisjoint(self.request)

    def take(self, message: Mapping[str, Any]) -> bool:
        """Put what *message* adds into the buffer; return whether more is wanted."""
        translator, items = self.translator, self.items
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
        trusted = translator.doubt is None or self._trusts(translator)
        return trusted and not items.closed

    def take_all(self, messages: list[dict[str, Any]]) -> bool:
        """Take each of *messages*."""
        if self.translator is None:
            return self.items.put_all(messages) or self._survives()
        return all(map(self.take, messages))

    def take_ticks(self, ticks: list[Tick], batch: Sequence[Any], end: int) -> bool:
        """Put *ticks*, from *batch* before *end*, into the buffer; return whether to go on."""
        translator: Any = self.translator  # a `TickTranslator`: see `fast_ticks`
        added = translator.advance_all(ticks, batch, end)
        survives = self.items.put_all(added) or self._survives()
        return survives if translator.doubt is None else self._trusts(translator) and survives

    def answered(self, *, late: bool) -> None:
        """Note that the last message taken was the reply that begins the stream or resumes it."""
        if self.translator is not None:
            self.translator.answered(late=late)

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next.

        Prices that wait cannot be bought any more, and are dropped.
        """
        if self.translator is not None:
            self.translator.interrupt()
            if self.name == "proposal":
                self.items.clear()

    def conclude(self, error: Exception) -> None:
        """End with what may be missing, and then with *error*."""
        self.items.close(error, () if self.translator is None else self.translator.missing())

    def close(self, error: Exception | None = None) -> None:
        """End, normally or with *error*."""
        self.items.close(error)

    def _trusts(self, translator: Translator) -> bool:
        """Return whether the stream goes on; take note of an item that was not believed."""
        doubt, translator.doubt = translator.doubt, None
        return doubt is None or self._bears(doubt)

    def _skip(self, error: Exception) -> bool:
        """Go on without a message that cannot be read; return whether the stream does."""
        if not self._bears(error):
            return False
        missing = self.translator.skip()  # type: ignore[union-attr]  # only this one can fail
        if missing is None:
            self.registry.ask_again(self._upstream)
        elif not self.items.put_all(missing):
            self._survives()
        return not self.items.closed

    def _bears(self, error: Exception) -> bool:
        """Log and count what cannot be read or believed; end the stream if it is too much."""
        violation = unreadable(f"{self.name} message", error)
        bucket = self._unreadable = self._unreadable or LeakyBucket(_UNREADABLE_A_SECOND)
        if bucket.add(1, trio.current_time()) > _MOST_UNREADABLE:
            self.items.close(violation)
            return False
        logger.warning("%s: %s; it counts as lost", self.items.name, violation)
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
