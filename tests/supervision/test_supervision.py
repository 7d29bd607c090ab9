"""G09, G10, G11, G15: attempts, verdicts, restoration, and whose exception comes out."""

import logging
import time
from typing import Any

import pytest
import trio
from scripted import Peer, Request, Server, open_server, polite

import derivtrio
from derivtrio import Backoff, ConnectionFailed, Settings, State
from derivtrio.simulator import open_simulator

BACKOFF = Backoff(first=1, cap=1)
PATIENT = Settings(heartbeat_interval=3600, backoff=BACKOFF)


async def collect(events: Any, until: type, *, times: int = 1) -> list[Any]:
    collected = []
    async for event in events:
        collected.append(event)
        times -= isinstance(event, until)
        if not times:
            break
    return collected


async def test_the_events_of_a_life(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(
            endpoint=sim.endpoint, token="demo-token", settings=PATIENT.but(wait_ready=False)
        ) as client,
        client.events() as events,
    ):
        assert client.status.state is State.CONNECTING
        first = await collect(events, derivtrio.Ready)
        assert client.status.connection == 1
        sim.faults.drop()
        second = await collect(events, derivtrio.Ready)
        await client.aclose()
        rest = [event async for event in events]
    assert [type(event).__name__ for event in first] == [
        "Connecting",
        "Opened",
        "Authorized",
        "Ready",
    ]
    assert first[2].loginid == "VRTC1000001"
    assert [type(event).__name__ for event in second] == [
        "Failed",
        "Closed",
        "Waiting",
        "Connecting",
        "Opened",
        "Authorized",
        "Ready",
    ]
    assert (second[1].code, second[1].was_clean, second[1].by) == (1006, False, "network")
    assert (second[2].attempt, second[3].attempt, second[4].connection) == (2, 2, 2)
    assert [(e.code, e.was_clean, e.by) for e in rest] == [(1000, True, "us")]


async def test_g09_ready_comes_only_after_every_stream_is_answered(autojump_clock: Any) -> None:
    release = trio.Event()

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            if peer.number == 2:
                await release.wait()
            tick = {"symbol": request["ticks"], "epoch": peer.number}
            await peer.reply(request, tick=tick, subscription={"id": "x" * 32})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        assert (await anext(ticks))["tick"]["epoch"] == 1
        await server.peers[0].drop()
        await trio.sleep(5)
        assert client.status.state is State.RESTORING
        with trio.move_on_after(5) as waiting:
            await client.call({"time": 1})
        assert waiting.cancelled_caught
        assert server.asked("time") == []
        release.set()
        await client.wait_ready()
        assert (await anext(ticks))["tick"]["epoch"] == 2
        assert client.status.subscriptions == 1


async def test_g09_a_stream_refused_on_restoration_ends_at_its_consumer_alone(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number == 2 and request.get("ticks") == "BAD":
            await peer.refuse(request, "InvalidSymbol", "Symbol BAD is invalid.")
        elif "ticks" in request:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "y" * 32})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"ticks": "BAD"}) as bad,
        client.subscribe({"ticks": "GOOD"}) as good,
    ):
        await server.peers[0].drop()
        await trio.sleep(5)
        assert client.status.state is State.READY
        assert [(await anext(good))["tick"]["n"] for _ in range(2)] == [1, 2]
        assert (await anext(bad))["tick"]["n"] == 1
        with pytest.raises(derivtrio.InvalidRequest, match="BAD"):
            await anext(bad)


async def test_g09_what_the_server_cannot_grant_just_now_is_asked_for_again(
    autojump_clock: Any,
) -> None:
    refusals = ["RateLimit", "WrongResponse"]

    async def handle(peer: Peer, request: Request) -> None:
        if peer.number == 2 and refusals:
            await peer.refuse(request, refusals.pop())
        else:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "y" * 32})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        await server.peers[0].drop()
        assert [(await anext(ticks))["tick"]["n"] for _ in range(2)] == [1, 2]
    assert refusals == []


