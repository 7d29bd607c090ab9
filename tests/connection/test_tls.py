"""TLS that breaks while the connection is in use: a lost connection, and never more than that.

Everything that writes meets each fault: the writer task, the heartbeat, restoration, the goodbye.
A fault comes behind a reply in one write, so that the next write may find it before the reader
does; or it comes while a write is waiting.
"""

# ruff: noqa: PLR0917 - fixtures and parameters are given by name

import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trustme
from OpenSSL import SSL
from peers import (
    HOST,
    Holding,
    Line,
    Peer,
    ScriptedEndpoint,
    causes,
    open_diary,
    open_endpoint,
    well,
)
from tls_peer import BAD_RECORD, TlsPeer, tls_pair
from trio.testing import memory_stream_pair
from wsproto.events import CloseConnection

from derivtrio import (
    Backoff,
    Closed,
    ConnectionFailed,
    ConnectRefused,
    Failed,
    InvalidURL,
    OutcomeUnknown,
    PeerClosed,
    Ready,
    Settings,
    open_client,
)

#: The fatal alert `handshake_failure`, before there are keys.
ALERT = b"\x15\x03\x03\x00\x02\x02\x28"

Fault = Callable[[TlsPeer], bytes]

SETTINGS = Settings(
    connect_timeout=3, close_timeout=2, backoff=Backoff(first=0.001, cap=0.001), stable_after=0
)

#: Faults that end TLS; a renegotiation is only a request, which the client may grant.
BREAKING: list[Any] = [
    pytest.param(TlsPeer.bad_record, SSL.TLS1_3_VERSION, id="a bad record"),
    pytest.param(TlsPeer.bad_record, SSL.TLS1_2_VERSION, id="a bad record, TLS 1.2"),
    pytest.param(TlsPeer.fatal_alert, SSL.TLS1_3_VERSION, id="a fatal alert"),
    pytest.param(TlsPeer.fatal_alert, SSL.TLS1_2_VERSION, id="a fatal alert, TLS 1.2"),
]
RENEGOTIATION: Any = pytest.param(TlsPeer.renegotiation, SSL.TLS1_2_VERSION, id="a renegotiation")

breaking = pytest.mark.parametrize(("fault", "version"), BREAKING)
every_fault = pytest.mark.parametrize(("fault", "version"), [*BREAKING, RENEGOTIATION])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def settings(authority: trustme.CA) -> Settings:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return SETTINGS.but(ssl_context=context)


@pytest.fixture
def serve(authority: trustme.CA) -> Any:
    """Return what serves scripts over TLS, on lines in memory."""

    @asynccontextmanager
    async def open_tls_endpoint(
        *scripts: Any, version: int, pair: Any = memory_stream_pair
    ) -> AsyncGenerator[ScriptedEndpoint]:
        line = tls_pair(authority, HOST, version, pair)
        async with open_endpoint(*scripts, pair=line) as endpoint:
            endpoint.address = f"wss://{HOST}/"
            yield endpoint

    return open_tls_endpoint


async def reply_and_break(peer: Peer, request: Any, fault: Fault) -> None:
    """Answer *request*, with *fault* right behind the answer, in one write."""
    stream, peer.stream = peer.stream, (held := Holding())
    await peer.reply(request)
    peer.stream = stream
    assert isinstance(stream, TlsPeer)
    await stream.send_with(bytes(held.data), fault)


