"""`when_closed="wait"`: a stream sleeps while its market is closed, and misses nothing."""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from scripted import Peer, Request, open_server
from test_continuity import SETTINGS, check_ticks, outage, take

import derivtrio
from derivtrio import Candle, Client, Settings, Tick
from derivtrio.simulator import Simulator, open_simulator

DAY, HOUR = 86_400, 3600
FRIDAY = 1_749_772_800  # 2025-06-13, 00:00 UTC
CLOSING = FRIDAY + 20 * HOUR + 55 * 60
MONDAY = FRIDAY + 3 * DAY


@asynccontextmanager
async def opened(
    start: int, settings: Settings = SETTINGS
) -> AsyncGenerator[tuple[Simulator, Client]]:
    async with (
        open_simulator(port=None, start=start) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
    ):
        yield sim, client


def check_candles(sim: Simulator, granularity: int, candles: list[Candle]) -> None:
    first, last = candles[0].open_time, candles[-1].open_time
    due = sim.market.candles("frxEURUSD", granularity, first, last + granularity - 1)
    assert [(c.open_time, c.open, c.high, c.low, c.close) for c in candles] == [
        (c.open_time, c.open, c.high, c.low, c.close) for c in due
    ]


async def test_entering_at_the_weekend_returns_at_once_and_the_stream_begins_on_monday(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "derivtrio")
    async with opened(MONDAY - 30 * HOUR) as (sim, client):
        begin = trio.current_time()
        async with client.ticks("frxEURUSD", when_closed="wait") as ticks:
            assert trio.current_time() < begin + 1
            assert ticks.id is None
            first = await anext(ticks)
            assert ticks.id is not None
            assert trio.current_time() < begin + 30 * HOUR + 60
            seen = [first, *await take(ticks, trio.current_time() + 600)]
        assert seen[-1].epoch > MONDAY + 300
        if first.epoch < MONDAY:  # the newest that there was
            assert first.epoch == sim.market.tick("frxEURUSD", MONDAY - 1).epoch
        check_ticks(sim, "frxEURUSD", seen)
        assert ticks.gaps == ()
    said = [r for r in caplog.records if "the market is closed" in r.getMessage()]
    assert [(r.levelno, r.__dict__["symbol"]) for r in said] == [(logging.INFO, "frxEURUSD")]
    assert "until 2025-06-16 00:00:00 UTC" in said[0].getMessage()


async def test_without_it_a_closed_market_is_an_error_as_ever(autojump_clock: Any) -> None:
    async with opened(MONDAY - 30 * HOUR) as (_, client):
        with pytest.raises(derivtrio.MarketClosed):
            async with client.ticks("frxEURUSD"):
                pass
        for stream in (client.ticks, client.candles):
            with pytest.raises(derivtrio.InvalidRequest, match="when_closed"):
                stream("frxEURUSD", when_closed="sleep")  # type: ignore[arg-type]


async def test_history_since_the_start_comes_at_once_and_the_rest_on_monday(
    autojump_clock: Any,
) -> None:
    async with opened(MONDAY - 30 * HOUR) as (sim, client):
        start, begin = CLOSING - 7200, trio.current_time()
        async with (
            client.ticks("frxEURUSD", start=start, when_closed="wait") as ticks,
            client.candles(
                "frxEURUSD", 600, start=start, closed_only=True, when_closed="wait"
            ) as candles,
        ):
            seen = await take(ticks, begin + 60)
            formed = await take(candles, begin + 120)
            assert (seen[0].epoch - start, CLOSING - seen[-1].epoch) < (60, 60)
            assert formed[-1].open_time >= CLOSING - 1200
            seen += await take(ticks, begin + 31 * HOUR)
            formed += await take(candles, begin + 32 * HOUR)
            assert seen[-1].epoch > MONDAY + HOUR - 120
            assert formed[-1].open_time >= MONDAY + HOUR - 1200
            assert (ticks.gaps, candles.gaps) == ((), ())
        check_ticks(sim, "frxEURUSD", seen)
        check_candles(sim, 600, formed)


