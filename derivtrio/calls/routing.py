"""Who gets a message. No I/O in here.

The rules:

1. A message belongs to the request whose `req_id` it repeats, at top level or, as some messages
   of the Options API have it, only inside `echo_req`. One that has neither belongs to the stream
   whose id it has. Order and `msg_type` mean nothing: replies overtake each other.
2. A request has one receiver at a time. It is given the message and names the receiver of the
   next one: a call names nobody or the stream it has opened, a stream names itself or nobody.
3. A message that carries a subscription and leaves no receiver behind belongs to a stream nobody
   wants (its caller went away, its consumer left): its id is put on `unwanted`, once.
4. `req_id`s count up for the life of the client, so that no reply of one connection could answer
   a request of another.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import attrs

from derivtrio.calls.fast_ticks import FastTicks, Route

#: The user's own raw messages take their `req_id`s from here up; ours count from 1.
FIRST_FOREIGN_ID: Final = 2**31

#: How many ids already given up are remembered, so that late messages do not repeat the forget.
_REMEMBERED: Final = 1024


R = TypeVar("R")


class Receiver(Protocol):
    """Whoever waits for the messages of one request.

    `lane` is where its ticks may go past it, `stream` where what is usual goes in one go.
    """

    @property
    def lane(self) -> Route | None:
        """Itself, or None."""
        ...

    @property
    def stream(self) -> "Stream | None":
        """Itself, or None."""
        ...

    def deliver(self, message: dict[str, Any]) -> "Receiver | None":
        """Take *message*; return who takes the next one of this request."""
        ...

    def lost(self, why: str) -> "Receiver | None":
        """Note that the connection is gone; return self if the request is to be made again."""
        ...


class Stream(Protocol):
    """Whoever takes the usual messages of a stream in one go; it has `ids` on this connection."""

    @property
    def ids(self) -> Sequence[str]:
        """The `subscription.id`s that are its own."""
        ...

    def deliver_all(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take *messages*, which follow each other; return those to be delivered singly."""
        ...


@attrs.define(eq=False)
class Router:
    """The table of requests that were written and may still be answered."""

    unwanted: list[str] = attrs.field(factory=list, init=False)
    express: FastTicks = attrs.field(factory=FastTicks, init=False)
    _receivers: dict[int, Receiver] = attrs.field(factory=dict, init=False)
    _streams: dict[int, Stream] = attrs.field(factory=dict, init=False)
    _given_up: dict[str, None] = attrs.field(factory=dict, init=False)
    _last_id: int = attrs.field(default=0, init=False)

    def of_kind(self, kind: type[R]) -> list[R]:
        """Return the receivers of *kind*, oldest first."""
        return [each for each in self._receivers.values() if isinstance(each, kind)]

    def register(self, receiver: Receiver) -> int:
        """Return the `req_id` under which *receiver* will be found."""
        self._last_id += 1
        self._receivers[self._last_id] = receiver
        return self._last_id

    def remove(self, req_id: int) -> None:
        """Expect nothing more for *req_id*."""
        self._receivers.pop(req_id, None)
        if self._streams.pop(req_id, None) is not None:
            self.express.routes.pop(req_id, None)

    def remove_receiver(self, receiver: Receiver) -> None:
        """Expect nothing more for *receiver*."""
        for req_id in [i for i, waiting in self._receivers.items() if waiting is receiver]:
            self.remove(req_id)

    def note_unwanted(self, stream_id: str) -> None:
        """Note that nobody wants the stream any more."""
        if stream_id in self._given_up:
            return
        self.unwanted.append(stream_id)
        self._given_up[stream_id] = None
        if len(self._given_up) > _REMEMBERED:
            del self._given_up[next(iter(self._given_up))]

    def route_all(self, messages: Sequence[dict[str, Any]]) -> None:
        """Give each message to its receiver; in one go those that follow each other in a stream."""
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

    def route(self, message: dict[str, Any]) -> None:
        """Give *message* to its receiver."""
        req_id = message.get("req_id")
        if req_id is None:
            req_id = _echoed_id(message) or self._id_of_stream(message)
        if type(req_id) is not int:  # True == 1, and a list has no hash
            return
        receiver = self._receivers.get(req_id)
        if receiver is not None:
            following = receiver.deliver(message)
            if following is receiver:
                return
            if following is not None:
                self._follow(req_id, following)
                return
            self.remove(req_id)
        elif req_id > self._last_id:
            return
        if "error" not in message and (stream_id := stream_id_of(message)) is not None:
            self.note_unwanted(stream_id)

    def _id_of_stream(self, message: Mapping[str, Any]) -> int | None:
        stream_id = stream_id_of(message)
        owners = (req_id for req_id, stream in self._streams.items() if stream_id in stream.ids)
        return None if stream_id is None else next(owners, None)

    def _follow(self, req_id: int, receiver: Receiver) -> None:
        self._receivers[req_id] = receiver
        if (stream := receiver.stream) is not None:
            self._streams[req_id] = stream
        if (lane := receiver.lane) is not None:
            self.express.routes[req_id] = lane

    def clear(self) -> list[Receiver]:
        """Forget everybody, as the connection is gone; return them, oldest first."""
        receivers = list(self._receivers.values())
        self._receivers.clear()
        self._streams.clear()
        self.express.routes.clear()
        self.unwanted.clear()
        self._given_up.clear()
        return receivers


def stream_id_of(message: Mapping[str, Any]) -> str | None:
    """Return the `subscription.id` of *message*, if it has one."""
    subscription = message.get("subscription")
    if isinstance(subscription, dict):
        stream_id = subscription.get("id")
        if isinstance(stream_id, str):
            return stream_id
    return None


def _echoed_id(message: Mapping[str, Any]) -> Any:
    echo = message.get("echo_req")
    return echo.get("req_id") if isinstance(echo, dict) else None
