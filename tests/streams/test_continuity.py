"""G05, G06: ticks and candles without a seam, and streams that are shared."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Backoff, Candle, Settings, Subscription, Tick
from derivtrio.api.parsing import UNREADABLE
from derivtrio.simulator import Simulator, open_simulator
from derivtrio.streams.candles import CandleTranslator
from derivtrio.streams.epochs import Epochs
from derivtrio.streams.holes import Filler, Hole
from derivtrio.streams.ticks import TickTranslator

SETTINGS = Settings(backoff=Backoff(first=1, cap=60))
START = 1_749_800_000  # a Friday morning
DAY = 86400


async def take(stream: Subscription[Any], until: float) -> list[Any]:
    """Read the stream for as long as the virtual clock allows."""
    taken: list[Any] = []
    with trio.move_on_at(until):
        async for item in stream:
            taken += [item]
    return taken


def check_ticks(sim: Simulator, symbol: str, ticks: Sequence[Tick]) -> None:
    """The record equals the market: every tick between the first and the last, once, in order."""
    expected = sim.market.ticks(symbol, ticks[0].epoch, ticks[-1].epoch)
    assert [(t.epoch, t.quote) for t in ticks] == [(t.epoch, t.quote) for t in expected]


async def outage(sim: Simulator, client: derivtrio.Client, seconds: float) -> None:
    sim.faults.refuse(seconds)
    sim.faults.drop()
    await trio.sleep(seconds)
    await client.wait_ready()


@pytest.mark.parametrize(
    ("symbol", "seconds"),
    [("1HZ100V", 1), ("1HZ100V", 3600), ("R_100", DAY), ("frxEURUSD", 3 * DAY)],
)
async def test_g05_an_outage_leaves_no_trace_in_the_ticks(
    autojump_clock: Any, symbol: str, seconds: int
) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks(symbol) as ticks,
    ):
        begin = trio.current_time()
        taken = await take(ticks, begin + 10)
        await outage(sim, client, seconds)
        taken += await take(ticks, trio.current_time() + 20)
        assert client.status.connection == 2
        assert ticks.gaps == ()
        assert taken[-1].epoch > START + seconds + 10
    check_ticks(sim, symbol, taken)


async def test_g05_a_stuck_consumer_misses_nothing_of_an_outage(autojump_clock: Any) -> None:
    """History does not count against the buffer: it is fetched when the consumer gets there."""
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V", buffer=50) as ticks,
    ):
        for _ in range(3):
            await outage(sim, client, 2000)
            await trio.sleep(5)
        taken = await take(ticks, trio.current_time() + 20)
    assert len(taken) > 6000
    check_ticks(sim, "1HZ100V", taken)


async def test_g05_an_outage_in_the_middle_of_the_repair(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V") as ticks,
    ):
        taken = [await anext(ticks)]
        await outage(sim, client, DAY)
        for pause in (0.5, 1, 1.5, 2):
            sim.faults.delay(0.3)
            taken += await take(ticks, trio.current_time() + pause)
            sim.faults.drop()
            await client.wait_ready()
        sim.faults.clear()
        taken += await take(ticks, trio.current_time() + 60)
    assert len(taken) > DAY
    check_ticks(sim, "1HZ100V", taken)


async def test_g05_ticks_from_the_past_run_into_the_present(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
    ):
        async with client.ticks("1HZ100V", start=START - 12345) as ticks:
            taken = await take(ticks, trio.current_time() + 30)
        async with client.ticks("1HZ100V", start=START + 100) as ticks:
            assert (await anext(ticks)).epoch == START + 100
    assert taken[0].epoch == START - 12345
    assert taken[-1].epoch >= START + 29
    check_ticks(sim, "1HZ100V", taken)


async def test_g07_a_page_of_history_lets_others_run(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V", start=START - 4000) as ticks,
    ):
        await anext(ticks)
        taken = 0
        with trio.CancelScope() as scope:
            scope.cancel()
            while True:
                await anext(ticks)
                taken += 1
    assert taken <= 256


@pytest.mark.parametrize("overflow", ["drop_oldest", "latest"])
async def test_g05_an_outage_that_the_overflow_policy_takes_is_a_gap(
    autojump_clock: Any, overflow: Any
) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V", buffer=10, overflow=overflow) as ticks,
    ):
        first = await anext(ticks)
        await outage(sim, client, 100)
        await trio.sleep(20)
        (gap,) = ticks.gaps
        assert gap.after == first.epoch
        assert first.epoch + 100 <= gap.before < (await anext(ticks)).epoch
        assert not gap.filled


async def test_g05_tasks_that_share_a_stream_miss_nothing_between_them(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V", start=START - 20_000) as ticks,
        trio.open_nursery() as nursery,
    ):
        taken: list[Tick] = []

        async def work(*, eager: bool) -> None:
            async for tick in ticks:
                taken.append(tick)
                if not eager:
                    await trio.lowlevel.checkpoint()

        for eager in (True, False, False):
            nursery.start_soon(partial(work, eager=eager))
        await trio.sleep(30)
        assert ticks.gaps == ()
        nursery.cancel_scope.cancel()
    check_ticks(sim, "1HZ100V", sorted(taken, key=lambda tick: tick.epoch))
    assert len(taken) > 20_000


async def test_a_long_hole_tells_how_far_it_is_filled(autojump_clock: Any) -> None:
    """Each answer is told once; a hole that one answer fills is not told at all."""
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
    ):
        begin = START - 12_000
        async with client.events() as events, client.ticks("1HZ100V", start=begin) as ticks:
            taken = await take(ticks, trio.current_time() + 5)
            await outage(sim, client, 1000)
            taken += await take(ticks, trio.current_time() + 5)
            async with client.candles("R_100", 60, start=START - 600_000) as candles:
                await take(candles, trio.current_time() + 5)
            await client.aclose()
            told = [event async for event in events if isinstance(event, derivtrio.Filling)]
    check_ticks(sim, "1HZ100V", taken)
    ticks_told = [event for event in told if event.stream == "1HZ100V"]
    before = ticks_told[0].before
    ends = [event.reached for event in ticks_told]
    assert {(e.granularity, e.after, e.before) for e in ticks_told} == {(0, begin - 1, before)}
    assert ends == [begin + 4998, begin + 9996, before]
    candles_told = [event for event in told if event.stream == "R_100"]
    assert {event.granularity for event in candles_told} == {60}
    assert len(candles_told) == 3 == len(told) - len(ticks_told)
    assert candles_told[-1].reached == candles_told[-1].before


async def test_a_stream_ends_normally_when_the_client_is_closed_while_it_fetches(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V", start=START - 20_000) as ticks,
        trio.open_nursery() as nursery,
    ):
        taken = [await anext(ticks)]
        sim.faults.delay(1)
        async for tick in ticks:
            taken.append(tick)
            if len(taken) == 4999:
                nursery.start_soon(client.aclose)
    assert len(taken) == 4999
    check_ticks(sim, "1HZ100V", taken)


async def test_g05_what_the_server_no_longer_has_is_a_gap(autojump_clock: Any) -> None:
    start = START - 400 * DAY  # the server keeps 365
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.events() as events,
    ):
        async with client.ticks("1HZ100V", start=start) as ticks:
            first = await anext(ticks)
            (gap,) = ticks.gaps
        async with client.ticks("1HZ100V", start=start, strict=True) as strict:
            with pytest.raises(derivtrio.NotContinuous) as caught:
                await anext(strict)
        await client.aclose()
        told = [event async for event in events if isinstance(event, derivtrio.Gap)]
    assert (gap.stream, gap.after, gap.before) == ("1HZ100V", start - 1, first.epoch)
    assert not gap.filled
    assert abs(first.epoch - (START - 365 * DAY)) < 40 * DAY
    assert caught.value.gap.after == start - 1
    assert len(told) == 2


async def test_g05_candles_come_in_their_final_form(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.candles("1HZ100V", 60, closed_only=True) as closed,
        client.candles("1HZ100V", 60) as forming,
    ):
        taken = await take(closed, trio.current_time() + 200)
        await outage(sim, client, 1000)
        taken += await take(closed, trio.current_time() + 100)
        seen = await take(forming, trio.current_time() + 1)
    check_candles(sim, "1HZ100V", 60, taken)
    assert [c.open_time for c in seen] == sorted(c.open_time for c in seen)
    check_candles(sim, "1HZ100V", 60, [c for c in seen if c.closed])
    assert len([c for c in seen if not c.closed]) > 250


@pytest.mark.parametrize("overflow", ["error", "latest"])
async def test_candles_that_are_not_wanted_take_up_no_room(
    autojump_clock: Any, overflow: Any
) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.candles("1HZ100V", closed_only=True, buffer=1, overflow=overflow) as candles,
    ):
        taken = []
        with trio.fail_after(500):
            for _ in range(5):
                taken.append(await anext(candles))
                await trio.sleep(50)
    assert candles.dropped == 0
    check_candles(sim, "1HZ100V", 60, taken)


async def test_g05_candles_from_the_past(autojump_clock: Any) -> None:
    begin = START - START % 3600 - 50 * 3600
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.candles("R_100", 3600, start=begin, closed_only=True) as candles,
    ):
        taken = await take(candles, trio.current_time() + 2 * 3600)
    assert taken[0].open_time == begin
    assert len(taken) == 52
    check_candles(sim, "R_100", 3600, taken)


def check_candles(sim: Simulator, symbol: str, length: int, candles: Sequence[Candle]) -> None:
    first, last = candles[0].open_time, candles[-1].open_time
    assert [c.open_time for c in candles] == list(range(first, last + 1, length))
    for candle in candles:
        ticks = sim.market.ticks(symbol, candle.open_time, candle.open_time + length - 1)
        quotes = [tick.quote for tick in ticks]
        assert (candle.open, candle.close) == (quotes[0], quotes[-1])
        assert (candle.high, candle.low) == (max(quotes), min(quotes))


async def test_g06_ten_consumers_are_one_upstream(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
    ):
        records: list[list[Tick]] = []

        async def consume(n: int) -> None:
            await trio.sleep(n / 10)
            async with client.ticks("R_100") as ticks:
                records.append(await take(ticks, begin + 60 + n))

        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            for n in range(10):
                nursery.start_soon(consume, n)
            await trio.sleep(30)
            assert client.status.subscriptions == 1
            sim.faults.drop()
        requests = list(sim.connections[0].requests)
        await trio.sleep(1)
        forgotten = [r for r in sim.connections[0].requests if "forget" in r]
    assert len([r for r in requests if "ticks" in r]) == 1
    assert len(forgotten) == 1
    for record in records:
        assert len(record) >= 28
        check_ticks(sim, "R_100", record)


async def test_g06_the_order_of_members_does_not_matter(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.subscribe({"ticks": "R_100", "subscribe": 1}) as first,
        client.subscribe({"req_id": 7, "subscribe": 1, "ticks": "R_100"}) as second,
        client.ticks("R_100") as third,
    ):
        newest = (await anext(first))["tick"]["epoch"]
        begin = trio.current_time()
        assert (await anext(second))["tick"]["epoch"] == newest
        assert (await anext(third)).epoch == newest
        assert trio.current_time() == begin
        assert first.id == second.id == third.id is not None
        assert len(sim.connections[0].requests) == 1


async def test_g06_joining_a_history_gives_the_history_first(autojump_clock: Any) -> None:
    request = {"ticks_history": "R_100", "end": "latest", "count": 3, "subscribe": 1}
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.subscribe(request),
    ):
        await trio.sleep(10)
        async with client.subscribe(request) as second:
            first = await anext(second)
            assert len(first["history"]["times"]) == 3
            assert first["history"]["times"][-1] >= START + 8
            assert "tick" in await anext(second)


async def test_g06_when_the_one_who_opens_goes_away_another_does(autojump_clock: Any) -> None:
    async def slow(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await trio.sleep(1)
            if open_streams:
                await peer.refuse(request, "AlreadySubscribed")
                return
            stream_id = f"stream-{request['req_id']}"
            open_streams.add(stream_id)
            await peer.reply(request, tick={"n": 1}, subscription={"id": stream_id})
        elif "forget" in request:
            open_streams.discard(request["forget"])

    open_streams: set[str] = set()
    got: list[Any] = []
    async with (
        open_server(slow) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):

        async def consume(patience: float) -> None:
            with trio.move_on_after(patience):
                async with client.subscribe({"ticks": "R_100"}) as ticks:
                    got.append(await anext(ticks))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume, 0.5)
            await trio.sleep(0.1)
            nursery.start_soon(consume, 60)
            nursery.start_soon(consume, 60)
        await trio.sleep(2)
        assert len(got) == 2
        assert open_streams == set()
        assert client.status.subscriptions == 0


async def test_g06_a_refusal_on_restoration_reaches_all_who_share(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number == 2:
            await peer.refuse(request, "MarketIsClosed")
        else:
            await peer.reply(request, tick={}, subscription={"id": "stream"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe({"ticks": "R_100"}) as first,
        client.subscribe({"ticks": "R_100"}) as second,
    ):
        await server.peers[0].drop()
        for stream in (first, second):
            await anext(stream)
            with pytest.raises(derivtrio.MarketClosed):
                await anext(stream)


async def test_g07_one_stuck_sharer_is_ended_alone(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V", buffer=5) as stuck,
        client.ticks("1HZ100V") as other,
    ):
        taken = await take(other, trio.current_time() + 60)
        assert len(taken) >= 60
        for _ in range(5):
            await anext(stuck)
        with pytest.raises(derivtrio.SlowConsumer):
            await anext(stuck)


@pytest.mark.parametrize(
    ("nonsense", "readable"),
    [
        ({"tick": {"quote": 1.0}}, False),
        ({"tick": {"quote": 1.0, "epoch": "soon"}}, False),
        ({"tick": {"quote": 1.0, "epoch": 7, "pip_size": 2}, "subscription": {"id": [1]}}, True),
        ({"tick": 5, "subscription": "a"}, False),
    ],
)
async def test_g18_a_message_that_cannot_be_read_counts_as_lost(
    autojump_clock: Any, nonsense: dict[str, Any], *, readable: bool
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await peer.reply(request, **tick(5), subscription={"id": request["ticks"]})
            await trio.sleep(1)
            await peer.send({"req_id": request["req_id"], **nonsense})
            await peer.reply(request, **tick(9), subscription={"id": request["ticks"]})
        elif "ticks_history" in request:
            times = [epoch for epoch in range(5, 9) if int(request["start"]) <= epoch]
            history = {"times": times, "prices": [1.0 for _ in times]}
            await peer.reply(request, history=history, pip_size=2)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.ticks("R_100") as ticks,
        client.subscribe({"ticks": "R_10"}) as plain,
    ):
        assert (await anext(ticks)).epoch == 5
        if readable:
            assert (await anext(ticks)).epoch in (7, 9)
        else:
            assert [(await anext(ticks)).epoch for _ in range(4)] == [6, 7, 8, 9]
        assert [len(await anext(plain)) > 1 for _ in range(3)]
        assert client.status.connection == 1


@pytest.mark.parametrize(
    ("open_stream", "words"),
    [
        (lambda c: c.ticks(""), "symbol"),
        (lambda c: c.ticks(5), "symbol"),
        (lambda c: c.ticks("R_100", start="yesterday"), "start"),
        (lambda c: c.ticks("R_100", start=-1), "start"),
        (lambda c: c.candles("R_100", 61), "granularity"),
        (lambda c: c.candles("R_100", start=1.5), "start"),
        (lambda c: c.ticks("R_100", start=1_795_609_788_000), "milliseconds"),
        (lambda c: c.candles("R_100", start=10**30), "milliseconds"),
        (lambda c: c.candles("R_100", 60.0), "granularity"),
        (lambda c: c.candles("R_100", [60]), "granularity"),
        (lambda c: c.ticks("R_100", strict=True, overflow="latest"), "strict"),
        (lambda c: c.candles("R_100", strict=True, overflow="drop_oldest"), "strict"),
    ],
)
async def test_arguments_that_cannot_be_meant_are_refused_at_once(
    autojump_clock: Any, open_stream: Any, words: str
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest, match=words):
            open_stream(client)


# The translators and the filler by themselves


def tick(epoch: int, quote: float = 1.0) -> dict[str, Any]:
    return {"tick": {"epoch": epoch, "quote": quote, "pip_size": 2, "symbol": "R_100"}}


def epochs(items: Sequence[Any]) -> list[Any]:
    return [(i.after, i.before) if isinstance(i, Hole) else i.epoch for i in items]


@pytest.mark.parametrize("odd", [4_000_000_000, 9_999_999_960])
def test_g18_a_candle_from_the_future_does_not_silence_those_after_it(odd: int) -> None:
    translator = CandleTranslator("R_100", 60)

    def fed(open_time: int) -> list[int]:
        row = {"open_time": open_time, "epoch": open_time + 5, "open": 1, "high": 1, "low": 1}
        items = translator.feed({"ohlc": {**row, "close": 1}})
        return [item.open_time for item in items if isinstance(item, Candle)]

    assert fed(600) == [600]
    assert fed(odd) == []
    assert isinstance(translator.implausible, ValueError)
    assert fed(600) == [600]
    assert fed(660) == [600, 660]
    assert [fed(odd), fed(odd), fed(odd)] == [[], [], [odd]]  # three agree
    assert [fed(720), fed(720), fed(720)] == [[], [], [720]]


def test_g05_of_three_candles_that_are_believed_together_none_is_lost() -> None:
    translator = CandleTranslator("R_100", 60)

    def fed(*open_times: int) -> list[Candle | Hole]:
        row = {"open": 1, "high": 1, "low": 1, "close": 1}
        rows = [{**row, "open_time": time, "epoch": time + 5} for time in open_times]
        return [item for ohlc in rows for item in translator.feed({"ohlc": ohlc})]

    assert len(fed(600, *[4_000_000_020] * 3)) == 3  # the last ones, which were wrong, agreed
    hole, forming = fed(720, 720, 780)
    assert isinstance(hole, Hole)
    assert isinstance(forming, Candle)
    assert (hole.anchor, hole.before, forming.open_time) == (720, 780, 780)


def test_of_ticks_that_follow_at_once_and_are_believed_together_none_is_looked_up() -> None:
    """As in a server whose time runs faster than ours: each look-up would cost a request."""
    translator = TickTranslator("R_100", None, Epochs(clock=lambda: 0.0))
    times = [DAY, *range(2 * DAY, 2 * DAY + 10)]
    items = [item for epoch in times for item in translator.feed(tick(epoch))]
    assert epochs(items) == times


def test_a_stream_that_begins_in_the_future_has_nothing_of_the_time_before() -> None:
    """However long that is: what comes before is not wanted, and is no sign of a wrong clock."""
    translator = TickTranslator("R_100", start=10_000)
    before = [*range(5), *range(9_000, 9_005), *range(9_998, 10_000)]
    assert [item for epoch in before for item in translator.feed(tick(epoch))] == []
    assert translator.implausible is None
    assert epochs(translator.feed(tick(10_000))) == [10_000]
    assert epochs(translator.feed(tick(10_001))) == [10_001]


@pytest.mark.parametrize("asleep", [0, 5 * DAY])
@pytest.mark.parametrize("length", [0, 60, 86_400])
def test_g18_an_item_from_long_ago_makes_no_hole_of_half_a_century(
    asleep: int, length: int
) -> None:
    """The first one is wrong: what was missed since cannot be older than that."""
    clock, now = [0.0], 1_700_006_400
    times = Epochs(2 * length, lambda: clock[0])
    translator: Any = TickTranslator("R_100", None, times)
    if length:
        translator = CandleTranslator("R_100", length, None, closed_only=False, epochs=times)
    items = list[Any]()
    for epoch in (0, *range(now, now + 3 * max(2, length), max(2, length))):
        row = {"open_time": epoch, "epoch": epoch + 5, "open": 1, "high": 1, "low": 1, "close": 1}
        items += translator.feed({"ohlc": row} if length else tick(epoch))
        clock[0] += asleep if epoch == 0 else 1
    _, hole, *others = items
    assert isinstance(hole, Hole)
    assert not any(isinstance(item, Hole) for item in others)
    assert (hole.anchor, hole.seen) == (None, ())
    assert hole.before is not None
    assert hole.before - hole.after == pytest.approx(7 * DAY + asleep, abs=4 * max(2, length))
    if length:
        assert (hole.before - hole.after) % length == 0


def test_a_translator_passes_every_tick_once_in_order() -> None:
    translator = TickTranslator("R_100")
    fed = [translator.feed(tick(epoch)) for epoch in (10, 12, 12, 11, 14)]
    assert [epochs(items) for items in fed] == [[10], [12], [12], [], [14]]
    assert translator.feed({"tick": {"id": "no quote"}}) == ()
    assert translator.feed({"msg_type": "history"}) == ()


def test_a_price_that_comes_as_a_string_is_a_number_and_one_that_is_none_is_refused() -> None:
    translator = TickTranslator("R_100")
    prices = {"quote": "1.25", "ask": "1.5", "bid": None}
    (item,) = translator.feed({"tick": {**tick(10)["tick"], **prices}})
    assert item == Tick("R_100", 10, 1.25, 1.5, None, 2)
    with pytest.raises(UNREADABLE):
        translator.feed({"tick": {**tick(11)["tick"], "quote": "soon"}})


def test_a_translator_puts_a_hole_where_it_was_interrupted() -> None:
    translator = TickTranslator("R_100")
    translator.interrupt()
    assert epochs(translator.feed(tick(10))) == [10]
    translator.interrupt()
    translator.interrupt()
    assert epochs(translator.feed(tick(10))) == []
    assert epochs(translator.feed(tick(20))) == [(10, 20), 20]
    translator.interrupt()
    assert epochs(translator.feed(tick(21))) == [21]
    assert epochs(translator.feed(tick(30))) == [30]


def ohlc(open_time: int, close: str) -> dict[str, Any]:
    prices = {"open": "1.0", "high": "2.0", "low": "0.5", "close": close}
    return {"ohlc": {**prices, "open_time": open_time, "epoch": open_time + 7}}


def test_candles_begin_with_the_one_that_opens_at_the_start() -> None:
    translator = CandleTranslator("R_100", 60, start=600)
    assert list(translator.feed(ohlc(540, "1"))) == []
    (first,) = (item for item in translator.feed(ohlc(600, "2")) if isinstance(item, Candle))
    assert (first.open_time, first.close) == (600, 2)


def test_a_candle_translator_closes_a_candle_when_the_next_one_opens() -> None:
    translator = CandleTranslator("R_100", 60)
    first = {"open": 1, "high": 1, "low": 1, "close": 1, "epoch": 60}
    assert [c.closed for c in translator.feed({"candles": [first]})] == [False]
    assert [c.close for c in translator.feed(ohlc(60, "1.5"))] == [1.5]  # type: ignore[union-attr]
    after = translator.feed(ohlc(120, "1.7"))
    assert [(c.open_time, c.close, c.closed) for c in after] == [  # type: ignore[union-attr]
        (60, 1.5, True),
        (120, 1.7, False),
    ]
    translator.interrupt()
    assert [c.open_time for c in translator.feed(ohlc(120, "1.8"))] == [120]  # type: ignore[union-attr]
    translator.interrupt()
    hole, newest = translator.feed(ohlc(300, "1.9"))
    assert isinstance(hole, Hole)
    assert (hole.after, hole.before, hole.granularity) == (60, 300, 60)
    assert isinstance(newest, Candle)
    assert translator.feed(ohlc(240, "1.9")) == ()


def history(times: Sequence[int]) -> dict[str, Any]:
    return {"history": {"times": list(times), "prices": [1.0] * len(times)}, "pip_size": 2}


def test_a_filler_asks_forwards_for_windows_that_must_fit() -> None:
    """Each window but the first begins with a row that the server is known to have."""
    filler, windows, after = Filler(Hole("R_100", 99, 12000)), [], 99
    while not filler.done:
        request = filler.request
        windows.append((request["start"], request["end"]))
        items, gap = filler.take(history(range(request["start"], int(request["end"]) + 1)))
        assert gap is None
        assert epochs(items) == list(range(after + 1, int(request["end"]) + 1))
        after = int(request["end"])
    assert windows == [(100, "5098"), (5098, "10096"), (10096, "11999")]


def test_a_filler_widens_its_windows_where_nothing_happened_and_narrows_them_again() -> None:
    filler = Filler(Hole("frxEURUSD", 0, 100_000))
    sizes = []
    for reply in ([], [], range(30_000, 35_000), range(14_998, 19_997)):
        start, end = filler.request["start"], int(filler.request["end"])
        sizes.append(end - start + 1)
        assert filler.take(history(reply))[1] is None
    assert sizes == [4999, 9998, 19996, 4999]


def test_g05_a_tick_that_was_not_believed_yet_is_not_doubled_when_the_stream_resumes() -> None:
    """As after a weekend: the ticks held back, and the reply that repeats the newest of them."""
    translator, day = TickTranslator("R_100"), 86_400

    def message(epoch: int) -> dict[str, Any]:
        return {"tick": {"symbol": "R_100", "epoch": epoch, "quote": 1.5}}

    found: list[Tick | Hole] = [*translator.feed(message(0))]
    found += [item for epoch in (3 * day, 3 * day + 5) for item in translator.feed(message(epoch))]
    translator.interrupt()
    for epoch in (5, 10, 15, 20):  # the first one is the reply
        found += translator.feed(message(3 * day + epoch))
    delivered = [item for item in found[1:] if isinstance(item, Tick)]
    assert len({tick.epoch for tick in delivered}) == len(delivered) > 0
    (hole,) = (item for item in found if isinstance(item, Hole))
    assert (hole.after, hole.before) == (0, delivered[0].epoch)


def sizes_of(filler: Filler, times: Sequence[int]) -> list[int]:
    """Fill a hole from a server that has the ticks of *times*; return how long the windows were."""
    sizes, filled = [], []
    while not filler.done:
        start, end = filler.request["start"], int(filler.request["end"])
        sizes.append(end - start + 1)
        reply = [time for time in times if start <= time <= end][-5000:]
        items, gap = filler.take(history(reply))
        assert gap is None
        filled += epochs(items)
    assert filled == list(times)
    return sizes


def test_a_filler_asks_for_more_time_at_once_where_ticks_are_rare() -> None:
    """Of a day with a tick in two seconds: 11 requests instead of 18, and none for nothing."""
    sizes = sizes_of(Filler(Hole("R_100", 0, 86_400)), range(2, 86_400, 2))
    assert sizes[:3] == [4999, 9002, 9002]
    assert len(sizes) == 11
    assert len(sizes_of(Filler(Hole("frxEURUSD", 0, 86_400)), range(60, 86_400, 60))) == 5
    assert len(sizes_of(Filler(Hole("1HZ100V", 0, 86_400)), range(1, 86_400))) == 18


@pytest.mark.parametrize("a_second", [1, 2])
@pytest.mark.parametrize("most", [60, 300, 1000, 4999])
def test_g05_a_server_with_a_lower_limit_of_rows_hides_none(most: int, a_second: int) -> None:
    filler, filled, asked = Filler(Hole("R_100", 1000, 9000, anchor=1000)), [], 0
    while not filler.done:
        start, end = filler.request["start"], int(filler.request["end"])
        times = [time for time in range(start, end + 1) for _ in range(a_second)][-most:]
        items, gap = filler.take(history(times))
        assert gap is None
        filled += epochs(items)
        asked += 1
    assert filled == [time for time in range(1001, 9000) for _ in range(a_second)]
    assert asked <= 10 + 3 * 8000 * a_second / most


def test_g05_a_limit_that_shows_in_a_later_window_hides_none() -> None:
    """At first the symbol has few ticks, and the windows grow."""
    times = [*range(0, 20_000, 60), *range(20_000, 40_000)]
    filler, filled = Filler(Hole("R_100", 0, 40_000, anchor=0)), []
    while not filler.done:
        start, end = filler.request["start"], int(filler.request["end"])
        items, gap = filler.take(history([each for each in times if start <= each <= end][-700:]))
        assert gap is None
        filled += epochs(items)
    assert filled == times[1:]


def test_g05_what_is_no_longer_kept_is_no_lower_limit() -> None:
    """The reply lacks the anchor, too. Afterwards the windows are as long as ever."""
    filler, sizes = Filler(Hole("R_100", 1000, 30_000, anchor=1000)), []
    gaps, filled = [], []
    while not filler.done:
        start, end = filler.request["start"], int(filler.request["end"])
        sizes.append(end - start + 1)
        items, gap = filler.take(history(range(max(start, 3000), end + 1)[-5000:]))
        filled += epochs(items)
        gaps += [] if gap is None else [(gap.after, gap.before, gap.reason)]
    assert gaps == [(1000, 3000, "no longer kept")]
    assert filled == list(range(3000, 30_000))
    assert len(sizes) <= 14
    assert max(sizes[-4:]) >= 4500


def test_g05_ticks_that_become_frequent_in_a_long_window_are_all_there() -> None:
    times = [*range(60, 40_000, 60), *range(40_000, 70_000), *range(70_002, 86_400, 2)]
    assert len(sizes_of(Filler(Hole("R_100", 0, 86_400)), times)) < 20


def test_a_filler_that_is_interrupted_asks_for_less_and_then_for_more_again() -> None:
    filler = Filler(Hole("R_100", 0, 100_000))
    sizes = []
    for step in range(8):
        start, end = filler.request["start"], int(filler.request["end"])
        sizes.append(end - start + 1)
        if step < 3:
            filler.interrupted()
        else:
            filler.take(history(range(start, end + 1)))
    assert sizes == [4999, 2499, 1249, 624, 1248, 2496, 4992, 4999]
    for _ in range(20):
        filler.interrupted()
    assert filler.request["end"] == str(filler.request["start"] + 1)


def test_g05_a_filler_has_every_tick_in_order_and_of_each_candle_the_last() -> None:
    reply = {"history": {"times": [7, 3, 5, 5], "prices": [7.0, 3.0, 4.0, 5.0]}, "pip_size": 2}
    items, gap = Filler(Hole("R_100", 0, 10)).take(reply)
    rows = [(i.epoch, i.quote) for i in items if isinstance(i, Tick)]
    assert rows == [(3, 3), (5, 4), (5, 5), (7, 7)]
    assert gap is None
    prices = {"open": 1, "high": 1, "low": 1}
    candles = [
        {**prices, "epoch": e, "close": c} for e, c in ((120, 20), (60, 10), (120, 21), (240, 9))
    ]
    items, gap = Filler(Hole("R_100", 0, 240, 60)).take({"candles": candles})
    assert [i.close for i in items if isinstance(i, Candle)] == [10, 21]


@pytest.mark.parametrize(("lag", "stops"), [(0, 999), (1, 999), (2, 999), (6, 999), (0, 109)])
async def test_g05_a_history_that_lags_behind_the_live_ticks_hides_none(
    autojump_clock: Any, lag: int, stops: int
) -> None:
    """Another part of the server keeps it; so it may not have yet what the stream has had."""
    begin = trio.current_time()

    def now() -> int:
        return 100 + int(trio.current_time() - begin)

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            while True:
                row = {"epoch": now(), "quote": 1.0 * now(), "pip_size": 1, "symbol": "R_100"}
                await peer.reply(request, tick=row, subscription={"id": f"{peer.number}"})
                await trio.sleep(1)
        newest = min(now() - lag, stops)
        times = range(request["start"], min(int(request["end"]), newest) + 1)
        rows = {"times": list(times), "prices": [1.0 * time for time in times]}
        await peer.reply(request, history=rows, pip_size=1)

    settings = SETTINGS.but(backoff=Backoff(first=0.1, cap=0.1))
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
        client.ticks("R_100") as ticks,
    ):
        taken = epochs(await take(ticks, begin + 5.5))
        server.refuses = True
        await server.peers[0].drop()
        await trio.sleep(8)
        server.refuses = False
        taken += epochs(await take(ticks, begin + 40))
    assert taken[-1] > 137
    lacking = [epoch for gap in ticks.gaps for epoch in range(gap.after + 1, gap.before)]
    assert sorted([*taken, *lacking]) == list(range(100, taken[-1] + 1))
    assert bool(lacking) == (stops < 113)


async def test_g05_a_candle_from_a_history_that_lags_behind_is_final(autojump_clock: Any) -> None:
    candle = {"open": 1.0, "high": 9.0, "low": 1.0}
    asked: list[Request] = []

    async def handle(peer: Peer, request: Request) -> None:
        asked.append(request)
        live = {"granularity": 60, "symbol": "R_100", "high": "9", "low": "1", "open": "1"}
        if "subscribe" in request:
            row = {**candle, "epoch": 60, "close": 2.0}
            await peer.reply(request, candles=[row], subscription={"id": "x"})
            row = {**live, "epoch": 121, "open_time": 120, "close": "5"}
            await trio.sleep(1)
            await peer.reply(request, ohlc=row, subscription={"id": "x"})
            return
        rows = [{**candle, "epoch": 60, "close": 3.0}]  # is not final
        if len([each for each in asked if "subscribe" not in each]) > 2:
            rows = [{**candle, "epoch": 60, "close": 4.0}, {**candle, "epoch": 120, "close": 5.0}]
        await peer.reply(request, candles=rows)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.candles("R_100", 60) as candles,
    ):
        taken = await take(candles, trio.current_time() + 20)
    assert [(c.open_time, c.close, c.closed) for c in taken] == [
        (60, 2.0, False),
        (60, 4.0, True),
        (120, 5.0, False),
    ]
    assert candles.gaps == ()


@pytest.mark.parametrize("nonsense", [None, 5, "soon", [1]])
def test_a_history_that_is_none_cannot_be_read(nonsense: Any) -> None:
    with pytest.raises(UNREADABLE):
        Filler(Hole("R_100", 0, 10)).take({"history": nonsense})
    with pytest.raises(UNREADABLE):
        Filler(Hole("R_100", 0, 120, 60)).take({"candles": [nonsense]})


def test_a_filler_has_its_anchor_however_often_it_was_interrupted() -> None:
    for interruptions in range(20):
        filler = Filler(Hole("frxEURUSD", 1000, 1200, anchor=1000))
        for _ in range(interruptions):
            filler.interrupted()
        filled: list[int] = []
        while not filler.done:
            start, end = filler.request["start"], int(filler.request["end"])
            kept = [epoch for epoch in (1000, 1040, 1190) if start <= epoch <= end]
            items, gap = filler.take(history(kept))
            assert gap is None
            filled += epochs(items)
        assert filled == [1040, 1190]


def test_a_filler_sees_through_newest_rows_in_place_of_old_ones() -> None:
    filler = Filler(Hole("R_100", 0, 30_000))
    newest = history(range(50_000, 55_000))
    assert filler.take(newest) == ([], None)
    items, gap = filler.take(history(range(7_000, 9_000)))
    assert [items[0].epoch, items[-1].epoch] == [7_000, 8_999]
    assert gap is not None
    assert (gap.after, gap.before, gap.filled) == (0, 7_000, False)


def test_g05_where_nothing_was_before_the_live_candle_there_is_no_gap() -> None:
    """A stream that is to begin while the market is closed, and begins when it opens."""
    filler = Filler(Hole("R_100", 100_000, 260_040, 60))
    live = {"epoch": 260_040, "open": 1, "high": 1, "low": 1, "close": 1}
    assert filler.request["end"] == "260099"
    assert filler.take({"candles": [live]}) == ([], None)
    assert filler.done


def test_a_filler_reports_what_is_refused_or_gone_to_the_end() -> None:
    filler = Filler(Hole("R_100", 0, 6_000))
    gaps = [filler.take(history(range(9_000, 9_005)))[1] for _ in range(2)]
    assert filler.done
    assert gaps[0] is None
    assert gaps[1] is not None
    assert (gaps[1].after, gaps[1].before) == (0, 6_000)
    filler = Filler(Hole("R_100", 0, 6_000))
    gap = filler.refused("refused: StreamingNotAllowed")
    assert filler.done
    assert (gap.after, gap.before, gap.reason) == (0, 6_000, "refused: StreamingNotAllowed")


def answered(request: dict[str, Any], every: int, kept: int, now: int) -> dict[str, Any]:
    """Answer as a server that has a tick every so many seconds, and keeps those since *kept*."""
    start, end = request["start"], int(request["end"])
    start, end = (max(start, kept), min(end, now)) if end >= kept else (kept, now)
    return history(range(start + -start % every, end + 1, every)[-5000:])


@given(
    every=st.sampled_from([1, 2, 7, 600]),
    length=st.integers(min_value=600, max_value=20_000),
    kept=st.integers(min_value=-10_000, max_value=21_000),
    interruptions=st.sets(st.integers(min_value=0, max_value=8)),
)
def test_g05_what_is_missing_of_a_hole_is_told_wherever_the_servers_memory_begins(
    every: int, length: int, kept: int, interruptions: set[int]
) -> None:
    after = 100_000 - 100_000 % every
    before, kept = after + length - length % every, after + kept
    filler = Filler(Hole("R_100", after, before, anchor=after))
    filled: set[int] = set()
    gaps: list[derivtrio.Gap] = []
    for step in range(1000):
        if filler.done:
            break
        if step in interruptions:
            filler.interrupted()
        items, gap = filler.take(answered(filler.request, every, kept, before + 6000))
        assert [i.epoch for i in items if isinstance(i, Tick)] == sorted({i.epoch for i in items})
        filled |= {item.epoch for item in items}
        gaps += [gap] if gap is not None else []
    missing = {t for t in range(after + every, before, every) if t not in filled}
    assert missing == {t for t in range(after + every, before, every) if t < kept}
    assert all(any(gap.after < t < gap.before for gap in gaps) for t in missing)
    assert not any(gap.after < t < gap.before for gap in gaps for t in filled)
    assert len(gaps) <= 1


async def test_g06_joining_candles_needs_no_request(autojump_clock: Any) -> None:
    begin = START - START % 60 - 600
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.candles("1HZ100V", 60) as first,
    ):
        await trio.sleep(90.5)
        async with client.candles("1HZ100V", 60) as second:
            newest = await anext(second)
            assert newest == (await take(first, trio.current_time() + 0.1))[-1]
            assert not newest.closed
        assert len([r for r in sim.connections[0].requests if "ticks_history" in r]) == 1
        async with client.candles("1HZ100V", 60, start=begin, closed_only=True) as third:
            taken = await take(third, trio.current_time() + 120)
    assert taken[0].open_time == begin
    check_candles(sim, "1HZ100V", 60, taken)


async def test_g18_history_that_cannot_be_read_is_asked_for_again_and_then_a_gap(
    autojump_clock: Any,
) -> None:
    replies = [{"times": [1, 2], "prices": [1.0]}, {"times": [3], "prices": ["no price"]}]

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            tick = {"symbol": "R_100", "epoch": 50, "quote": 1.5, "pip_size": 1}
            await peer.reply(request, tick=tick, subscription={"id": "x"})
        elif "ticks_history" in request:
            replies.append(replies.pop(0))
            await peer.reply(request, history=replies[0], pip_size=1)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.ticks("R_100", start=1) as ticks,
    ):
        assert (await anext(ticks)).epoch == 50
        [gap] = ticks.gaps
        assert (gap.after, gap.before, gap.filled) == (0, 50, False)
        assert "cannot be read" in gap.reason
        assert len(server.asked("ticks_history")) == 4
        assert client.status.connection == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbol": "R_50"},
        {"symbol": 5},
        {"granularity": 300},
        {"granularity": None},
        {"open_time": 181},
        {"open_time": 240},
        {"epoch": 301},
        {"epoch": 179},
    ],
)
def test_g18_a_candle_of_something_else_is_nobodys(wrong: dict[str, Any]) -> None:
    """And what it may have been is fetched from the history."""
    translator = CandleTranslator("R_100", 60)
    right = {"symbol": "r_100", "granularity": "60"}
    for open_time in (60, 120):
        message = ohlc(open_time, "1.5")
        assert translator.feed({"ohlc": {**message["ohlc"], **right}})
    message = ohlc(180, "1.6")
    try:
        assert translator.feed({"ohlc": {**message["ohlc"], "epoch": 183, **wrong}}) == ()
    except (TypeError, ValueError):
        translator.skip()
    else:
        assert translator.implausible is not None
    hole, newest = translator.feed(ohlc(180, "1.7"))
    assert isinstance(hole, Hole)
    assert (hole.after, hole.before) == (60, 180)
    assert isinstance(newest, Candle)
    assert newest.close == 1.7
