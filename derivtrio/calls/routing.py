"""Which message belongs to which request. No I/O in here.

The rules:

1. A message belongs to the request whose `req_id` it repeats, at top level or, in some messages of
   the Options API, only inside `echo_req`. A message that has neither belongs to the stream whose
   id it has. Order and `msg_type` mean nothing: replies overtake each other. A message that names
   one request at top level and another inside `echo_req` belongs to nobody.
2. A request waits for one message. Whatever receives it says which stream, if any, takes the
   messages that follow under the same `req_id`. A stream takes them until it says that it is over.
3. If a message carries a subscription and nothing takes further messages of its request, the server
   is sending a stream that nobody wants (its caller went away, or its last consumer left). Its id
   is put on `unwanted`, once. Such streams are counted as `strangers`: each request that was given
   up explains one of them, and a server that sends many more is hostile (`streams.forgets`).
4. `req_id`s count up for the life of the client, so no reply on one connection can answer a request
   that was made on another.

`route` does this with one message at a time: that is all there is to routing. `route_all` does the
same with a batch and is faster; `fast_ticks` takes typed ticks around both. Only the reader decides
which of them is used (`supervision.tasks`).
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Protocol

import attrs

from derivtrio.calls.fast_ticks import FastTicks, TickRoute
from derivtrio.errors import BrokenConnection
from derivtrio.policy.newest import shorten
from derivtrio.redaction import hidden_in

#: The user's own raw messages take their `req_id`s from here up; ours count from 1.
FIRST_FOREIGN_ID: Final = 2**31

#: How many unsubscribed ids are remembered, so that late messages do not repeat the `forget`. One
#: more is remembered for each request that was given up, up to this number of requests.
_REMEMBERED: Final = 1024
_MOST_GIVEN_UP: Final = 10_000

#: How many requests are remembered that were refused, should the server answer them all the same.
_MOST_REFUSED: Final = 256

#: What a message may have besides its result.
_ENVELOPE: Final = frozenset("echo_req error msg_type passthrough req_id subscription".split())

#: A longer text is not the id of a stream. Deriv's have 36 characters; its schemas allow 128.
_LONGEST_ID: Final = 256


class Receiver(Protocol):
    """What waits for the message that answers a request."""

    def deliver(self, message: dict[str, Any]) -> "Stream | None":
        """Take *message*; return the stream that takes what follows, if there is one."""
        ...

    def lost(self, why: BrokenConnection) -> object:
        """Note that the connection is gone; return self if the request is to be made again."""
        ...


class Stream(Receiver, Protocol):
    """What takes all further messages of a request."""

    @property
    def ids(self) -> Collection[str]:
        """Its `subscription.id`s on this connection."""
        ...

    @property
    def over(self) -> bool:
        """Whether it wants nothing more."""
        ...

    @property
    def tick_route(self) -> TickRoute | None:
        """Itself, if `fast_ticks` may give it typed ticks."""
        ...

    def deliver_all(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take *messages*, which follow each other; return those to be delivered singly."""
        ...


