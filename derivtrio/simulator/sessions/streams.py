"""The streams of one connection.

Deriv's rules:

1. A stream has an id that is unique on its connection; it ends with the connection.
2. A second subscription with the same *key* on a connection is refused with `AlreadySubscribed`,
   whatever its `req_id`.
3. `forget` and `forget_all` of a stream that does not exist are not errors.

Streams of ticks wait in a heap for the epoch of their next tick. So one task serves all streams of
a connection, and does nothing between ticks. Messages with another cause, such as a payment, wait
in the same heap for the epoch at which they are sent.
"""

import hashlib
import heapq
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import count

import attrs

from derivtrio.simulator.market.market import Market, MarketTick
from derivtrio.simulator.protocol.envelope import Message, Refusal, error_reply, reply

#: Identifies a stream: its kind, the name for `AlreadySubscribed`, and any other parameters.
StreamKey = tuple[str, str, *tuple[int | str, ...]]
#: Returns the `msg_type` and the payload of a stream's message about a tick.
Render = Callable[[MarketTick], tuple[str, Message]]


@attrs.frozen(eq=False)
class ActiveStream:
    """A stream; every message of it repeats *request*, which opened it."""

    id: str
    key: StreamKey
    request: Message

    @property
    def kind(self) -> str:
        """The name of the stream in `forget_all`."""
        return self.key[0]

    def message(self, msg_type: str, payload: Message) -> Message:
        """Return a message of this stream; its id is in the envelope and in the payload."""
        envelope = reply(self.request, msg_type, subscription=self.id)
        return envelope | {msg_type: payload | {"id": self.id}}


@attrs.frozen(eq=False)
class _TickStream:
    """A stream with a message for each tick of *symbol*; a `Refusal` by *render* ends it."""

    stream: ActiveStream
    symbol: str
    render: Render


@attrs.define(eq=False)
class SessionStreams:
    """The streams of a connection, *by_id*. *identity* makes ids differ between connections."""

    identity: str
    market: Market
    by_id: dict[str, ActiveStream] = attrs.field(factory=dict, init=False)
    #: Called when `next_due` may have changed.
    on_change: Callable[[], None] = attrs.field(default=lambda: None, init=False, repr=False)
    _due: list[tuple[int, int, _TickStream | Message]] = attrs.field(
        factory=list, init=False, repr=False
    )
    #: By stream id: no message is due before this epoch. See `send_late`.
    _held: dict[str, int] = attrs.field(factory=dict, init=False, repr=False)
    _order: Iterator[int] = attrs.field(factory=count, init=False, repr=False)
    _issued: Iterator[int] = attrs.field(factory=count, init=False, repr=False)

    def add(self, key: StreamKey, request: Message) -> ActiveStream:
        """Add a stream; raise the `Refusal` if there is one with the same *key*."""
        if self.find(key) is not None:
            text = f"You are already subscribed to {key[1]}"
            raise Refusal(code="AlreadySubscribed", message=text)
        stream = ActiveStream(self.new_id(), key, request)
        self.by_id[stream.id] = stream
        return stream

    def follow(self, stream: ActiveStream, symbol: str, render: Render, after: int) -> None:
        """Send a message of *stream* for each tick of *symbol* after the epoch *after*."""
        self._schedule(_TickStream(stream, symbol, render), after)

    def send_at(self, messages: Iterable[Message], epoch: int) -> None:
        """Send *messages* at *epoch*, before the ticks of that second."""
        for message in messages:
            self._push(epoch, message)
        self.on_change()

    def send_late(self, reply: Message, epoch: int) -> None:
        """Send *reply* at *epoch*, before any message of the stream that it opens."""
        # Build the heap again: what the stream already has in it must come after *reply*.
        waiting, self._due = self._due, []
        heapq.heappush(self._due, (epoch, next(self._order), reply))
        if stream_id := _stream_id(reply):
            self._held[stream_id] = epoch
        for due, _, item in sorted(waiting, key=lambda entry: entry[:2]):
            self._push(due, item)
        self.on_change()

    def find(self, key: StreamKey) -> ActiveStream | None:
        """Return the stream with this *key*, or `None`."""
        return next((stream for stream in self.by_id.values() if stream.key == key), None)

    def remove(self, stream_id: str) -> bool:
        """Remove a stream, and return whether it existed."""
        return self.by_id.pop(stream_id, None) is not None

    def remove_kinds(self, kinds: Collection[str]) -> list[str]:
        """Remove all streams of these *kinds*, and return their ids."""
        ended = [stream.id for stream in self.by_id.values() if stream.kind in kinds]
        for stream_id in ended:
            del self.by_id[stream_id]
        return ended

    def next_due(self) -> int | None:
        """Return the epoch of the next message; `None` if nothing is due."""
        while self._due and not self._is_wanted(self._due[0][-1]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def due_messages(self, epoch: int) -> Iterator[Message]:
        """Yield the messages that are due up to *epoch*, in order."""
        while (due := self.next_due()) is not None and due <= epoch:
            item = heapq.heappop(self._due)[-1]
            yield self._next_message(item, due) if isinstance(item, _TickStream) else item

    def _next_message(self, tick_stream: _TickStream, due: int) -> Message:
        stream, tick = tick_stream.stream, self.market.tick(tick_stream.symbol, due)
        try:
            message = stream.message(*tick_stream.render(tick))
        except Refusal as refused:
            self.remove(stream.id)
            return error_reply(stream.request, stream.kind, refused)
        self._schedule(tick_stream, due)
        return message

    def _is_wanted(self, item: _TickStream | Message) -> bool:
        return not isinstance(item, _TickStream) or item.stream.id in self.by_id

    def _schedule(self, tick_stream: _TickStream, after: int) -> None:
        self._push(self.market.next_tick_epoch(tick_stream.symbol, after), tick_stream)

    def _push(self, due: int, item: _TickStream | Message) -> None:
        earliest = self._held.get(_stream_id(item), due)
        heapq.heappush(self._due, (max(due, earliest), next(self._order), item))

    def new_id(self) -> str:
        """Return an id that is unique in this simulator."""
        name = f"{self.identity}/{next(self._issued)}".encode()
        return str(uuid.UUID(bytes=hashlib.blake2b(name, digest_size=16).digest()))


def _stream_id(item: _TickStream | Message) -> str:
    if isinstance(item, _TickStream):
        return item.stream.id
    stream_id: str = item.get("subscription", {}).get("id", "")
    return stream_id
