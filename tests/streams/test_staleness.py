"""G16: a stream that should speak and does not is noticed, and mended."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
from scripted import Peer, Request, Server, open_server

import derivtrio
from derivtrio import Client, Settings, Stale
from derivtrio.simulator import Simulator, open_simulator

CONTRACT = {
    "contract_type": "CALL",
    "symbol": "1HZ100V",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 1,
    "duration_unit": "h",
}

#: Thursday, 14 November 2024, 22:13:20, and the evening of the Friday after it (UTC).
THURSDAY, FRIDAY_EVENING = 1_731_622_400, 1_731_703_800


@attrs.define
class Seen:
    """The events of a client from now on."""

    events: list[Any] = attrs.field(factory=list)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def stale(self) -> list[str]:
        return [event.stream for event in self.of(Stale)]


async def _collect(client: Client, seen: Seen, traffic: bool = False) -> None:  # noqa: FBT001, FBT002
    async with client.events(buffer=10**6, traffic=traffic) as events:
        async for event in events:
            seen.events.append(event)


@asynccontextmanager
async def watched(
    start: int = THURSDAY, *, traffic: bool = False, **settings: Any
) -> AsyncGenerator[tuple[Simulator, Client, Seen]]:
    seen = Seen()
    async with (
        open_simulator(port=None, start=start) as sim,
        derivtrio.open_client(
            endpoint=sim.endpoint, token="demo-token", settings=Settings(**settings)
        ) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_collect, client, seen, traffic)
        yield sim, client, seen
        nursery.cancel_scope.cancel()


def asked(seen: Seen, name: str) -> int:
    """Return how often the client has asked for *name*, if the traffic is seen."""
    return sum(f'"{name}":' in event.data for event in seen.of(derivtrio.MessageSent))


async def read_ticks(stream: Any, into: list[int]) -> None:
    async for tick in stream:
        into.append(tick.epoch)  # noqa: PERF401 - is read before the end


async def test_g16_a_mute_tick_stream_is_noticed_and_goes_on_without_a_hole(
    autojump_clock: Any,
) -> None:
    epochs: list[int] = []
    async with watched() as (sim, client, seen), client.ticks("1HZ100V") as ticks:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_ticks, ticks, epochs)
            await trio.sleep(20)
            sim.faults.mute("1HZ100V")
            await trio.sleep(58)
            assert seen.stale == []
            await trio.sleep(14)
            assert seen.stale == ["1HZ100V"]
            await trio.sleep(100)
            nursery.cancel_scope.cancel()
        now = int(sim.now())
        assert client.metrics.stale_streams == 1
        assert ticks.gaps == ()
        assert seen.of(derivtrio.Closed) == []
    assert epochs == list(range(epochs[0], epochs[-1] + 1))
    assert epochs[-1] >= now - 1
    assert seen.stale == ["1HZ100V"]
    assert seen.of(Stale)[0].since <= seen.of(Stale)[0].time


@pytest.mark.parametrize("granularity", [60, 86400])
async def test_g16_a_mute_candle_stream_is_noticed(autojump_clock: Any, granularity: int) -> None:
    async with (
        watched() as (sim, client, seen),
        client.candles("1HZ100V", granularity, overflow="latest") as candles,
    ):
        await trio.sleep(20)
        sim.faults.mute("candles")
        await trio.sleep(75)
        assert seen.stale == ["1HZ100V"]
        await anext(candles)
        await trio.sleep(5)
        assert (await anext(candles)).epoch >= int(sim.now()) - 1
        await trio.sleep(100)
    assert seen.stale == ["1HZ100V"]


async def test_g16_a_candle_stream_that_is_mute_from_its_first_reply_on_is_noticed(
    autojump_clock: Any,
) -> None:
    async with watched() as (sim, client, seen):
        sim.faults.mute("candles", times="for_ever")
        async with client.candles("1HZ100V", 86400, overflow="latest"):
            await trio.sleep(75)
            assert seen.stale == ["1HZ100V"]
            sim.faults.clear()
            await trio.sleep(100)
            assert len(seen.stale) == 2  # the renewed one was mute, too


RAW = [
    {"ticks": "1HZ100V"},
    {"ticks_history": "1HZ100V", "end": "latest", "count": 3, "style": "ticks"},
    {"ticks_history": "1HZ100V", "end": "latest", "count": 3, "style": "candles"},
    {"ticks": ["1HZ100V", "1HZ10V"]},
]


@pytest.mark.parametrize("request_", RAW, ids=str)
async def test_g16_raw_streams_of_prices_are_watched_too(
    autojump_clock: Any, request_: Request
) -> None:
    async with (
        watched() as (sim, client, seen),
        client.subscribe(request_, overflow="latest") as messages,
    ):
        await trio.sleep(20)
        sim.faults.mute("1HZ100V")  # of two symbols only this one
        await trio.sleep(75)
        assert seen.stale == ["1HZ100V"]
        await trio.sleep(100)
        assert (await anext(messages))["msg_type"] in ("tick", "ohlc")
    assert seen.stale == ["1HZ100V"]


async def test_g16_if_asking_again_does_not_help_twice_the_connection_is_replaced_once(
    autojump_clock: Any,
) -> None:
    async with watched() as (sim, client, seen), client.ticks("1HZ100V") as ticks:
        await anext(ticks)
        sim.faults.mute("1HZ100V", times="for_ever")
        await trio.sleep(250)
        closed = seen.of(derivtrio.Closed)
        assert seen.stale == ["1HZ100V"] * 3
        assert [event.by for event in closed] == ["us"]
        assert isinstance(client.status.last_error, derivtrio.MuteStream)
        assert client.status.connection == 2
        await trio.sleep(3 * 3600)
        assert client.status.connection == 2  # others are not to suffer again
        assert 10 < len(seen.stale) < 30
        sim.faults.clear()
        await trio.sleep(700)
        count = len(seen.stale)
        await trio.sleep(1000)
        assert len(seen.stale) == count
        assert client.metrics.reconnects == {"MuteStream": 1}


async def test_g16_a_mute_balance_is_noticed_by_asking_for_it_once(autojump_clock: Any) -> None:
    async with (
        watched(traffic=True) as (sim, client, seen),
        client.balance() as balances,
    ):
        first = (await anext(balances)).balance
        await trio.sleep(200)
        assert seen.stale == []
        assert 2 <= asked(seen, "balance") <= 4
        sim.faults.mute("balance")
        await client.buy(CONTRACT, price=10)
        await trio.sleep(75)
        assert seen.stale == ["balance"]
        assert (await anext(balances)).balance == first - 10


async def test_g16_what_a_consumer_makes_of_its_messages_is_not_what_the_server_said(
    autojump_clock: Any,
) -> None:
    async with watched() as (_, client, seen), client.subscribe({"balance": 1}) as balances:
        await client.buy({**CONTRACT, "amount": 10.1}, price=11)
        await trio.sleep(1)
        for _ in range(2):
            message = await anext(balances)
            message["balance"]["balance"] = Decimal(str(message["balance"]["balance"]))
        await trio.sleep(200)
        assert seen.stale == []


async def test_g16_mute_transactions_are_noticed_and_completed(autojump_clock: Any) -> None:
    async with watched() as (sim, client, seen), client.transactions() as transactions:
        await trio.sleep(20)
        sim.faults.mute("transaction")
        purchase = await client.buy(CONTRACT, price=10)
        with trio.fail_after(90):
            assert (await anext(transactions)).transaction_id == purchase.transaction_id
        assert seen.stale == ["transaction"]
        await trio.sleep(200)
        assert seen.stale == ["transaction"]


@pytest.mark.parametrize("one", [1, 0], ids=["one", "all"])
async def test_g16_mute_contracts_are_noticed(autojump_clock: Any, one: int) -> None:
    async with watched() as (sim, client, seen):
        purchase = await client.buy(CONTRACT, price=10)
        request: Request = {"proposal_open_contract": 1}
        if one:
            request["contract_id"] = purchase.contract_id
        async with client.subscribe(request, overflow="latest") as messages:
            await trio.sleep(20)
            sim.faults.mute()
            await trio.sleep(75)
            assert seen.stale == ["proposal_open_contract"]
            await anext(messages)
            await trio.sleep(20)
            payload = (await anext(messages))["proposal_open_contract"]
            assert payload["current_spot_time"] >= int(sim.now()) - 1
            await trio.sleep(100)
        assert seen.stale == ["proposal_open_contract"]


async def test_g16_a_mute_contract_is_noticed_though_the_machines_clock_is_set_back(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_by = 0
    wall = SimpleNamespace(time=lambda: time.time() + set_by)
    monkeypatch.setattr("derivtrio.supervision.tasks.time", wall)
    request: Request = {"proposal_open_contract": 1}
    async with watched() as (sim, client, seen):
        first = await client.buy(CONTRACT, price=10)
        await client.buy(CONTRACT | {"symbol": "R_50"}, price=10)
        async with client.subscribe(request, overflow="latest"):
            await trio.sleep(20)
            sim.faults.mute(str(first.contract_id))
            await trio.sleep(20)
            set_by = -86_400
            await trio.sleep(60)
            assert seen.stale == ["proposal_open_contract"]


async def test_g16_a_mute_price_is_noticed(autojump_clock: Any) -> None:
    async with (
        watched() as (sim, client, seen),
        client.proposal(CONTRACT | {"barrier": "+1.5"}, overflow="latest") as prices,
    ):
        await trio.sleep(20)
        sim.faults.mute("proposal")
        await trio.sleep(75)
        assert seen.stale == ["proposal"]
        await anext(prices)
        await trio.sleep(3)
        assert (await anext(prices)).id


async def test_g16_a_closed_market_is_no_fault_and_costs_one_check_in_ten_minutes(
    autojump_clock: Any,
) -> None:
    async with (
        watched(FRIDAY_EVENING, traffic=True) as (_sim, client, seen),
        client.ticks("frxEURUSD", overflow="latest") as ticks,
    ):
        await anext(ticks)
        await trio.sleep(1800)  # it closes at 20:55
        assert seen.stale == []
        before = asked(seen, "ticks_history")
        await trio.sleep(6 * 3600)
        assert 30 <= asked(seen, "ticks_history") - before <= 37
        assert seen.stale == []
        assert client.status.connection == 1


async def test_g16_none_means_never(autojump_clock: Any) -> None:
    async with (
        watched(traffic=True, stale_after=None) as (sim, client, seen),
        client.ticks("1HZ100V"),
    ):
        sim.faults.mute()
        await trio.sleep(3600)
        assert seen.stale == []
        assert asked(seen, "ticks_history") == 0


async def test_g16_a_slow_consumer_is_no_mute_stream(autojump_clock: Any) -> None:
    async with (
        watched(traffic=True) as (_sim, client, seen),
        client.ticks("1HZ100V", buffer=10),  # ends with SlowConsumer, and is not left
        client.ticks("1HZ25V", buffer=10_000),
        client.ticks("1HZ10V", buffer=10, overflow="drop_oldest"),
    ):
        await trio.sleep(3600)
        assert seen.stale == []
        assert asked(seen, "ticks_history") == 0


async def test_g16_a_thousand_mute_streams_are_no_storm(autojump_clock: Any) -> None:
    moments: list[float] = []

    async def handle(peer: Peer, request: Request) -> None:
        now = int(trio.current_time())
        if "ticks" in request:
            tick = {"symbol": request["ticks"], "epoch": now, "quote": 1.0, "pip_size": 1}
            subscription = {"id": f"{peer.number}-{request['req_id']}"}
            await peer.reply(request, tick=tick, subscription=subscription)
        elif "ticks_history" in request:
            moments.append(trio.current_time())
            await peer.reply(request, history={"times": [now], "prices": [1.0]}, pip_size=1)
        elif "ping" in request:
            await peer.reply(request, ping="pong")
        elif "forget" in request:
            await peer.reply(request, forget=1)
        elif "website_status" in request:
            await peer.reply(request, website_status={})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=Settings(pacing=False)) as client,
        trio.open_nursery() as nursery,
    ):

        async def follow(symbol: str) -> None:
            async with client.subscribe({"ticks": symbol}) as messages:
                async for _ in messages:
                    pass

        for number in range(1000):
            nursery.start_soon(follow, f"S{number}")
        await trio.sleep(600)
        assert len(moments) > 10
        for minute in range(10):
            assert sum(60 * minute <= t < 60 * minute + 60 for t in moments) <= 31
        assert client.status.connection == 2  # so many are the connection's fault
        nursery.cancel_scope.cancel()


@attrs.define
class Market:
    """Ticks when it is told to; its history may be a little ahead of the stream."""

    server: Server | None = None
    last: int = 100
    asked: list[tuple[Peer, Request]] = attrs.field(factory=list)
    checks: list[float] = attrs.field(factory=list)
    late: float = 0.0
    refuses: bool = False

    async def __call__(self, peer: Peer, request: Request) -> None:
        if "ticks" in request:
            self.asked.append((peer, request))
            await self._send()
        elif "ticks_history" in request:
            self.checks.append(trio.current_time())
            if self.refuses:
                await peer.refuse(request, "InvalidSymbol")
            else:
                history = {"times": [self.last], "prices": [1.0]}
                await peer.reply(request, history=history, pip_size=1)
        elif "ping" in request:
            await peer.reply(request, ping="pong")
        elif "forget" in request:
            await peer.reply(request, forget=1)

    async def tick(self) -> None:
        self.last += 1
        await trio.sleep(self.late)
        await self._send()

    async def _send(self) -> None:
        peer, request = self.asked[-1]
        tick = {"symbol": "R_100", "epoch": self.last, "quote": 1.0, "pip_size": 1}
        await peer.reply(request, tick=tick, subscription={"id": f"stream-{len(self.asked)}"})


@asynccontextmanager
async def market_and_client(**settings: Any) -> AsyncGenerator[tuple[Market, Client, Seen]]:
    market, seen = Market(), Seen()
    async with (
        open_server(market) as server,
        derivtrio.open_client(endpoint=server, settings=Settings(**settings)) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_collect, client, seen)
        yield market, client, seen
        nursery.cancel_scope.cancel()


async def test_g16_a_symbol_that_ticks_rarely_is_not_mute(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client, seen), client.ticks("R_100") as ticks:
        market.late = 1.5  # its history is ahead by that
        for _ in range(200):
            await trio.sleep(61.3)
            await market.tick()
        assert len([await anext(ticks) for _ in range(201)]) == 201
        assert seen.stale == []
        assert len(market.asked) == 1
        assert 100 < len(market.checks) <= 200


async def test_g16_a_short_patience_checks_a_quiet_stream_ever_less_often(
    autojump_clock: Any,
) -> None:
    async with market_and_client(stale_after=2) as (market, client, seen), client.ticks("R_100"):
        await trio.sleep(3600)
        assert len(market.checks) <= 14
        market.last += 5
        await trio.sleep(601)
        assert seen.stale[:1] == ["R_100"]


async def test_g16_what_cannot_be_asked_is_asked_seldom(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client, seen), client.ticks("R_100"):
        market.refuses = True
        await trio.sleep(3600)
        assert len(market.checks) <= 7
        assert seen.stale == []


async def test_g16_a_stream_that_is_interrupted_is_not_mute(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client, seen), client.ticks("R_100"):
        async with trio.open_nursery() as nursery:

            async def tick() -> None:
                while True:
                    await trio.sleep(30)
                    await market.tick()

            nursery.start_soon(tick)
            for _ in range(10):
                await trio.sleep(400)
                await client.reconnect()
            nursery.cancel_scope.cancel()
        assert seen.stale == []
        assert market.checks == []


async def test_g16_a_renewal_that_is_not_answered_has_not_helped(autojump_clock: Any) -> None:
    async with market_and_client() as (market, client, seen), client.ticks("R_100") as ticks:
        await anext(ticks)
        original = Market.__call__

        async def deaf(self: Market, peer: Peer, request: Request) -> None:
            if "ticks" not in request or peer.number > 1:
                await original(self, peer, request)

        try:
            Market.__call__ = deaf  # type: ignore[method-assign]
            market.last += 100
            await trio.sleep(300)
        finally:
            Market.__call__ = original  # type: ignore[method-assign]
        assert client.status.connection == 2
        assert seen.stale == ["R_100"] * 3
        assert ticks.id == "stream-2"


@pytest.mark.parametrize("reply", [{}, {"history": None}, {"history": {"times": ["x"]}}])
async def test_g16_nonsense_in_an_answer_harms_nothing(
    autojump_clock: Any, reply: dict[str, Any]
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            tick = {"symbol": "R_100", "epoch": 1, "quote": 1.0, "pip_size": 1}
            await peer.reply(request, tick=tick, subscription={"id": "a"})
        elif "ping" in request:
            await peer.reply(request, ping="pong")
        else:
            await peer.reply(request, msg=1, **reply)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=Settings()) as client,
        client.ticks("R_100"),
    ):
        await trio.sleep(1300)
        assert client.metrics.stale_streams == 0
        assert client.status.connection == 1
        assert len(server.asked("ticks_history")) == 3


@pytest.mark.parametrize("answer", ["12", 5, [1], {"accounts": {"VR1": 7}, "loginid": "VR2"}])
async def test_g18_a_balance_that_is_nonsense_ends_nobody(
    autojump_clock: Any, answer: object
) -> None:
    """An attribute that the answer should have, such as `get`, is looked for in vain."""

    async def handle(peer: Peer, request: Request) -> None:
        if "subscribe" in request:
            balance = {"balance": 1, "currency": "USD", "loginid": "VR1"}
            await peer.reply(request, balance=balance, subscription={"id": "a"})
        elif "ping" in request:
            await peer.reply(request, ping="pong")
        else:
            await peer.reply(request, balance=answer)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=Settings()) as client,
        client.subscribe({"balance": 1}) as balances,
    ):
        await anext(balances)
        await trio.sleep(200)
        assert client.status.connection == 1
        assert len(server.asked("balance")) >= 2


async def test_g16_last_at_is_when_the_stream_last_got_something(autojump_clock: Any) -> None:
    async with watched() as (sim, client, _seen):
        ticks = client.ticks("1HZ100V")
        assert ticks.last_at is None
        async with ticks, client.transactions() as transactions, client.events() as events:
            await trio.sleep(3)
            first = ticks.last_at
            assert first is not None
            assert transactions.last_at is not None
            assert events.last_at is not None
            await trio.sleep(3)
            assert ticks.last_at > first
            sim.faults.mute("1HZ100V")
            await trio.sleep(2)
            last = ticks.last_at
            await trio.sleep(20)
            assert ticks.last_at == last


@pytest.mark.parametrize("value", [0, -1, "60", float("nan"), float("inf"), True])
def test_g16_stale_after_is_validated(value: Any) -> None:
    with pytest.raises(ValueError, match="stale_after"):
        Settings(stale_after=value)
    assert Settings().stale_after == 60
    assert Settings(stale_after=None).stale_after is None
