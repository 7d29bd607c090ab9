"""One stream of the server, from its first reply to its end, across connections; shared.

An upstream receives what the server sends for one request, and passes it on to each consumer that
is attached. Two things can interrupt it, the loss of the connection and an end that the server may
take back; its consumers are told, and the registry asks for the stream again. It is over when the
server refuses it for good, or when the last consumer has detached.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

import attrs
import trio

from derivtrio.api import codec
from derivtrio.calls.call import Call, label_of
from derivtrio.calls.metrics import Counters
from derivtrio.calls.routing import Stream, has_error, stream_id_of
from derivtrio.errors import ApiError, BrokenConnection, ConnectionLost, api_error, unreadable
from derivtrio.models import Tick
from derivtrio.policy.newest import shorten
from derivtrio.policy.retry import is_renewable, is_unauthorized
from derivtrio.streams.interfaces import Consumer
from derivtrio.streams.requests import resumption

#: How many ids a stream may have. Each symbol that was asked for has one, and a server may change
#: it now and then: then the oldest of the others is let go, as those that came first may be the
#: ones that count. Of `proposal_open_contract` without a `contract_id` each open contract has one.
_MOST_IDS: Final = 8
MOST_CONTRACTS: Final = 10_000
#: After how many seconds a reply is late. (At Deriv's distance it takes up to 0.2.)
_LATE: Final = 0.25

_CONTRACT: Final = "proposal_open_contract"


class Sharing(Protocol):
    """What streams share whose messages are about the same things: those of contracts."""

    def share(self, upstream: "Upstream", message: Mapping[str, Any]) -> None:
        """Let the others overhear *message* of *upstream* that are concerned."""
        ...

    def borrow_again(self, upstream: "Upstream") -> bool:
        """Have *upstream* live on another's stream; return whether there is one that will do."""
        ...

    async def clear_now(self) -> None:
        """End all of them at the server; return when those that are wanted have begun again."""
        ...