async def test_g09_a_stream_that_cannot_be_granted_for_long_keeps_nobody_else_waiting(
    autojump_clock: Any,
) -> None:
    healed = 300.0

    async def handle(peer: Peer, request: Request) -> None:
        if "time" in request:
            await peer.reply(request, time=1)
        elif "ticks" not in request:
            await peer.refuse(request, "UnrecognisedRequest")
        elif peer.number > 1 and request["ticks"] == "SICK" and trio.current_time() < healed:
            await peer.refuse(request, "WrongResponse")
        else:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "y" * 32})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"ticks": "SICK"}) as sick,
        client.subscribe({"ticks": "WELL"}) as well,
    ):
        await server.peers[0].drop()
        assert [(await anext(well))["tick"]["n"] for _ in range(2)] == [1, 2]
        await client.wait_ready()
        assert trio.current_time() < 1 + PATIENT.restore_timeout
        assert (await client.call({"time": 1}))["time"]
        assert [(await anext(sick))["tick"]["n"] for _ in range(2)] == [1, 2]
        assert healed <= trio.current_time() < healed + 60
        assert client.status.connection == 2


async def test_g09_a_restoration_without_end_loses_the_connection(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number != 2:
            await peer.reply(request, tick={"n": peer.number}, subscription={"id": "y" * 32})

    settings = PATIENT.but(restore_timeout=7)
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
        client.events() as events,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        await server.peers[0].drop()
        assert [(await anext(ticks))["tick"]["n"] for _ in range(2)] == [1, 3]
        failed = [e for e in await collect(events, derivtrio.Ready, times=2) if hasattr(e, "error")]
    assert isinstance(failed[-1].error, derivtrio.RestoreTimeout)


async def test_a_purchase_that_streams_is_resumed_by_its_contract(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        subscription = {"subscription": {"id": f"{peer.number}" * 32}}
        if "buy" in request:
            await peer.reply(request, buy={"contract_id": 42}, **subscription)
        elif "proposal_open_contract" in request:
            await peer.reply(request, proposal_open_contract={"contract_id": 42}, **subscription)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"buy": "1", "price": 10}) as contract,
    ):
        assert (await anext(contract))["buy"]["contract_id"] == 42
        for peer in (0, 1):
            await server.peers[peer].drop()
            message = await anext(contract)
            assert message["proposal_open_contract"]["contract_id"] == 42
    assert len(server.asked("buy")) == 1
    assert [r["contract_id"] for _, r in server.asked("proposal_open_contract")] == [42, 42]


async def test_a_stream_opened_by_a_change_that_cannot_be_resumed_ends(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, p2p_order_create={"id": 1}, subscription={"id": "z" * 32})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.subscribe({"p2p_order_create": 1, "advert_id": "1", "amount": 1}) as order,
    ):
        await anext(order)
        await server.peers[0].drop()
        with pytest.raises(derivtrio.ConnectionLost, match="cannot be resumed"):
            await anext(order)
        await client.wait_ready()
    assert len(server.received) == 1


