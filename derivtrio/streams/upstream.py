"""One stream of the server, from its first reply to its end, across connections; shared."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import attrs
import trio

from derivtrio.api import codec
from derivtrio.api.parsing import UNREADABLE
from derivtrio.calls.routing import Stream, stream_id_of
from derivtrio.concurrency.buffer import Buffer
from derivtrio.errors import ApiError, ConnectionLost, api_error, unreadable
from derivtrio.events import Event, Overflow
from derivtrio.models import Tick
from derivtrio.policy.retry import is_renewable
from derivtrio.streams.requests import resumption


class Translator(Protocol):
    """Translates the server's messages for one consumer."""

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
class Consumer:
    """One of those who share an upstream: a line that ends in a mailbox.

    Without a line messages go into the mailbox as they are. Nothing is then known of what may be
    missing after an interruption: the next message is the new truth.
    """

    name: str
    line: Translator | None = attrs.field(repr=False)
    mailbox: Buffer[Any] = attrs.field(repr=False)
    _announce: Callable[[Event], None] = attrs.field(repr=False)
    _next_report: int = attrs.field(default=1, init=False)

    def take(self, message: Mapping[str, Any]) -> bool:
        """Put what *message* adds into the mailbox; return whether more is wanted."""
        mailbox, line = self.mailbox, self.line
        if line is None:
            return mailbox.put(message) or self.survives()
        try:
            items = line.feed(message)
        except UNREADABLE as error:
            mailbox.close(unreadable(f"{self.name} message", error))
            return False
        for item in items:
            if not mailbox.put(item):
                self.survives()
        if line.over:
            mailbox.close()
        return not mailbox.closed

    def take_all(self, messages: list[dict[str, Any]]) -> bool:
        """Do so with each of *messages*."""
        if self.line is None:
            return self.mailbox.put_all(messages) or self.survives()
        return all(map(self.take, messages))

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next.

        Prices that wait cannot be bought any more, and are dropped.
        """
        if self.line is not None:
            self.line.interrupt()
            if self.name == "proposal":
                self.mailbox.clear()

    def conclude(self, error: Exception) -> None:
        """Let what may be missing come, and then *error*."""
        self.mailbox.close(error, () if self.line is None else self.line.missing())

    def survives(self) -> bool:
        """Say whether it does, now that its mailbox has lost something.

        The first loss is announced, and then each time that the losses have doubled.
        """
        dropped = self.mailbox.dropped
        if dropped >= self._next_report:
            self._next_report = 2 * dropped
            self._announce(Overflow(self.mailbox.name, dropped))
        return not self.mailbox.closed


@attrs.define(eq=False)
class Upstream:
    """What one request keeps sending, on its way to those who share it.

    Attributes:
        name: the call that opened it.
        request: what asks for it again; None once that is impossible.
        ids: the `subscription.id`s it has on the present connection; `ticks` with a list of
            symbols has several.
        latest: the newest message, as a dict or as it came.
        over: whether nothing more will come of it.

    """

    name: str
    request: Mapping[str, Any] | None = attrs.field(repr=False)
    _renew: "Callable[[Upstream], None]" = attrs.field(repr=False)
    ids: list[str] = attrs.field(factory=list, init=False)
    latest: dict[str, Any] | bytes | None = attrs.field(default=None, init=False, repr=False)
    over: bool = attrs.field(default=False, init=False)
    _consumers: tuple[Consumer, ...] = attrs.field(default=(), init=False)

    def attach(self, consumer: Consumer, *, replay: bool = True) -> None:
        """Let *consumer* share it from the newest message on, or without *replay* from the next.

        That of a proposal is passed over if it has gone: its id is of no use any more.
        """
        self._consumers += (consumer,)
        latest = self.latest
        if replay and latest is not None and (self.ids or self.name != "proposal"):
            consumer.take(codec.decode(latest) if isinstance(latest, bytes) else latest)
            if not self.ids:  # there is no connection now, and that message may be old
                consumer.interrupt()

    def detach(self, consumer: Consumer) -> bool:
        """Leave *consumer* out from now on; return whether anybody is left."""
        self._consumers = tuple(each for each in self._consumers if each is not consumer)
        return bool(self._consumers)

    def deliver(self, message: dict[str, Any]) -> Stream | None:
        """Pass *message* on; return self while more is wanted."""
        if self.over:
            return None
        if "error" in message and not self.is_family:
            self._end(api_error(message["error"], self.request))
            return None
        if self.latest is None:
            self.request = resumption(self.name, self.request or {}, message)
        self.latest = message
        for consumer in self._consumers:
            if not consumer.take(message):
                self.over = not self.detach(consumer)
        subscription = message.get("subscription")
        if type(subscription) is not dict or subscription.get("id") not in self.ids:
            self._learn(stream_id_of(message))
        return None if self.over else self

    def deliver_all(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Pass *messages* on; return those that have to be delivered singly.

        That is all of them if there is more about any than that it belongs to the stream; else
        none, but for the last when nobody wants more.
        """
        ids = self.ids
        for message in messages:
            subscription = message.get("subscription")
            if subscription.__class__ is not dict or "error" in message:
                return messages
            if subscription.get("id") not in ids:
                return messages
        if self.over:
            return messages
        self.latest = messages[-1]
        for consumer in self._consumers:
            if not consumer.take_all(messages):
                self.over = not self.detach(consumer)
        return messages[-1:] if self.over else []

    @property
    def tick_route(self) -> "Upstream | None":
        """Itself, if it brings nothing but the ticks of the symbol that was asked for."""
        latest = self.latest
        tick = latest.get("tick") if isinstance(latest, dict) else None
        wanted = (self.request or {}).get("ticks")
        return self if isinstance(tick, dict) and tick.get("symbol") == wanted else None

    def take_ticks(self, ticks: list[Tick], data: bytes) -> bool:
        """Pass *ticks* on, the last of which came in *data*; return whether more is wanted."""
        if self.over:
            return False
        self.latest = data
        for consumer in self._consumers:
            items = consumer.line.advanced(ticks)  # type: ignore[union-attr]  # see `fast_ticks`
            if not consumer.mailbox.put_all(items) and not consumer.survives():
                self.over = not self.detach(consumer)
        return not self.over

    def _end(self, error: ApiError) -> None:
        """End the stream, which is dead, at its consumers; or have it renewed, if that may help."""
        if self.latest is None or self.request is None or not is_renewable(error):
            self.close(error)
            return
        self.renew()

    def refused(self, error: ApiError) -> None:
        """End the stream, which the server will not resume, with *error*."""
        self.over = True
        for consumer in self._consumers:
            consumer.conclude(error)

    def renew(self) -> None:
        """Have it asked for again on this connection, where it has come to an end."""
        self._renew(self)
        self._interrupt()

    @property
    def is_family(self) -> bool:
        """Whether it is that of all open contracts, which has a stream for each of them.

        It is not over when one of these is, or fails, and its own id may not be known.
        """
        return "proposal_open_contract" in (request := self.request or {}) and (
            "contract_id" not in request
        )

    def _interrupt(self) -> None:
        self.ids.clear()
        for consumer in self._consumers:
            consumer.interrupt()

    def _learn(self, stream_id: str | None) -> None:
        if stream_id is not None:
            self.ids.append(stream_id)
        elif not self.ids and not self.is_family:
            self.close()  # answered, and the server has nothing to add: a sold contract

    def close(self, error: Exception | None = None) -> None:
        """End the stream at its consumers, normally or with *error*."""
        self.over = True
        for consumer in self._consumers:
            consumer.mailbox.close(error)

    def lost(self, why: str) -> None:
        """Note that the connection is gone; end the stream if it cannot be resumed."""
        self._interrupt()
        if self.request is None:
            text = f"{why}, and a stream opened by {self.name} cannot be resumed"
            self.close(ConnectionLost(text, {}))


@attrs.define(eq=False)
class SharedUpstream:
    """Where equal requests meet. `holders` counts those who are here, or on their way.

    A thousand streams are a thousand of these, so the lock is here only while it is needed.
    """

    upstream: Upstream | None = None
    holders: int = 0
    _lock: trio.Lock | None = attrs.field(default=None, init=False)

    @asynccontextmanager
    async def one_at_a_time(self) -> AsyncGenerator[None]:
        """Let one after another open the upstream or join it."""
        lock = self._lock = self._lock or trio.Lock()
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():  # nobody was waiting for it
                self._lock = None