async def test_a_reconnect_at_the_weekend_does_not_end_the_streams(autojump_clock: Any) -> None:
    """What an outage over the closing swallowed comes at once; the rest on Monday."""
    async with opened(CLOSING - HOUR) as (sim, client):
        begin = trio.current_time()
        async with (
            client.ticks("frxEURUSD", when_closed="wait") as ticks,
            client.candles("frxEURUSD", 3600, closed_only=True, when_closed="wait") as candles,
        ):
            seen = await take(ticks, begin + 60)
            await outage(sim, client, 5 * HOUR)
            seen += await take(ticks, trio.current_time() + 60)
            assert CLOSING - seen[-1].epoch < 60
            assert client.status.subscriptions in (0, 1)  # the candles' consumer has not read yet
            formed = await take(candles, trio.current_time() + 60)
            assert client.status.subscriptions == 0
            await outage(sim, client, HOUR)
            until = begin + MONDAY - CLOSING + 3 * HOUR + 600
            seen += await take(ticks, until)
            formed += await take(candles, until + HOUR)
            assert (ticks.gaps, candles.gaps) == ((), ())
        assert seen[-1].epoch > MONDAY + HOUR
        check_ticks(sim, "frxEURUSD", seen)
        check_candles(sim, 3600, formed)
        assert formed[-1].open_time >= MONDAY + HOUR


async def test_g16_a_stream_that_falls_silent_at_the_closing_or_waits_is_not_mute(
    autojump_clock: Any,
) -> None:
    async with opened(CLOSING - 600) as (sim, client):
        stale: list[object] = []

        async def listen() -> None:
            async with client.events() as events:
                async for event in events:
                    if isinstance(event, derivtrio.Stale):
                        stale.append(event)  # noqa: PERF401 - the loop is cancelled

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            begin = trio.current_time()
            async with client.ticks("frxEURUSD", when_closed="wait") as ticks:
                seen = await take(ticks, begin + 8 * HOUR)  # silent
                await outage(sim, client, 60)
                seen += await take(ticks, begin + MONDAY - CLOSING + 1200)  # waiting
            nursery.cancel_scope.cancel()
        assert seen[-1].epoch > MONDAY + 300
        check_ticks(sim, "frxEURUSD", seen)
        assert stale == []


async def test_a_live_stream_that_ends_with_the_error_goes_on_when_the_market_opens(
    autojump_clock: Any,
) -> None:
    """The schedule says ten minutes; the market opens after four hours."""
    opens, asked = 4 * HOUR, []

    async def handle(peer: Peer, request: Request) -> None:
        now = int(trio.current_time())
        if "time" in request:
            await peer.reply(request, time=now)
        elif "trading_times" in request:
            asked.append(request["trading_times"])
            times = {"open": ["00:00:00", "00:10:00"], "close": ["00:00:20", "23:59:59"]}
            symbols = [{"name": "Euro", "underlying_symbol": "frxEURUSD", "times": times}]
            markets = [{"name": "Forex", "submarkets": [{"name": "Major", "symbols": symbols}]}]
            await peer.reply(request, trading_times={"markets": markets})
        elif "ticks_history" in request:
            times_ = [20, 21, opens, opens + 1]
            span = range(request["start"], int(request["end"]) + 1)
            rows = [each for each in times_ if each in span]
            await peer.reply(request, history={"times": rows, "prices": rows}, pip_size=2)
        elif "ticks" in request and now < 20:
            tick = {"symbol": "frxEURUSD", "epoch": 20, "quote": 20.0, "pip_size": 2}
            await peer.reply(request, tick=tick, subscription={"id": "first"})
            await peer.refuse(request, "MarketIsClosed")
        elif "ticks" in request and now < opens + 1:
            await peer.refuse(request, "MarketIsClosed")
        elif "ticks" in request:
            epoch = opens + 2
            tick = {"symbol": "frxEURUSD", "epoch": epoch, "quote": float(epoch), "pip_size": 2}
            await peer.reply(request, tick=tick, subscription={"id": "second"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=Settings(stale_after=None)) as client,
        client.ticks("frxEURUSD", when_closed="wait") as ticks,
    ):
        with trio.fail_after(opens + 700):
            epochs = [(await anext(ticks)).epoch for _ in range(5)]
        assert epochs == [20, 21, opens, opens + 1, opens + 2]
        assert ticks.gaps == ()
        tries = [request for _, request in server.received if "ticks" in request]
        assert len(tries) < 40  # every ten minutes, and a few more at first
        assert len(asked) == 1


