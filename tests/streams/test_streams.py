"""Subscriptions, and the buffers behind them."""

from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
import trio
from bank import PARAMETERS
from scripted import Peer, Request, framed, open_server

import derivtrio
from derivtrio import Settings
from derivtrio.simulator import open_simulator

PATIENT = Settings(heartbeat_interval=3600, backoff=derivtrio.Backoff(first=1, cap=1))


async def test_ticks_flow_and_survive_a_broken_connection(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
        client.subscribe({"ticks": "1HZ100V"}) as ticks,
    ):
        seen = []
        async for message in ticks:
            seen.append(message["tick"])
            if len(seen) in (3, 6):
                sim.faults.drop()
            if len(seen) == 10:
                break
        assert client.status.connection == 3
    for tick in seen:
        expected = sim.market.tick("1HZ100V", tick["epoch"])
        assert (tick["quote"], tick["ask"]) == (expected.quote, expected.ask)
    assert sorted(tick["epoch"] for tick in seen) == [tick["epoch"] for tick in seen]


async def test_several_streams_of_one_request(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
    ):
        async with client.subscribe({"ticks": ["R_100", "1HZ100V"]}) as ticks:
            symbols = [(await anext(ticks))["tick"]["symbol"] for _ in range(8)]
        await trio.sleep(1)
        forgotten = [r["forget"] for r in sim.connections[0].requests if "forget" in r]
    assert set(symbols) == {"R_100", "1HZ100V"}
    assert len(set(forgotten)) == len(forgotten) == 2


async def test_g05_what_is_changed_after_the_request_is_not_asked_for_on_the_next_connection(
    autojump_clock: Any,
) -> None:
    symbols = ["R_100"]
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
    ):
        stream = client.subscribe({"ticks": symbols})
        symbols += ["R_50"]
        async with stream:
            await anext(stream)
            await client.reconnect()
            await trio.sleep(1)
            met = [*sim.history, *sim.connections]
            asked = [r["ticks"] for each in met for r in each.requests if "ticks" in r]
    assert asked == [["R_100"]] * 2


async def test_a_message_is_its_consumers_own_and_may_be_changed(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
        client.subscribe({"ticks": "R_100"}) as one,
        client.subscribe({"ticks": "R_100"}) as other,
    ):
        for _ in range(3):
            message = await anext(one)
            message.pop("tick")["epoch"] = "changed"
        for number in range(3):
            assert isinstance((await anext(other))["tick"]["epoch"], int), number
        async with client.subscribe({"ticks": "R_100"}) as late:
            (await anext(late))["tick"].clear()
        async with client.ticks("R_100") as ticks:
            assert isinstance(await anext(ticks), derivtrio.Tick)
        assert client.metrics.messages_received < 20


async def test_messages_that_come_together_are_each_consumers_own_as_well(
    autojump_clock: Any,
) -> None:
    async def answer(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            both = {"req_id": request["req_id"], "subscription": {"id": "x"}}
            ticks = [{"symbol": "R_100", "epoch": epoch, "quote": 1.5} for epoch in range(4)]
            first, *others = [{**both, "tick": tick} for tick in ticks]
            await peer.send(first)
            await trio.sleep(1)
            await peer.stream.send_all(b"".join(map(framed, others)))

    async with (
        open_server(answer) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"ticks": "R_100"}) as one,
        client.subscribe({"ticks": "R_100"}) as other,
    ):
        for number in range(4):
            (await anext(one)).pop("tick")["epoch"] = "changed"
            assert (await anext(other))["tick"]["epoch"] == number


async def test_g18_a_message_that_is_too_deep_to_be_copied_is_delivered(
    autojump_clock: Any,
) -> None:
    deep = '{"website_status":' + "[" * 700 + "]" * 700 + ',"req_id":%d,"subscription":{"id":"x"}}'

    async def handle(peer: Peer, request: Request) -> None:
        if "website_status" in request:
            for _ in range(2):
                await peer.websocket.send_message(deep % request["req_id"])

    request = {"website_status": 1}
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe(request) as one,
        client.subscribe(request) as other,
    ):
        for stream in (one, other):
            assert isinstance((await anext(stream))["website_status"], list)
        assert client.status.connection == 1


