"""G01: what counts as a sign of life, and what the client makes of calls that get no reply."""

# ruff: noqa: FBT001 - what a test is given as a flag is a parameter, not an option

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import trio
from peers import Line, open_diary, open_endpoint, tick, well
from peers import Peer as BarePeer
from scripted import Peer, Request, open_server, polite
from trio.testing import memory_stream_pair
from wsproto.events import BytesMessage, Event, Ping, Pong, TextMessage

from derivtrio import (
    Backoff,
    Client,
    Closed,
    Failed,
    HeartbeatMissed,
    OutcomeUnknown,
    Ready,
    ResponseTimeout,
    Settings,
    open_client,
)
from derivtrio.simulator import open_simulator

SETTINGS = Settings(backoff=Backoff(first=0.001, cap=0.001), stable_after=0)
INTERVAL, TIMEOUT = SETTINGS.heartbeat_interval, SETTINGS.heartbeat_timeout

both_ways = pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])


def pings() -> Iterator[Event]:
    while True:
        yield Ping(b"anybody?")


def pongs() -> Iterator[Event]:
    while True:
        yield Pong()


def binaries() -> Iterator[Event]:
    while True:
        yield BytesMessage(b"{}")


def endless_message() -> Iterator[Event]:
    while True:
        yield TextMessage(" ", message_finished=False)


@both_ways
@pytest.mark.parametrize("frames", [pings, pongs, binaries, endless_message])
async def test_g01_no_frame_but_an_api_message_is_a_sign_of_life(
    autojump_clock: Any, frames: Callable[[], Iterator[Event]], fast: bool
) -> None:
    async def front_end(peer: BarePeer) -> None:
        await peer.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.linger)
            with suppress(trio.BrokenResourceError):
                for frame in frames():
                    await peer.put(frame)
                    await trio.sleep(3)

    async with (
        open_endpoint(front_end, well) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS.but(fast=fast)) as client,
    ):
        await diary.follow(client)
        await diary.until(Ready)
        assert diary.times(Closed) == [INTERVAL + TIMEOUT]
        assert [event.by for event in diary.of(Closed)] == ["heartbeat"]
        error = diary.of(Failed)[0].error
        assert isinstance(error, HeartbeatMissed)
        assert "no API message came for 35 s, in spite of a ping, although bytes did" in str(error)


@both_ways
async def test_g01_a_front_end_whose_backend_is_dead_is_replaced_and_the_stream_goes_on(
    autojump_clock: Any, fast: bool
) -> None:
    async with (
        open_simulator(port=None) as sim,
        open_client(endpoint=sim.endpoint, settings=SETTINGS.but(fast=fast)) as client,
        client.ticks("1HZ100V") as ticks,
    ):
        first = (await anext(ticks)).epoch
        sim.faults.backend_dead(ping_every=3)
        epochs = [(await anext(ticks)).epoch for _ in range(60)]
        assert epochs == list(range(first + 1, first + 61))
        assert client.status.connection == 2
        assert ticks.gaps == ()


@both_ways
async def test_g01_ticks_are_no_sign_of_life_for_a_connection_that_answers_no_call(
    autojump_clock: Any, fast: bool
) -> None:
    """The proof that is asked for after a call's time-out is the reply to a ping."""
    async with (
        open_simulator(port=None) as sim,
        open_diary() as diary,
        open_client(endpoint=sim.endpoint, settings=SETTINGS.but(fast=fast)) as client,
        client.ticks("1HZ100V") as ticks,
    ):
        await diary.follow(client)
        first = (await anext(ticks)).epoch
        sim.faults.mute("calls")
        asked = trio.current_time()
        with pytest.raises(ResponseTimeout):
            await client.call({"time": 1})
        assert trio.current_time() - asked == SETTINGS.response_timeout
        epochs = [(await anext(ticks)).epoch for _ in range(80)]
        assert epochs == list(range(first + 1, first + 81))
        lost = diary.times(Closed)[0] - asked
        assert lost == pytest.approx(SETTINGS.response_timeout + TIMEOUT)
        assert diary.of(Closed)[0].by == "heartbeat"
        words = "a call had no reply in time, and a ping after it none within 10 s"
        assert words in str(diary.of(Failed)[0].error)
        assert (await client.call({"time": 1}))["time"]


async def test_g01_a_front_end_that_answers_pings_but_no_calls_is_found_out_by_two_time_outs(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        open_diary() as diary,
        open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
    ):
        await diary.follow(client)
        sim.faults.mute("calls_except_ping")
        for _ in range(2):
            assert client.status.connection == 1
            with pytest.raises(ResponseTimeout):
                await client.call({"active_symbols": "brief"})
            await trio.sleep(2 * TIMEOUT)
        assert diary.of(Closed)[0].by == "heartbeat"
        assert "although pings have" in str(diary.of(Failed)[0].error)
        assert (await client.call({"time": 1}))["time"]


