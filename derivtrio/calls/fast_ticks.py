"""The express lane: ticks go from their bytes straight to typed consumers, past the dicts.

Most messages of a client that streams are ticks, and a consumer of `Tick`s needs nothing of
them but the tick. So such a message is decoded into a `Tick` at once, inside an envelope of which
nothing but the `req_id` is looked at. (Measured: 2 µs from the socket to the `async for` instead
of 3.3, of which the dicts were to make, to look through and to throw away.)

A message goes this way if

- it has the look of a tick, `"tick":{`, and decodes as one, without an `error`;
- its `req_id` is that of a stream which was answered on this connection, and is no list.

Everything else goes the ordinary way, which also knows what to say of what it cannot read. As
long as some consumer wants tick messages as they are, all of them do: none is decoded twice. What
is skipped is not checked either: nonsense in a tick's `echo_req` goes unnoticed.

In a flood a batch is nothing but ticks. After such a batch the next is decoded in one go, as a JSON
array. (Measured: a fifth of the decoding.) If that fails, each message is looked at by itself.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

import attrs
import msgspec

from derivtrio.api.codec import UNDECODABLE
from derivtrio.models import Tick

_LOOK: Final = b'"tick":{'


class Route(Protocol):
    """A stream of ticks that takes them as such."""

    def take_ticks(self, ticks: list[Tick], data: bytes) -> bool:
        """Take *ticks*, the last of which came in the message *data*; return whether more may come.

        A lane that is over takes none.
        """
        ...


class _Envelope(msgspec.Struct, gc=False, eq=False):
    req_id: int
    tick: Tick
    error: Any = None


_decode = msgspec.json.Decoder(_Envelope).decode
_decode_all = msgspec.json.Decoder(list[_Envelope]).decode

#: A message of no stream.
_NONE: Final = _Envelope(0, Tick("", 0, 0))


@attrs.define(eq=False)
class FastTicks:
    """The routes of one connection, by `req_id`.

    `plain` counts the consumers that want tick messages as they are.
    """

    routes: dict[int, Route] = attrs.field(factory=dict, init=False)
    plain: int = attrs.field(default=0, init=False)
    _flood: bool = attrs.field(default=False, init=False)

    @property
    def open(self) -> bool:
        """Whether any message can go this way now."""
        return bool(self.routes) and not self.plain

    def left(self, batch: Sequence[Any]) -> Iterable[Any]:
        """Deliver what may go this way, and return the rest of *batch*, in its order.

        Ticks that follow each other on one lane are delivered together. The last message of a lane
        that is over goes the ordinary way, where it is noticed that nobody wants the stream. What
        is left is to be routed as it is taken from the iterable, lest a tick overtakes it.
        """
        return self._left_of_one(batch) if len(batch) == 1 else self._left_of_many(batch)

    def _left_of_one(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Do so with a message that comes alone.

        (Measured: without a list, a loop and a generator such a tick costs a twelfth less CPU.)
        """
        message = _decoded(batch[0])
        if message.error is not None:
            return batch
        lane = self.routes.get(message.req_id)
        return () if lane is not None and lane.take_ticks([message.tick], batch[0]) else batch

    def _left_of_many(self, batch: Sequence[Any]) -> Iterator[Any]:
        lane_of, lane, last = self.routes.get, None, b""
        ticks: list[Tick] = []
        for data, message in zip(batch, self._envelopes(batch), strict=True):
            found = lane_of(message.req_id) if message.error is None else None
            if found is not lane:
                if lane is not None and not lane.take_ticks(ticks, last):
                    yield last
                lane, ticks = found, []
            if found is None:
                yield data
            else:
                ticks.append(message.tick)
                last = data
        if lane is not None and not lane.take_ticks(ticks, last):
            yield last

    def _envelopes(self, batch: Sequence[Any]) -> list[_Envelope]:
        """Return what is looked at of each message in *batch*; `_NONE` of one that is no tick."""
        if self._flood and (together := _decoded_together(batch)) is not None:
            return together
        envelopes = [_decoded(data) for data in batch]
        self._flood = len(batch) > 1 and _NONE not in envelopes
        return envelopes


def _decoded(data: Any) -> _Envelope:
    if isinstance(data, bytes) and data.rfind(_LOOK) >= 0:
        try:
            return _decode(data)
        except UNDECODABLE:
            pass
    return _NONE


def _decoded_together(batch: Sequence[Any]) -> list[_Envelope] | None:
    """Return what is in *batch*, if each message has the look of a tick; otherwise None.

    Then there are as many as there are messages: none is empty, and none is more than one.
    """
    try:
        envelopes = _decode_all(b"[%b]" % b",".join(batch))
    except (*UNDECODABLE, TypeError):
        return None
    return envelopes if len(envelopes) == len(batch) else None
