"""Fast ticks: ticks that skip the dicts arrive as all others do."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Settings, Tick
from derivtrio.api.codec import encode
from derivtrio.calls import fast_ticks as module
from derivtrio.calls.fast_ticks import FastTicks
from derivtrio.client import Client
from derivtrio.concurrency.buffer import Buffer
from derivtrio.simulator import open_simulator
from derivtrio.streams.ticks import TickTranslator

PATIENT = Settings(heartbeat_interval=3600, fast=True)


@attrs.define
class Route:
    """Takes ticks until it is told not to."""

    over: bool = False
    taken: list[tuple[Tick, bytes]] = attrs.field(factory=list)

    def take_ticks(self, ticks: list[Tick], data: bytes, batch: Sequence[Any]) -> bool:
        assert data in batch
        if not self.over:
            self.taken += [(tick, data) for tick in ticks]
        return not self.over


TICK = {"symbol": "R_100", "epoch": 7, "quote": 1.5, "ask": 1.6, "bid": 1.4, "pip_size": 2}
MESSAGE = {"echo_req": {"ticks": "R_100"}, "req_id": 3, "tick": TICK, "subscription": {"id": "x"}}


def as_bytes(message: dict[str, Any]) -> bytes:
    return encode(message).encode()


def test_a_tick_of_a_route_is_decoded_into_a_tick() -> None:
    fast_ticks, route, data = FastTicks(), Route(), as_bytes(MESSAGE)
    assert not fast_ticks.usable
    fast_ticks.routes[3] = route
    assert fast_ticks.usable
    assert list(fast_ticks.deliver([data])) == []
    assert route.taken == [(Tick("R_100", 7, 1.5, 1.6, 1.4, 2), data)]


@pytest.mark.parametrize(
    "data",
    [
        as_bytes(MESSAGE | {"req_id": 4}),
        as_bytes({k: v for k, v in MESSAGE.items() if k != "req_id"}),
        as_bytes(MESSAGE | {"req_id": True}),
        as_bytes(MESSAGE | {"error": {"code": "WrongResponse"}}),
        as_bytes(MESSAGE | {"tick": {}}),
        as_bytes(MESSAGE | {"tick": TICK | {"quote": "1.5"}}),
        *(as_bytes(MESSAGE | {"tick": TICK | {"pip_size": size}}) for size in (-1, 21, 10**20)),
        *(as_bytes(MESSAGE | {"tick": TICK | {"epoch": epoch}}) for epoch in (-1, 10**10)),
        as_bytes({"req_id": 3, "ohlc": TICK}),
        as_bytes(MESSAGE)[:-1],
        encode(MESSAGE),
        b"\xff",
        b"",
        object(),
    ],
)
def test_everything_else_is_left_as_it_is(data: object) -> None:
    fast_ticks, route = FastTicks(), Route()
    fast_ticks.routes[3] = route
    assert list(fast_ticks.deliver([data, as_bytes(MESSAGE), data])) == [data, data]
    assert len(route.taken) == 1


@pytest.mark.parametrize("bad", [b"\xff", rb"\ud800"])
def test_g18_what_no_text_can_hold_is_left_though_the_decoder_passes_over_it(bad: bytes) -> None:
    fast_ticks, route = FastTicks(), Route()
    fast_ticks.routes[3] = route
    good, data = as_bytes(MESSAGE), as_bytes(MESSAGE).replace(b'"ticks":"R', b'"ticks":"' + bad)
    for batch in ([data], [data, data], [good, data], [good, good, data]):
        assert list(fast_ticks.deliver(batch)) == [each for each in batch if each is data]
    other = as_bytes(MESSAGE | {"passthrough": {"name": "Zoë"}})
    assert list(fast_ticks.deliver([other])) == list(fast_ticks.deliver([other, other])) == []


def test_a_route_that_is_over_leaves_its_ticks_to_the_plain_way() -> None:
    fast_ticks = FastTicks()
    fast_ticks.routes[3] = Route(over=True)
    assert list(fast_ticks.deliver([as_bytes(MESSAGE)])) == [as_bytes(MESSAGE)]


class Market:
    """A handler that streams ticks, each said by the test."""

    def __init__(self, symbol: str = "R_100") -> None:
        self.symbol = symbol
        self.asked: list[tuple[Peer, Request]] = []
        self.forgotten: list[str] = []

    async def __call__(self, peer: Peer, request: Request) -> None:
        if "ticks" in request:
            self.asked.append((peer, request))
            await self.tick(1)
        elif "forget" in request:
            self.forgotten.append(request["forget"])
            await peer.reply(request, forget=1)
        elif "ticks_history" in request:
            await peer.reply(request, history={"times": [], "prices": []}, pip_size=1)

    async def tick(self, *epochs: int, **others: Any) -> None:
        peer, request = self.asked[-1]
        for epoch in epochs:
            tick = {"symbol": self.symbol, "epoch": epoch, "quote": epoch % 1000 / 2, "pip_size": 1}
            stream = {"id": f"stream-{len(self.asked)}"}
            await peer.reply(request, tick=tick, subscription=stream, **others)


@asynccontextmanager
async def market_and_client(
    symbol: str = "R_100",
) -> AsyncGenerator[tuple[Market, Client]]:
    market = Market(symbol)
    async with (
        open_server(market) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        yield market, client


def routes_of(client: Client) -> FastTicks:
    return client._session.router.fast_ticks  # noqa: SLF001 - no user needs to see them


async def epochs_of(stream: derivtrio.Subscription[Tick], count: int) -> list[int]:
    return [(await anext(stream)).epoch for _ in range(count)]


async def test_typed_ticks_take_it_and_leave_no_route_behind(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client):
        async with client.ticks("R_100") as stream:
            await market.tick(2, 3, 3, 2, 4)
            assert await epochs_of(stream, 5) == [1, 2, 3, 3, 4]
            assert len(routes_of(client).routes) == 1
        assert not routes_of(client).routes
        await trio.sleep(1)
        assert market.forgotten == ["stream-1"]


async def test_whoever_joins_later_is_given_the_newest_tick(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as first:
        await market.tick(2, 3)
        await trio.sleep(1)
        async with client.ticks("R_100") as second:
            assert await epochs_of(second, 1) == [3]
        async with client.subscribe({"ticks": "R_100"}) as untyped:
            assert (await anext(untyped))["tick"]["epoch"] == 3
            assert not routes_of(client).usable
            await market.tick(4)
            assert (await anext(untyped))["echo_req"]["ticks"] == "R_100"
        assert routes_of(client).usable
        await market.tick(5)
        assert await epochs_of(first, 5) == [1, 2, 3, 4, 5]
        assert len(market.asked) == 1


async def test_an_error_on_the_route_ends_the_stream(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as stream:
        await market.tick(2)
        peer, request = market.asked[0]
        await peer.refuse(request, "StreamingNotAllowed")
        assert await epochs_of(stream, 2) == [1, 2]
        with pytest.raises(derivtrio.ApiError, match="StreamingNotAllowed"):
            await anext(stream)
        assert not routes_of(client).routes


async def test_a_slow_consumer_is_ended_and_its_stream_forgotten(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client):
        async with client.ticks("R_100", buffer=2) as stream:
            await market.tick(2, 3, 4)
            await trio.sleep(1)
            await market.tick(5)
            await trio.sleep(1)
            assert market.forgotten == ["stream-1"]
            assert await epochs_of(stream, 2) == [1, 2]
            with pytest.raises(derivtrio.SlowConsumer):
                await anext(stream)


async def test_another_spelling_of_the_symbol_keeps_the_consumers_own(autojump_clock: Any) -> None:
    async with market_and_client("R_100") as (market, client), client.ticks("r_100") as stream:
        await market.tick(2)
        assert [(await anext(stream)).symbol for _ in range(2)] == ["r_100", "r_100"]
        assert not routes_of(client).routes


async def test_g18_a_tick_that_cannot_be_read_is_logged_and_skipped(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as stream:
        peer, request = market.asked[0]
        await peer.reply(request, tick={"symbol": "R_100", "quote": 1}, subscription={"id": "x"})
        await market.tick(2)
        assert await epochs_of(stream, 2) == [1, 2]
        [warning] = [r for r in caplog.records if r.levelno == logging.WARNING]
        assert "R_100: the server sent a ticks message that cannot be read" in warning.getMessage()


async def test_g18_if_all_of_them_are_unreadable_the_stream_says_so(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as stream:
        peer, request = market.asked[0]
        for _ in range(40):
            await peer.reply(request, tick={"symbol": "R_100"}, subscription={"id": "x"})
        assert await epochs_of(stream, 1) == [1]
        with pytest.raises(derivtrio.ProtocolViolation, match="without a price"):
            await anext(stream)
        assert client.status.connection == 1


@pytest.mark.parametrize("odd", [10**9, 10**12, 10**400, 9_999_999_999])
@pytest.mark.parametrize("together", [True, False])
async def test_g18_a_tick_from_the_future_does_not_silence_those_after_it(
    autojump_clock: Any, odd: int, *, together: bool
) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as stream:
        for epoch in (2, 3, odd, 4, 5, odd, odd, 6, 7):
            await market.tick(epoch)
            await trio.sleep(0 if together else 1)
        assert await epochs_of(stream, 7) == [1, 2, 3, 4, 5, 6, 7]


async def test_g18_nor_do_three_of_them(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as stream:
        await market.tick(9_000_000_000, 9_000_000_001, 9_000_000_002)
        seen = await epochs_of(stream, 4)
        assert seen == [1, 9_000_000_000, 9_000_000_001, 9_000_000_002]  # three agree
        await market.tick(2, 3, 4, 5)
        assert await epochs_of(stream, 4) == [2, 3, 4, 5]


async def test_g18_a_tick_from_the_far_past_is_not_delivered(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as stream:
        await market.tick(5000, 2, 5001, 3, 3, 5002)
        assert await epochs_of(stream, 4) == [1, 5000, 5001, 5002]


async def test_g18_a_tick_of_another_symbol_is_nobodys(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as stream:
        await market.tick(2)
        market.symbol = "R_50"
        await market.tick(3)
        market.symbol = "R_100"
        await market.tick(3)
        assert await epochs_of(stream, 3) == [1, 2, 3]


async def test_g14_routes_end_with_their_connection(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
        client.ticks("1HZ100V") as stream,
    ):
        seen = await epochs_of(stream, 3)
        old = set(routes_of(client).routes)
        sim.faults.drop()
        seen += await epochs_of(stream, 40)
        assert old.isdisjoint(routes_of(client).routes)
        assert len(routes_of(client).routes) == 1
        assert seen == list(range(seen[0], seen[0] + 43))


def test_ticks_of_one_route_go_together_and_nothing_overtakes() -> None:
    fast_ticks, first, second = FastTicks(), Route(), Route()
    fast_ticks.routes |= {3: first, 4: second}
    ticks = [as_bytes(MESSAGE | {"tick": TICK | {"epoch": epoch}}) for epoch in range(6)]
    other = as_bytes(MESSAGE | {"req_id": 4})
    batch = [ticks[0], ticks[1], b"{}", ticks[2], other, ticks[3]]
    left = [(data, [tick.epoch for tick, _ in first.taken]) for data in fast_ticks.deliver(batch)]
    assert left == [(b"{}", [0, 1])]
    assert [tick.epoch for tick, _ in first.taken] == [0, 1, 2, 3]
    assert [tick.epoch for tick, _ in second.taken] == [7]
    first.over = True
    assert list(fast_ticks.deliver([*ticks[4:], other])) == [ticks[5]]


TICKS = [as_bytes(MESSAGE | {"tick": TICK | {"epoch": epoch}}) for epoch in range(3)]
OTHERS = [
    *(as_bytes(MESSAGE | {"req_id": req_id}) for req_id in (4, 5)),
    as_bytes(MESSAGE | {"error": {"code": "WrongResponse"}}),
    as_bytes(MESSAGE | {"tick": {}}),
    as_bytes(MESSAGE)[:-1],
    b"%b,%b" % (TICKS[0], TICKS[1]),
    encode(MESSAGE),
    b"{}",
    b"",
    b"\xff",
    None,
]


@given(
    st.lists(st.lists(st.sampled_from(TICKS * 4 + OTHERS), max_size=5) | st.just(TICKS), max_size=5)
)
def test_batches_decoded_together_are_as_if_decoded_one_by_one(batches: list[list[Any]]) -> None:
    together, apart = FastTicks(), FastTicks()
    for fast_ticks in (together, apart):
        fast_ticks.routes |= {3: Route(), 4: Route()}
    for batch in batches:
        single = [data for each in batch for data in apart.deliver([each])]
        assert list(together.deliver(batch)) == single
        for number, route in together.routes.items():
            other = apart.routes[number]
            assert isinstance(route, Route)
            assert isinstance(other, Route)
            assert [tick for tick, _ in route.taken] == [tick for tick, _ in other.taken]


def test_under_load_a_batch_is_decoded_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bytes] = []
    decode = module._decode  # noqa: SLF001 - only whether it is called matters here

    def decoding(data: bytes) -> Any:
        looks.append(data)
        return decode(data)

    monkeypatch.setattr(module, "_decode", decoding)
    fast_ticks, route = FastTicks(), Route()
    fast_ticks.routes[3] = route
    for batch, expected in [
        (TICKS, 3),
        (TICKS, 0),
        ([*TICKS, b"{}"], 3),
        (TICKS, 3),
        (TICKS[:1], 1),
        (TICKS, 0),
    ]:
        looks.clear()
        assert list(fast_ticks.deliver(batch)) == [b"{}"] * (b"{}" in batch)
        assert len(looks) == expected
    assert len(route.taken) == 16


async def test_g18_nor_do_three_of_them_with_true_ticks_in_between(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as stream:
        for epoch in range(2, 7):
            await market.tick(epoch)
            await trio.sleep(1)  # each comes alone
            await market.tick(9_000_000_000 + epoch)
            await trio.sleep(1)
        await market.tick(7)
        assert await epochs_of(stream, 7) == [1, 2, 3, 4, 5, 6, 7]


def test_g18_a_tick_of_another_symbol_is_nobodys_in_a_batch_either() -> None:
    translator = TickTranslator("R_100")
    first, other, last = Tick("R_100", 1, 1.5), Tick("R_50", 2, 7.0), Tick("R_100", 3, 1.5)
    assert list(translator.advance_all([first])) == [first]
    _, *others = translator.advance_all([other, last])
    assert others == [last]
    assert translator.implausible is not None
    assert translator.advance_all([Tick("R_50", 4, 7.0), Tick("R_50", 5, 7.0)]) == []


@pytest.mark.parametrize("size", [-1, 21, 10**18, 10**20])
async def test_g18_a_tick_has_no_more_decimals_than_can_be_shown(
    autojump_clock: Any, size: int
) -> None:
    async with market_and_client() as (market, client), client.ticks("R_100") as stream:
        peer, request = market.asked[0]
        odd = {"symbol": "R_100", "epoch": 2, "quote": 1.5, "pip_size": size}
        for batch in ([odd], [odd, odd]):
            for tick in batch:
                await peer.reply(request, tick=tick, subscription={"id": "x"})
            await trio.sleep(1)
        await market.tick(2)
        assert await epochs_of(stream, 2) == [1, 2]


#: Epochs as they come, and some from far ahead.
EPOCHS = st.integers(min_value=1, max_value=30) | st.integers(10**6, 10**6 + 3)


@given(
    st.lists(
        st.lists(st.tuples(EPOCHS, st.sampled_from(["R_100", "R_100", "R_100", "R_50"])))
        | st.just("interruption"),
        max_size=6,
    ),
    st.none() | st.integers(min_value=0, max_value=20),
)
def test_g05_ticks_taken_together_are_as_if_taken_one_by_one(
    batches: list[Any], start: int | None
) -> None:
    together, apart = TickTranslator("R_100", start), TickTranslator("R_100", start)
    for batch in batches:
        if batch == "interruption":
            together.interrupt()
            apart.interrupt()
            continue
        ticks = [Tick(symbol, epoch, 1.5) for epoch, symbol in batch]
        one_by_one = [item for tick in ticks for item in apart.advance(tick)]
        assert list(together.advance_all(ticks)) == one_by_one
    assert str(together.implausible) == str(apart.implausible)
    together.implausible = apart.implausible = None  # an exception equals nothing but itself
    assert together == apart


@given(
    st.lists(st.lists(st.integers(), max_size=5) | st.just("take"), max_size=8),
    st.integers(min_value=1, max_value=6),
    st.sampled_from(["error", "drop_oldest", "latest"]),
)
def test_g07_items_put_in_together_are_as_if_put_in_one_by_one(
    steps: list[Any], buffer: int, overflow: Any
) -> None:
    together: Buffer[int] = Buffer("x", buffer, overflow)
    apart: Buffer[int] = Buffer("x", buffer, overflow)
    for step in steps:
        if step == "take":
            assert together.take() == apart.take()
        else:
            lossless = [apart.put(item) for item in step]
            assert together.put_all(step) == all(lossless)
        assert len(together) == len(apart) <= buffer
        assert (together.closed, together.dropped) == (apart.closed, apart.dropped)
