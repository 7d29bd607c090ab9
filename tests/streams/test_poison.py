"""G17: one bad stream hurts itself only. It is found out, and everybody else goes on."""

from typing import Any

import pytest
import trio
from scripted import Handler, Peer, Request, Server, open_server, polite

import derivtrio
from derivtrio import Backoff, Client, Settings, State, StreamFailed
from derivtrio.simulator import Simulator, open_simulator

LIMIT = 1_000_000
SETTINGS = Settings(backoff=Backoff(first=0.1, cap=0.3), max_message_size=LIMIT)
UNPACED = SETTINGS.but(pacing=False)
WAYS = ["close", "drop", "silent", "huge"]


class Reading:
    """Reads plain streams; knows the number of the newest message of each, and how it has ended."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.newest: dict[str, int] = {}
        self.ended: dict[str, Exception] = {}

    async def follow(self, symbol: str, task_status: Any) -> None:
        try:
            async with self.client.subscribe({"ticks": symbol}) as stream:
                task_status.started()
                async for message in stream:
                    self.newest[symbol] = message["tick"]["n"]
        except derivtrio.DerivError as error:
            self.ended[symbol] = error

    async def start(self, nursery: trio.Nursery, others: int) -> list[str]:
        """Follow BAD, and so many others around it; return the others."""
        good = [f"GOOD{number}" for number in range(others)]
        for symbol in (*good[:1], "BAD", *good[1:]):
            await nursery.start(self.follow, symbol)
        return good


class Following:
    """Follows streams; knows what each has got, and how it has ended."""

    def __init__(self, client: Client, nursery: trio.Nursery) -> None:
        self.client, self.nursery = client, nursery
        self.epochs: dict[str, list[int]] = {}
        self.ended: dict[str, Exception] = {}

    async def start(self, *symbols: str) -> None:
        for symbol in symbols:
            await self.nursery.start(self._follow, symbol)

    async def _follow(self, symbol: str, task_status: Any) -> None:
        try:
            async with self.client.ticks(symbol) as ticks:
                task_status.started()
                async for tick in ticks:
                    self.epochs.setdefault(symbol, []).append(tick.epoch)
        except derivtrio.DerivError as error:
            self.ended[symbol] = error

    def check_whole(self, sim: Simulator, *symbols: str) -> None:
        """Each has got every tick, in order, once, and the newest."""
        now = int(sim.now())
        for symbol in symbols:
            seen = self.epochs[symbol]
            ticks = (sim.market.tick(symbol, epoch).epoch for epoch in range(seen[0], now + 1))
            assert seen == sorted(set(ticks)), symbol


def broken_by(error: Exception | None) -> list[int]:
    assert isinstance(error, StreamFailed), error
    return [each.connection for each in error.history]


@pytest.mark.parametrize("how", WAYS)
async def test_g17_a_stream_that_breaks_three_connections_ends_and_all_others_go_on(
    autojump_clock: Any, how: Any, caplog: Any
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):
        following = Following(client, nursery)
        await following.start("R_50", "R_100", "1HZ100V")
        sim.faults.poison("R_100", how)
        sim.faults.drop()
        await trio.sleep(80)
        assert list(following.ended) == ["R_100"]
        error = following.ended["R_100"]
        assert broken_by(error) == [2, 3, 4]
        assert isinstance(error, StreamFailed)
        assert (error.stream, error.request) == ("ticks R_100", {"ticks": "R_100", "subscribe": 1})
        assert all(isinstance(each.error, derivtrio.LinkError) for each in error.history)
        assert client.status.state is State.READY
        assert (client.status.connection, client.status.subscriptions) == (5, 2)
        following.check_whole(sim, "R_50", "1HZ100V")
        nursery.cancel_scope.cancel()
    [warning] = [each for each in caplog.records if "has broken" in each.getMessage()]
    assert warning.levelname == "WARNING"
    assert "ticks R_100 has broken 3 connections" in warning.getMessage()
    assert caplog.text.count("(only ticks R_100 was being asked for); trying again") == 2


@pytest.mark.parametrize("how", WAYS)
async def test_g17_two_bad_streams_are_both_found_among_a_hundred(
    autojump_clock: Any, how: Any, caplog: Any
) -> None:
    bad = ("BAD7", "BAD60")

    async def handle(peer: Peer, request: Request) -> None:
        symbol = request.get("ticks", "")
        if peer.number > 1 and symbol in bad:
            await misbehave(peer, request, how)
        elif "ticks_history" in request:
            await peer.reply(request, history={"times": [], "prices": []})
        elif symbol:
            tick = {"symbol": symbol, "epoch": peer.number, "quote": 1.0, "pip_size": 2}
            await peer.reply(request, tick=tick, subscription={"id": symbol})
        else:
            await peer.reply(request, ping="pong", time=5)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        trio.open_nursery() as nursery,
    ):
        following = Following(client, nursery)
        good = [f"GOOD{number}" for number in range(98)]
        await following.start(*good[:7], bad[0], *good[7:60], bad[1], *good[60:])
        await server.peers[0].drop()
        await trio.sleep(200)
        assert sorted(following.ended) == sorted(bad)
        for symbol in bad:
            assert len(broken_by(following.ended[symbol])) == 3
        assert len(server.peers) <= 1 + 6 + 1
        assert client.status.state is State.READY
        last = client.status.connection
        assert all(following.epochs[symbol][-1] == last for symbol in good)
        nursery.cancel_scope.cancel()
    assert "asked for apart" not in caplog.text


async def misbehave(peer: Peer, request: Request, how: str) -> None:
    if how == "close":
        await peer.websocket.aclose(1011, "internal error")
    elif how == "drop":
        await peer.drop()
    elif how == "garbage":
        await peer.websocket.send_message("}{")
    elif how == "huge":
        await peer.reply(request, tick={"pad": "x" * LIMIT}, subscription={"id": "x"})


@pytest.mark.parametrize("how", WAYS)
async def test_g17_user_calls_go_on_while_suspects_are_asked(autojump_clock: Any, how: Any) -> None:
    waited: list[float] = []

    async def call_again_and_again(client: Client) -> None:
        while True:
            asked = trio.current_time()
            await client.call({"time": 1})
            waited.append(trio.current_time() - asked)
            await trio.sleep(0.5)

    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("R_50"),
        trio.open_nursery() as nursery,
    ):
        following = Following(client, nursery)
        await following.start("R_100")
        sim.faults.poison("R_100", how)
        nursery.start_soon(call_again_and_again, client)
        sim.faults.drop()
        await trio.sleep(80)
        assert "R_100" in following.ended
        nursery.cancel_scope.cancel()
    assert max(waited) <= SETTINGS.restore_timeout / 2 + 1


async def test_g17_a_server_that_has_answered_nothing_is_given_no_call(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number == 1:
            await peer.reply(request, tick={"n": 1}, subscription={"id": "y" * 32})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe({"ticks": "R_100"}),
    ):
        await server.peers[0].drop()
        with trio.move_on_after(19) as waiting:
            await client.call({"time": 1})
        assert waiting.cancelled_caught
        assert server.asked("time") == []


@pytest.mark.parametrize("how", ["close", "drop", "huge"])
async def test_g17_a_first_subscription_that_breaks_connections_says_so_at_once(
    autojump_clock: Any, how: Any
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):
        following = Following(client, nursery)
        await following.start("1HZ100V")
        sim.faults.poison("R_100", how)
        with trio.fail_after(20), pytest.raises(StreamFailed) as caught:
            async with client.ticks("R_100"):
                raise AssertionError
        assert broken_by(caught.value) == [1, 2, 3]
        await client.wait_ready()
        async with client.ticks("R_50") as others:
            await anext(others)
        await trio.sleep(30)
        assert following.ended == {}
        assert client.status.connection == 4
        following.check_whole(sim, "1HZ100V")
        nursery.cancel_scope.cancel()


async def test_g17_streams_that_begin_beside_a_bad_one_do_not_share_its_end(
    autojump_clock: Any,
) -> None:
    symbols = ("1HZ100V", "R_10", "R_25", "R_50", "R_75")
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):
        sim.faults.poison("R_100")
        following = Following(client, nursery)
        async with trio.open_nursery() as beginning:
            for symbol in symbols:
                beginning.start_soon(following.start, symbol)
            with pytest.raises(StreamFailed):
                async with client.ticks("R_100"):
                    raise AssertionError
        await trio.sleep(5)
        assert following.ended == {}
        assert client.status.subscriptions == len(symbols)
        following.check_whole(sim, *symbols)
        nursery.cancel_scope.cancel()


def granting(when: float, how: str) -> Handler:
    """Return a server that grants each stream, and misbehaves *when* seconds after granting BAD."""

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" not in request:
            await peer.reply(request, ping="pong", time=5)
            return
        tick = {"symbol": request["ticks"], "n": peer.number}
        await peer.reply(request, tick=tick, subscription={"id": request["ticks"]})
        if request["ticks"] == "BAD":
            await trio.sleep(when)
            await misbehave(peer, request, how)

    return handle


@pytest.mark.parametrize("what", ["huge", "garbage"])
@pytest.mark.parametrize("when", [0.0, 1.5, 4.0])
@pytest.mark.parametrize("others", [0, 1, 3])
async def test_g17_a_stream_whose_next_message_ends_the_connection_is_found_out(
    autojump_clock: Any, when: float, others: int, what: str
) -> None:
    async with (
        open_server(granting(when, what)) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):
        read = Reading(client)
        good = await read.start(nursery, others)
        await trio.sleep(120)
        assert list(read.ended) == ["BAD"]
        assert len(broken_by(read.ended["BAD"])) == 3
        assert len(server.peers) == 4
        assert client.status.state is State.READY
        assert all(read.newest[symbol] == 4 for symbol in good)
        nursery.cancel_scope.cancel()


async def grant(peer: Peer, request: Request) -> None:
    """Grant each stream."""
    if "ticks" in request:
        await peer.reply(request, tick={"n": peer.number}, subscription={"id": "x" * 32})
    else:
        await peer.reply(request, ping="pong", time=5)


async def test_g17_streams_whose_messages_end_connections_are_all_found_out(
    autojump_clock: Any, caplog: Any
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await grant(peer, request)
        if str(request.get("ticks")).startswith("BAD"):
            await misbehave(peer, request, "garbage")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        trio.open_nursery() as nursery,
    ):
        read = Reading(client)
        for symbol in ("GOOD", "BAD1", "BAD2", "BAD3"):
            await nursery.start(read.follow, symbol)
        await trio.sleep(100)
        assert sorted(read.ended) == ["BAD1", "BAD2", "BAD3"]
        nursery.cancel_scope.cancel()
    assert "asked for apart" not in caplog.text


@pytest.mark.parametrize("how", ["close", "drop"])
@pytest.mark.parametrize("when", [0.02, 4.9])
@pytest.mark.parametrize("others", [0, 1, 30])
async def test_g17_a_stream_that_is_granted_and_then_breaks_the_connection_is_found_out(
    autojump_clock: Any, when: float, others: int, how: str, caplog: Any
) -> None:
    async with (
        open_server(granting(when, how)) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        trio.open_nursery() as nursery,
    ):
        read = Reading(client)
        good = await read.start(nursery, others)
        await trio.sleep(200)
        assert list(read.ended) == ["BAD"]
        last = len(server.peers)
        assert broken_by(read.ended["BAD"]) == [last - 3, last - 2, last - 1]
        assert last <= 6 + 5 + 3 + 1  # early ends, halves, breaks
        assert client.status.state is State.READY
        assert all(read.newest[symbol] == last for symbol in good)
        nursery.cancel_scope.cancel()
    assert "these are asked for apart: ticks BAD" in caplog.text
    assert caplog.text.count("(only ticks BAD was being asked for); trying again") == 3


async def test_g17_a_symbol_that_crashes_the_server_ends_and_all_others_are_whole(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):
        following = Following(client, nursery)
        await following.start("R_50", "R_100", "1HZ100V")
        sim.faults.poison("R_100", "crash", number=3)
        sim.faults.drop()
        await trio.sleep(300)
        assert list(following.ended) == ["R_100"]
        assert len(broken_by(following.ended["R_100"])) == 3
        assert client.status.state is State.READY
        following.check_whole(sim, "R_50", "1HZ100V")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("answered", [True, False])
async def test_g17_a_call_after_which_connections_end_is_not_blamed_on_a_stream(
    autojump_clock: Any, answered: Any
) -> None:
    """In the end it is made just after the stream was asked for alone, each time."""

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "x" * 32})
        else:
            if "passthrough" not in request or answered:
                await peer.reply(request, time=5)
            if "passthrough" in request:
                await peer.drop()

    async def call_again_and_again(client: Client) -> None:
        while True:
            with trio.move_on_after(0.01):
                await client.call({"time": 1, "passthrough": {}})
            await trio.sleep(1 if len(server.peers) < 6 else 24)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        trio.open_nursery() as nursery,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        nursery.start_soon(call_again_and_again, client)
        await trio.sleep(300)
        assert len(server.peers) > 15
        got = [(await anext(ticks))["tick"]["n"] for _ in range(15)]
        assert got == sorted(set(got))
        nursery.cancel_scope.cancel()


async def crash_after_ticks(peer: Peer, request: Request) -> None:
    """Grant each stream, and drop the connection at once."""
    await grant(peer, request)
    if "ticks" in request:
        await peer.drop()


async def opened(events: Any, number: int) -> None:
    """Wait for the connection with that number."""
    async for event in events:
        if isinstance(event, derivtrio.Opened) and event.connection == number:
            break


async def test_g17_a_connection_that_ends_without_the_stream_acquits_it(
    autojump_clock: Any,
) -> None:
    async with (
        open_server(crash_after_ticks) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        client.events() as events,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        await opened(events, 9)  # it has broken 7 and 8
        await trio.sleep(5)
        await server.peers[-1].drop()
        with pytest.raises(StreamFailed) as caught:
            async for _ in ticks:
                pass
        assert broken_by(caught.value) == [16, 17, 18]


async def test_g17_a_stream_that_does_no_harm_any_more_is_left_in_peace(
    autojump_clock: Any, caplog: Any
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await (crash_after_ticks if peer.number < 9 else grant)(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        client.events() as events,
        client.subscribe({"ticks": "R_100"}),
    ):
        await opened(events, 9)
        await trio.sleep(26)
        assert client.status.state is State.READY
        caplog.clear()
        await server.peers[-1].drop()
        await opened(events, 10)
        await trio.testing.wait_all_tasks_blocked()
        assert client.status.state is State.READY
        assert "apart" not in caplog.text
        assert "only ticks R_100" not in caplog.text


async def test_g17_a_program_that_reconnects_often_is_not_blamed_on_a_stream(
    autojump_clock: Any,
) -> None:
    async with (
        open_server(grant) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        client.events() as events,
        client.subscribe({"ticks": "R_100"}),
    ):
        with trio.fail_after(10):
            for number in range(2, 10):
                await client.reconnect()
                await opened(events, number)
                assert client.status.state is State.READY


async def test_g17_a_stream_that_was_left_during_an_outage_is_waited_for_no_more(
    autojump_clock: Any,
) -> None:
    async with (
        open_server(crash_after_ticks) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        client.events() as events,
    ):
        async with client.subscribe({"ticks": "R_100"}):
            async for event in events:
                if isinstance(event, derivtrio.Waiting) and event.attempt == 7:
                    break
        await opened(events, 7)
        await trio.testing.wait_all_tasks_blocked()
        assert client.status.state is State.READY


async def test_g17_who_leaves_a_stream_that_may_end_connections_leaves_no_trace(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" not in request:
            await peer.reply(request, ping="pong", time=5)
            return
        await peer.reply(request, tick={"n": peer.number}, subscription={"id": "x" * 32})
        if request["ticks"] == "BAD":
            await peer.drop()

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED.but(restore_timeout=1)) as client,
        client.events() as events,
    ):
        async with client.subscribe({"ticks": "BAD"}):
            async for event in events:
                if isinstance(event, derivtrio.Opened) and event.connection == 8:
                    break
            with trio.fail_after(0.2):
                assert (await client.call({"time": 1}))["time"] == 5
            await trio.sleep(5)  # the connection lives without the stream
            assert client.status.state is State.RESTORING
            assert client.status.waiting_for is None
        await trio.sleep(30)
        assert (client.status.state, client.status.connection) == (State.READY, 8)
        async with client.subscribe({"ticks": "GOOD"}) as ticks:
            assert (await anext(ticks))["tick"]["n"] == 8


@pytest.mark.parametrize("how", ["close", "drop", "huge"])
async def test_g17_a_call_that_breaks_connections_ends_and_says_so(
    autojump_clock: Any, how: Any
) -> None:
    answered: list[float] = []

    async def ask(client: Client) -> None:
        answered.append((await client.call({"time": 1}))["time"])

    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V"),
        trio.open_nursery() as nursery,
    ):
        sim.faults.poison("active_symbols", how)
        sim.faults.delay(0.1)  # so the innocent are under way when the connection breaks
        for _ in range(20):
            nursery.start_soon(ask, client)
        with trio.fail_after(15), pytest.raises(derivtrio.ConnectionLost) as caught:
            await client.call({"active_symbols": "brief"})
        assert [each.connection for each in caught.value.history] == [1, 2, 3]
        assert "this request may be what breaks connections" in str(caught.value)
        await trio.sleep(20)
        assert len(answered) == 20
        assert client.status.connection == 4


async def test_g17_reads_that_wait_to_be_asked_alone_end_with_the_client(
    autojump_clock: Any,
) -> None:
    ended: list[Exception] = []

    async def ask(client: Client) -> None:
        try:
            await client.call({"active_symbols": "brief"})
        except derivtrio.DerivError as error:
            ended.append(error)

    async with open_simulator(port=None) as sim, trio.open_nursery() as nursery:
        settings = SETTINGS.but(backoff=Backoff(first=1e-9))
        async with derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client:
            sim.faults.poison("active_symbols")
            nursery.start_soon(ask, client)
            await trio.sleep(1)  # it has broken two connections, and waits for its last chance
            assert client.status.pending == 1
    assert [type(error) for error in ended] == [derivtrio.ClientClosed]


async def test_g17_a_hole_that_the_server_cannot_bear_to_be_asked_for_is_a_gap(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V") as ticks,
    ):
        before = await anext(ticks)
        sim.faults.poison("ticks_history")
        sim.faults.refuse()
        sim.faults.drop()
        await trio.sleep(10)
        sim.faults.refuse(0)
        after = await anext(ticks)
        while after.epoch <= before.epoch + 1:
            after = await anext(ticks)
        assert after.epoch > before.epoch + 9
        [gap] = ticks.gaps
        assert "connection" in gap.reason
        assert sim.accepted <= 8


async def test_g17_finding_out_does_not_use_up_the_attempts(autojump_clock: Any) -> None:
    settings = SETTINGS.but(max_attempts=2)
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
        client.ticks("1HZ100V") as others,
        client.ticks("R_100") as ticks,
    ):
        await trio.sleep(61)  # so that this connection was stable
        sim.faults.poison("R_100")
        sim.faults.drop()
        with pytest.raises(StreamFailed):
            async for _ in ticks:
                pass
        await client.wait_ready()
        assert await anext(others)


async def test_g17_a_bad_network_is_not_blamed_on_a_stream(autojump_clock: Any) -> None:
    """Each connection breaks in the middle of its restoration, or before it could prove itself."""

    async def handle(peer: Peer, request: Request) -> None:
        if 1 < peer.number < 40 and ("ping" in request or peer.number % 3 == 2):
            await peer.drop()
        elif "ticks" in request:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "y" * 32})
        else:
            await peer.reply(request, ping="pong")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        await server.peers[0].drop()
        assert [(await anext(ticks))["tick"]["n"] for _ in range(2)] == [1, 40]


async def test_g11_a_connection_that_something_else_breaks_during_a_trial_is_a_failed_attempt(
    autojump_clock: Any,
) -> None:
    """The stream on trial was answered before, so the backoff grows as ever."""

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "y" * 32})
            await trio.sleep(0.1)
            await (misbehave(peer, request, "garbage") if peer.number == 1 else peer.drop())
        else:
            await peer.reply(request, ping="pong", time=5)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        client.events() as events,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        attempts = []
        async for event in events:
            if isinstance(event, derivtrio.Connecting):
                attempts.append(event.attempt)
            if len(attempts) == 5:
                break
        assert attempts == [2, 3, 4, 5, 6]
        assert (await anext(ticks))["tick"]["n"] == 1


async def test_g17_authorization_is_no_suspect(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request and 1 < peer.number < 9:
            await peer.websocket.aclose(1011, "internal error")
        elif "authorize" in request:
            await peer.reply(request, authorize={"loginid": "CR1"})
        elif "ticks" in request:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "y" * 32})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="t0ken", settings=UNPACED) as client,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        await server.peers[0].drop()
        assert [(await anext(ticks))["tick"]["n"] for _ in range(2)] == [1, 9]


async def test_g17_a_suspect_that_does_no_harm_for_a_while_is_acquitted(
    autojump_clock: Any,
) -> None:
    """Five restorations break while the stream is asked for, but it did no harm in between."""
    harmful = {2, 3, 5, 6, 8}

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request and peer.number in harmful:
            await peer.drop()
        elif "ticks" in request:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "y" * 32})
        else:
            await peer.reply(request, ping="pong")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        for number in (1, 4, 7, 9):
            assert (await anext(ticks))["tick"]["n"] == number
            await trio.sleep(30)
            await server.peers[-1].drop()


async def test_g17_a_silent_stream_is_found_out_however_short_the_response_timeout_is(
    autojump_clock: Any,
) -> None:
    settings = SETTINGS.but(response_timeout=3)
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
        trio.open_nursery() as nursery,
    ):
        following = Following(client, nursery)
        await following.start("R_50", "R_100")
        sim.faults.poison("R_100", "silent")
        sim.faults.drop()
        await trio.sleep(60)
        assert len(broken_by(following.ended["R_100"])) == 3
        assert client.status.state is State.READY
        nursery.cancel_scope.cancel()


async def test_g17_on_the_options_api_too(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.options_account(), settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):
        following = Following(client, nursery)
        await following.start("R_50", "R_100")
        sim.faults.poison("R_100")
        sim.faults.drop()
        await trio.sleep(30)
        assert list(following.ended) == ["R_100"]
        following.check_whole(sim, "R_50")
        nursery.cancel_scope.cancel()


async def test_g17_who_leaves_a_silent_suspect_lets_the_connection_get_ready(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("R_50"),
    ):
        async with client.ticks("R_100"):
            sim.faults.poison("R_100", "silent")
            sim.faults.drop()
            await trio.sleep(5)
            assert client.status.state is State.RESTORING
        with trio.fail_after(1):
            await client.wait_ready()
        assert client.status.connection == 2


async def slowly(server_delay: float, peer: Peer, request: Request, lock: trio.Lock) -> None:
    async with lock:
        if peer.number > 1:
            await trio.sleep(server_delay)
    await peer.reply(request, tick={"n": peer.number}, subscription={"id": request["ticks"]})


async def test_g17_restoration_may_last_as_long_as_it_makes_progress(autojump_clock: Any) -> None:
    lock, number = trio.Lock(), 40

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await slowly(0.9, peer, request, lock)
        else:
            await peer.reply(request, ping="pong")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(
            endpoint=server, settings=SETTINGS.but(restore_timeout=1, pacing=False)
        ) as client,
        trio.open_nursery() as nursery,
    ):

        async def follow(symbol: str, task_status: Any) -> None:
            async with client.subscribe({"ticks": symbol}):
                task_status.started()
                await trio.sleep_forever()

        for each in range(number):
            await nursery.start(follow, f"R_{each}")
        await server.peers[0].drop()
        await trio.sleep(1)
        await client.wait_ready()
        assert len(server.peers) == 2
        assert number * 0.9 < trio.current_time() < number * 0.9 + 2
        nursery.cancel_scope.cancel()


async def test_g17_the_patience_is_for_the_next_answer(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number > 1 and request["ticks"] == "LATE":
            await trio.sleep(15)
        if peer.number == 1 or request["ticks"] != "NEVER":
            await peer.reply(request, tick={"n": 1}, subscription={"id": request["ticks"]})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.events() as events,
        client.subscribe({"ticks": "LATE"}),
        client.subscribe({"ticks": "NEVER"}),
    ):
        await server.peers[0].drop()
        opened = 0.0
        async for event in events:
            if isinstance(event, derivtrio.Opened) and event.connection == 2:
                opened = trio.current_time()
            if isinstance(event, derivtrio.Failed) and opened:
                break
        assert trio.current_time() - opened == pytest.approx(15 + SETTINGS.restore_timeout)
        assert isinstance(event, derivtrio.Failed)
        assert isinstance(event.error, derivtrio.RestoreTimeout)
        assert str(event.error) == "no answer for 20 s to ticks NEVER"


def requests_for(server: Server, number: int) -> list[str]:
    return [request["ticks"] for peer, request in server.asked("ticks") if peer == number]


async def test_g17_suspects_are_asked_for_last_and_one_at_a_time(autojump_clock: Any) -> None:
    release = trio.Event()

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" not in request:
            await peer.reply(request, ping="pong")
        elif (
            peer.number == 1
            or request["ticks"] == "R_100"
            or (peer.number == 3 and release.is_set())
        ):
            await peer.reply(request, tick={"n": 1}, subscription={"id": request["ticks"]})
        elif peer.number == 2 and request["ticks"] == "R_50":
            await peer.websocket.aclose(1011, "internal error")
        elif peer.number == 3:
            await release.wait()
            await peer.reply(request, tick={"n": 1}, subscription={"id": request["ticks"]})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe({"ticks": "R_10"}),
        client.subscribe({"ticks": "R_25"}),
        client.subscribe({"ticks": "R_100"}),
        client.subscribe({"ticks": "R_50"}),
    ):
        await server.peers[0].drop()
        await trio.sleep(2)
        assert requests_for(server, 2) == ["R_10", "R_25", "R_100", "R_50"]
        assert requests_for(server, 3) == ["R_100", "R_10"]
        release.set()
        await client.wait_ready()
        assert requests_for(server, 3) == ["R_100", "R_10", "R_25", "R_50"]


#: So many requests of the group "outcome" may be made in a minute: see `policy.rate_limits`.
OUTCOME = 27
OUTCOME_OF_RESTORATION = 22


async def test_g17_a_suspect_that_waits_for_its_budget_holds_up_no_other(
    autojump_clock: Any,
) -> None:
    answered: dict[str, float] = {}

    async def handle(peer: Peer, request: Request) -> None:
        if peer.number <= 2 and "time" in request:
            await peer.drop()
        elif not (peer.number <= 2 and "portfolio" in request):
            await peer.reply(request, pong=1, time=5)

    async def ask(name: str) -> None:
        await client.call({name: 1})
        answered[name] = trio.current_time()

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):
        await client.call({"website_status": 1})
        for _ in range(OUTCOME - 2):
            await client.call({"statement": 1})
        begun = trio.current_time()
        nursery.start_soon(ask, "portfolio")  # asked twice without an answer, it has used the rest
        await trio.sleep(0.1)
        nursery.start_soon(ask, "time")
        await trio.sleep(100)
    assert [number for number, _ in server.asked("portfolio")] == [1, 2, 3]
    assert answered["time"] < begun + 10
    assert begun + 60 < answered["portfolio"] < begun + 65


async def test_g17_a_suspected_stream_that_waits_for_its_budget_holds_up_no_other(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "subscribe" not in request:
            await peer.reply(request, pong=1)
        elif peer.number != 2:
            name = "proposal" if "proposal" in request else "ticks"
            await peer.reply(request, **{name: {}}, subscription={"id": name})
        elif "ticks" in request:
            await peer.drop()

    settings = SETTINGS.but(check_requests=False)
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
        client.subscribe({"proposal": 1}),
        client.subscribe({"ticks": "R_100"}),
    ):
        await client.call({"website_status": 1})
        for _ in range(OUTCOME_OF_RESTORATION - 2):
            await client.call({"statement": 1})
        await server.peers[0].drop()
        await trio.sleep(20)
        streams = [each for number, each in server.received if number == 3 and "subscribe" in each]
        assert [next(iter(each)) for each in streams] == ["ticks"]
        await client.wait_ready()
        assert 60 < trio.current_time() < 65


async def test_g17_an_end_that_has_another_cause_is_blamed_on_no_call(autojump_clock: Any) -> None:
    answered: list[float] = []

    async def handle(peer: Peer, request: Request) -> None:
        if "active_symbols" not in request or peer.number > 4:
            await peer.reply(request, active_symbols=[])

    async def ask() -> None:
        await client.call({"active_symbols": "brief"})
        answered.append(trio.current_time())

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask)
        for _ in range(4):
            await trio.sleep(1)
            await client.reconnect()
        await trio.sleep(1)
        assert len(answered) == 1


async def test_g17_a_stream_is_not_ended_for_what_may_have_been_replies_to_calls(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "x"})
        elif "active_symbols" in request:  # the client cannot bear the reply
            await peer.reply(request, active_symbols=["x" * LIMIT])
        else:
            await polite(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=UNPACED) as client,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        for number in (1, 3, 5):  # each of them breaks two connections, and then gives up
            async with client.events() as events, trio.open_nursery() as nursery:
                nursery.start_soon(client.call, {"active_symbols": "brief"})
                async for event in events:
                    if isinstance(event, derivtrio.Opened) and event.connection == number + 2:
                        nursery.cancel_scope.cancel()
            await client.wait_ready()
        assert client.status.subscriptions == 1
        with trio.fail_after(60):
            assert [(await anext(ticks))["tick"]["n"] for _ in range(4)] == [1, 3, 5, 7]


async def test_g17_a_flood_of_strangers_is_blamed_on_no_stream(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "subscribe" not in request:
            await peer.reply(request, pong=1)
        elif 1 < peer.number < 5:
            tick = {"symbol": "R_50", "epoch": 1, "quote": 1.0}
            for number in range(1100):  # under the `req_id` of a ping that was answered
                await peer.reply({"req_id": 1}, tick=tick, subscription={"id": str(number)})
        else:
            await peer.reply(request, tick={"n": 1}, subscription={"id": "x"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        await client.call({"ping": 1})
        async with client.subscribe({"ticks": "R_100"}):
            await server.peers[0].drop()
            await trio.sleep(5)
            assert client.status.state is State.READY
            assert client.status.connection == 5
            assert client.status.subscriptions == 1
            floods = client.metrics.reconnects["ProtocolViolation"]
            assert floods == 3
