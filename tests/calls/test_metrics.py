"""What a client counts, and how its name tells it from others."""

import logging
import threading
import time
from typing import Any

import attrs
import pytest
import trio
from scripted import Peer, Request, open_server, polite

import derivtrio
from derivtrio import Metrics, Settings
from derivtrio.simulator import DEMO_TOKEN, open_simulator

PATIENT = Settings(heartbeat_interval=3600)


async def test_the_metrics_count_messages_bytes_and_calls_by_their_end(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "buy" not in request and "ticks" not in request:
            await trio.sleep(0.1)
            await polite(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT.but(response_timeout=9)) as client,
    ):
        assert client.metrics.messages_received == 0
        await client.call({"time": 1})
        await client.call({"time": 1})
        with pytest.raises(derivtrio.ApiError):
            await client.call({"active_symbols": "brief"})
        with pytest.raises(derivtrio.OutcomeUnknown):
            await client.call({"buy": "1", "price": 1})
        with pytest.raises(derivtrio.ResponseTimeout):
            await client.call({"ticks": "R_100"})
        with trio.move_on_after(1):
            await client.call({"ticks": "R_50"})
        metrics = client.metrics
    assert metrics.calls == {
        "answered": 2,
        "refused": 1,
        "unknown": 1,
        "timeout": 1,
        "cancelled": 1,
    }
    # Six calls were written, and three answered. The heartbeat asked for proof after each time-out:
    # `ping`, and the second time `time`, too.
    assert (metrics.connections, metrics.messages_received, metrics.messages_sent) == (1, 6, 9)
    assert metrics.bytes_received > 3 * 40
    assert metrics.bytes_sent > 6 * 20
    assert [pair for pair in metrics.latencies if pair[1]] == [(0.128, 2)]
    assert metrics.latencies[-1] == (float("inf"), 0)
    assert metrics.since <= time.time()


async def test_the_metrics_are_frozen_and_outlive_connections(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
    ):
        await client.call({"time": 1})
        before = client.metrics
        with pytest.raises(AttributeError):
            before.gaps = 1  # type: ignore[misc]
        for _ in range(2):
            sim.faults.drop()
            await trio.sleep(5)
        await client.reconnect()
        after = client.metrics
    assert isinstance(before, Metrics)
    assert (before.connections, after.connections) == (1, 4)
    assert after.reconnects == {"PeerClosed": 2, "ReconnectRequested": 1}
    assert after.bytes_received > before.bytes_received
    assert after.messages_sent >= before.messages_sent >= 1


async def test_the_metrics_count_what_consumers_lose_and_how_long_requests_wait(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
        client.ticks("1HZ100V", buffer=5, overflow="drop_oldest") as ticks,
    ):
        await trio.sleep(30)
        assert client.metrics.dropped_items == ticks.dropped >= 24
        assert client.metrics.throttled_seconds == 0
        async with trio.open_nursery() as nursery:
            for _ in range(300):
                nursery.start_soon(client.call, {"time": 1})
        throttled = client.metrics.throttled_seconds
        assert 30 < throttled < 65
        await trio.sleep(100)
        assert client.metrics.throttled_seconds == throttled


async def test_the_name_is_in_logs_events_metrics_and_task_names(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT, name="left %s") as client,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as other,
        client.events() as events,
        other.events() as others,
    ):
        first, second = await anext(events), await anext(others)
        assert (first.client, second.client) == ("left %s", None)
        assert (client.metrics.name, other.metrics.name) == ("left %s", None)
        sim.faults.drop()
        await trio.sleep(5)
        await client.wait_ready()
        names = {task.name for task in _tasks(trio.lowlevel.current_root_task())}
    ours = [name for name in names if name.startswith("derivtrio.") and "simulator" not in name]
    of_the_other = {name for name in ours if not name.endswith(" [left %s]")}
    assert {"derivtrio.reconnect", "derivtrio.websocket", "derivtrio.reader"} <= of_the_other
    assert {f"{name} [left %s]" for name in of_the_other} == set(ours) - of_the_other
    for record in caplog.records:
        assert {"client", "connection", "attempt", "symbol"} <= vars(record).keys()
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING]
    named = [record.getMessage() for record in warnings if vars(record)["client"] == "left %s"]
    assert len(named) == 1
    assert named[0].startswith("[left %s] the connection ended without a Close; trying again in")
    ready = [r for r in caplog.records if r.getMessage().endswith("ready again, on connection 2")]
    assert [vars(record)["connection"] for record in ready] == [2, 2]


