"""The streams of one connection.

Deriv's rules:

1. A stream has an id that is unique on its connection; it ends with the connection.
2. A second subscription with the same *key* on a connection is refused with `AlreadySubscribed`,
   whatever its `req_id`.
3. `forget` and `forget_all` of a stream that does not exist are not errors.

Streams of ticks wait in a heap for the epoch of their next tick. So one task serves all streams of
a connection, and does nothing between ticks. Messages with another cause, such as a payment, wait
in the same heap for the epoch at which they are sent. The ticks of one epoch are sent in order,
each in a message of its own.

A fault can make a stream mute: it goes on to exist, so that its key is taken, and is forgotten as
any other, but no message comes. The reply to its request is not one of its messages.
"""

import hashlib
import heapq
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import count

import attrs

from derivtrio.simulator.faults.request_faults import Between
from derivtrio.simulator.faults.stream_mutes import LastingMutes, StreamMutes, is_named
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


@attrs.frozen(eq=False)
class _DueTick:
    """The next message of *source*: the *nth* of the ticks with this *epoch*, from 0 on."""

    source: _TickStream
    epoch: int
    nth: int = 0


@attrs.frozen
class _Hold:
    """No message of a stream before *epoch*; the ticks until then are *lost*, or come at once."""

    epoch: int
    lost: bool


@attrs.define(eq=False)
class SessionStreams:
    """The streams of a connection, *by_id*. *identity* makes ids differ between connections.

    *mutes* are the rules for new streams of all connections.
    """

    identity: str
    market: Market
    mutes: StreamMutes = attrs.field(factory=StreamMutes)
    by_id: dict[str, ActiveStream] = attrs.field(factory=dict, init=False)
    #: Called when `next_due` may have changed.
    on_change: Callable[[], None] = attrs.field(default=lambda: None, init=False, repr=False)
    _due: list[tuple[int, int, _DueTick | Message]] = attrs.field(
        factory=list, init=False, repr=False
    )
    #: By stream id. See `send_late`.
    _holds: dict[str, _Hold] = attrs.field(factory=dict, init=False, repr=False)
    #: The ids of the streams that are mute.
    _mute: set[str] = attrs.field(factory=set, init=False, repr=False)
    #: The rules for new streams of this connection only.
    _mutes_here: LastingMutes = attrs.field(factory=LastingMutes, init=False, repr=False)
    _order: Iterator[int] = attrs.field(factory=count, init=False, repr=False)
    _issued: Iterator[int] = attrs.field(factory=count, init=False, repr=False)

    def add(self, key: StreamKey, request: Message) -> ActiveStream:
        """Add a stream; raise the `Refusal` if there is one with the same *key*."""
        if self.find(key) is not None:
            text = f"You are already subscribed to {key[1]}"
            raise Refusal(code="AlreadySubscribed", message=text)
        stream = ActiveStream(self.new_id(), key, request)
        self.by_id[stream.id] = stream
        if self.mutes.take(key) or self._mutes_here.cover(key):
            self._mute.add(stream.id)
        return stream

    def follow(self, stream: ActiveStream, symbol: str, render: Render, after: int) -> None:
        """Send a message of *stream* for each tick of *symbol* after the epoch *after*."""
        self._schedule(_TickStream(stream, symbol, render), after)

    def send_at(self, messages: Iterable[Message], epoch: int) -> None:
        """Send *messages* at *epoch*, before the ticks of that second, except of mute streams."""
        for message in messages:
            if _stream_id(message) not in self._mute:
                self._push(epoch, message)
        self.on_change()

    def send_late(self, reply: Message, epoch: int, between: Between = "lost") -> None:
        """Send *reply* at *epoch*; *between* says what becomes of its stream's ticks until then.

        Other messages of the stream, such as a new balance, come after *reply*; with `before` they
        come at their times.
        """
        # Build the heap again: what the stream already has in it must come after *reply*.
        waiting, self._due = self._due, []
        heapq.heappush(self._due, (epoch, next(self._order), reply))
        if (stream_id := _stream_id(reply)) and between != "before":
            self._holds[stream_id] = _Hold(epoch, lost=between == "lost")
        for due, _, item in sorted(waiting, key=lambda entry: entry[:2]):
            self._push(due, item)
        self.on_change()

    def find(self, key: StreamKey) -> ActiveStream | None:
        """Return the stream with this *key*, or `None`."""
        return next((stream for stream in self.by_id.values() if stream.key == key), None)

    def remove(self, stream_id: str) -> bool:
        """Remove a stream, and return whether it existed."""
        self._mute.discard(stream_id)
        self._holds.pop(stream_id, None)
        return self.by_id.pop(stream_id, None) is not None

    def mute(self, word: str, *, lasting: bool) -> list[StreamKey]:
        """Make the streams mute that *word* names, and return their keys.

        If it is *lasting*, later ones are mute as well.
        """
        named = [each for each in self.by_id.values() if is_named(word, each.key, each.id)]
        self._mute.update(stream.id for stream in named)
        keys = [stream.key for stream in named]
        if lasting:
            self._mutes_here.add(word, keys)
        self.on_change()
        return keys

    def mute_as(self, parent: ActiveStream, stream: ActiveStream) -> None:
        """Make *stream* mute if *parent* is, the request of which opened it."""
        if parent.id in self._mute:
            self._mute.add(stream.id)

    def remove_kinds(self, kinds: Collection[str]) -> list[str]:
        """Remove all streams of these *kinds*, and return their ids."""
        ended = [stream.id for stream in self.by_id.values() if stream.kind in kinds]
        for stream_id in ended:
            self.remove(stream_id)
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
            yield self._tick_message(item) if isinstance(item, _DueTick) else item

    def _tick_message(self, due: _DueTick) -> Message:
        source, stream = due.source, due.source.stream
        ticks = self.market.ticks_at(source.symbol, due.epoch)
        try:
            message = stream.message(*source.render(ticks[due.nth]))
        except Refusal as refused:
            self.remove(stream.id)
            return error_reply(stream.request, stream.kind, refused)
        if due.nth + 1 < len(ticks):
            self._push(due.epoch, attrs.evolve(due, nth=due.nth + 1))
        else:
            self._schedule(source, due.epoch)
        return message

    def _is_wanted(self, item: _DueTick | Message) -> bool:
        return not isinstance(item, _DueTick) or (
            _stream_id(item) in self.by_id and _stream_id(item) not in self._mute
        )

    def _schedule(self, source: _TickStream, after: int) -> None:
        epoch = self.market.next_tick_epoch(source.symbol, after)
        self._push(epoch, _DueTick(source, epoch))

    def _push(self, due: int, item: _DueTick | Message) -> None:
        hold = self._holds.get(_stream_id(item))
        if hold is not None and due < hold.epoch:
            due = hold.epoch
            if isinstance(item, _DueTick) and hold.lost:
                due = self.market.next_tick_epoch(item.source.symbol, hold.epoch - 1)
                item = _DueTick(item.source, due)
        heapq.heappush(self._due, (due, next(self._order), item))

    def new_id(self) -> str:
        """Return an id that is unique in this simulator."""
        name = f"{self.identity}/{next(self._issued)}".encode()
        return str(uuid.UUID(bytes=hashlib.blake2b(name, digest_size=16).digest()))


def _stream_id(item: _DueTick | Message) -> str:
    if isinstance(item, _DueTick):
        return item.source.stream.id
    stream_id: str = item.get("subscription", {}).get("id", "")
    return stream_id
