"""G03, G04: what becomes of a call."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from decimal import Decimal
from typing import Any

import pytest
import trio
import trio.testing
from scripted import Peer, Request, Server, open_server, polite

import derivtrio
from derivtrio import OutcomeUnknown, Settings
from derivtrio.calls.call import api_call
from derivtrio.calls.queue import SendQueue
from derivtrio.policy.rate_limits import Urgency
from derivtrio.simulator.network.memory_stream import MemoryStream

PATIENT = Settings(heartbeat_interval=3600, backoff=derivtrio.Backoff(first=1, cap=1))
BUY = {
    "buy": "1",
    "price": 10,
    "parameters": {"contract_type": "CALL", "currency": "USD", "symbol": "R_100"},
}


async def test_g03_replies_are_matched_by_req_id_whatever_their_order(autojump_clock: Any) -> None:
    async def later_first(peer: Peer, request: Request) -> None:
        await trio.sleep(10 - request["passthrough"]["n"])
        await peer.reply(request, time=request["passthrough"]["n"])

    replies: dict[int, int] = {}
    async with (
        open_server(later_first) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):

        async def ask(n: int) -> None:
            reply = await client.call({"time": 1, "passthrough": {"n": n}})
            replies[n] = reply["time"]

        async with trio.open_nursery() as nursery:
            for n in range(10):
                nursery.start_soon(ask, n)
    assert replies == {n: n for n in range(10)}
    assert list(replies) == list(range(9, -1, -1))


async def test_g03_a_req_id_that_is_only_echoed_will_do(autojump_clock: Any) -> None:
    async def options_like(peer: Peer, request: Request) -> None:
        await peer.send({"echo_req": request, "msg_type": "time", "time": 5})

    async with (
        open_server(options_like) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        assert (await client.call({"time": 1}))["time"] == 5


async def test_the_callers_request_is_not_changed_and_its_req_id_is_ours(
    autojump_clock: Any,
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        request = {"time": 1, "req_id": 77}
        reply = await client.call(request)
    assert request == {"time": 1, "req_id": 77}
    assert reply["req_id"] == reply["echo_req"]["req_id"] != 77


async def test_an_error_reply_is_raised_with_its_data(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        error = {"code": "RateLimit", "message": "Slow down.", "details": {"a": "b"}}
        await peer.reply(request, error=error)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.RateLimited) as caught:
            await client.call({"time": 1})
    assert (caught.value.code, caught.value.message) == ("RateLimit", "Slow down.")
    assert caught.value.details == {"a": "b"}
    assert caught.value.request == {"time": 1}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "names the call"),
        ({"req_id": 1}, "names the call"),
        ([("ping", 1)], "mapping"),
        ("ping", "mapping"),
        ({"ping": 1, "time": 1}, "ping and time"),
        ({"proposal": 1, "amount": float("nan")}, "JSON"),
        ({"proposal": 1, "amount": Decimal("NaN")}, "JSON"),
        ({"proposal": 1, "amount": Decimal("-Infinity")}, "JSON"),
        ({"ping": object()}, "object"),
        ({"ping": "\ud800"}, "surrogates"),
    ],
)
async def test_a_malformed_request_is_refused_before_anything_is_sent(
    autojump_clock: Any, request_: Any, words: str
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest, match=words):
            await client.call(request_)
        assert server.received == []
        assert client.status.pending == 0


async def test_g03_a_read_without_an_answer_ends_at_the_response_timeout(
    autojump_clock: Any,
) -> None:
    async def mute(peer: Peer, request: Request) -> None:
        if "ping" in request:
            await polite(peer, request)

    settings = PATIENT.but(response_timeout=60)
    async with (
        open_server(mute) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
    ):
        begin = trio.current_time()
        with pytest.raises(derivtrio.ResponseTimeout):
            await client.call({"time": 1})
        assert trio.current_time() - begin == pytest.approx(60)
        with pytest.raises(OutcomeUnknown) as caught:
            await client.call(BUY)
        assert isinstance(caught.value.__cause__, derivtrio.ResponseTimeout)
        assert client.status.pending == 0


async def test_g03_a_late_reply_answers_nobody(autojump_clock: Any) -> None:
    async def slow(peer: Peer, request: Request) -> None:
        await trio.sleep(5 if request["req_id"] == 1 else 10)
        await peer.reply(request, time=request["req_id"])

    async with (
        open_server(slow) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with trio.move_on_after(1):
            await client.call({"time": 1})
        assert (await client.call({"time": 1}))["time"] == 2


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"statement": 1}, "statement"),
        (BUY, "buy CALL R_100 for at most 10"),
    ],
    ids=["a read", "a purchase"],
)
async def test_g03_a_refusal_that_is_followed_by_an_answer_is_told(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture, request_: Request, told: str
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.refuse(request, "InvalidContractProposal")
        name = next(iter(request_))
        await peer.refuse(request, "InvalidContractProposal")  # which is no news
        for _ in range(2):
            await peer.reply(request, **{name: {"contract_id": 7}})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.ApiError, match="No"):
            await client.call(request_)
        await trio.sleep(1)
    (record,) = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert record.getMessage().startswith(f"the server has refused {told}")
    assert ("it may have been executed" in record.getMessage()) == ("buy" in request_)


async def test_g04_a_read_in_flight_is_asked_again_on_the_next_connection(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number < 3:
            await peer.drop()
        else:
            await polite(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        reply = await client.call({"time": 1})
    assert reply["time"] == 1700000000
    assert [number for number, _ in server.asked("time")] == [1, 2, 3]
    assert len({request["req_id"] for _, request in server.asked("time")}) == 3


async def test_g03_a_read_that_breaks_every_connection_is_given_up(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "statement" in request:
            await peer.drop()
        else:
            await polite(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.ConnectionLost) as caught:
            await client.call({"statement": 1})
        assert not isinstance(caught.value, OutcomeUnknown)
        assert caught.value.connection == 3
        assert (await client.call({"time": 1}))["time"] == 1700000000
    assert len(server.asked("statement")) == 3


async def test_g04_a_change_in_flight_ends_as_unknown_and_is_never_sent_again(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "buy" in request:
            await peer.drop()
        else:
            await polite(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(OutcomeUnknown, match="may have been executed") as caught:
            await client.call(BUY)
        await client.call({"time": 1})
        await trio.sleep(3600)
    assert len(server.asked("buy")) == 1
    assert caught.value.request == BUY
    assert caught.value.connection == 1
    assert caught.value.written_at > 0


async def test_g04_an_unknown_call_counts_as_a_change(autojump_clock: Any) -> None:
    trusting = PATIENT.but(check_requests=False)

    async def handle(peer: Peer, request: Request) -> None:
        await peer.drop()

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=trusting) as client,
    ):
        with pytest.raises(OutcomeUnknown):
            await client.call({"invented_yesterday": 1})
        await client.wait_ready()
    assert len(server.received) == 1


@pytest.mark.parametrize("code", ["Timeout", "WrongResponse"])
async def test_g04_a_doubtful_answer_to_a_change_is_an_unknown_outcome(
    autojump_clock: Any, code: str
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.refuse(request, code)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(OutcomeUnknown) as caught:
            await client.call(BUY)
        assert isinstance(caught.value.__cause__, derivtrio.ApiError)
        with pytest.raises(derivtrio.ServerBusy):
            await client.call({"time": 1})


async def test_g04_unsent_calls_wait_through_an_outage_and_are_sent_once_in_order(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "buy" in request:
            await peer.reply(request, buy={"contract_id": request["passthrough"]["n"]})
        else:
            await polite(peer, request)

    bought = []
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):

        async def buy(n: int) -> None:
            reply = await client.call({**BUY, "passthrough": {"n": n}})
            bought.append(reply["buy"]["contract_id"])

        server.refuses = True
        await server.peers[0].drop()
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            for n in range(5):
                nursery.start_soon(buy, n)
                await trio.sleep(1)
            assert (client.status.pending, server.asked("buy")) == (5, [])
            server.refuses = False
    assert [request["passthrough"]["n"] for _, request in server.asked("buy")] == [0, 1, 2, 3, 4]
    assert sorted(bought) == [0, 1, 2, 3, 4]


async def test_a_call_has_one_caller(autojump_clock: Any) -> None:
    call = api_call({"time": 1})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call.wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="a task waits for the reply to time already"):
            await call.wait()
        call.settle({"time": 7})
    assert not call.abandoned


async def test_g12_a_call_cancelled_while_queued_is_never_sent(autojump_clock: Any) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        server.refuses = True
        await server.peers[0].drop()
        await trio.sleep(1)
        with trio.move_on_after(10) as scope:
            await client.call(BUY)
        assert scope.cancelled_caught
        server.refuses = False
        await client.call({"time": 1})
    assert server.asked("buy") == []


async def test_callers_wait_for_room_in_a_full_queue(autojump_clock: Any) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT.but(outbox=2)) as client,
    ):
        server.refuses = True
        await server.peers[0].drop()
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(client.call, {"time": 1})
            await trio.sleep(10)
            assert client.status.pending == 10  # those that wait for room included
            server.refuses = False
    assert len(server.asked("time")) == 10


async def test_a_caller_that_ctrl_c_stops_at_the_worst_moment_does_not_stop_the_writer(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = SendQueue(2)
    queue.begin(1)
    queue.open_to(Urgency.USER)

    def interrupted(_: object, value: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(trio.MemorySendChannel, "send_nowait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            await queue.put(api_call({"ping": 1}))
    await queue.put(api_call({"time": 1}))
    assert [call.name for call in await queue.get(5)] == ["time"]
    assert len(queue) == 0


async def test_a_queue_without_a_connection_has_room_for_its_capacity() -> None:
    queue, queued = SendQueue(2), 0

    async def put() -> None:
        nonlocal queued
        await queue.put(api_call({"time": 1}))
        queued += 1

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(put)
        await trio.testing.wait_all_tasks_blocked()
        assert (queued, len(queue)) == (2, 10)
        nursery.cancel_scope.cancel()
    assert len(queue) == 2
    queue.begin(1)
    queue.open_to(Urgency.USER)
    assert len(await queue.get(5)) == 2
    assert len(queue) == 0


async def test_a_call_that_opens_a_stream_has_it_forgotten(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await peer.reply(request, tick={"quote": 1}, subscription={"id": "stream-1"})
            await peer.reply(request, tick={"quote": 2}, subscription={"id": "stream-1"})
        elif "forget" in request:
            await peer.reply(request, forget=1)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        assert (await client.call({"ticks": "R_100"}))["tick"]["quote"] == 1
        await trio.sleep(1)
        assert client.status.pending == 0
    assert [request["forget"] for _, request in server.asked("forget")] == ["stream-1"]


async def test_raw_messages_go_out_as_they_are(autojump_clock: Any) -> None:
    heard: list[Any] = []

    async def handle(peer: Peer, request: Request) -> None:
        heard.append(request)
        await peer.reply(request, ping="pong")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.events(traffic=True) as events,
    ):
        await client.send('{"ping": 1}')
        await client.send({"ping": 1, "req_id": 2**31})
        await client.send(b'{"ping": 1}')
        received = [event async for event in _until(events, derivtrio.MessageReceived, times=3)]
    assert heard == [{"ping": 1}, {"ping": 1, "req_id": 2**31}, {"ping": 1}]
    assert all("pong" in str(event.data) for event in received)
    assert server.peers[0].number == 1


async def _until(events: Any, kind: type, times: int) -> Any:
    async for event in events:
        if isinstance(event, kind):
            yield event
            times -= 1
            if not times:
                return


@pytest.mark.parametrize(
    "message",
    ['{"buy":"made-up","price":1}', {"buy": "made-up", "price": 1}, {"sell": 7, "price": 0}],
)
async def test_a_trade_sent_as_a_raw_message_is_nobodys_doubt(
    autojump_clock: Any, message: Any
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        await client.send(message)
        await trio.sleep(1)
        assert client.doubts == ()
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "message",
    [{"ping": 1, "req_id": odd} for odd in (7, 7.0, "7", True, None, Decimal(7))]
    + ['{"ping":1,"req_id":7}', '{"ping":1,"req_id":7.0}'],
)
async def test_raw_messages_cannot_take_our_ids(autojump_clock: Any, message: Any) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest, match="2147483648"):
            await client.send(message)
        with pytest.raises(derivtrio.InvalidRequest, match="int"):
            await client.send(7)  # type: ignore[arg-type]
    assert server.received == []


@pytest.mark.parametrize("value", [object(), float("nan"), "\ud800"])
async def test_a_raw_message_that_is_no_json_is_refused_before_it_is_written(
    autojump_clock: Any, value: Any
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest, match="time: "):
            await client.send({"time": value})
    assert server.received == []


async def test_g03_calls_after_the_end_are_refused(autojump_clock: Any) -> None:
    async with open_server() as server:
        async with derivtrio.open_client(endpoint=server, settings=PATIENT) as client:
            pass
        for _ in range(2):
            with pytest.raises(derivtrio.ClientClosed):
                await client.call({"time": 1})
        with pytest.raises(derivtrio.ClientClosed):
            await client.wait_ready()
        assert client.status.state is derivtrio.State.CLOSED


async def test_g03_the_response_timeout_does_not_run_while_a_read_waits_for_a_connection(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number == 1:
            server.refuses = True
            await peer.drop()
        else:
            await polite(peer, request)

    async def come_back() -> None:
        await trio.sleep(600)
        server.refuses = False

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        server.nursery.start_soon(come_back)
        assert (await client.call({"time": 1}))["time"] == 1700000000


class Counted(trio.abc.Stream):
    """The client's end of a line that knows how it was written to, and with how much."""

    def __init__(self, line: MemoryStream) -> None:
        self.line = line
        self.writes: list[int] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(len(data))
        await self.line.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self.line.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.line.aclose()