@pytest.mark.parametrize("code", ["InvalidToken", "DisabledClient", "PermissionDenied"])
async def test_g10_a_refused_token_ends_the_client_at_once_with_the_cause(
    autojump_clock: Any, code: str
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.refuse(request, code)

    async with open_server(handle) as server:
        with pytest.raises(derivtrio.ApiError) as caught:
            async with derivtrio.open_client(endpoint=server, token="secret-token"):
                pytest.fail("it must not open")
    assert caught.value.code == code
    assert len(server.attempts) == 1


async def test_g10_a_passing_refusal_of_the_token_is_retried(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number < 4:
            await peer.refuse(request, "InternalServerError")
        else:
            await peer.reply(request, authorize={"loginid": "CR1"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="secret-token", settings=PATIENT) as client,
    ):
        assert client.status.connection == 4


async def test_g10_giving_up_carries_the_history(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    before = time.time()
    async with open_server() as server:
        server.refuses = True
        with pytest.raises(ConnectionFailed, match="gave up after 3 attempts") as caught:
            async with derivtrio.open_client(endpoint=server, settings=PATIENT.but(max_attempts=3)):
                pytest.fail("it must not open")
    attempts = caught.value.attempts
    assert [attempt.number for attempt in attempts] == [1, 2, 3]
    assert all(isinstance(attempt.error, derivtrio.ConnectRefused) for attempt in attempts)
    assert attempts[-1].delay is None
    assert caught.value.__cause__ is attempts[-1].error
    begun = [attempt.started for attempt in attempts]
    assert before <= begun[0] <= begun[1] <= begun[2] <= time.time()
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        *(f"{each.error}; trying again in {each.delay:.1f} s" for each in attempts[:2]),
        str(caught.value),
    ]


async def test_a_reconnect_that_was_asked_for_is_told_but_is_no_warning(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        await client.reconnect()
    told = [record for record in caplog.records if "; trying again in " in record.getMessage()]
    assert [record.levelno for record in told] == [logging.INFO]


@pytest.mark.long
async def test_g10_by_default_it_tries_for_ever(autojump_clock: Any) -> None:
    settings = Settings(wait_ready=False)
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
    ):
        server.refuses = True
        await trio.sleep(7 * 86400)
        assert client.status.state in (State.WAITING, State.CONNECTING)
        server.refuses = False
        await client.wait_ready()
        assert (await client.call({"time": 1}))["time"]


class Broken:
    generation = "v3"
    limits = "website_status"

    async def url(self) -> str:
        return {}["otp=secret"]  # type: ignore[no-any-return]


async def test_g10_a_bug_in_an_endpoint_is_fatal_and_keeps_its_cause(autojump_clock: Any) -> None:
    with pytest.raises(derivtrio.EndpointFailed, match="KeyError") as caught:
        async with derivtrio.open_client(endpoint=Broken()):  # type: ignore[arg-type]
            pytest.fail("it must not open")
    assert isinstance(caught.value.__cause__, KeyError)
    assert "secret" not in str(caught.value)


async def test_the_url_and_the_token_are_asked_for_afresh_for_every_attempt(
    autojump_clock: Any,
) -> None:
    asked = {"url": 0, "token": 0}

    async def handle(peer: Peer, request: Request) -> None:
        assert request["authorize"] == f"token-{peer.number}"
        await peer.reply(request, authorize={"loginid": "CR1"})

    async def token() -> str:
        asked["token"] += 1
        return f"token-{asked['token']}"

    class OneTime(Server):
        async def url(self) -> str:
            asked["url"] += 1
            return f"ws://scripted.invalid/?otp={asked['url']}"

    async with trio.open_nursery() as nursery:
        server = OneTime(handle, nursery)
        async with derivtrio.open_client(endpoint=server, token=token, settings=PATIENT) as client:
            await server.peers[0].drop()
            await trio.sleep(5)
            assert client.status.connection == 2
        nursery.cancel_scope.cancel()
    assert asked == {"url": 2, "token": 2}


async def test_g11_accept_then_close_for_an_hour_is_within_the_budget(autojump_clock: Any) -> None:
    async def slam(peer: Peer) -> None:
        await peer.websocket.aclose(1000, "go away")

    async with open_server() as server:
        server.on_open = slam
        async with derivtrio.open_client(endpoint=server, settings=Settings(wait_ready=False)):
            await trio.sleep(3600)
    # Full jitter halves the ceilings 0.5, 1, 2 … 32, 60 on average: 7 attempts on the way up,
    # then one every 30 s. Half as many again are allowed for luck.
    assert 60 < len(server.attempts) < 190
    assert len(server.peers) == len(server.attempts)


async def test_g11_only_a_stable_connection_starts_the_backoff_anew(autojump_clock: Any) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT.but(stable_after=60)) as client,
    ):
        for number, lasting in enumerate([59, 59, 61, 59]):
            await client.wait_ready()
            await trio.sleep(lasting)
            await server.peers[number].drop()
            await trio.sleep(0.0001)
            await client.wait_ready()
            assert client.status.attempt == [2, 3, 1, 2][number]


@pytest.mark.parametrize(("lasted", "attempt"), [(59.999, 2), (60, 1)])
async def test_g11_a_connection_is_stable_that_was_ready_for_stable_after(
    autojump_clock: Any, lasted: float, attempt: int
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT.but(stable_after=60)) as client,
    ):
        assert trio.current_time() == 0
        await trio.sleep(lasted)
        await server.peers[0].drop()
        await trio.sleep(0.0001)
        await client.wait_ready()
        assert (client.status.connection, client.status.attempt) == (2, attempt)


async def test_g15_the_bodys_exception_comes_out_as_it_is(autojump_clock: Any) -> None:
    error = KeyError("mine")
    async with open_server() as server:
        with pytest.raises(KeyError) as caught:
            async with derivtrio.open_client(endpoint=server):
                raise error
    assert caught.value is error
    assert error.__context__ is None


async def test_g15_the_bodys_exception_outlives_a_cancellation_during_the_goodbye(
    autojump_clock: Any,
) -> None:
    """The goodbye takes its two seconds, for the peer says nothing; the outside is cancelled."""
    async with open_simulator(port=None) as sim:
        with trio.move_on_after(6), pytest.raises(KeyError):
            async with derivtrio.open_client(endpoint=sim.endpoint):
                await trio.sleep(5)
                sim.faults.freeze()
                raise KeyError
        assert trio.current_time() == pytest.approx(7)


