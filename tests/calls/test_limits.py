"""G08, within the limits: what the client sends when it would like to send more than it may."""

from bisect import bisect_left
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from scripted import Peer, Request, open_server, polite

import derivtrio
from derivtrio import Settings, State, Throttled
from derivtrio.calls.call import Call
from derivtrio.calls.queue import SendQueue
from derivtrio.simulator import DEMO_TOKEN, Limits, Quota, open_simulator
from derivtrio.simulator.protocol.envelope import Refusal
from derivtrio.simulator.sessions.rate_limits import RateLimiter

#: As many different streams as a storm needs.
SYMBOLS = [f"S_{n}" for n in range(200)]


class Limited:
    """A server that streams whatever is asked for, sells, and enforces *limits*."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.budgets = RateLimiter(limits, trio.current_time)
        self.times: list[tuple[float, str]] = []
        self.refusals = 0

    async def __call__(self, peer: Peer, request: Request) -> None:
        name = next(iter(request))
        self.times.append((trio.current_time(), name))
        try:
            self.budgets.charge(name, 0, None)
        except Refusal as refusal:
            self.refusals += 1
            await peer.refuse(request, refusal.code, refusal.message)
            return
        if name == "website_status":
            limits = {"api_call_limits": self.budgets.advertised()}
            await peer.reply(request, website_status=limits)
        elif name == "ticks":
            tick = {"symbol": request["ticks"], "epoch": 1, "quote": 1.0}
            stream = {"id": f"{peer.number}-{request['ticks']}"}
            await peer.reply(request, tick=tick, subscription=stream)
        elif name in ("authorize", "sell", "forget", "statement", "proposal_open_contract"):
            await peer.reply(request, **{name: {"done": 1}})
        else:
            await polite(peer, request)

    def at(self, name: str, after: float = 0) -> list[float]:
        """Return when requests for the call came, in seconds since *after*."""
        return [time - after for time, asked in self.times if asked == name and time >= after]


@asynccontextmanager
async def watched(client: derivtrio.Client) -> AsyncGenerator[list[Any]]:
    """Collect the events of *client*."""
    events: list[Any] = []

    async def collect() -> None:
        async with client.events() as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - to be looked at before the end

    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect)
        await trio.testing.wait_all_tasks_blocked()
        yield events
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def subscribed(client: derivtrio.Client, symbols: list[str]) -> AsyncGenerator[list[Any]]:
    """Have a stream for each of *symbols*; yield those that have ended."""
    ended: list[Any] = []

    async def consume(symbol: str, task_status: Any) -> None:
        async with client.subscribe({"ticks": symbol}, overflow="latest") as stream:
            task_status.started()
            try:
                async for _ in stream:
                    pass
            except derivtrio.DerivError as error:
                ended.append(error)

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as starting:
            for symbol in symbols:
                starting.start_soon(nursery.start, consume, symbol)
        yield ended
        nursery.cancel_scope.cancel()


async def until_ready(client: derivtrio.Client, connection: int) -> None:
    async with client.events() as events:
        if client.status.connection == connection and client.status.state is State.READY:
            return
        async for event in events:
            if event == derivtrio.Ready(connection, time=event.time):
                return


def most_within(times: list[float], length: float) -> int:
    return max(bisect_left(times, t + length) - n for n, t in enumerate(times))


def test_g08_is_kept_by_default() -> None:
    assert Settings().pacing


async def test_g08_a_storm_of_resubscriptions_leaves_room_for_selling(autojump_clock: Any) -> None:
    limited = Limited(Limits(scope="everyone"))
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server, token="made-up") as client,
        subscribed(client, SYMBOLS) as ended,
        watched(client) as events,
    ):
        await trio.sleep(3700)  # calm; the storm begins with all budgets full
        start = trio.current_time()
        await server.peers[-1].drop()
        await trio.sleep(10)
        assert client.status.state is State.RESTORING
        for _ in range(5):
            with trio.fail_after(0.1):
                assert (await client.call({"sell": 1, "price": 0}))["sell"] == {"done": 1}
        with trio.fail_after(0.1):
            await client.call({"time": 1})  # goes before what is left of the storm
        assert client.status.state is State.RESTORING
        await until_ready(client, 2)
        assert 60 < trio.current_time() - start < 65  # longer than restore_timeout allows for work
        assert len(limited.at("ticks", start)) == len(SYMBOLS)
        assert ended == []
        await trio.testing.wait_all_tasks_blocked()
        assert [e.group for e in events if isinstance(e, Throttled)] == ["general"]
        times = [time for time, name in limited.times if name != "ping"]
        assert most_within(times, 60) <= 220
        assert limited.refusals == 0


async def test_g08_selling_does_not_wait_for_the_streams(autojump_clock: Any) -> None:
    limited = Limited()

    async def slow(peer: Peer, request: Request) -> None:
        if peer.number > 1 and "ticks" in request:
            await trio.sleep(5)
        await limited(peer, request)

    async with (
        open_server(slow) as server,
        derivtrio.open_client(endpoint=server, token="made-up") as client,
        subscribed(client, SYMBOLS[:1]),
    ):
        await server.peers[-1].drop()
        await trio.sleep(2)
        assert client.status.state is State.RESTORING
        with trio.fail_after(0.1):
            await client.call({"sell": 1, "price": 0})
        assert client.status.state is State.RESTORING
        await client.call({"time": 1})
        assert client.status.state is State.READY


async def test_g08_whoever_always_asks_does_not_keep_the_streams_away(autojump_clock: Any) -> None:
    limited = Limited(Limits())
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server) as client,
        subscribed(client, SYMBOLS) as ended,
        trio.open_nursery() as nursery,
    ):

        async def ask_always() -> None:
            while True:
                await client.call({"time": 1})
                await trio.sleep(6)

        for _ in range(20):  # more than two hundred a minute, evenly spread
            nursery.start_soon(ask_always)
            await trio.sleep(0.3)
        await trio.sleep(100)
        await server.peers[-1].drop()
        with trio.fail_after(600):
            await until_ready(client, 2)
        nursery.cancel_scope.cancel()
        assert (ended, limited.refusals) == ([], 0)


async def test_g08_under_pressure_the_client_is_never_once_refused(autojump_clock: Any) -> None:
    limits = Limits(general=Quota(120, 5000), scope="everyone")
    async with (
        open_simulator(port=None, limits=limits) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client,
        watched(client) as events,
    ):
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for n in range(600):
                name = ("time", "active_symbols", "website_status", "balance")[n % 4]
                value = "brief" if name == "active_symbols" else 1
                nursery.start_soon(client.call, {name: value})
        assert trio.current_time() - start < 61.2 * 6
        assert sim.refused == {}
        await trio.testing.wait_all_tasks_blocked()
        throttled = [event for event in events if isinstance(event, Throttled)]
        assert {event.group for event in throttled} == {"general"}
        assert len(throttled) == 1  # one wait, one announcement


async def test_g08_under_pressure_the_options_api_refuses_nothing_either(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None, limits=Limits(scope="everyone")) as sim,
        derivtrio.open_client(endpoint=sim.options_account("VRTC1000001")) as client,
    ):
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for n in range(600):
                name = ("time", "balance", "portfolio")[n % 3]
                nursery.start_soon(client.call, {name: 1})
        assert trio.current_time() - start > 6 * 60  # portfolios: 30 a minute
        assert sim.refused == {}


@pytest.mark.parametrize(
    "limits",
    [
        Limits(general=Quota(20, 14400), hidden=True),
        Limits(general=Quota(220, 150), hidden=True),
    ],
    ids=["minute", "hour"],
)
async def test_g08_with_hidden_limits_every_safe_call_is_answered(
    limits: Limits, autojump_clock: Any
) -> None:
    answers: list[Any] = []
    async with (
        open_simulator(port=None, limits=limits) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):

        async def ask() -> None:
            answers.append(await client.call({"time": 1}))

        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(ask)
        assert len(answers) == 200
        assert 0 < sum(sim.refused.values()) < 300
        assert client.status.connection == 1


async def test_g08_with_hidden_limits_a_storm_is_weathered(autojump_clock: Any) -> None:
    limited = Limited(Limits(general=Quota(100, 14400), hidden=True, scope="everyone"))
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server) as client,
        subscribed(client, SYMBOLS) as ended,
    ):
        await trio.sleep(2000)
        await server.peers[-1].drop()
        with trio.fail_after(600):
            await until_ready(client, 2)
        assert ended == []
        assert client.status.subscriptions == len(SYMBOLS)


async def test_g08_an_unsafe_call_that_is_refused_says_when_to_come_again(
    autojump_clock: Any,
) -> None:
    async def busy(peer: Peer, request: Request) -> None:
        code = "TooFrequentUpdate" if "contract_update" in request else "RateLimit"
        await peer.refuse(request, code)

    async with (
        open_server(busy) as server,
        derivtrio.open_client(endpoint=server) as client,
        watched(client) as events,
    ):
        with pytest.raises(derivtrio.RateLimited) as caught:
            await client.call({"buy": "1", "price": 1})
        assert caught.value.retry_after == 15
        assert len(server.asked("buy")) == 1
        await trio.testing.wait_all_tasks_blocked()
        assert [(e.group, e.delay) for e in events if isinstance(e, Throttled)] == [("general", 15)]
        with pytest.raises(derivtrio.RateLimited) as caught:
            await client.call({"sell": 1, "price": 0})  # is not made to wait for the pause
        assert 0 < caught.value.retry_after <= 15
        with pytest.raises(derivtrio.RateLimited) as caught:
            await client.call({"contract_update": 1, "contract_id": 1, "limit_order": {}})
        assert caught.value.retry_after is None
        assert len(server.asked("website_status")) == 1  # nor is that asked without a pause


async def test_g08_a_safe_call_that_is_refused_for_more_than_an_hour_ends(
    autojump_clock: Any,
) -> None:
    async def busy(peer: Peer, request: Request) -> None:
        if "ping" in request:
            await polite(peer, request)
        else:
            await peer.refuse(request, "RateLimit")

    async with (
        open_server(busy) as server,
        derivtrio.open_client(endpoint=server) as client,
    ):
        start = trio.current_time()
        with pytest.raises(derivtrio.RateLimited):
            await client.call({"time": 1})
        assert 3600 < trio.current_time() - start < 5400
        assert 3 < len(server.asked("time")) < 30


async def test_g08_without_pacing_nothing_waits(autojump_clock: Any) -> None:
    settings = Settings(pacing=False)
    limited = Limited(Limits())
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
    ):
        start = trio.current_time()
        answered = 0
        for _ in range(400):
            with suppress(derivtrio.RateLimited):
                await client.call({"time": 1})
                answered += 1
        assert (answered, trio.current_time() - start) == (220, 0)
        assert server.asked("website_status") == []


async def test_g08_ten_pings_a_second(autojump_clock: Any) -> None:
    limited = Limited(Limits())
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server) as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(45):
            nursery.start_soon(client.call, {"ping": 1})
        nursery.start_soon(client.send, '{"ping": 1}')
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(0.1):
            await client.call({"time": 1})
    times = limited.at("ping")
    assert (len(times), limited.refusals) == (46, 0)
    assert 4 < times[-1] - times[0] < 7


async def test_g08_heartbeats_count_among_the_pings(autojump_clock: Any) -> None:
    async with (
        open_server(Limited()) as server,
        derivtrio.open_client(endpoint=server, settings=Settings(heartbeat_interval=5)) as client,
    ):
        for heartbeats in (0, 1):
            start = trio.current_time()
            await fill(client, {"ping": 1}, 8)
            assert trio.current_time() - start == pytest.approx(1.01 * heartbeats)
            with trio.move_on_after(5.01):
                await trio.sleep_forever()
        assert len(server.asked("ping")) == 18


async def test_g08_clients_with_one_pacer_share_the_budgets(autojump_clock: Any) -> None:
    pacer = derivtrio.Pacer()
    limits = Limits(scope="everyone")
    async with (
        open_simulator(port=None, limits=limits) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, pacer=pacer) as one,
        derivtrio.open_client(endpoint=sim.endpoint, pacer=pacer) as two,
    ):
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for client in (one, two):
                for _ in range(150):
                    nursery.start_soon(client.call, {"time": 1})
        assert sim.refused == {}
        assert 60 < trio.current_time() - start < 125


@pytest.mark.parametrize("ahead", [1e6, -1e6], ids=["ahead", "behind"])
def test_g08_a_pacer_counts_on_in_the_next_run_whatever_its_clock_says(ahead: float) -> None:
    pacer = derivtrio.Pacer()

    async def took(count: int) -> float:
        async with (
            open_simulator(port=None) as sim,
            derivtrio.open_client(endpoint=sim.endpoint, pacer=pacer) as client,
        ):
            start = trio.current_time()
            with trio.fail_after(1000):
                await fill(client, {"time": 1}, count)
            return trio.current_time() - start

    clocks = [trio.testing.MockClock(autojump_threshold=0) for _ in range(2)]
    clocks[ahead < 0].jump(abs(ahead))
    assert trio.run(took, 150, clock=clocks[0]) < 1
    assert 59 < trio.run(took, 100, clock=clocks[1]) < 63


async def test_a_pacer_serves_one_run_at_a_time(autojump_clock: Any) -> None:
    pacer = derivtrio.Pacer()

    async def open_another() -> None:
        async with derivtrio.open_client(endpoint="ws://no.invalid", pacer=pacer):
            pytest.fail("it must not open")

    async with open_simulator(port=None) as sim:
        async with derivtrio.open_client(endpoint=sim.endpoint, pacer=pacer):
            with pytest.raises(RuntimeError, match=r"one trio\.run at a time"):
                await trio.to_thread.run_sync(trio.run, open_another)
        async with derivtrio.open_client(endpoint=sim.endpoint, pacer=pacer) as client:
            await client.call({"time": 1})


async def test_g08_clients_without_a_common_pacer_do_not(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, limits=Limits(scope="everyone")) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as one,
        derivtrio.open_client(endpoint=sim.endpoint) as two,
        trio.open_nursery() as nursery,
    ):
        for client in (one, two):
            for _ in range(150):
                nursery.start_soon(client.call, {"time": 1})
    assert sim.refused != {}


async def fill(client: derivtrio.Client, request: Request, count: int) -> None:
    """Make so many calls, one after another."""
    for _ in range(count):
        await client.call(request)


async def test_g08_a_call_that_waits_for_its_budget_can_be_cancelled(autojump_clock: Any) -> None:
    limited = Limited()
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server) as client,
    ):
        await fill(client, {"statement": 1}, 27)
        asked = len(server.asked("statement"))
        with trio.move_on_after(5) as patience:
            await client.call({"statement": 1, "limit": 7})
        assert patience.cancelled_caught
        assert client.status.pending == 0
        await trio.sleep(200)
        assert len(server.asked("statement")) == asked
        await client.call({"statement": 1})


async def test_g08_a_call_that_waits_holds_up_no_other(autojump_clock: Any) -> None:
    limited = Limited()
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server, settings=Settings(outbox=2)) as client,
        trio.open_nursery() as nursery,
    ):
        await fill(client, {"statement": 1}, 27)
        for n in range(1, 51):
            nursery.start_soon(client.call, {"statement": 1, "limit": n})
            await trio.testing.wait_all_tasks_blocked()
        assert client.status.pending == 50
        with trio.fail_after(0.1):
            await client.call({"time": 1})
            await client.call({"proposal_open_contract": 1})
        assert client.status.pending == 50
    asked = [request["limit"] for _, request in server.asked("statement") if "limit" in request]
    assert asked == list(range(1, 51))  # in their order


async def test_g08_a_client_that_waits_closes_promptly(autojump_clock: Any) -> None:
    ended: list[Exception] = []

    async def ask(client: derivtrio.Client) -> None:
        try:
            await client.call({"statement": 1})
        except derivtrio.ClientClosed as error:
            ended.append(error)

    async with open_server(Limited()) as server, trio.open_nursery() as nursery:
        async with derivtrio.open_client(endpoint=server) as client:
            for _ in range(40):
                nursery.start_soon(ask, client)
            await trio.sleep(1)
            start = trio.current_time()
        assert trio.current_time() - start < 0.1
    assert 10 < len(ended) < 20


async def test_g08_what_waits_survives_the_loss_of_the_connection(autojump_clock: Any) -> None:
    limited = Limited()
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server) as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(40):
            nursery.start_soon(client.call, {"statement": 1})
        await trio.sleep(1)
        await server.peers[-1].drop()
    times = limited.at("statement")
    assert len(times) == 40
    assert most_within(times, 60) <= 30


async def test_g08_what_is_asked_again_goes_before_what_waits(autojump_clock: Any) -> None:
    limited = Limited()

    async def mute_at_first(peer: Peer, request: Request) -> None:
        if peer.number > 1 or "statement" not in request:
            await limited(peer, request)

    async with (
        open_server(mute_at_first) as server,
        derivtrio.open_client(endpoint=server) as client,
        trio.open_nursery() as nursery,
    ):
        for n in range(40):
            nursery.start_soon(client.call, {"statement": 1, "limit": n})
            await trio.testing.wait_all_tasks_blocked()
        assert len(server.asked("statement")) == 27
        await server.peers[-1].drop()
    again = [request["limit"] for peer, request in server.asked("statement") if peer > 1]
    assert again == list(range(40))


async def test_g08_an_idle_client_does_not_ask_for_limits(autojump_clock: Any) -> None:
    limited = Limited()
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server) as client,
    ):
        for _ in range(10):
            await fill(client, {"time": 1}, 10)
            await trio.sleep(62)
        assert server.asked("website_status") == []
        start = trio.current_time()
        await fill(client, {"time": 1}, 80)
        assert (len(server.asked("website_status")), trio.current_time()) == (1, start)
        await trio.sleep(62)
        await fill(client, {"time": 1}, 1000)
        assert len(server.asked("website_status")) == 1  # once on a connection
        await server.peers[-1].drop()
        await fill(client, {"time": 1}, 400)
        assert [number for number, _ in server.asked("website_status")] == [1, 2]


@pytest.mark.parametrize("calls", [30, 60])
async def test_g08_limits_smaller_than_expected_are_found_out_early(
    autojump_clock: Any, calls: int
) -> None:
    limited = Limited(Limits(general=Quota(3, 20)))
    async with (
        open_server(limited) as server,
        derivtrio.open_client(endpoint=server) as client,
        watched(client) as events,
        trio.open_nursery() as nursery,
    ):
        for _ in range(calls):
            nursery.start_soon(client.call, {"time": 1})
        await trio.sleep(3600)
        assert limited.refusals < 12
        first_hour = len(limited.at("time")) - limited.refusals
        await trio.sleep(3600)
        second_hour = len(limited.at("time")) - limited.refusals - first_hour
        assert limited.refusals < 12
        if calls == 60:
            assert (first_hour, second_hour) == (6, 18)  # of twenty; refused ones count as well
        nursery.cancel_scope.cancel()
    assert {e.group for e in events if isinstance(e, Throttled)} == {"general"}


async def test_g08_who_waits_for_the_limits_alone_is_not_said_to_be_throttled(
    autojump_clock: Any,
) -> None:
    async with (
        open_server(Limited(Limits())) as server,
        derivtrio.open_client(endpoint=server) as client,
        watched(client) as events,
    ):
        await fill(client, {"time": 1}, 100)
        assert len(server.asked("website_status")) == 1
        assert not [event for event in events if isinstance(event, Throttled)]


async def test_g08_selling_does_not_wait_for_the_limits(autojump_clock: Any) -> None:
    async def secretive(peer: Peer, request: Request) -> None:
        if "website_status" not in request:
            await limited(peer, request)

    limited = Limited(Limits())
    async with (
        open_server(secretive) as server,
        derivtrio.open_client(endpoint=server, token="made-up") as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(20):
            nursery.start_soon(client.call, {"time": 1})
        await trio.sleep(1)
        assert len(server.asked("time")) < 20
        with trio.fail_after(0.1):
            for _ in range(20):
                await client.call({"sell": 1, "price": 0})


async def test_g08_the_writer_rests_when_those_who_waited_for_the_limits_have_gone(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def secretive(peer: Peer, request: Request) -> None:
        if "website_status" not in request:
            await polite(peer, request)

    turns = 0
    get = SendQueue.get

    async def counting(outbox: SendQueue, most: int) -> list[Call]:
        nonlocal turns
        turns += 1
        assert turns < 100
        return await get(outbox, most)

    monkeypatch.setattr(SendQueue, "get", counting)
    async with (
        open_server(secretive) as server,
        derivtrio.open_client(endpoint=server) as client,
    ):
        await fill(client, {"time": 1}, 10)
        with trio.move_on_after(5):
            await client.call({"time": 1})
        await trio.sleep(100)
        assert len(server.asked("time")) == 10


async def test_g08_a_server_of_the_documented_limits_is_never_asked(autojump_clock: Any) -> None:
    async with open_server(Limited()) as server:
        server.limits, server.generation = "documented", "options"
        async with derivtrio.open_client(endpoint=server) as client:
            await fill(client, {"time": 1}, 300)
        assert server.asked("website_status") == []


@pytest.mark.parametrize("answer", [True, False], ids=["an error", "nothing"])
async def test_g08_a_server_that_does_not_say_its_limits_is_no_obstacle(
    answer: Any, autojump_clock: Any
) -> None:
    async def silent(peer: Peer, request: Request) -> None:
        if answer or "website_status" not in request:
            await polite(peer, request)

    async with (
        open_server(silent) as server,
        derivtrio.open_client(endpoint=server) as client,
    ):
        start = trio.current_time()
        await fill(client, {"time": 1}, 300)
        assert 60 < trio.current_time() - start < 125
        assert client.status.connection == 1


async def test_g08_limits_that_a_subscription_brings_are_heeded(autojump_clock: Any) -> None:
    async def status(peer: Peer, request: Request) -> None:
        if "website_status" not in request:
            await polite(peer, request)
            return
        for minutely in (100, 50) if "subscribe" in request else (50,):
            limits = {"max_requestes_general": {"minutely": minutely, "hourly": 3000}}
            said = {"api_call_limits": limits}
            await peer.reply(request, website_status=said, subscription={"id": "w"})
            await trio.sleep(1)

    async with (
        open_server(status) as server,
        derivtrio.open_client(endpoint=server) as client,
        client.subscribe({"website_status": 1}) as stream,
    ):
        first, second = await anext(stream), await anext(stream)
        assert "api_call_limits" in first["website_status"]
        assert "api_call_limits" in second["website_status"]
        with trio.move_on_after(30):
            await fill(client, {"time": 1}, 200)
        assert len(server.asked("time")) == 44


async def test_g08_a_reconnecting_client_does_not_authorize_too_often(autojump_clock: Any) -> None:
    limited = Limited()

    async def bad(peer: Peer, request: Request) -> None:
        await limited(peer, request)
        if "authorize" in request:
            await peer.drop()

    backoff = derivtrio.Backoff(first=0.001, cap=0.01)
    settings = Settings(backoff=backoff, wait_ready=False)
    async with (
        open_server(bad) as server,
        derivtrio.open_client(endpoint=server, token="made-up", settings=settings),
    ):
        await trio.sleep(300)
        times = limited.at("authorize")
        assert len(server.peers) > 100
        assert most_within(times, 60) <= 220


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"pacer": 1}, TypeError),
        ({"pacer": derivtrio.Pacer(), "settings": Settings(pacing=False)}, ValueError),
    ],
)
async def test_what_cannot_be_a_pacer_is_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="pacer"):
        async with derivtrio.open_client(**arguments):
            pass