async def test_g01_a_call_that_is_never_answered_costs_no_connection_that_answers_others(
    autojump_clock: Any,
) -> None:
    async def slow_backend(peer: Peer, request: Request) -> None:
        if "statement" not in request:
            await polite(peer, request)

    async with (
        open_server(slow_backend) as server,
        open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        for _ in range(10):
            with pytest.raises(ResponseTimeout):
                await client.call({"statement": 1})
        await trio.sleep(100)
        assert client.status.connection == 1
        assert server.asked("time")


async def test_g01_one_time_out_is_forgiven_when_the_ping_after_it_is_answered(
    autojump_clock: Any,
) -> None:
    async def only_pings(peer: Peer, request: Request) -> None:
        if "ping" in request:
            await polite(peer, request)

    async with (
        open_server(only_pings) as server,
        open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        with pytest.raises(ResponseTimeout):
            await client.call({"statement": 1})
        await trio.sleep(3600)
        assert client.status.connection == 1


async def test_g01_calls_that_their_callers_give_up_are_noticed_too(autojump_clock: Any) -> None:
    """Programs with time limits of their own never see a ResponseTimeout."""

    async def impatient(client: Client) -> None:
        while True:
            with trio.move_on_after(1):
                await client.call({"time": 1})
            await trio.sleep(1)

    async with (
        open_simulator(port=None) as sim,
        open_diary() as diary,
        open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V") as ticks,
        trio.open_nursery() as nursery,
    ):
        await diary.follow(client)
        await anext(ticks)
        await trio.sleep(100)
        sim.faults.mute("calls")
        begin = trio.current_time()
        nursery.start_soon(impatient, client)
        await diary.until(Closed)
        assert diary.times(Closed)[0] - begin <= 1 + INTERVAL + TIMEOUT
        nursery.cancel_scope.cancel()


async def test_g01_calls_that_are_given_up_cost_no_more_than_a_few_pings(
    autojump_clock: Any,
) -> None:
    async def slow(peer: Peer, request: Request) -> None:
        await trio.sleep(2)
        await polite(peer, request)

    async with (
        open_server(slow) as server,
        open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        for _ in range(500):
            with trio.move_on_after(1):
                await client.call({"statement": 1})
        assert client.status.connection == 1
        assert len(server.asked("ping")) <= 500 / INTERVAL


def slow_pair(piece: int, pause: float) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Return a line that takes *piece* bytes, and nothing more for *pause* seconds after that."""
    ours, theirs = memory_stream_pair()

    class Slow(Line):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            await self.stream.send_all(data)
            if len(data) >= piece:
                await trio.sleep(pause)

    return Slow(ours), theirs


@both_ways
async def test_g01_a_long_write_is_slow_and_not_stalled_while_the_server_takes_some(
    autojump_clock: Any, fast: bool
) -> None:
    async def busy(peer: BarePeer) -> None:
        await peer.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.serve)
            while peer.ended_at is None:
                with suppress(trio.BrokenResourceError):
                    await peer.say(tick(0))
                await trio.sleep(5)

    async with (
        open_endpoint(busy, pair=lambda: slow_pair(2**16, 20)) as endpoint,
        open_client(
            endpoint=endpoint, settings=SETTINGS.but(fast=fast, response_timeout=3600)
        ) as client,
    ):
        await client.send({"passthrough": "x" * 2**20})
        assert trio.current_time() >= 16 * 20
        assert client.status.connection == 1


@both_ways
async def test_g01_a_ping_that_is_due_during_a_write_is_sent_after_it(
    autojump_clock: Any, fast: bool
) -> None:
    """It used to be left out, and a server that was not asked was found dead."""
    async with (
        open_endpoint(well, pair=lambda: slow_pair(2**10, INTERVAL + 3)) as endpoint,
        open_client(endpoint=endpoint, settings=SETTINGS.but(fast=fast)) as client,
    ):
        await client.send({"passthrough": "x" * 2**10})
        await trio.sleep(INTERVAL + TIMEOUT)
        assert client.status.connection == 1
        assert {"ping": 1, "req_id": 2} in endpoint.peers[0].requests


async def test_g01_a_writer_that_is_stuck_is_noticed_while_reads_go_on(autojump_clock: Any) -> None:
    """The call's own time-out asks for proof, which cannot even be written."""

    async def talkative(peer: BarePeer) -> None:
        await peer.accept()
        while True:
            await peer.say(tick(0))
            await trio.sleep(1)

    settings = SETTINGS.but(response_timeout=12)
    async with (
        open_endpoint(talkative, well, pair=lambda: slow_pair(2**14, 1e6)) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)
        await trio.sleep(5)
        with pytest.raises(OutcomeUnknown):
            await client.call({"buy": "1", "price": 1, "passthrough": {"x": "x" * 20_000}})
        assert trio.current_time() == 5 + 12
        await diary.until(Closed)
        assert diary.times(Closed) == [5 + 12 + TIMEOUT]
        assert diary.of(Closed)[0].by == "heartbeat"


async def test_g01_the_loss_is_told_as_a_user_would_ask(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What happened, since when, and what the client does."""
    async with (
        open_simulator(port=None) as sim,
        open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.events() as events,
    ):
        sim.faults.backend_dead()
        async for event in events:
            if isinstance(event, Closed):
                break
        await client.wait_ready()
    (warning,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warning.startswith("no API message came for 35 s, in spite of a ping, although bytes")
    assert warning.endswith("; trying again in 0.0 s")