async def test_g15_failing_for_good_cancels_the_body(autojump_clock: Any) -> None:
    cancelled = False
    async with open_server() as server:
        with pytest.raises(ConnectionFailed) as caught:
            async with derivtrio.open_client(
                endpoint=server, settings=PATIENT.but(max_attempts=2)
            ) as client:
                server.refuses = True
                await server.peers[0].drop()
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(client.call, {"time": 1})
                        nursery.start_soon(trio.sleep_forever)
                finally:
                    cancelled = client.status.state is State.FAILED
    assert cancelled
    assert len(caught.value.attempts) == 2
    with pytest.raises(ConnectionFailed):
        await client.call({"time": 1})
    assert client.status.state is State.FAILED


async def test_g15_a_token_revoked_while_the_body_runs(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if peer.number == 1:
            await peer.reply(request, authorize={"loginid": "CR1"})
        else:
            await peer.refuse(request, "InvalidToken")

    async with open_server(handle) as server:
        with pytest.raises(ConnectionFailed, match="cannot help") as caught:
            async with derivtrio.open_client(endpoint=server, token="t", settings=PATIENT):
                await server.peers[0].drop()
                await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, derivtrio.InvalidToken)


async def test_g15_the_bodys_exception_wins_and_carries_the_other(autojump_clock: Any) -> None:
    async with open_server() as server:
        with pytest.raises(ValueError, match="clean-up") as caught:
            async with derivtrio.open_client(endpoint=server, settings=PATIENT.but(max_attempts=1)):
                server.refuses = True
                await server.peers[0].drop()
                try:
                    await trio.sleep_forever()
                finally:
                    raise ValueError("clean-up")  # noqa: EM101
    chain, error = [], caught.value.__context__
    while error is not None:
        chain.append(type(error).__name__)
        error = error.__context__
    assert "ConnectionFailed" in chain


async def test_a_call_in_the_bodys_finally_still_works_under_cancellation(
    autojump_clock: Any,
) -> None:
    async with open_server() as server:
        with trio.move_on_after(10):
            async with derivtrio.open_client(endpoint=server, settings=PATIENT) as client:
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(5)
                        await client.call({"time": 1})
    assert len(server.asked("time")) == 1


async def test_same_connection_cancels_its_body_when_the_socket_is_replaced(
    autojump_clock: Any,
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.ConnectionChanged, match="connection 1"):
            async with client.same_connection():
                await client.call({"time": 1})
                await server.peers[0].drop()
                await trio.sleep_forever()
        async with client.same_connection():
            await client.call({"time": 1})
    assert [number for number, _ in server.asked("time")] == [1, 2]


async def test_same_connection_lets_an_unknown_outcome_out(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.drop()

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.OutcomeUnknown):
            async with client.same_connection():
                await client.call({"buy": "1", "price": 1})


async def test_same_connection_does_not_carry_a_read_over(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "proposal" in request:
            await peer.drop()
        else:
            await polite(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(derivtrio.ConnectionChanged):
            async with client.same_connection():
                await client.call(
                    {"proposal": 1, "contract_type": "CALL", "currency": "USD", "symbol": "R_100"}
                )
        await client.call({"time": 1})
    assert len(server.asked("proposal")) == 1


@pytest.mark.parametrize("code", [999, 1001, 1006, 2999, 5000, True])
async def test_a_close_code_that_is_not_ours_to_send_is_refused(
    autojump_clock: Any, code: int
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        with pytest.raises(ValueError, match="close code"):
            await client.aclose(code)
        with pytest.raises(ValueError, match="123"):
            await client.aclose(1000, "ü" * 62)
        with pytest.raises(ValueError, match="close reason is a str"):
            await client.aclose(1000, 5)  # type: ignore[arg-type]
        assert client.status.state is State.READY


async def test_aclose_is_idempotent_also_at_the_same_time(autojump_clock: Any) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
    ):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(client.aclose, 4000, "done")
        await client.aclose()
        assert server.peers[0].websocket.closed.code == 4000  # type: ignore[union-attr]
        assert server.peers[0].websocket.closed.reason == "done"  # type: ignore[union-attr]


async def test_streams_and_events_end_normally_when_the_client_is_closed(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, tick={}, subscription={"id": "y" * 32})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=PATIENT) as client,
        client.events() as events,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose)
            assert len([message async for message in ticks]) == 1
            assert [type(e).__name__ async for e in events] == ["Ready", "Closed"]