async def test_the_name_is_in_what_is_logged_about_one_stream_or_the_account(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN, name="mine") as client,
    ):
        sim.faults.malform("ticks", "tick.quote", "[]")
        async with client.ticks("R_100") as ticks:
            await anext(ticks)
        sim.faults.malform("ticks_history", "history.prices", "5")
        async with client.ticks("R_100", start=int(sim.now()) - 100) as ticks:
            await anext(ticks)
        with pytest.raises(derivtrio.StreamFailed):
            async with client.ticks("R_50") as ticks:
                sim.faults.poison("R_50")
                sim.faults.drop()
                async for _ in ticks:
                    pass
        await client.wait_ready()
        sim.faults.fail_before("AuthorizationRequired", "portfolio")
        sim.faults.fail_before("InvalidToken", "authorize")
        with pytest.raises(derivtrio.AuthorizationRequired):
            await client.portfolio()
    ours = [record for record in caplog.records if record.name == "derivtrio"]
    for line in (
        "R_100: the server sent a ticks message",
        "the server sent a ticks_history message",
        "ticks R_50 has broken 3 connections",
        "the server no longer knows this session's account",
        "the account is not authorized anew",
    ):
        assert [record for record in ours if f"[mine] {line}" in record.getMessage()], line
    for record in ours:
        assert vars(record)["client"] == "mine", record.getMessage()
        assert {"connection", "attempt", "symbol"} <= vars(record).keys()


async def test_the_name_is_in_the_task_name_of_what_asks_a_suspect_alone(
    autojump_clock: Any,
) -> None:
    names: set[str] = set()

    async def handle(peer: Peer, request: Request) -> None:
        if "states_list" not in request:
            await polite(peer, request)
        elif peer.number <= 2:
            await peer.drop()
        else:
            names.update(task.name for task in _tasks(trio.lowlevel.current_root_task()))
            await peer.reply(request, states_list=[])

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT, name="left") as client,
    ):
        await client.call({"states_list": "br"})
    ours = {name for name in names if name.startswith("derivtrio.")}
    assert "derivtrio.suspects [left]" in ours
    assert all(name.endswith(" [left]") for name in ours)


async def test_the_task_that_looks_into_the_statement_again_has_the_name_too(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN, name="left") as client,
        client.transactions() as stream,
    ):
        sim.faults.drop()
        with trio.move_on_after(3):  # it waits for five seconds then
            await anext(stream)
        names = {task.name for task in _tasks(trio.lowlevel.current_root_task())}
        assert "derivtrio.statement [left]" in names


def _tasks(task: trio.lowlevel.Task) -> list[trio.lowlevel.Task]:
    below = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return [task, *(each for child in below for each in _tasks(child))]


@pytest.mark.parametrize("name", ["", 5, b"left"])
async def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(ValueError, match="name is a str"):
        async with derivtrio.open_client(endpoint="ws://x.invalid", name=name):
            pass


def test_the_name_of_a_client_is_not_in_the_text_of_an_event() -> None:
    assert "client" not in repr(derivtrio.Ready(1, client="left"))
    assert {each.name for each in attrs.fields(derivtrio.Stale)} == {
        "stream",
        "since",
        "time",
        "client",
    }


async def test_events_begin_with_the_present_state(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=PATIENT) as client,
    ):
        await trio.sleep(50)
        async with client.events() as events, client.events(traffic=True) as more:
            first = await anext(events)
            assert isinstance(first, derivtrio.Ready)
            assert first.connection == 1
            assert await anext(more) == first
        sim.faults.refuse(100)
        sim.faults.drop()
        await trio.sleep(50)
        async with client.events() as events:
            assert type(await anext(events)) in (derivtrio.Waiting, derivtrio.Connecting)