async def test_leaving_forgets_exactly_once(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
    ):
        for _ in range(2):  # the second would be refused if the first had not been forgotten
            async with client.subscribe({"ticks": "R_100"}) as ticks:
                await anext(ticks)
                stream_id = ticks.id
            await trio.sleep(5)
        requests = list(sim.connections[0].requests)
        assert client.status.subscriptions == 0
    assert stream_id is not None
    assert len([r for r in requests if "forget" in r]) == 2
    assert requests[-1]["forget"] == stream_id


async def test_a_refusal_is_raised_on_entering(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest, match="InvalidSymbol"):
            async with client.subscribe({"ticks": "NO_SUCH"}):
                pytest.fail("it must not be entered")
        async with client.subscribe({"ticks": "R_100"}):
            same_slot = {"ticks_history": "R_100", "end": "latest", "style": "ticks"}
            with pytest.raises(derivtrio.AlreadySubscribed):
                await client.subscribe(same_slot).__aenter__()
        with pytest.raises(derivtrio.AuthorizationRequired):
            await client.subscribe({"balance": 1}).__aenter__()
        assert client.status.subscriptions == 0


async def test_an_error_on_a_live_stream_ends_its_consumer_alone(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "forget" in request:
            return
        await peer.reply(request, tick={}, subscription={"id": request["ticks"]})
        await trio.sleep(1)
        if request["ticks"] == "BAD":
            await peer.refuse(request, "MarketIsClosed")
        await trio.sleep(1)
        await peer.reply(request, tick={}, subscription={"id": request["ticks"]})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"ticks": "GOOD"}) as good,
        client.subscribe({"ticks": "BAD"}) as bad,
    ):
        await anext(bad)
        with pytest.raises(derivtrio.MarketClosed):
            await anext(bad)
        await anext(good)
        await anext(good)


async def test_an_error_that_is_no_object_ends_its_stream_and_nothing_else(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await peer.reply(request, tick={}, subscription={"id": "stream"})
            await peer.reply(request, error="out of order")
        else:
            await peer.reply(request, error=None)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        await anext(ticks)
        with pytest.raises(derivtrio.ApiError, match="out of order"):
            await anext(ticks)
        with pytest.raises(derivtrio.ApiError):
            await client.call({"time": 1})
        assert client.status.connection == 1


async def test_g06_leaving_a_stream_that_ended_on_another_connection_forgets_nobody_elses(
    autojump_clock: Any,
) -> None:
    """A server may count its ids from 1 on each connection."""

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            asked = [r for n, r in server.asked("ticks") if n == peer.number]
            await peer.reply(request, tick={"n": 1}, subscription={"id": f"{len(asked)}"})
            if request["ticks"] == "CLOSING":
                await peer.refuse(request, "MarketIsClosed")

    closing = AsyncExitStack()
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        ended = await closing.enter_async_context(client.subscribe({"ticks": "CLOSING"}))
        async with client.subscribe({"ticks": "OPEN"}) as other:
            await anext(ended)
            with pytest.raises(derivtrio.MarketClosed):
                await anext(ended)
            await server.peers[0].drop()
            await trio.sleep(5)
            assert other.id == "1"
            await closing.aclose()
            await trio.sleep(1)
            assert server.asked("forget") == []


@pytest.mark.parametrize("code", ["RateLimit", "WrongResponse"])
async def test_g06_a_stream_that_the_server_cannot_forget_is_given_up_again(
    autojump_clock: Any, code: str
) -> None:
    live: set[str] = set()

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request and live:
            await peer.refuse(request, "AlreadySubscribed")
        elif "ticks" in request:
            live.add(stream_id := f"id{request['req_id']}")
            await peer.reply(request, tick={"n": 1}, subscription={"id": stream_id})
        elif "forget" in request and len(server.asked("forget")) <= 2:
            await peer.refuse(request, code)
        elif "forget" in request:
            live.discard(request["forget"])
            await peer.reply(request, forget=1)
        else:
            await peer.refuse(request, "UnrecognisedRequest")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        for _ in range(2):
            async with client.subscribe({"ticks": "R_100"}) as stream:
                await anext(stream)
            await trio.sleep(120)
            assert live == set()
        assert [request["forget"] for _, request in server.asked("forget")][:3] == ["id1"] * 3
        assert len(server.asked("forget")) == 4


@pytest.mark.parametrize("ended_by", ["its caller", "response_timeout"])
async def test_g06_a_stream_waits_for_the_reply_to_the_request_before_it_that_was_given_up(
    autojump_clock: Any, ended_by: str
) -> None:
    """The server has granted that one, and refuses the next until it is told to forget it."""
    settings = Settings(response_timeout=5 if ended_by == "response_timeout" else 20)
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
    ):
        sim.faults.late_subscription(8, "R_50", between="after")
        with trio.move_on_after(1 if ended_by == "its caller" else 100):
            with suppress(derivtrio.ResponseTimeout):
                async with client.ticks("R_50"):
                    pytest.fail("it was granted")
        async with client.ticks("R_50") as ticks:
            assert (await anext(ticks)).symbol == "R_50"