@pytest.mark.parametrize("times", [None, {"open": ["09:00"], "close": [{}]}, 5, [{}]])
async def test_trading_times_that_are_refused_or_nonsense_are_not_needed(
    autojump_clock: Any, times: object
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "time" in request:
            await peer.reply(request, time=5000)
        elif "ticks" in request and trio.current_time() > 2000:
            tick = {"symbol": "R_100", "epoch": 5000, "quote": 1.0, "pip_size": 2}
            await peer.reply(request, tick=tick, subscription={"id": "stream"})
        elif "ticks" in request:
            await peer.refuse(request, "MarketIsClosed")
        elif times is not None and "trading_times" in request:
            symbols = [{"symbol": "R_100", "times": times}]
            markets = [{"submarkets": [{"symbols": symbols}]}]
            await peer.reply(request, trading_times={"markets": markets})
        else:
            await peer.refuse(request, "UnrecognisedRequest")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.ticks("R_100", when_closed="wait") as ticks,
    ):
        with trio.fail_after(2700):
            assert (await anext(ticks)).epoch == 5000


async def test_waiting_can_be_cancelled_at_any_moment_and_loses_nothing(
    autojump_clock: Any,
) -> None:
    async with opened(CLOSING + HOUR) as (sim, client):
        start, seen = CLOSING - 60, []
        async with client.ticks("frxEURUSD", start=start, when_closed="wait") as ticks:
            end = trio.current_time() + MONDAY - CLOSING
            while trio.current_time() < end:
                step = 997 if trio.current_time() < end - 2 * HOUR else 0.7
                with trio.move_on_after(step):
                    seen.append(await anext(ticks))
            assert ticks.gaps == ()
        assert seen[-1].epoch > MONDAY
        check_ticks(sim, "frxEURUSD", seen)


async def test_several_tasks_wait_for_the_market_together(autojump_clock: Any) -> None:
    async with opened(MONDAY - 2 * HOUR) as (sim, client):
        seen: list[Tick] = []

        async def read() -> None:
            async for tick in ticks:
                seen.append(tick)  # noqa: PERF401 - the loop is cancelled

        async with client.ticks("frxEURUSD", start=CLOSING - 60, when_closed="wait") as ticks:
            with trio.move_on_after(3 * HOUR):
                async with trio.open_nursery() as nursery:
                    for _ in range(3):
                        nursery.start_soon(read)
        check_ticks(sim, "frxEURUSD", seen)
        assert seen[-1].epoch > MONDAY + HOUR / 2


@pytest.mark.parametrize("leaving", ["the client closes", "the block is left"])
async def test_a_stream_that_waits_ends_with_its_client_or_its_block(
    autojump_clock: Any, leaving: str
) -> None:
    async with opened(MONDAY - 30 * HOUR) as (_, client):
        ended: list[float] = []

        async def read(stream: derivtrio.Subscription[Tick]) -> None:
            async for _ in stream:
                pass
            ended.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            async with client.ticks("frxEURUSD", when_closed="wait") as ticks:
                nursery.start_soon(read, ticks)
                await trio.sleep(1000)
                if leaving == "the client closes":
                    await client.aclose()
            left = trio.current_time()
        assert ended
        assert ended[0] <= left + 1
        with pytest.raises(StopAsyncIteration):
            await anext(ticks)


async def test_a_client_that_fails_ends_a_stream_that_waits(autojump_clock: Any) -> None:
    settings = Settings(max_attempts=2)
    with pytest.raises(derivtrio.ConnectionFailed):
        async with opened(MONDAY - 30 * HOUR, settings) as (sim, client):
            async with client.ticks("frxEURUSD", when_closed="wait") as ticks:
                with trio.move_on_after(1000):
                    await anext(ticks)
                sim.faults.refuse()
                sim.faults.drop()
                with trio.CancelScope(shield=True), trio.fail_after(HOUR):
                    with pytest.raises(derivtrio.ConnectionFailed):
                        await anext(ticks)


async def test_streams_ask_for_the_trading_times_once_a_day(autojump_clock: Any) -> None:
    symbols = ["frxEURUSD", "frxGBPUSD", "frxUSDJPY"]
    async with opened(MONDAY - 30 * HOUR) as (_, client), trio.open_nursery() as nursery:

        async def read(symbol: str) -> None:
            async with client.ticks(symbol, when_closed="wait") as ticks:
                async for tick in ticks:
                    if tick.epoch >= MONDAY:
                        return

        asked = []
        for symbol in symbols:
            nursery.start_soon(read, symbol)
        async with client.events(traffic=True, buffer=10_000) as events:
            with trio.move_on_after(31 * HOUR):
                async for event in events:
                    if isinstance(event, derivtrio.MessageSent) and "trading_" in event.data:
                        day = json.loads(event.data)["trading_times"]
                        asked += [day]
        assert asked == ["2025-06-14", "2025-06-15", "2025-06-16", "2025-06-15", "2025-06-16"]