@attrs.define(eq=False, repr=False)
class Router:
    """The requests that were written on this connection and may still bring messages.

    Attributes:
        unwanted: the ids of streams that are to be unsubscribed.
        strangers: how many of the ids in `unwanted` came without having been asked for.
        given_up: how many requests on this connection, whose messages may still come, nobody waits
            for any more.
        fast_ticks: the streams that take their ticks decoded.
        secrets: what was sent on this connection and is not to be shown, if an error repeats it.
        on_contradiction: is told who was refused, and with what it is answered all the same.

    """

    unwanted: list[str] = attrs.field(factory=list, init=False)
    strangers: int = attrs.field(default=0, init=False)
    given_up: int = attrs.field(default=0, init=False)
    fast_ticks: FastTicks = attrs.field(factory=FastTicks, init=False)
    secrets: Sequence[str] = attrs.field(default=(), init=False, repr=False)
    on_contradiction: Callable[[Receiver, Mapping[str, Any]], object] = attrs.field(
        default=lambda *_: None, init=False
    )
    _waiting: dict[int, Receiver] = attrs.field(factory=dict, init=False)
    _streams: dict[int, Stream] = attrs.field(factory=dict, init=False)
    #: The ids that were on `unwanted`, each with the newest `req_id` that it can have come from.
    _unsubscribed: dict[str, int] = attrs.field(factory=dict, init=False)
    #: Who got an error last, by `req_id`.
    _refused: dict[int, Receiver] = attrs.field(factory=dict, init=False)
    _last_id: int = attrs.field(default=0, init=False)

    def waiting(self) -> Iterator[Receiver]:
        """Iterate over what waits for an answer, in the order of writing."""
        return iter(self._waiting.values())

    def register(self, receiver: Receiver) -> int:
        """Return the `req_id` whose answer *receiver* gets."""
        self._last_id += 1
        self._waiting[self._last_id] = receiver
        return self._last_id

    def remove(self, req_id: int) -> None:
        """Expect nothing more for *req_id*."""
        waited = self._waiting.pop(req_id, None) is not None
        if self._streams.pop(req_id, None) is not None:
            self.fast_ticks.routes.pop(req_id, None)
            waited = True
        if waited and self.given_up < _MOST_GIVEN_UP:
            self.given_up += 1

    def remove_receiver(self, stream: Stream) -> None:
        """Expect nothing more for *stream*."""
        for req_id in [i for i, each in self._streams.items() if each is stream]:
            self.remove(req_id)

    def note_unwanted(
        self, stream_id: str, req_id: int | None = None, *, granted: bool = False
    ) -> None:
        """Note that nobody wants the stream any more, of which *req_id* was the request.

        That counts once, whatever is still on its way. A server may give the id of a stream that
        has ended to one that it *granted* later: to a request after that one, or just now.
        """
        known = self._unsubscribed.get(stream_id)
        if known is not None and not granted and (req_id is None or req_id <= known):
            return
        self.unwanted.append(stream_id)
        self._unsubscribed[stream_id] = self._last_id if req_id is None else req_id
        shorten(self._unsubscribed, _REMEMBERED + self.given_up)

    def note_stranger(self, stream_id: str, req_id: int | None = None) -> None:
        """Note a stream that nobody wants, and that the client has not asked for."""
        known = len(self.unwanted)
        self.note_unwanted(stream_id, req_id)
        self.strangers += len(self.unwanted) - known

    def route(self, message: dict[str, Any]) -> None:
        """Give *message* to what waits for it."""
        if self.secrets and "error" in message:
            message["error"] = hidden_in(message["error"], self.secrets)
        req_id, echo = message.get("req_id"), message.get("echo_req")
        echoed = echo.get("req_id") if isinstance(echo, dict) else None
        # It may be missing here; then the echo of the request has it, or the stream tells.
        if req_id is None:
            req_id = echoed or self._id_of_stream(message)
        elif echoed != req_id and type(echoed) is int:
            return
        if type(req_id) is not int:  # `True` equals 1, and a list cannot be looked up
            return
        # The first message answers the request; all later ones belong to the stream that it opened.
        asked = self._waiting.pop(req_id, None)
        receiver = asked or self._streams.get(req_id)
        if receiver is not None:
            stream = receiver.deliver(message)
            if stream is not None:
                if asked is not None:
                    self._follow(req_id, stream)
                return
            if asked is None:
                self.remove(req_id)  # the stream is over
        elif req_id > self._last_id:
            return  # it answers a raw message of the user's own
        self._note_unfollowed(message, req_id, asked)

    def route_all(self, messages: Sequence[dict[str, Any]]) -> None:
        """Do what `route` does with each message, but hand over runs of one stream in one go."""
        if len(messages) == 1:
            self.route(messages[0])
            return
        stream_of, stream = self._streams.get, None
        run: list[dict[str, Any]] = []
        for message in messages:
            req_id = message.get("req_id")
            found = stream_of(req_id) if req_id.__class__ is int else None
            if found is not stream:
                if stream is not None:
                    for left in stream.deliver_all(run):
                        self.route(left)
                stream, run = found, []
            if found is None:
                self.route(message)
            else:
                run.append(message)
        if stream is not None:
            for left in stream.deliver_all(run):
                self.route(left)

    def clear(self) -> list[Receiver]:
        """Expect nothing more, as the connection is gone; return who waited, oldest first."""
        receivers = list(chain(self._waiting.values(), self._streams.values()))
        self._waiting.clear()
        self._streams.clear()
        self.fast_ticks.routes.clear()
        self.unwanted.clear()
        self._unsubscribed.clear()
        self._refused.clear()
        self.strangers = self.given_up = 0
        self.secrets = ()
        return receivers

    def _id_of_stream(self, message: Mapping[str, Any]) -> int | None:
        stream_id = stream_id_of(message)
        owners = (req_id for req_id, stream in self._streams.items() if stream_id in stream.ids)
        return None if stream_id is None else next(owners, None)

    def _note_unfollowed(
        self, message: Mapping[str, Any], req_id: int, asked: Receiver | None
    ) -> None:
        """Note what a *message* tells that nobody follows: a refusal, or a stream.

        The first message of a request may bring a stream that was not asked for in so many words:
        v3's `ticks` always streams.
        """
        if "error" in message and has_error(message):
            if asked is not None:
                self._refused[req_id] = asked
                shorten(self._refused, _MOST_REFUSED)
            return
        if asked is None and (refused := self._refused.pop(req_id, None)) is not None:
            self.on_contradiction(refused, message)
        if "subscription" in message and (stream_id := stream_id_of(message)) is not None:
            note = self.note_stranger if asked is None else self.note_unwanted
            note(stream_id, req_id)

    def _follow(self, req_id: int, stream: Stream) -> None:
        self._streams[req_id] = stream
        if (route := stream.tick_route) is not None:
            self.fast_ticks.routes[req_id] = route


def has_error(message: Mapping[str, Any]) -> bool:
    """Return whether *message* is an error. One that is null, beside a result, is none."""
    if "error" not in message:
        return False
    return message["error"] is not None or message.keys() <= _ENVELOPE


def stream_id_of(message: Mapping[str, Any]) -> str | None:
    """Return the `subscription.id` of *message*, if it has one."""
    subscription = message.get("subscription")
    if isinstance(subscription, dict):
        stream_id = subscription.get("id")
        if isinstance(stream_id, str) and len(stream_id) <= _LONGEST_ID:
            return stream_id
    return None