@attrs.define(eq=False, repr=False)
class Upstream:
    """What one request keeps sending, on its way to the consumers that share it.

    Attributes:
        name: the call that opened it.
        request: what asks for it again; None once that is impossible.
        ids: the `subscription.id`s it has on the present connection, as the keys of a dict;
            `ticks` with a list of symbols has several.
        latest: the newest message, decoded or as JSON; the one before, while consumers take it.
        last_wall: when it came, in seconds since the epoch; None before the first.
        parts: what the newest message says of each part, and when it came, where one request has
            several ids: `ticks` of a list of symbols, all open contracts; that which was silent
            longest is the first. Else None.
        over: whether nothing more will come of it.
        on_answer: called once, when the server next grants it; None if nobody cares.
        asked: the call that asks for it, until the reply comes.
        lingers: whether the server may have a stream for it that it has not told of: a request for
            it was not answered in time, or with an error that does not say that nothing was done.
        sharing: with what it shares its messages; None for most.
        breaks: how the connections ended that it may have broken (`suspects`).

    """

    name: str
    request: Mapping[str, Any] | None
    #: Has the stream asked for again; has a stream of this id unsubscribed.
    _renew: "Callable[[Upstream], None]"
    _let_go: Callable[[str], None]
    #: The reader notes there when a batch came: asking the clock for each tick would cost more.
    _counters: Counters = attrs.field(factory=Counters)
    ids: dict[str, None] = attrs.field(factory=dict, init=False)
    latest: dict[str, Any] | bytes | None = attrs.field(default=None, init=False)
    last_wall: float | None = attrs.field(default=None, init=False)
    parts: dict[Any, tuple[float, dict[str, Any]]] | None = attrs.field(
        default=None, init=False, repr=False
    )
    over: bool = attrs.field(default=False, init=False)
    on_answer: Callable[[], None] | None = attrs.field(default=None, init=False)
    asked: Call | None = attrs.field(default=None, init=False)
    lingers: bool = attrs.field(default=False, init=False)
    sharing: Sharing | None = attrs.field(default=None, init=False)
    breaks: tuple[BrokenConnection, ...] = attrs.field(default=(), init=False)
    _late: bool = attrs.field(default=False, init=False)
    #: The epoch of the newest message; whether the one before it was of a later one; and whether
    #: it is the reply to the request.
    _epoch: int = attrs.field(default=0, init=False)
    _latest_is_old: bool = attrs.field(default=False, init=False)
    _latest_is_reply: bool = attrs.field(default=False, init=False)
    _consumers: tuple[Consumer, ...] = attrs.field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        if self.is_family or isinstance((self.request or {}).get("ticks"), list | tuple):
            self.parts = {}

    def attach(self, consumer: Consumer, *, replay: bool = True) -> None:
        """Let *consumer* share it from the newest message on, or without *replay* from the next.

        A proposal of a lost connection is not replayed: its id is of no use any more.
        """
        self._consumers += (consumer,)
        latest = self.latest_message()
        if replay and latest is not None and (self.ids or self.name != "proposal"):
            consumer.take(latest)
            if not self.ids or self._latest_is_old:  # without ids there is no connection now
                consumer.interrupt()
            elif self._latest_is_reply:
                consumer.answered(late=self._late)

    def detach(self, consumer: Consumer) -> bool:
        """Leave *consumer* out from now on; return whether others are left."""
        self._consumers = tuple(each for each in self._consumers if each is not consumer)
        return bool(self._consumers)

    def deliver(self, message: dict[str, Any]) -> Stream | None:
        """Pass *message* on; return self while more is wanted."""
        if self.over:
            return None
        if "error" in message and has_error(message) and not self.is_family:
            self._end(api_error(message["error"], self.request))
            return None
        # It tells how the stream is asked for again: what was bought is not bought a second time.
        if self.latest is None:
            self.request = resumption(self.name, self.request or {}, message)
        if is_reply := not self.ids:
            self._note_lateness()
            self.lingers = False
        self.last_wall = self._counters.last_message_wall
        if self.parts is not None:
            self._note_parts([message])
        # `detach` makes a new tuple, so this loop goes over all who were there.
        for consumer in self._consumers:
            if not consumer.take(message):
                self.over = not self.detach(consumer)
            elif is_reply:
                consumer.answered(late=self._late)
        # The consumers may change what they got. (And as JSON it takes a third of the room.)
        self.latest, self._latest_is_reply = _as_data(message), is_reply
        self._note_epoch(_epoch_in(message))
        self._note_id(stream_id_of(message), message)
        if self.sharing is not None:
            self.sharing.share(self, message)
        return None if self.over else self

    def overhear(self, message: dict[str, Any]) -> None:
        """Pass on *message*, which came by another stream."""
        if not self.over:
            message = codec.copy_of(message)
            self.latest, self._latest_is_reply = _as_data(message), False
            for consumer in self._consumers:
                if not consumer.take(message):
                    self.over = not self.detach(consumer)

    def lost(self, why: BrokenConnection) -> None:
        """Note that the connection is gone; end the stream if it cannot be resumed."""
        self._interrupt()
        if self.request is None:
            text = f"{why}, and a stream opened by {self.name} cannot be resumed"
            self.close(ConnectionLost(text, {}))

    def renew(self) -> None:
        """Have it asked for again on this connection, where it has come to an end."""
        self._renew(self)
        self._interrupt()

    def refused(self, error: ApiError) -> None:
        """End the stream, which the server will not resume, with *error*."""
        self.over = True
        for consumer in self._consumers:
            consumer.conclude(error)

    def close(self, error: Exception | None = None) -> None:
        """End the stream at its consumers, normally or with *error*."""
        self.over = True
        for consumer in self._consumers:
            consumer.close(error)

    @property
    def is_family(self) -> bool:
        """Whether it is `proposal_open_contract` without a `contract_id`: one request, many ids.

        It is not over when one of the contracts is sold, or fails. Its own id may be unknown.
        """
        request = self.request or {}
        return _CONTRACT in request and "contract_id" not in request

    @property
    def label(self) -> str:
        """What it is called in logs and errors, such as `ticks R_100`."""
        return label_of(self.name, self.request or {})

    @property
    def may_exist(self) -> bool:
        """Whether the server may have a stream for it on this connection."""
        asked = self.asked is not None and self.asked.written_mono is not None
        return bool(self.ids) or asked or (self.is_family and self.latest is not None)

    def _end(self, error: ApiError) -> None:
        """End the stream, which is dead, at its consumers; or have it renewed, if that may help."""
        may_help = is_renewable(error) or is_unauthorized(error)
        if self.latest is None or self.request is None or not may_help:
            self.close(error)
        else:
            self.renew()

    def _interrupt(self) -> None:
        self.ids.clear()
        if self.parts:
            self.parts.clear()
        for consumer in self._consumers:
            consumer.interrupt()

    def _note_id(self, stream_id: str | None, message: Mapping[str, Any]) -> None:
        if self.on_answer is not None and stream_id not in self.ids:
            on_answer, self.on_answer = self.on_answer, None
            on_answer()
        if stream_id is None:
            if not self.ids and not self.is_family:
                self._end_without_id(message)
        elif _is_sold(message) and self.is_family:
            self.ids.pop(stream_id, None)
        elif stream_id not in self.ids:
            self.ids[stream_id] = None
            if len(self.ids) > self._most_ids:
                oldest = next(islice(self.ids, self._most_ids - _MOST_IDS + 1, None))
                del self.ids[oldest]
                self._let_go(oldest)

    def _end_without_id(self, message: Mapping[str, Any]) -> None:
        """End a stream whose first reply has no id: normally, if the server has nothing to add.

        That is so for a sold contract, and for a price that does not change. Otherwise a normal end
        would tell of something that is over.
        """
        if message.get("subscription") is not None:
            self.close(unreadable(f"{self.name} message", ValueError("a subscription without id")))
        elif _is_sold(message) or self.name in ("buy", "proposal"):
            self.over = True
            for consumer in self._consumers:
                consumer.finish()
        else:
            text = "it has no subscription, so the server sends nothing more"
            self.close(unreadable(f"{self.name} reply", ValueError(text)))

    @property
    def _most_ids(self) -> int:
        if self.is_family:
            return MOST_CONTRACTS
        symbols = (self.request or {}).get("ticks")
        return _MOST_IDS + (len(symbols) if isinstance(symbols, list | tuple) else 0)

    def _note_lateness(self) -> None:
        """Note whether the reply took so long that the server may have made it long before."""
        written = None if self.asked is None else self.asked.written_mono
        self._late = written is not None and trio.current_time() - written >= _LATE
        self.asked = None

    def _note_epoch(self, epoch: int) -> None:
        """Note the *epoch* of the newest message: a reply may come late, and after newer ones."""
        self._latest_is_old = epoch < self._epoch
        self._epoch = epoch

    def _note_parts(self, messages: Sequence[dict[str, Any]]) -> None:
        """Note the newest message about each symbol, or about each contract that is not sold."""
        parts = self.parts = {} if self.parts is None else self.parts
        wall = self._counters.last_message_wall or 0.0
        for message in messages:
            tick, contract = message.get("tick"), message.get(_CONTRACT)
            if isinstance(tick, dict) and isinstance(symbol := tick.get("symbol"), str):
                parts.pop(symbol, None)
                parts[symbol] = (wall, {"tick": {**tick}})
            elif isinstance(contract, dict) and "contract_id" in contract:
                contract_id = str(contract["contract_id"])
                parts.pop(contract_id, None)
                if not contract.get("is_sold"):
                    parts[contract_id] = (wall, codec.copy_of({_CONTRACT: contract}))
        shorten(parts, MOST_CONTRACTS)

    def latest_message(self) -> dict[str, Any] | None:
        """Return the newest message, decoded; None without one, or if it is nested too deep."""
        latest = self.latest
        if not isinstance(latest, bytes):
            return latest
        try:
            return codec.decode(latest)  # type: ignore[no-any-return]
        except RecursionError:  # since Python 3.14 the depth that is written may be greater
            return None

    # The fast way: most messages are ticks or what is usual in a stream, and come many at a time.
    # What follows does with a batch what `deliver` does with each message of it.

    def deliver_all(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Pass *messages* on; return those that have to be delivered singly.

        That is all of them if there is more about any than that it belongs to the stream; else
        none, but for the last when no consumer wants more.
        """
        ids = self.ids
        if self.over or self.sharing is not None:
            return messages
        try:
            for message in messages:
                if "error" in message or message["subscription"]["id"] not in ids:
                    return messages
        except (LookupError, TypeError):  # there is no id
            return messages
        self.last_wall = self._counters.last_message_wall
        if self.parts is not None:
            self._note_parts(messages)
        for consumer in self._consumers:
            if not consumer.take_all(messages):
                self.over = not self.detach(consumer)
        self.latest, self._latest_is_reply = _as_data(messages[-1]), False
        for message in messages[-2:]:
            self._note_epoch(_epoch_in(message))
        return messages[-1:] if self.over else []

    @property
    def tick_route(self) -> "Upstream | None":
        """Itself, if it brings nothing but the ticks of the one symbol that was asked for."""
        wanted = (self.request or {}).get("ticks")
        if not isinstance(wanted, str):
            return None
        tick = (self.latest_message() or {}).get("tick")
        return self if isinstance(tick, dict) and tick.get("symbol") == wanted else None

    def take_ticks(self, ticks: list[Tick], data: bytes, batch: Sequence[Any]) -> bool:
        """Pass *ticks* on, from the messages of *batch* up to *data*; return whether to go on."""
        if self.over:
            return False
        self.last_wall = self._counters.last_message_wall
        for consumer in self._consumers:
            if not consumer.take_ticks(ticks, data, batch):
                self.over = not self.detach(consumer)
        self.latest, self._latest_is_reply = data, False
        for tick in ticks[-2:]:
            self._note_epoch(tick.epoch)
        return not self.over


def _epoch_in(message: Mapping[str, Any]) -> int:
    """Return the epoch of a tick or a candle; 0 of anything else."""
    item = message.get("tick") or message.get("ohlc")
    epoch = item.get("epoch") if isinstance(item, dict) else None
    return epoch if isinstance(epoch, int) else 0


def _is_sold(message: Mapping[str, Any]) -> bool:
    contract = message.get(_CONTRACT)
    return isinstance(contract, dict) and contract.get("is_sold") == 1


def _as_data(message: dict[str, Any]) -> dict[str, Any] | bytes:
    """Return *message* as JSON; as it is, if it is nested too deep or has a number too large."""
    try:
        return codec.encode_again(message)
    except (ArithmeticError, RecursionError, ValueError):
        return message