class Counting(Server):
    line: Counted

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        stream = await super().open_stream(host, port)
        assert isinstance(stream, MemoryStream)
        self.line = Counted(stream)
        return self.line


async def test_what_has_piled_up_is_written_in_order_and_in_one_go(autojump_clock: Any) -> None:
    async with trio.open_nursery() as nursery:
        server = Counting(polite, nursery)
        settings = PATIENT.but(pacing=False, fast=True)  # the plain way writes one by one
        async with derivtrio.open_client(endpoint=server, settings=settings) as client:
            server.refuses = True
            await server.peers[0].drop()
            await trio.sleep(1)
            async with trio.open_nursery() as callers:
                for n in range(50):
                    callers.start_soon(client.call, {"time": 1, "passthrough": {"n": n}})
                    await trio.testing.wait_all_tasks_blocked()
                callers.start_soon(client.send, b'{"ping": 1}')
                await trio.testing.wait_all_tasks_blocked()
                callers.start_soon(client.call, {"time": 1, "passthrough": {"n": 50}})
                await trio.sleep(1)
                server.refuses = False
            sizes = server.line.writes
        nursery.cancel_scope.cancel()
    asked = [request.get("passthrough", {}).get("n") for _, request in server.received]
    assert asked == [*range(50), None, 50]
    assert len(sizes) < 10