async def test_a_refusal_after_a_request_that_was_given_up_is_believed_in_time(
    autojump_clock: Any,
) -> None:
    asked: list[Request] = []

    async def answer(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            asked.append(request)
            if len(asked) > 1:  # and never tells of the first
                await peer.refuse(request, "AlreadySubscribed")
        else:
            await peer.reply(request, ping="pong", time=1000)

    async with (
        open_server(answer) as server,
        derivtrio.open_client(endpoint=server, settings=Settings(response_timeout=20)) as client,
    ):
        with trio.move_on_after(1):
            async with client.ticks("R_50"):
                pytest.fail("it was granted")
        given_up = trio.current_time()
        with pytest.raises(derivtrio.AlreadySubscribed):
            async with client.ticks("R_50"):
                pytest.fail("it was granted")
        assert 20 <= trio.current_time() - given_up <= 22


async def test_g04_a_purchase_that_streams_is_not_asked_again_because_of_its_stream(
    autojump_clock: Any,
) -> None:
    """The server has bought when it makes the stream; so a refusal of that decides nothing."""

    async def answer(peer: Peer, request: Request) -> None:
        await peer.refuse(request, "AlreadySubscribed")

    request = {"buy": "1", "price": 10, "parameters": PARAMETERS}
    async with (
        open_server(answer) as server,
        derivtrio.open_client(endpoint=server) as client,
    ):
        with pytest.raises(derivtrio.OutcomeUnknown) as caught:
            async with client.subscribe(request):
                pytest.fail("it was granted")
        await trio.sleep(30)
        assert len(server.asked("buy")) == 1
        assert client.doubts == (caught.value,)


async def test_g14_a_stream_that_the_server_never_forgets_is_left_at_that(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await peer.reply(request, tick={"n": 1}, subscription={"id": "never"})
        else:
            await peer.refuse(request, "WrongResponse")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        async with client.subscribe({"ticks": "R_100"}) as stream:
            await anext(stream)
        await trio.sleep(1000)
        assert len(server.asked("forget")) == 9
        assert client.status.pending == 0


async def test_a_message_without_a_req_id_belongs_to_the_stream_whose_id_it_has(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        stream_id = request["ticks"]
        await peer.reply(request, tick={"n": 1}, subscription={"id": stream_id})
        await peer.send({"msg_type": "tick", "tick": {"n": 2}, "subscription": {"id": stream_id}})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"ticks": "R_50"}) as first,
        client.subscribe({"ticks": "R_75"}) as second,
    ):
        for stream in (first, second):
            assert [(await anext(stream))["tick"]["n"] for _ in range(2)] == [1, 2]


