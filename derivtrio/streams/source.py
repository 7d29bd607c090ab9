"""The source of a subscription at the server: one consumer of an upstream.

Deriv allows one stream of each kind on a connection. So consumers with equal requests meet at a
`SharedUpstream`: one at a time subscribes, or joins the upstream of the others. Detaching needs no
waiting: the last consumer has the upstream removed, and the next to come finds it over and
subscribes anew.

One thing can go wrong: the server may still count a stream that was unsubscribed a moment ago, and
answer `AlreadySubscribed`. It is asked again, a few times. The stream of all open contracts cannot
always be unsubscribed by its id; so before it is asked for again, all streams of contracts are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
import trio

from derivtrio.api.parsing import UNREADABLE
from derivtrio.calls.call import api_call
from derivtrio.calls.request import make_call
from derivtrio.concurrency.buffer import Buffer
from derivtrio.errors import AlreadySubscribed, unreadable
from derivtrio.events import Overflow
from derivtrio.models import Tick
from derivtrio.policy.retry import RETRY_PAUSE
from derivtrio.streams.registry import Registry, SharedUpstream
from derivtrio.streams.requests import key_of
from derivtrio.streams.upstream import Upstream

_TRIES: Final = 4


class Translator(Protocol):
    """Translates the server's messages into items, for one consumer."""

    @property
    def over(self) -> bool:
        """Whether the last message fed was the last of all."""
        ...

    def feed(self, message: Mapping[str, Any]) -> Sequence[Any]:
        """Return the items that *message* adds."""
        ...

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
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

    _registry: Registry = attrs.field(repr=False)
    name: str
    request: Mapping[str, Any] = attrs.field(repr=False)
    translator: Translator | None = attrs.field(repr=False)
    items: Buffer[Any] = attrs.field(repr=False)
    _shared: SharedUpstream | None = attrs.field(default=None, init=False, repr=False)
    _upstream: Upstream | None = attrs.field(default=None, init=False)
    _next_report: int = attrs.field(default=1, init=False)
    _counted: int = attrs.field(default=0, init=False)

    @property
    def id(self) -> str | None:
        """The first of the ids it has on the present connection."""
        return None if self._upstream is None else next(iter(self._upstream.ids), None)

    @property
    def last_at(self) -> float | None:
        """When the server last sent something for it, in seconds since the epoch."""
        return None if self._upstream is None else self._upstream.last_wall

    async def attach(self) -> None:
        """Subscribe and wait for the first reply, or join consumers that have."""
        session = self._registry.session
        session.require_home()
        shared = self._shared = self._registry.hold(key_of(self.name, self.request))
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
        self._registry.release(self._shared)
        self._registry.session.router.fast_ticks.untyped_consumers -= self._takes_untyped_ticks
        self._shared = None
        if self._upstream is not None and not self._upstream.detach(self):
            self._registry.remove(self._upstream)

    async def _subscribed(self) -> Upstream:
        """Return a new upstream, which the server has granted."""
        registry, counters = self._registry, self._registry.session.bus.counters
        upstream = Upstream(self.name, self.request, registry.renew, counters)
        self._upstream = upstream
        upstream.attach(self)
        for tries_left in reversed(range(_TRIES)):
            try:
                await make_call(api_call(self.request, then=upstream), self._registry.session)
                break
            except AlreadySubscribed:
                if not tries_left:
                    raise
                if upstream.is_family:
                    await self._registry.clear_contracts()
            await trio.sleep(RETRY_PAUSE)
        self._registry.add(upstream)
        return upstream

    async def _joined(self, upstream: Upstream) -> bool:
        """Join *upstream*; return whether it is still there.

        The first reply to an untyped `ticks_history` is the history, and each consumer asks for
        its own. A proposal that is being bought just now is not replayed: it is used up.
        """
        session = self._registry.session
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
            items.close(unreadable(f"{self.name} message", error))
            return False
        if not items.put_all(added):
            self._survives()
        if translator.over:
            items.close()
        return not items.closed

    def take_all(self, messages: list[dict[str, Any]]) -> bool:
        """Do so with each of *messages*."""
        if self.translator is None:
            return self.items.put_all(messages) or self._survives()
        return all(map(self.take, messages))

    def take_ticks(self, ticks: list[Tick]) -> bool:
        """Put *ticks* into the buffer; return whether more is wanted."""
        added = self.translator.advance_all(ticks)  # type: ignore[union-attr]  # see `fast_ticks`
        return self.items.put_all(added) or self._survives()

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

    def _survives(self) -> bool:
        """Return whether it does, now that its buffer has lost something.

        The first loss is announced, and then each time that the losses have doubled.
        """
        session, dropped = self._registry.session, self.items.dropped
        session.bus.counters.dropped_items += dropped - self._counted
        self._counted = dropped
        if dropped >= self._next_report:
            self._next_report = 2 * dropped
            session.bus.announce(Overflow(self.items.name, dropped))
        return not self.items.closed