async def test_each_lone_call_is_one_write_and_so_are_many_that_come_together(
    autojump_clock: Any,
) -> None:
    async with trio.open_nursery() as nursery:
        server = Counting(polite, nursery)
        settings = PATIENT.but(pacing=False, fast=True)  # the plain way writes one by one
        async with derivtrio.open_client(endpoint=server, settings=settings) as client:
            await trio.testing.wait_all_tasks_blocked()
            written = len(server.line.writes)
            for _ in range(5):
                await client.call({"time": 1})
            assert len(server.line.writes) == written + 5
            async with trio.open_nursery() as callers:
                for _ in range(50):
                    callers.start_soon(client.call, {"time": 1})
            assert len(server.line.writes) <= written + 7  # the first may go ahead of the others
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["cancelled", "too late"])
async def test_g04_what_is_cancelled_already_is_not_written(autojump_clock: Any, how: str) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0 if how == "too late" else math.inf) as scope:
            if how == "cancelled":
                scope.cancel()
            await client.call({"buy": "1", "price": 1})
        assert scope.cancelled_caught
        await client.call({"time": 1})
        assert server.asked("buy") == []
        assert client.doubts == ()


@pytest.mark.parametrize("ending", ["answered", "cancelled"])
async def test_a_message_that_fills_the_socket_holds_up_nobody_for_ever(
    autojump_clock: Any, ending: str
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as callers:
                callers.start_soon(client.call, {"ping": 1, "passthrough": {"x": "y" * 200_000}})
                for n in range(3):
                    await trio.lowlevel.checkpoint()
                    callers.start_soon(client.call, {"time": 1, "passthrough": {"n": n}})
                if ending == "cancelled":
                    scope.cancel()
        assert (await client.call({"time": 1}))["time"] == 1700000000
        assert client.status.connection == 1
        assert len(server.asked("ping")) == 1


#: What a task of another run might do with a client and with a stream of it.
ELSEWHERE: dict[str, Callable[[derivtrio.Client, Any], Awaitable[Any]]] = {
    "a call": lambda client, _: client.call({"time": 1}),
    "a stream": lambda client, _: client.ticks("R_50").__aenter__(),
    "the next tick": lambda _, ticks: ticks.__anext__(),
    "leaving": lambda _, ticks: ticks.__aexit__(None, None, None),
    "its events": lambda client, _: client.events().__aenter__(),
    "being ready": lambda client, _: client.wait_ready(),
    "a new connection": lambda client, _: client.reconnect(),
    "the same connection": lambda client, _: client.same_connection().__aenter__(),
    "a doubt": lambda client, _: client.reconcile(OutcomeUnknown("?", {"buy": "1"}, 1, 0)),
    "an account": lambda client, _: client.authorize("another-token"),
    "no account": lambda client, _: client.logout(),
    "the end": lambda client, _: client.aclose(),
}


def r100_tick(request: Request, epoch: int) -> Request:
    return {
        "tick": {"symbol": "R_100", "epoch": epoch, "quote": 100, "pip_size": 2, "id": "a"},
        "subscription": {"id": "a"},
        "msg_type": "tick",
        "echo_req": request,
        "req_id": request["req_id"],
    }


@pytest.mark.parametrize("run", [trio.run, asyncio.run], ids=["trio", "asyncio"])
@pytest.mark.parametrize("how", ELSEWHERE)
async def test_a_client_is_refused_to_another_run(run: Any, how: str) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await peer.send(r100_tick(request, 1700000000))
        else:
            await polite(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server) as client,
        client.ticks("R_100") as ticks,
    ):
        await anext(ticks)

        async def use() -> None:
            with trio.move_on_after(1) if run is trio.run else nullcontext():
                await ELSEWHERE[how](client, ticks)

        def elsewhere() -> None:
            run(use) if run is trio.run else run(use())

        with pytest.raises(RuntimeError, match=r"another|needs trio|async context"):
            await trio.to_thread.run_sync(elsewhere)
        assert "time" in await client.call({"time": 1})
        ((_, request),) = server.asked("ticks")
        await server.peers[0].send(r100_tick(request, 1700000002))
        assert (await anext(ticks)).epoch == 1700000002
        assert client.status.connection == 1
