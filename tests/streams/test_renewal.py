"""A live stream that the server ends in passing is asked for again, half a second later."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
from scripted import Peer, Request, Server, open_server

import derivtrio
from derivtrio import Backoff, Settings
from derivtrio.client import Client

SETTINGS = Settings(heartbeat_interval=3600, backoff=Backoff(first=1, cap=1))


@attrs.define
class Market:
    """Has a tick every second, keeps them all, and refuses subscriptions with `refusals`.

    The next `mute` subscriptions are not answered at all.
    """

    refusals: list[str] = attrs.field(factory=list)
    mute: int = 0
    asked: list[tuple[float, Peer, Request]] = attrs.field(factory=list)
    forgotten: list[str] = attrs.field(factory=list)

    async def __call__(self, peer: Peer, request: Request) -> None:
        if "ticks" in request:
            self.asked.append((trio.current_time(), peer, request))
            if self.mute:
                self.mute -= 1
            elif self.refusals:
                await peer.refuse(request, self.refusals.pop(0))
            else:
                await self.tick()
        elif "ticks_history" in request:
            times = list(range(request["start"], int(request["end"]) + 1))
            prices = [t / 2 for t in times]
            await peer.reply(request, history={"times": times, "prices": prices}, pip_size=1)
        elif "time" in request:
            await peer.reply(request, time=self.now)
        elif "forget" in request:
            self.forgotten.append(request["forget"])
            await peer.reply(request, forget=1)

    @property
    def now(self) -> int:
        return 1000 + int(trio.current_time() * 10)

    async def tick(self) -> None:
        epoch = self.now
        tick = {"symbol": "R_100", "epoch": epoch, "quote": epoch / 2, "pip_size": 1}
        _, peer, request = self.asked[-1]
        await peer.reply(request, tick=tick, subscription={"id": f"stream-{len(self.asked)}"})

    async def end_with(self, code: str) -> None:
        _, peer, request = self.asked[-1]
        await peer.refuse(request, code)


@asynccontextmanager
async def market_and_client(*refusals: str) -> AsyncGenerator[tuple[Server, Market, Client]]:
    market = Market()
    async with (
        open_server(market) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        yield server, market, client


@pytest.mark.parametrize("code", ["WrongResponse", "CallError", "GetProposalFailure"])
async def test_g05_a_stream_that_ends_in_passing_goes_on(autojump_clock: Any, code: str) -> None:
    async with market_and_client() as (_, market, client), client.ticks("R_100") as stream:
        first = (await anext(stream)).epoch
        begin = trio.current_time()
        market.refusals = ["WrongResponse", "CallError"]
        await market.end_with(code)
        await trio.sleep(5)
        await market.tick()
        seen = [(await anext(stream)).epoch for _ in range(16)]
        assert seen == [*range(first + 1, first + 16), first + 50]  # 1.5 s later it was granted
        pauses = [when - begin for when, _, _ in market.asked[1:]]
        assert pauses == pytest.approx([0.5, 1, 1.5], abs=0.01)
        assert market.forgotten == ["stream-1"]
        assert stream.id == "stream-4"
        assert client.status.connection == 1


async def test_all_who_share_it_go_on(autojump_clock: Any) -> None:
    async with (
        market_and_client() as (_, market, client),
        client.ticks("R_100") as typed,
        client.subscribe({"ticks": "R_100"}) as plain,
    ):
        await anext(typed)
        await anext(plain)
        await market.end_with("WrongResponse")
        assert (await anext(plain))["subscription"]["id"] == "stream-2"
        assert (await anext(typed)).epoch > 1000
        assert len(market.asked) == 2


@pytest.mark.parametrize("code", ["StreamingNotAllowed", "MarketIsClosed", "InvalidSymbol"])
async def test_what_no_waiting_mends_ends_the_stream(autojump_clock: Any, code: str) -> None:
    async with market_and_client() as (_, market, client), client.ticks("R_100") as stream:
        await anext(stream)
        await market.end_with(code)
        with pytest.raises(derivtrio.ApiError, match=code):
            await anext(stream)
        await trio.sleep(5)
        assert len(market.asked) == 1


async def test_a_refusal_of_the_renewal_ends_the_stream(autojump_clock: Any) -> None:
    async with market_and_client() as (_, market, client), client.ticks("R_100") as stream:
        first = (await anext(stream)).epoch
        market.refusals = ["InvalidSymbol"]
        await market.end_with("WrongResponse")
        seen = []
        with pytest.raises(derivtrio.InvalidRequest):
            while True:
                seen.append((await anext(stream)).epoch)
        assert seen == list(range(first + 1, market.now + 1))


async def test_what_nobody_wants_any_more_is_not_renewed(autojump_clock: Any) -> None:
    async with market_and_client() as (_, market, client):
        async with client.ticks("R_100") as stream:
            await anext(stream)
            await market.end_with("WrongResponse")
            await trio.sleep(0.2)
        await trio.sleep(5)
        assert len(market.asked) == 1


async def test_a_lost_connection_takes_the_renewal_over(autojump_clock: Any) -> None:
    async with market_and_client() as (_, market, client), client.ticks("R_100") as stream:
        await anext(stream)
        await market.end_with("WrongResponse")
        await trio.sleep(0.2)
        await market.asked[0][1].drop()
        await trio.sleep(10)
        assert [peer.number for _, peer, _ in market.asked] == [1, 2]
        newest = market.now
        await market.tick()
        epochs = [(await anext(stream)).epoch]
        while epochs[-1] < newest:  # how many there are depends on the jitter of the backoff
            epochs.append((await anext(stream)).epoch)
        assert epochs == sorted(set(epochs))


async def test_g07_a_renewal_that_is_not_answered_is_asked_again_and_nobody_else_notices(
    autojump_clock: Any,
) -> None:
    async with market_and_client() as (_, market, client), client.ticks("R_100") as stream:
        await anext(stream)
        market.mute = 1
        await market.end_with("WrongResponse")
        await trio.sleep(SETTINGS.response_timeout + 5)
        assert len([await anext(stream) for _ in range(600)]) == 600
        assert len(market.asked) == 3
        assert client.status.connection == 1
