"""G05, G09: a server refuses to resume a stream. What it has of the outage comes before that."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
import trio
from scripted import Peer, Request, Server, open_server
from test_continuity import DAY, SETTINGS, START, check_candles, check_ticks, outage
from test_transactions import DEMO, account

import derivtrio
from derivtrio import Candle, Client, OverflowPolicy, Subscription, Tick, Transaction
from derivtrio.simulator import open_simulator

FAR = 4_000_000_000


@asynccontextmanager
async def closing_market(
    time: Any = 1010, first: int = 1000, ticks: int = 1
) -> AsyncGenerator[tuple[Server, Client]]:
    """Serve that many ticks, and refuse to go on on the second connection; all history is there."""

    async def handle(peer: Peer, request: Request) -> None:
        if "time" in request and time is None:
            await peer.refuse(request, "UnrecognisedRequest")
        elif "time" in request:
            await peer.reply(request, time=time)
        elif "ticks_history" in request:
            times = list(range(request["start"], int(request["end"]) + 1))
            await peer.reply(request, history={"times": times, "prices": times}, pip_size=2)
        elif peer.number == 2:
            await peer.refuse(request, "MarketIsClosed")
        elif "ticks" in request:
            for epoch in range(first, first + ticks):
                tick = {"symbol": "R_100", "epoch": epoch, "quote": 1.0, "pip_size": 2}
                await peer.reply(request, tick=tick, subscription={"id": "stream"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        yield server, client


async def test_g05_what_came_before_the_market_closed_comes_before_the_error(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("frxEURUSD") as ticks,
        client.candles("frxEURUSD", 3600, closed_only=True) as candles,
    ):
        seen: list[Tick] = [await anext(ticks)]
        formed: list[Candle] = []
        await outage(sim, client, DAY)
        with pytest.raises(derivtrio.MarketClosed):
            while True:
                seen += [await anext(ticks)]
        with pytest.raises(derivtrio.MarketClosed):
            while True:
                formed += [await anext(candles)]
        assert (ticks.gaps, candles.gaps) == ((), ())
    check_ticks(sim, "frxEURUSD", seen)
    assert seen[-1].epoch == sim.market.tick("frxEURUSD", START + 2 * DAY).epoch
    check_candles(sim, "frxEURUSD", 3600, formed)
    assert seen[-1].epoch - formed[-1].open_time < 3600


async def test_g05_what_a_server_that_refuses_all_does_not_give_back_is_a_gap(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "time" in request:
            await peer.reply(request, time=5000)
        elif peer.number == 2:
            await peer.refuse(request, "InvalidSymbol")
        elif "ticks_history" in request:
            row = {"open_time": 900, "epoch": 1000, "open": 1, "high": 1, "low": 1, "close": 1}
            await peer.reply(request, candles=[row], subscription={"id": "candles"})
        else:
            tick = {"symbol": "R_100", "epoch": 1000, "quote": 1.0, "pip_size": 2}
            await peer.reply(request, tick=tick, subscription={"id": "stream"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.ticks("R_100") as ticks,
        client.candles("R_100", 300, strict=True) as candles,
    ):
        await anext(ticks)
        await anext(candles)
        await server.peers[0].drop()
        with pytest.raises(derivtrio.NotContinuous):
            await anext(candles)
        for stream in (ticks, candles):
            with pytest.raises(derivtrio.InvalidRequest):
                await anext(stream)
        assert [(gap.after, gap.before) for gap in ticks.gaps] == [(1000, 5001)]
        assert [(gap.after, gap.before) for gap in candles.gaps] == [(600, 4800)]


@pytest.mark.parametrize("overflow", ["error", "drop_oldest", "latest"])
@pytest.mark.parametrize("buffer", [1, 3])
async def test_g09_a_full_buffer_has_room_for_the_end(
    autojump_clock: Any, overflow: OverflowPolicy, buffer: int
) -> None:
    async with (
        closing_market(ticks=buffer) as (server, client),
        client.ticks("R_100", buffer=buffer, overflow=overflow) as stream,
    ):
        await trio.sleep(1)
        await server.peers[0].drop()
        await trio.sleep(5)
        seen = []
        with pytest.raises(derivtrio.MarketClosed):
            while True:
                seen.append((await anext(stream)).epoch)
        lost = buffer - 1 if overflow == "latest" else 0  # of which only the newest waits
        assert seen == list(range(1000 + lost, 1011))
        assert stream.dropped == lost


async def test_g05_of_two_who_read_neither_is_told_before_the_end(autojump_clock: Any) -> None:
    log: list[Any] = []

    async def consume(stream: Subscription[Tick]) -> None:
        try:
            while True:
                log.append((await anext(stream)).epoch)
        except derivtrio.MarketClosed:
            log.append("closed")

    async with (
        closing_market() as (server, client),
        client.ticks("R_100") as stream,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(consume, stream)
        nursery.start_soon(consume, stream)
        await trio.sleep(1)
        await server.peers[0].drop()
    assert log == [*range(1000, 1011), "closed", "closed"]


async def test_g05_a_server_that_does_not_say_its_time_has_history(autojump_clock: Any) -> None:
    async with closing_market(time=None) as (server, client), client.ticks("R_100") as stream:
        await anext(stream)
        await server.peers[0].drop()
        assert (await anext(stream)).epoch == 1001


async def test_g05_if_its_clock_is_ahead_nothing_can_be_asked_for(autojump_clock: Any) -> None:
    async with closing_market(time=None, first=FAR) as (server, client):
        async with client.ticks("R_100") as stream:
            await anext(stream)
            await server.peers[0].drop()
            with pytest.raises(derivtrio.MarketClosed):
                await anext(stream)
            assert stream.gaps == ()


async def test_g18_a_time_that_cannot_be_read_is_as_good_as_none(autojump_clock: Any) -> None:
    async with closing_market(time="soon") as (server, client), client.ticks("R_100") as stream:
        await anext(stream)
        await server.peers[0].drop()
        assert (await anext(stream)).epoch == 1001


async def test_g05_candles_that_begin_in_the_outage(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.candles("R_100", start=START + 1, closed_only=True) as candles,
    ):
        await trio.sleep(5)
        sim.faults.fail_before("StreamingNotAllowed", "ticks_history")
        await outage(sim, client, 600)
        times = []
        with pytest.raises(derivtrio.ApiError, match="StreamingNotAllowed"):
            while True:
                times.append((await anext(candles)).open_time)
    begin = START + 60 - START % 60
    assert times == list(range(begin, begin + 60 * len(times), 60))
    assert len(times) >= 9


async def test_g05_in_the_first_candle_of_a_market_nothing_is_missing(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        row = {"open_time": 900, "epoch": 1000, "open": 1, "high": 1, "low": 1, "close": 1}
        if "time" in request:
            await peer.reply(request, time=1010)
        elif "subscribe" not in request:
            rows = [row] if request["start"] <= 900 <= int(request["end"]) else []
            await peer.reply(request, candles=rows)
        elif peer.number == 2:
            await peer.refuse(request, "MarketIsClosed")
        else:
            await peer.reply(request, candles=[row], subscription={"id": "candles"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.candles("R_100", 300, strict=True) as candles,
    ):
        await anext(candles)
        await server.peers[0].drop()
        with pytest.raises(derivtrio.MarketClosed):
            await anext(candles)
        assert candles.gaps == ()


async def test_g05_transactions_come_before_it(autojump_clock: Any) -> None:
    async with account() as (sim, client), client.transactions() as stream:
        sim.faults.fail_before("StreamingNotAllowed", "transaction")
        sim.faults.drop()
        sim.deposit(DEMO, Decimal(5))
        assert (await anext(stream)).amount == 5
        with pytest.raises(derivtrio.ApiError, match="StreamingNotAllowed"):
            await anext(stream)


async def test_g09_a_statement_that_is_refused_too_does_not_hide_it(autojump_clock: Any) -> None:
    async with account() as (sim, client), client.transactions() as stream:
        sim.faults.fail_before("StreamingNotAllowed", "transaction")
        sim.faults.fail_before("PermissionDenied", "statement", times=99)
        sim.faults.drop()
        with pytest.raises(derivtrio.ApiError, match="StreamingNotAllowed"):
            await anext(stream)


async def test_g05_of_two_who_read_transactions_neither_is_told_before_the_end(
    autojump_clock: Any,
) -> None:
    log: list[Any] = []

    async def consume(stream: Subscription[Transaction]) -> None:
        try:
            while True:
                log.append((await anext(stream)).amount)
        except derivtrio.ApiError:
            log.append("refused")

    async with (
        account() as (sim, client),
        client.transactions() as stream,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(consume, stream)
        nursery.start_soon(consume, stream)
        await trio.sleep(1)
        sim.faults.fail_before("StreamingNotAllowed", "transaction")
        sim.faults.drop()
        for amount in range(1, 8):
            sim.deposit(DEMO, Decimal(amount))
    assert log == [*range(1, 8), "refused", "refused"]