def breaks_at(number: int, fault: Fault) -> Callable[[Peer], Any]:
    """Return a script that answers requests, the one of that *number* with *fault* behind it."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        while (request := await peer.request()) is not None:
            if len(peer.requests) == number:
                await reply_and_break(peer, request, fault)
            else:
                await peer.reply(request)

    return script


def assert_lost_to_the_network(events: list[Failed], *, writing: bool = False) -> None:
    """Assert that each of *events* is a connection lost, with TLS's own error as its cause.

    While *writing*, it may be seen first that the peer, which has sent an alert, has gone.
    """
    for event in events:
        assert isinstance(event.error, PeerClosed)
        kinds = (ssl.SSLError, trio.BrokenResourceError) if writing else ssl.SSLError
        assert isinstance(causes(event.error)[-1], kinds)


@every_fault
@pytest.mark.parametrize("callers", [1, 3])
async def test_g18_tls_that_breaks_under_the_writer_is_a_lost_connection(
    autojump_clock: Any, serve: Any, settings: Settings, fault: Fault, version: int, callers: int
) -> None:
    async with (
        serve(breaks_at(3, fault), well, version=version) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)

        async def call_often() -> None:
            for _ in range(8):
                assert (await client.call({"time": 1}))["time"]

        async with trio.open_nursery() as nursery:
            for _ in range(callers):
                nursery.start_soon(call_often)
        if fault is not TlsPeer.renegotiation:
            assert client.status.connection == 2
            assert [event.by for event in diary.of(Closed)] == ["network"]
        assert_lost_to_the_network(diary.of(Failed), writing=callers > 1)
        assert client.status.pending == 0


@every_fault
async def test_g18_tls_that_breaks_under_the_heartbeat_is_a_lost_connection(
    autojump_clock: Any, serve: Any, settings: Settings, fault: Fault, version: int
) -> None:
    async with (
        serve(breaks_at(2, fault), well, version=version) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)
        await trio.sleep(120)
        assert endpoint.peers[0].requests[0] == {"ping": 1, "req_id": 1}
        if fault is not TlsPeer.renegotiation:
            assert diary.times(Closed) == [50]
        assert_lost_to_the_network(diary.of(Failed))
        assert (await client.call({"time": 1}))["time"]


@every_fault
async def test_g18_tls_that_breaks_just_when_the_heartbeat_is_due_is_a_lost_connection(
    autojump_clock: Any, serve: Any, settings: Settings, fault: Fault, version: int
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(25)
        assert isinstance(peer.stream, TlsPeer)
        await peer.stream.send_with(b"", fault)
        await peer.serve()

    async with (
        serve(*[script] * 5, well, version=version) as endpoint,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await trio.sleep(200)
        assert (await client.call({"time": 1}))["time"]
        assert len(endpoint.peers) == (1 if fault is TlsPeer.renegotiation else 6)


@every_fault
async def test_g18_tls_that_breaks_under_restoration_is_a_failed_attempt(
    autojump_clock: Any, serve: Any, settings: Settings, fault: Fault, version: int
) -> None:
    async with (
        serve(breaks_at(1, fault), well, version=version) as endpoint,
        open_diary() as diary,
        open_client(
            endpoint=endpoint, token="t0ken", settings=settings.but(wait_ready=False)
        ) as client,
    ):
        await diary.follow(client)
        await diary.until(Ready)
        assert (await client.call({"time": 1}))["time"]


@every_fault
async def test_g18_tls_that_breaks_under_our_goodbye_is_an_end_without_an_answer(
    autojump_clock: Any, serve: Any, settings: Settings, fault: Fault, version: int
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        assert isinstance(await peer.event(), CloseConnection)
        assert isinstance(peer.stream, TlsPeer)
        await peer.stream.send_with(b"", fault)
        await peer.linger()

    async with serve(script, version=version) as endpoint, open_diary() as diary:
        async with open_client(endpoint=endpoint, settings=settings) as client:
            await diary.follow(client)
        assert trio.current_time() <= 2
        assert endpoint.peers[0].closes == [(1000, "")]
    assert [(e.was_clean, e.by) for e in diary.of(Closed)] == [(False, "us")]


@every_fault
async def test_g18_tls_that_broke_just_before_our_goodbye_does_no_harm(
    autojump_clock: Any, serve: Any, settings: Settings, fault: Fault, version: int
) -> None:
    async with serve(breaks_at(1, fault), version=version) as endpoint, open_diary() as diary:
        with pytest.raises(ValueError, match="mine"):
            async with open_client(endpoint=endpoint, settings=settings) as client:
                await diary.follow(client)
                await client.call({"time": 1})
                text = "mine"
                raise ValueError(text)
        assert trio.current_time() <= 2
    assert len(diary.of(Closed)) == 1


@breaking
async def test_g18_tls_that_breaks_under_a_write_that_waits_is_a_lost_connection(
    autojump_clock: Any, serve: Any, settings: Settings, fault: Fault, version: int
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(1)
        assert isinstance(peer.stream, TlsPeer)
        await peer.stream.send_with(b"", fault)
        await trio.sleep_forever()

    async with (
        serve(script, well, version=version, pair=stalling_pair) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)
        first = endpoint.lines[0].stream
        assert isinstance(first, Stalling)
        first.stalled = True
        with pytest.raises(OutcomeUnknown, match="without a Close"):
            await client.call({"buy": "1", "price": 1})
        assert trio.current_time() == 1
        await diary.until(Ready)
        assert_lost_to_the_network(diary.of(Failed))


def stalling_pair() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Return a line whose client's end can be told to take no more bytes."""
    ours, theirs = memory_stream_pair()
    return Stalling(ours), theirs


class Stalling(Line):
    """A line that takes no bytes while it is `stalled`."""

    stalled = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if self.stalled:
            await trio.sleep_forever()
        await super().send_all(data)


async def test_an_end_without_close_notify_is_an_end(
    autojump_clock: Any, serve: Any, settings: Settings
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.reply(await peer.request())

    async with (
        serve(script, well, version=SSL.TLS1_3_VERSION) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)
        assert (await client.call({"time": 1}))["time"]
        await diary.until(Ready)
        assert [(e.code, e.was_clean, e.by) for e in diary.of(Closed)] == [(1006, False, "network")]


# Before there is a connection


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(lambda peer: peer.stream.transport.receive_some(), id="an end"),
        pytest.param(lambda peer: peer.stream.transport.send_all(BAD_RECORD), id="a bad record"),
        pytest.param(
            lambda peer: peer.stream.transport.send_all(b"\x15\x03\x03\x00\x02\x02\x28"),
            id="an alert",
        ),
    ],
)
async def test_g18_tls_that_breaks_in_its_handshake_is_a_failed_attempt(
    autojump_clock: Any, serve: Any, settings: Settings, script: Any
) -> None:
    async with serve(script, version=SSL.TLS1_3_VERSION) as endpoint:
        with pytest.raises(ConnectionFailed) as caught:
            async with open_client(endpoint=endpoint, settings=settings.but(max_attempts=1)):
                pytest.fail("there is no connection")
        assert isinstance(caught.value.__cause__, ConnectRefused)


async def test_g18_a_host_that_cannot_be_a_tls_servers_is_an_invalid_url(
    autojump_clock: Any, serve: Any, settings: Settings
) -> None:
    async with serve(well, version=SSL.TLS1_3_VERSION) as endpoint:
        endpoint.address = "wss://.deriv.invalid/"
        with pytest.raises(InvalidURL, match="cannot be a server's name"):
            async with open_client(endpoint=endpoint, settings=settings):
                pytest.fail("there is no connection")