async def test_events_do_not_begin_with_ready_while_a_lost_connection_says_goodbye(
    autojump_clock: Any,
) -> None:
    """The goodbye takes up to `close_timeout`, if the server does not answer it."""
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        trio.open_nursery() as nursery,
    ):
        sim.faults.freeze()
        nursery.start_soon(client.reconnect)
        await trio.sleep(1)
        async with client.events() as events:
            assert type(await anext(events)) is derivtrio.Failed
            assert type(await anext(events)) is derivtrio.Closed
            assert type(await anext(events)) is derivtrio.Waiting
        await client.wait_ready()
        sim.faults.freeze()
        nursery.start_soon(client.aclose)
        await trio.sleep(1)
        async with client.events() as events:
            assert client.status.state is derivtrio.State.CLOSING
            assert [type(event) async for event in events] == [derivtrio.Closed]


async def test_reconnect_replaces_the_connection_and_settles_calls_as_any_loss(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number > 1:
            await polite(peer, request)

    ends: list[Any] = []

    async def ask(request: Request) -> None:
        try:
            ends.append(await client.call(request))
        except derivtrio.DerivError as error:
            ends.append(error)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask, {"time": 1})
        nursery.start_soon(ask, {"buy": "1", "price": 1})
        await trio.sleep(1)
        async with trio.open_nursery() as callers:
            for _ in range(3):  # once it is being replaced, the others wait for the same
                callers.start_soon(client.reconnect)
        assert client.status.connection == 2
        assert isinstance(client.status.last_error, derivtrio.ReconnectRequested)
        await trio.sleep(1)
        assert {type(end) for end in ends} == {dict, derivtrio.OutcomeUnknown}
        await client.aclose()
        with pytest.raises(derivtrio.ClientClosed):
            await client.reconnect()


async def test_reconnect_in_a_loop_backs_off_and_without_a_connection_waits(
    autojump_clock: Any,
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        for _ in range(20):
            await client.reconnect()
        assert trio.current_time() > 30  # full jitter, from 0.5 s up
        server.refuses = True
        with trio.move_on_after(100) as scope:
            await client.reconnect()
        assert scope.cancelled_caught
        server.refuses = False
        await client.reconnect()
        assert client.status.state is derivtrio.State.READY


async def test_the_status_says_when_the_last_message_came(autojump_clock: Any) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        assert client.status.last_message_at is None
        before = time.time()
        await client.call({"time": 1})
        assert before <= (client.status.last_message_at or 0) <= time.time()
        last = client.status.last_message_at
        await server.peers[0].drop()
        await trio.sleep(10)
        assert client.status.last_message_at == last


async def test_the_status_and_the_log_say_what_calls_wait_for(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number == 1 or "ticks" not in request:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "y" * 32})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"ticks": "R_100"}),
        client.subscribe({"ticks": "R_50"}),
        trio.open_nursery() as nursery,
    ):
        assert client.status.waiting_for is None
        server.refuses = True
        await server.peers[0].drop()
        await trio.sleep(1)
        assert "a connection: attempt" in str(client.status.waiting_for)
        server.refuses = False
        nursery.start_soon(client.call, {"time": 1})
        await trio.sleep(5)
        assert client.status.state is derivtrio.State.RESTORING
        text = "the restoration of connection 2: 2 streams are not answered yet"
        assert client.status.waiting_for == text
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert f"1 call waits for {text}" in [record.getMessage() for record in caplog.records]


async def test_pending_calls_are_also_those_for_which_the_outbox_has_no_room(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=Settings(outbox=2)) as client,
    ):
        sim.faults.refuse(100)
        sim.faults.drop()
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(client.call, {"time": 1})
            await trio.sleep(50)
            assert client.status.pending == 10
        assert client.status.pending == 0


async def test_they_can_be_read_in_another_thread_and_after_the_run(autojump_clock: Any) -> None:
    """An exporter of metrics has a thread of its own."""
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        before = client.metrics.messages_received
        elsewhere, shown = await trio.to_thread.run_sync(lambda: (client.metrics, repr(client)))
        assert before <= elsewhere.messages_received <= client.metrics.messages_received
        assert shown.startswith("<derivtrio.Client ready, connection 1")
        await client.call({"time": 1})
    now = client.metrics
    seen: list[Metrics] = []
    thread = threading.Thread(target=lambda: seen.append(client.metrics))
    thread.start()
    thread.join()
    assert seen == [now]