async def test_a_first_reply_without_a_subscription_is_all_there_is(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, proposal_open_contract={"is_sold": 1})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"proposal_open_contract": 1, "contract_id": 5}) as contract,
    ):
        messages = [message async for message in contract]
    assert [m["proposal_open_contract"]["is_sold"] for m in messages] == [1]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"time": 1}, "does not stream"),
        ({"ticks": "R_100", "subscribe": 0}, "subscribe is 1"),
        ({}, "names the call"),
    ],
)
async def test_what_cannot_be_subscribed_to_is_refused_at_once(
    autojump_clock: Any, request_: Any, words: str
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest, match=words):
            client.subscribe(request_)


async def test_misuse_of_a_subscription_is_explained(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
    ):
        ticks = client.subscribe({"ticks": "R_100"})
        with pytest.raises(RuntimeError, match="enter the subscription first"):
            aiter(ticks)
        with pytest.raises(RuntimeError, match="enter the subscription first"), trio.fail_after(5):
            await anext(ticks)
        async with ticks:
            pass
        with pytest.raises(RuntimeError, match="entered once"):
            await ticks.__aenter__()
        with pytest.raises(ValueError, match="buffer"):
            client.subscribe({"ticks": "R_100"}, buffer=0)
        with pytest.raises(ValueError, match="drop_oldest"):
            client.subscribe({"ticks": "R_100"}, overflow="drop")  # type: ignore[arg-type]


async def test_g07_a_stuck_consumer_is_ended_and_nobody_else_notices(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
        client.subscribe({"ticks": "1HZ100V"}, buffer=5) as stuck,
        client.subscribe({"ticks": "1HZ10V"}) as other,
    ):
        seen = 0
        with trio.move_on_after(60.5):
            async for _ in other:
                seen += 1
        assert seen >= 60
        for _ in range(5):
            await anext(stuck)
        with pytest.raises(derivtrio.SlowConsumer, match="more than 5 items"):
            await anext(stuck)
        assert stuck.dropped == 1
        await trio.sleep(1)
        assert len([r for r in sim.connections[0].requests if "forget" in r]) == 1


async def test_g07_lossy_policies_keep_the_newest(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
        client.subscribe({"ticks": "1HZ100V"}, buffer=5, overflow="drop_oldest") as oldest,
        client.subscribe({"ticks": "1HZ10V"}, buffer=5, overflow="latest") as latest,
        client.events() as events,
    ):
        await trio.sleep(100.5)
        now = int(sim.now())
        kept = [(await anext(oldest))["tick"]["epoch"] for _ in range(5)]
        newest = [(await anext(latest))["tick"]["epoch"] for _ in range(1)]
        await client.aclose()
        reports = [e.dropped async for e in events if isinstance(e, derivtrio.Overflow)]
    assert len(reports) < 20
    assert max(reports) >= 64
    assert kept == list(range(now - 4, now + 1))
    assert newest[0] > now - 5
    assert oldest.dropped >= 95
    assert latest.dropped >= 90


async def test_a_subscription_shows_what_it_is_and_how_much_waits(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        async with client.ticks("1HZ100V", buffer=100) as ticks:
            await trio.sleep(2.5)
            before = repr(ticks)
            await anext(ticks)
            after = repr(ticks)
    shown = {n: f"<derivtrio.Subscription 1HZ100V, {n} items waiting>" for n in (2, 3, 4)}
    assert (before, after) in [(shown[3], shown[2]), (shown[4], shown[3])]


async def test_the_events_of_a_client_that_has_ended_are_over(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
    ):
        async with client.events() as left:
            assert isinstance(await anext(left), derivtrio.Ready)
        with trio.fail_after(5):
            assert [event async for event in left] == []
        await client.aclose()
        with trio.fail_after(5):
            async with client.events() as events:
                assert [event async for event in events] == []
