"""What the drill of bytes tries: functions of bytes that fail if a promise of G18 is broken.

Some also compare the fast way with the plain way.

- `frames`: the frame filter with wsproto behind it, and wsproto alone, get the same messages out
  of a byte stream, however that is cut.
- `handshake`: any answer is read or refused, however it is cut; what is kept of it is bounded.
- `streams`: lines of JSON, into the router, the streams of every kind and their models. A batch
  that goes the fast way gives each consumer what it gives it the plain way, one by one.
- `reconcile`: rows of the account's lists, into the models and the decision about an order.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, Final

import attrs
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Message
from wsproto.utilities import ProtocolError

from derivtrio.api import codec, trades
from derivtrio.api.parsing import UNREADABLE
from derivtrio.calls.routing import Router
from derivtrio.connection.fast.frames import PLACEHOLDER, FrameFilter
from derivtrio.connection.handshake import Answer
from derivtrio.errors import HandshakeFailed
from derivtrio.models import Purchase, Tick
from derivtrio.streams.candles import CandleTranslator
from derivtrio.streams.epochs import Epochs
from derivtrio.streams.snapshots import BalanceTranslator, ContractTranslator, ProposalTranslator
from derivtrio.streams.ticks import TickTranslator
from derivtrio.streams.transactions import TransactionTranslator
from derivtrio.streams.upstream import Upstream
from derivtrio.trading.reconcile.matching import Fit, Order, decide, fit_of

_LARGEST: Final = 2**13
_MOST_BODY: Final = 2**12


def _cut(data: bytes) -> Iterator[bytes]:
    """Cut *data* into pieces; their sizes are bytes of its own, so that a fuzzer can vary them."""
    if data:
        sizes, start = data[: 1 + data[0] % 8], 0
        for number in range(len(data)):
            end = start + 1 + sizes[number % len(sizes)]
            yield data[start:end]
            start = end
            if start >= len(data):
                break


# Frames


@attrs.define(eq=False)
class Reading:
    """What a WebSocket implementation makes of bytes: messages, a Close, or a verdict."""

    messages: list[str | bytes] = attrs.field(factory=list)
    close: int | None = None
    refused: bool = False
    _frames: Frames = attrs.field(
        factory=lambda: Frames(ConnectionType.CLIENT, extensions=[]), init=False
    )
    _parts: list[Any] = attrs.field(factory=list, init=False)

    def feed(self, data: bytes) -> int:
        """Take *data*; return how many messages were complete before it."""
        before = len(self.messages)
        if self.refused or self._frames.state is not ConnectionState.OPEN or not data:
            return before
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                self._note(event)
        except ProtocolError:
            self.refused = True
        return before

    def _note(self, event: object) -> None:
        if isinstance(event, Message):
            self._parts.append(event.data)
            if event.message_finished:
                empty: Any = "" if isinstance(event.data, str) else b""
                self.messages.append(empty.join(self._parts))
                self._parts.clear()
        elif isinstance(event, CloseConnection):
            if self._frames.state is ConnectionState.OPEN:
                self.refused = True  # this is wsproto's verdict, and not the peer's Close
            else:
                self.close = event.code


def frames(data: bytes) -> None:
    """Read frames both ways."""
    plain, filtering = Reading(), FrameFilter(_LARGEST)
    plain.feed(data)
    try:
        fast = list(_filtered(data, filtering))
    except UnicodeDecodeError:
        return  # the connection is lost there: at once on the plain way, on this one by who decodes
    assert fast == [_as_bytes(each) for each in plain.messages]
    if not plain.refused:
        assert (filtering.close is None) == (plain.close is None), (filtering.close, plain.close)


def _filtered(data: bytes, filtering: FrameFilter) -> Iterator[bytes]:
    """Yield the messages that come of *data* the fast way, up to the first that is missing."""
    behind = Reading()
    for piece in _cut(data):
        items, forwarded = filtering.feed(piece)
        count = behind.feed(forwarded)
        whole = iter(behind.messages[count:])
        for item in items:
            if item is PLACEHOLDER:
                if (message := next(whole, None)) is None:
                    return
                yield _as_bytes(message)
            else:
                assert isinstance(item, bytes)
                yield item.decode().encode()


def _as_bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else bytes(message)


# The handshake


def handshake(data: bytes) -> None:
    """Read an answer at once, and in pieces."""
    whole, apart = _answer([data]), _answer(_cut(data))
    if whole is None or apart is None:
        return
    assert (whole.status, whole.head) == (apart.status, apart.head)
    assert (whole.refusal is None) == (apart.refusal is None)
    if whole.refusal is not None and apart.refusal is not None:
        assert whole.refusal.headers == apart.refusal.headers
        assert max(map(len, [*whole.refusal.headers.values(), ""])) <= 200
        assert max(len(whole.rest), len(apart.rest)) <= _MOST_BODY


def _answer(pieces: Any) -> Answer | None:
    answer = Answer()
    try:
        for piece in pieces:
            if answer.finished:
                break
            if piece:
                answer.feed(piece)
    except HandshakeFailed:
        return None
    return answer


# Streams


@attrs.define(eq=False)
class Recorder:
    """A consumer that keeps what it gets."""

    translator: Any
    items: list[Any] = attrs.field(factory=list)
    skipped: int = 0

    def take(self, message: Mapping[str, Any]) -> bool:
        """Take *message* as `ServerStream.take` does."""
        try:
            self.items += self.translator.feed(message)
        except UNREADABLE:
            self._skip()
        self.note_doubt()
        return not self.translator.over

    def take_all(self, messages: list[dict[str, Any]]) -> bool:
        """Take each of *messages*."""
        return all(map(self.take, messages))

    def take_ticks(self, ticks: list[Tick], data: bytes = b"", batch: Sequence[Any] = ()) -> bool:
        """Take *ticks* the fast way."""
        self.items += self.translator.advance_all(ticks, data, batch)
        self.note_doubt()
        return True

    def answered(self, *, late: bool) -> None:
        """Pass it on."""
        self.translator.answered(late=late)

    def interrupt(self) -> None:
        """Pass it on."""
        self.translator.interrupt()

    def conclude(self, error: Exception) -> None:
        """Note the end."""
        self.items += [*self.translator.missing(), type(error)]

    def close(self, error: Exception | None = None) -> None:
        """Note the end."""
        self.items.append(type(error))

    def _skip(self) -> None:
        self.skipped += 1
        self.items += self.translator.skip() or ()

    def note_doubt(self) -> None:
        """Take note of an item that was not believed."""
        self.skipped += self.translator.implausible is not None
        self.translator.implausible = None


def _epochs() -> Epochs:
    return Epochs(clock=lambda: 0.0)


#: A stream of each kind: its request, its translator, and the first message.
_STREAMS: Final[dict[str, tuple[dict[str, Any], Callable[[], Any], dict[str, Any]]]] = {
    "ticks": (
        {"ticks": "R_100"},
        lambda: TickTranslator("R_100", None, _epochs()),
        {"tick": {"symbol": "R_100", "epoch": 1000, "quote": 1.5, "pip_size": 2}},
    ),
    "ticks_history": (
        {"ticks_history": "R_100", "style": "candles", "granularity": 60},
        lambda: CandleTranslator("R_100", 60),
        {
            "ohlc": {
                "open_time": 960,
                "epoch": 965,
                "open": "1",
                "high": "2",
                "low": "1",
                "close": "1",
                "granularity": 60,
                "symbol": "R_100",
            }
        },
    ),
    "balance": (
        {"balance": 1},
        BalanceTranslator,
        {"balance": {"balance": 5, "currency": "USD", "loginid": "CR1"}},
    ),
    "proposal": (
        {"proposal": 1, "amount": 1},
        lambda: ProposalTranslator({}, lambda: 1),
        {"proposal": {"id": "x", "ask_price": 5, "payout": 9, "spot": 1, "spot_time": 5}},
    ),
    "transaction": (
        {"transaction": 1},
        TransactionTranslator,
        {"transaction": {"id": "x"}},
    ),
    "proposal_open_contract": (
        {"proposal_open_contract": 1, "contract_id": 5},
        ContractTranslator,
        {"proposal_open_contract": {"contract_id": 5, "status": "open", "is_sold": 0}},
    ),
}


@attrs.define(eq=False)
class World:
    """A router with a stream of every kind."""

    router: Router = attrs.field(factory=Router)
    consumers: list[Recorder] = attrs.field(factory=list)
    upstreams: list[Upstream] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        for name, (request, translator, first) in _STREAMS.items():
            upstream = Upstream(name, request, lambda _: None, self.router.note_stranger)
            self.consumers.append(Recorder(translator()))
            self.upstreams.append(upstream)
            upstream.attach(self.consumers[-1])
            req_id = self.router.register(upstream)
            self.router.route({**first, "req_id": req_id, "subscription": {"id": name}})

    def take(self, batch: list[bytes]) -> bool:
        """Route *batch* the fast way; return whether all of it could be decoded."""
        fast_ticks = self.router.fast_ticks
        others = fast_ticks.deliver(batch) if fast_ticks.usable else batch
        return self._route(others)

    def take_plainly(self, batch: list[bytes]) -> bool:
        """Do the same, one by one."""
        return self._route(batch)

    def _route(self, batch: Any) -> bool:
        for data in batch:
            try:
                message = codec.decode(data)
            except codec.UNDECODABLE:
                return False
            if not isinstance(message, dict):
                return False
            self.router.route(message)
        return True


def streams(data: bytes) -> None:
    """Feed lines of JSON to streams both ways; an empty line ends a batch."""
    fast, plain = World(), World()
    for text in data.split(b"\n\n"):
        batch = text.split(b"\n")
        if not all((fast.take(batch), plain.take_plainly(batch))):
            return  # such a message loses the connection
        assert len(fast.router.unwanted) <= len(data)
    _check_models(fast)
    _check_models(plain)
    if not any(map(_has_what_is_skipped, data.split(b"\n"))):
        for one, other in zip(fast.consumers, plain.consumers, strict=True):
            assert one.items == other.items, (one, other)


def _has_what_is_skipped(line: bytes) -> bool:
    """Return whether a tick has odd values at which the fast way does not look."""
    message = codec.decode(line) if line else {}
    return "tick" in message and (
        "echo_req" in message or message.get("subscription") != {"id": "ticks"}
    )


def _check_models(world: World) -> None:
    for consumer in world.consumers:
        for item in consumer.items:
            for name in getattr(item, "__struct_fields__", ()):
                value = getattr(item, name)
                assert not isinstance(value, float) or abs(value) < float("inf"), (item, name)
    ticks = [each for each in world.consumers[0].items if isinstance(each, Tick)]
    assert all(each.symbol == "R_100" for each in ticks), ticks
    assert all(0 <= each.epoch < 10**10 for each in ticks)
    assert all(len(upstream.ids) <= 9 for upstream in world.upstreams)


# Seams

#: What a byte can do to the epoch of the next tick.
_STEPS: Final = (1, 1, 1, 2, 0, 5, -1, -3, -61, -90_000, 86_399, 86_401, 300_000_000, 3)


def seams(data: bytes) -> None:
    """Take ticks in batches and one by one, with interruptions, replies and nonsense in between.

    A byte is a tick (a step of the epoch; a quote; seldom another symbol), the end of a batch, or
    something that happens between two batches.
    """
    fast, plain = _recorder(), _recorder()
    epoch, batch = 1000, list[Tick]()
    for byte in data:
        kind, rest = byte >> 5, byte & 31
        if kind < 6 and rest < len(_STEPS):
            epoch = max(0, epoch + _STEPS[rest])
            symbol = "R_50" if kind == 0 and rest == 0 else "R_100"
            batch.append(Tick(symbol, epoch, 1.0 + kind // 3))
            continue
        _take_both_ways(fast, plain, batch)
        batch = []
        for recorder in (fast, plain):
            _happen(recorder, rest % 3, epoch)
    _take_both_ways(fast, plain, batch)
    assert fast.items == plain.items, (fast.items, plain.items)


def _recorder() -> Recorder:
    recorder = Recorder(TickTranslator("R_100", None, _epochs()))
    recorder.take(_STREAMS["ticks"][2])
    recorder.answered(late=False)
    return recorder


def _happen(recorder: Recorder, what: int, epoch: int) -> None:
    if what == 1:
        recorder.interrupt()
        recorder.take({"tick": {"symbol": "R_100", "epoch": epoch, "quote": 1.0}})
        recorder.answered(late=False)
    elif what == 2:
        recorder.take({"tick": {"symbol": "R_100", "epoch": "?", "quote": 1.0}})


def _take_both_ways(fast: Recorder, plain: Recorder, batch: list[Tick]) -> None:
    if batch:
        fast.take_ticks(batch)
    for tick in batch:
        plain.items += plain.translator.advance(tick)
        plain.note_doubt()


# Reconciliation

_PARAMETERS: Final = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 5,
    "duration_unit": "t",
    "barrier": "+0.1",
}
_ORDERS: Final = (
    Order(_PARAMETERS, 10, 990, 1020),
    Order(
        {**_PARAMETERS, "contract_type": "MULTUP", "multiplier": 30, "limit_order": {}}, 10, 0, 9e9
    ),
    Order({**_PARAMETERS, "contract_type": "ACCU", "growth_rate": 0.01}, 10, 0, 9e9),
    Order(None, None, -float("inf"), float("inf")),
)


def reconcile(data: bytes) -> None:
    """Read rows, one a line, as each of the lists has them; decide about orders by them."""
    purchases: dict[int, Purchase] = {}
    for line in data.split(b"\n"):
        with suppress(*codec.UNDECODABLE):
            row = codec.decode(line)
            for made in _purchases_in(row):
                purchases.setdefault(made.contract_id, made)
    rows = list(purchases.values())[:8]
    for order in _ORDERS:
        others = [each for each in _ORDERS if each is not order]
        finding = decide(order, others, rows)
        assert finding.purchase is None or finding.purchase in finding.candidates
        assert all(each in rows for each in finding.candidates)
        fits = [fit_of(order, each) for each in rows]
        assert finding.candidates or Fit.FULLY not in fits, "a purchase that fits is not a no"
        assert Fit.BUT_FOR_PRICE not in fits or finding.candidates, "nor is a price"
        backwards = decide(order, others, rows[::-1])
        assert set(map(id, backwards.candidates)) == set(map(id, finding.candidates))


def _purchases_in(row: Any) -> Iterator[Purchase]:
    for read in (trades.transaction_in, trades.position_in, trades.closed_contract_in):
        try:
            yield trades.purchase_from(read(row))
        except UNREADABLE:
            continue
    with suppress(*UNREADABLE):
        yield trades.purchase_in({"buy": row})
    for read_it in (trades.sale_in, lambda payload: trades.limits_in(5, payload)):
        with suppress(*UNREADABLE):
            read_it(row)


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    "frames": frames,
    "handshake": handshake,
    "streams": streams,
    "seams": seams,
    "reconcile": reconcile,
}


#: What may stand where something else should.
_ODD: Final = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        5,
        1000,
        1001,
        1500,
        2**31,
        2**63,
        10**20,
        10**400,
        1.5,
        -0.5,
    ),
    *(
        "",
        "R_100",
        "R_50",
        "NaN",
        "-1e999",
        "5",
        "1.5",
        "x",
        "ticks",
        "balance",
        [],
        [1],
        {},
        {"id": 1},
    ),
)


def mutated_lines(data: bytes, seed: int) -> bytes:
    """Return lines of JSON of which one is changed in one place, or repeated, or gone.

    Bytes that are changed at random are hardly ever JSON.
    """
    chance, lines = random.Random(seed), data.split(b"\n")
    number = chance.randrange(len(lines))
    what = chance.random()
    if what < 0.1:
        lines.insert(chance.randrange(len(lines) + 1), lines[number])
    elif what < 0.15:
        del lines[number]
    else:
        with suppress(*codec.UNDECODABLE, ValueError):
            message = codec.decode(lines[number])
            _change_one_place(message, chance)
            lines[number] = codec.encode(message).encode()
    return b"\n".join(lines)


def _change_one_place(message: Any, chance: random.Random) -> None:
    while isinstance(message, dict) and message:
        name = chance.choice(list(message))
        if isinstance(message[name], dict) and message[name] and chance.random() < 0.8:
            message = message[name]
        elif chance.random() < 0.1:
            del message[name]
            return
        elif isinstance(message[name], int) and chance.random() < 0.4:
            message[name] += chance.choice((-61, -1, 1, 2, 60, 100_000))
            return
        else:
            message[name] = chance.choice(_ODD)
            return


def _line(**message: Any) -> bytes:
    return codec.encode(message).encode()


def _stream_seeds() -> Iterator[bytes]:
    """Yield a message of each stream, two of each in a batch, and all of them in one."""
    lines = []
    for number, (name, (_, _, first)) in enumerate(_STREAMS.items(), 1):
        ((kind, payload),) = first.items()
        later = {**payload, "epoch": 1001} if "epoch" in payload else payload
        envelope = {"req_id": number, "subscription": {"id": name}}
        lines += [_line(**{kind: each}, **envelope) for each in (payload, later)]
    yield from lines
    yield from (b"\n".join(pair) for pair in pairwise(lines))
    yield b"\n".join(lines)
    yield b"\n\n".join(lines)


_ROW: Final = {
    "contract_id": 1,
    "transaction_id": 101,
    "transaction_time": 1000,
    "purchase_time": 1000,
    "action_type": "buy",
    "amount": "-10.00",
    "buy_price": 10,
    "balance_after": 990,
    "payout": 19.5,
    "shortcode": "CALL_R_100_19.50_1000_5T_S10P_0",
    "longcode": "",
    "currency": "USD",
    "symbol": "R_100",
    "contract_type": "CALL",
}

#: The targets whose bytes are lines of JSON.
JSON_TARGETS: Final = ("streams", "reconcile")

#: What each fuzzer begins with.
SEEDS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "frames": (
        b"\x81\x02{}\x81\x7e\x00\x80" + b" " * 128,
        b"\x01\x01{\x89\x00\x80\x01}\x82\x01x\x88\x02\x03\xe8",
    ),
    "handshake": tuple(
        text.replace("\n", "\r\n").encode()
        for text in (
            "HTTP/1.1 101 Go\nUpgrade: websocket\nConnection: Upgrade\n\n\x01",
            "HTTP/1.1 100 Wait\n\nHTTP/1.1 503 Busy\nRetry-After: 5\nContent-Length: 2\n\nno",
            "HTTP/1.1 301 Moved\nLocation: https://x/?a=b\nTransfer-Encoding: chunked\n\n0\n\n",
        )
    ),
    "streams": tuple(_stream_seeds()),
    "seams": (b"\x20\x21\xff\x22", b"\x20\xe1\x20\x24\xff\x44\x2c\xff\x20\x2c\xff\x00"),
    "reconcile": (
        _line(**_ROW),
        _line(**_ROW)
        + b"\n"
        + _line(**{**_ROW, "contract_id": 2, "amount": "-11", "buy_price": 11}),
        _line(**{**_ROW, "shortcode": "MULTUP_R_100_10.00_30_1000_4_0_0.00_N1"}),
        _line(**{**_ROW, "shortcode": "ACCU_R_100_10.00_0_0.01_1_0.0001_1000"}),
    ),
}
