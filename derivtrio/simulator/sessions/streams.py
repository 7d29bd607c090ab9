"""The streams of one connection.

Three rules of Deriv's:

1. A stream has an id that is unique on its connection, and nothing of it outlives the socket.
2. What is streamed can be streamed once per connection: a second subscription with the same
   *key* is refused with `AlreadySubscribed`, whatever its `req_id`.
3. `forget` and `forget_all` of something that is not there is no error.

Streams of quotes wait in a heap for the epoch of their next tick, so that a connection needs one
task for all of them and does nothing between ticks. News that somebody else causes, such as a
payment, wait in the same heap until the epoch at which they are to be told.
"""

import hashlib
import heapq
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import count

import attrs

from derivtrio.simulator.market.market import Market, MarketTick
from derivtrio.simulator.protocol.envelope import Message, Refusal, refusal, reply

#: What a stream is of: its kind, what `AlreadySubscribed` names, and what else tells it apart.
StreamKey = tuple[str, str, *tuple[int | str, ...]]
#: Turns the latest tick into the `msg_type` and the payload of a stream's message.
Render = Callable[[MarketTick], tuple[str, Message]]


@attrs.frozen(eq=False)
class ActiveStream:
    """A live subscription; *request* is the one that it goes on answering."""

    id: str
    key: StreamKey
    request: Message

    @property
    def kind(self) -> str:
        """The name by which `forget_all` knows the stream."""
        return self.key[0]

    def message(self, msg_type: str, payload: Message) -> Message:
        """Return a message of this stream, with its id in the payload and beside it."""
        envelope = reply(self.request, msg_type, subscription=self.id)
        return envelope | {msg_type: payload | {"id": self.id}}


@attrs.frozen(eq=False)
class _QuoteStream:
    """A stream of quotes: each tick of *symbol* goes through *render*, up to a refusal of it."""

    stream: ActiveStream
    symbol: str
    render: Render


@attrs.define(eq=False)
class SessionStreams:
    """The live streams by id. *identity* makes their ids differ from other connections'."""

    identity: str
    market: Market
    by_id: dict[str, ActiveStream] = attrs.field(factory=dict, init=False)
    #: Called when there is something new to wait for.
    on_change: Callable[[], None] = attrs.field(default=lambda: None, init=False, repr=False)
    _due: list[tuple[int, int, _QuoteStream | Message]] = attrs.field(
        factory=list, init=False, repr=False
    )
    _held: dict[str, int] = attrs.field(factory=dict, init=False, repr=False)
    _order: Iterator[int] = attrs.field(factory=count, init=False, repr=False)
    _issued: Iterator[int] = attrs.field(factory=count, init=False, repr=False)

    def add(self, key: StreamKey, request: Message) -> ActiveStream:
        """Register a stream; raise the `Refusal` if its *key* is already being streamed."""
        if self.find(key) is not None:
            text = f"You are already subscribed to {key[1]}"
            raise Refusal(code="AlreadySubscribed", message=text)
        stream = ActiveStream(self.new_id(), key, request)
        self.by_id[stream.id] = stream
        return stream

    def follow(self, stream: ActiveStream, symbol: str, render: Render, after: int) -> None:
        """Give *stream* each tick of *symbol* that is later than the epoch *after*."""
        self._schedule(_QuoteStream(stream, symbol, render), after)

    def send_at(self, messages: Iterable[Message], epoch: int) -> None:
        """Send *messages* at *epoch*, before the ticks of that second."""
        for message in messages:
            self._push(epoch, message)
        self.on_change()

    def send_late(self, reply: Message, epoch: int) -> None:
        """Send *reply* at *epoch*; the stream that it opens, if any, says nothing before it."""
        waiting, self._due = self._due, []
        heapq.heappush(self._due, (epoch, next(self._order), reply))
        if stream_id := _stream_id(reply):
            self._held[stream_id] = epoch
        for due, _, item in sorted(waiting, key=lambda entry: entry[:2]):
            self._push(due, item)
        self.on_change()

    def find(self, key: StreamKey) -> ActiveStream | None:
        """Return the stream of *key*, if there is one."""
        return next((stream for stream in self.by_id.values() if stream.key == key), None)

    def remove(self, stream_id: str) -> bool:
        """End a stream, and return whether there was one."""
        return self.by_id.pop(stream_id, None) is not None

    def remove_kinds(self, kinds: Collection[str]) -> list[str]:
        """End all streams of these *kinds*, and return their ids."""
        ended = [stream.id for stream in self.by_id.values() if stream.kind in kinds]
        for stream_id in ended:
            del self.by_id[stream_id]
        return ended

    def next_due(self) -> int | None:
        """Return the epoch of the next tick or message that some stream waits for, if any does."""
        while self._due and not self._is_wanted(self._due[0][-1]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def due_messages(self, epoch: int) -> Iterator[Message]:
        """Yield what the streams have to say up to *epoch*, in order."""
        while (due := self.next_due()) is not None and due <= epoch:
            item = heapq.heappop(self._due)[-1]
            yield self._next_message(item, due) if isinstance(item, _QuoteStream) else item

    def _next_message(self, follower: _QuoteStream, due: int) -> Message:
        stream, tick = follower.stream, self.market.tick(follower.symbol, due)
        try:
            message = stream.message(*follower.render(tick))
        except Refusal as refused:
            self.remove(stream.id)
            return refusal(stream.request, stream.kind, refused)
        self._schedule(follower, due)
        return message

    def _is_wanted(self, item: _QuoteStream | Message) -> bool:
        return not isinstance(item, _QuoteStream) or item.stream.id in self.by_id

    def _schedule(self, follower: _QuoteStream, after: int) -> None:
        self._push(self.market.next_tick_epoch(follower.symbol, after), follower)

    def _push(self, due: int, item: _QuoteStream | Message) -> None:
        earliest = self._held.get(_stream_id(item), due)
        heapq.heappush(self._due, (max(due, earliest), next(self._order), item))

    def new_id(self) -> str:
        """Return an id that no other thing on any connection has."""
        name = f"{self.identity}/{next(self._issued)}".encode()
        return str(uuid.UUID(bytes=hashlib.blake2b(name, digest_size=16).digest()))


def _stream_id(item: _QuoteStream | Message) -> str:
    if isinstance(item, _QuoteStream):
        return item.stream.id
    stream_id: str = item.get("subscription", {}).get("id", "")
    return stream_id
