"""The thirteen hazards of trio-websocket, each met by a server that provokes it.

Every wait ends at the time configured for it, to the virtual second, with its true cause, and
nothing is left behind: `open_endpoint` looks for tasks and open lines at the end of each test.
"""

# ruff: noqa: FBT001 - what a test is given as a flag is a parameter, not an option

import errno
import gc
import os
import signal
import ssl
import struct
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

import pytest
import trio
import trustme
from peers import (
    BAD_GATEWAY,
    HOST,
    RESERVED_BIT,
    UNKNOWN_OPCODE,
    Line,
    Peer,
    ScriptedEndpoint,
    causes,
    deaf,
    half_open,
    open_diary,
    open_endpoint,
    open_tcp_server,
    silent,
    tick,
    well,
)
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import RemoteProtocolError

from derivtrio import (
    Backoff,
    CertificateRejected,
    ClientClosed,
    Closed,
    Connecting,
    ConnectionFailed,
    ConnectRefused,
    ConnectTimeout,
    DerivError,
    Failed,
    HandshakeFailed,
    HandshakeRejected,
    HeartbeatMissed,
    LinkError,
    Opened,
    OutcomeUnknown,
    PeerClosed,
    ProtocolViolation,
    Ready,
    Settings,
    SlowConsumer,
    State,
    Waiting,
    open_client,
)
from derivtrio.connection.connection import open_connection
from derivtrio.policy.retry import is_fatal
from derivtrio.supervision.heartbeat import Pong

#: The next attempt comes almost at once, and no test waits for it.
SETTINGS = Settings(
    connect_timeout=3, close_timeout=2, backoff=Backoff(first=0.001, cap=0.001), stable_after=0
)

#: How many bytes of what the client writes a slow line holds.
ROOM = 1000

both_ways = pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])


async def failed_attempt(endpoint: Any, settings: Settings = SETTINGS) -> LinkError:
    """Return how the only attempt of a client to connect ended, verdict or not."""
    with pytest.raises(DerivError) as caught:
        async with open_client(endpoint=endpoint, settings=settings.but(max_attempts=1)):
            pytest.fail("there is nothing to connect to")
    error = caught.value.__cause__ if isinstance(caught.value, ConnectionFailed) else caught.value
    assert isinstance(error, LinkError)
    return error


def answer(response: bytes) -> Callable[[Peer], Any]:
    """Return a script that answers the handshake with *response*, and stays."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.write(response)
        await peer.linger()

    return script


def switching(*headers: str) -> bytes:
    """Return a response that agrees to the upgrade, with *headers*."""
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *headers, "", ""]).encode()


@pytest.mark.parametrize(
    "response",
    [b"", b"HTTP/1.1 ", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"],
    ids=["nothing", "half a line", "half a head"],
)
async def test_h01_a_silent_handshake_ends_at_the_connect_timeout(
    autojump_clock: Any, response: bytes
) -> None:
    async with open_endpoint(answer(response)) as endpoint:
        error = await failed_attempt(endpoint)
        assert isinstance(error, ConnectTimeout)
        assert str(error) == "no answer to the WebSocket handshake within 3 s"
        assert [type(cause) for cause in causes(error)] == [ConnectTimeout, trio.TooSlowError]
        assert trio.current_time() == endpoint.lines[0].closed_at == 3


async def test_h01_a_silent_tls_handshake_ends_at_the_connect_timeout(autojump_clock: Any) -> None:
    async with open_endpoint(silent) as endpoint:
        endpoint.address = f"wss://{HOST}/"
        error = await failed_attempt(endpoint)
        assert isinstance(error, ConnectTimeout)
        assert str(error) == f"no connection to {HOST} port 443 within 3 s"
        assert isinstance(error.__cause__, trio.TooSlowError)
        assert trio.current_time() == endpoint.lines[0].closed_at == 3


async def test_h01_a_handshake_one_byte_at_a_time_has_no_more_time(autojump_clock: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        for byte in switching("X: " + "x" * 1000):
            await peer.write(bytes([byte]))
            await trio.sleep(0.3)

    async with open_endpoint(script) as endpoint:
        assert isinstance(await failed_attempt(endpoint), ConnectTimeout)
        assert trio.current_time() == endpoint.lines[0].closed_at == 3


@pytest.mark.parametrize("slow", ["url", "open_stream"])
async def test_h01_all_of_an_attempt_shares_one_deadline(autojump_clock: Any, slow: str) -> None:
    class Slow(ScriptedEndpoint):
        async def url(self) -> str:
            await trio.sleep(2 if slow == "url" else 0)
            return await super().url()

        async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
            await trio.sleep(2 if slow == "open_stream" else 0)
            return await super().open_stream(host, port)

    async with open_endpoint(silent, kind=Slow) as endpoint:
        assert isinstance(await failed_attempt(endpoint), ConnectTimeout)
        assert trio.current_time() == endpoint.lines[0].closed_at == 3


async def test_h01_the_next_attempt_is_made(autojump_clock: Any) -> None:
    async with (
        open_endpoint(silent, silent, well) as endpoint,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        assert (await client.call({"ping": 1}))["ping"] == "pong"
        assert [int(line.closed_at or 0) for line in endpoint.lines] == [3, 6, 0]


@both_ways
@pytest.mark.parametrize("after_it", [b"", b"\x81\x02{}", RESERVED_BIT])
async def test_h02_a_close_without_fin_ends_the_connection_at_once(
    autojump_clock: Any, fast: bool, after_it: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(1)
        await peer.put(CloseConnection(1012, "restart"))
        assert isinstance(await peer.event(), CloseConnection)
        while True:
            await trio.sleep(5)
            await peer.write(after_it)

    settings = SETTINGS.but(fast=fast)
    async with (
        open_endpoint(script, well) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)
        await diary.until(Ready)
        assert [(e.code, e.reason, e.was_clean, e.by) for e in diary.of(Closed)] == [
            (1012, "restart", True, "server")
        ]
        assert diary.times(Closed) == [1]
        assert endpoint.lines[0].closed_at == 1
        assert endpoint.peers[0].closes == [(1012, "restart")]
        assert diary.of(Failed) == []


async def test_h02_a_goodbye_to_a_mute_peer_ends_at_the_close_timeout(autojump_clock: Any) -> None:
    async with open_endpoint(half_open) as endpoint, open_diary() as diary:
        async with open_client(endpoint=endpoint, settings=SETTINGS) as client:
            await diary.follow(client)
            await trio.sleep(5)
        assert trio.current_time() == endpoint.lines[0].closed_at == 7
    assert [(e.code, e.was_clean, e.by) for e in diary.of(Closed)] == [(1006, False, "us")]


@pytest.mark.parametrize("first", [True, False], ids=["crossing ours", "answering ours"])
async def test_h02_a_goodbye_is_over_with_the_peers_close_although_no_fin_comes(
    autojump_clock: Any, first: bool
) -> None:
    leave = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.accept()
        await leave.wait()
        if not first:
            assert isinstance(await peer.event(), CloseConnection)
        await peer.put(CloseConnection(1000, "bye"))
        await peer.linger()

    async with open_endpoint(script) as endpoint, open_diary() as diary:
        async with open_client(endpoint=endpoint, settings=SETTINGS) as client:
            await diary.follow(client)
            await trio.sleep(5)
            leave.set()
        assert trio.current_time() == endpoint.lines[0].closed_at == 5
    assert [(e.code, e.reason, e.was_clean) for e in diary.of(Closed)] == [(1000, "bye", True)]


def one_frame(peer: Peer) -> list[Any]:
    return [TextMessage("x" * 2000)]


def many_fragments(peer: Peer) -> list[Any]:
    parts = [TextMessage("x" * 100, message_finished=False) for _ in range(20)]
    return [*parts, TextMessage("x")]


def binary(peer: Peer) -> list[Any]:
    return [BytesMessage(b"x" * 2000)]


@both_ways
@pytest.mark.parametrize("flood", [one_frame, many_fragments, binary])
async def test_h03_a_message_too_large_from_a_peer_then_mute_ends_the_connection_at_once(
    autojump_clock: Any, fast: bool, flood: Callable[[Peer], list[Any]]
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        assert "buy" in await peer.request()
        await peer.put(*flood(peer))
        await peer.event()
        await peer.linger()

    settings = SETTINGS.but(max_message_size=1000, fast=fast)
    async with (
        open_endpoint(script, well) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)
        await trio.sleep(1)
        with pytest.raises(OutcomeUnknown, match="larger than 1000 bytes"):
            await client.call({"buy": "1", "price": 1})
        assert trio.current_time() == endpoint.lines[0].closed_at == 1
        assert [code for code, _ in endpoint.peers[0].closes] == [1009]
        await diary.until(Failed)
        assert isinstance(diary.of(Failed)[0].error, ProtocolViolation)
        assert (await client.call({"ping": 1}))["ping"] == "pong"
        assert client.status.pending == 0
    assert [request for request in endpoint.peers[1].requests if "buy" in request] == []


async def test_h03_a_message_of_the_largest_size_is_taken(autojump_clock: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        request = await peer.request()
        reply = {"req_id": request["req_id"], "ping": ""}
        empty = len(b'{"req_id":,"ping":""}') + len(str(request["req_id"]))
        await peer.say(reply | {"ping": "x" * (1000 - empty)})
        await peer.serve()

    async with (
        open_endpoint(script) as endpoint,
        open_client(endpoint=endpoint, settings=SETTINGS.but(max_message_size=1000)) as client,
    ):
        assert len((await client.call({"ping": 1}))["ping"]) > 950
        assert client.status.connection == 1


@both_ways
@pytest.mark.parametrize("frame", [RESERVED_BIT, UNKNOWN_OPCODE, b"\x81\x82keys{}"])
async def test_h03_a_malformed_frame_from_a_peer_then_mute_ends_the_connection_at_once(
    autojump_clock: Any, fast: bool, frame: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(1)
        await peer.write(frame)
        await peer.linger()

    async with (
        open_endpoint(script, well) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS.but(fast=fast)) as client,
    ):
        await diary.follow(client)
        await diary.until(Ready)
        assert isinstance(diary.of(Failed)[0].error, ProtocolViolation)
        assert [(e.was_clean, e.by) for e in diary.of(Closed)] == [(False, "us")]
        assert endpoint.lines[0].closed_at == 1


async def test_h04_a_socket_that_dies_under_a_heartbeat_is_noticed_at_once(
    autojump_clock: Any,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        assert await peer.request() == {"ping": 1, "req_id": 1}
        await trio.sleep(4)

    async with (
        open_endpoint(script, well) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        await diary.follow(client)
        await diary.until(Ready)
        assert diary.times(Closed) == [29]
        error = diary.of(Failed)[0].error
        assert isinstance(error, PeerClosed)
        assert error.code == 1006
        assert endpoint.lines[0].closed_at == 29


async def test_h04_a_heartbeat_without_an_answer_ends_at_its_deadline(autojump_clock: Any) -> None:
    async with (
        open_endpoint(half_open, well) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        await diary.follow(client)
        await diary.until(Ready)
        assert diary.times(Closed) == [35]
        assert isinstance(diary.of(Failed)[0].error, HeartbeatMissed)
        assert endpoint.lines[0].closed_at == 35


async def test_h04_heartbeats_without_a_pong_do_not_pile_up(autojump_clock: Any) -> None:
    async def evasive(peer: Peer) -> None:
        await peer.accept()
        while await peer.request() is not None:
            await peer.say(tick(0))

    async with (
        open_endpoint(evasive) as endpoint,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        await trio.sleep(25 * 1000 + 1)
        assert len(endpoint.peers[0].requests) == 1000
        assert sum(isinstance(thing, Pong) for thing in gc.get_objects()) <= 1
        assert client.status.connection == 1


async def test_h05_a_connection_closed_during_the_handshake_is_a_failure_at_once(
    autojump_clock: Any,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.write(b"HTTP/1.1 1")

    async with open_endpoint(script) as endpoint:
        error = await failed_attempt(endpoint)
        assert isinstance(error, HandshakeFailed)
        assert str(error) == "the server closed the connection during the handshake"
        assert trio.current_time() == endpoint.lines[0].closed_at == 0


async def test_h05_a_reset_during_the_handshake_keeps_the_systems_error() -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        assert isinstance(peer.stream, trio.SocketStream)
        peer.stream.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))

    async with open_tcp_server(script) as server:
        error = await failed_attempt(server.url, SETTINGS.but(connect_timeout=20))
        root = causes(error)[-1]
        assert isinstance(error, HandshakeFailed)
        assert isinstance(root, OSError)
        assert root.errno == errno.ECONNRESET


@pytest.mark.parametrize("resets", [True, False], ids=["RST", "FIN"])
async def test_g01_the_log_says_how_the_network_ended_a_connection(
    caplog: pytest.LogCaptureFixture, *, resets: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.request()
        if resets:
            assert isinstance(peer.stream, trio.SocketStream)
            peer.stream.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))

    settings = SETTINGS.but(backoff=Backoff(first=0.001, cap=0.001), connect_timeout=20)
    async with (
        open_tcp_server(script, well) as server,
        open_client(endpoint=server.url, settings=settings) as client,
    ):
        with pytest.raises(OutcomeUnknown):
            await client.call({"buy": "1", "price": 1})
        await client.wait_ready()
    warning, doubt = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert doubt.startswith("still in doubt at the end: buy")
    remark = f" ({os.strerror(errno.ECONNRESET)})" if resets else ""
    assert warning == f"the connection ended without a Close{remark}; trying again in 0.0 s"


async def test_h01_an_endpoint_that_has_no_url_in_time_is_named(autojump_clock: Any) -> None:
    class Stuck(ScriptedEndpoint):
        async def url(self) -> str:
            await trio.sleep_forever()
            raise AssertionError

    async with open_endpoint(silent, kind=Stuck) as endpoint:
        error = await failed_attempt(endpoint)
        assert isinstance(error, ConnectTimeout)
        assert str(error) == "no URL from the endpoint within 3 s"


async def test_h05_a_refusal_whose_body_never_ends_is_told_within_a_second(
    autojump_clock: Any,
) -> None:
    async with open_endpoint(answer(BAD_GATEWAY)) as endpoint:
        error = await failed_attempt(endpoint)
        assert isinstance(error, HandshakeRejected)
        assert (error.status, error.body) == (502, b"<html>no one here</html>")
        assert trio.current_time() == endpoint.lines[0].closed_at == 1


async def test_h05_a_refusal_is_told_at_once_when_its_body_is_complete(autojump_clock: Any) -> None:
    response = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy and more"
    async with open_endpoint(answer(response)) as endpoint:
        error = await failed_attempt(endpoint)
        assert isinstance(error, HandshakeRejected)
        assert (error.status, error.body) == (503, b"busy")
        assert trio.current_time() == endpoint.lines[0].closed_at == 0


async def test_h05_a_refusal_with_an_endless_body_is_cut_short(autojump_clock: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.write(BAD_GATEWAY)
        while True:
            await peer.write(b"x" * 1000)
            await trio.sleep(0.01)

    async with open_endpoint(script) as endpoint:
        error = await failed_attempt(endpoint)
        assert isinstance(error, HandshakeRejected)
        assert len(error.body) == 4096
        assert trio.current_time() < 0.1


async def test_h05_a_refusal_at_the_last_moment_is_still_a_refusal(autojump_clock: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await trio.sleep(2.5)
        await peer.write(BAD_GATEWAY.replace(b"502", b"401"))
        await peer.linger()

    async with open_endpoint(script) as endpoint:
        error = await failed_attempt(endpoint)
        assert trio.current_time() == 3
        assert isinstance(error, HandshakeRejected)
        assert error.status == 401


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> Settings:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return SETTINGS.but(ssl_context=context)


TLS_REFUSALS = pytest.mark.parametrize(
    ("name", "trusted", "words"),
    [(HOST, False, "unable to get local issuer certificate"), ("other.invalid", True, "mismatch")],
    ids=["untrusted", "other name"],
)


@TLS_REFUSALS
async def test_h06_a_certificate_that_proves_nothing_is_a_verdict_at_once(
    autojump_clock: Any, authority: trustme.CA, name: str, trusted: bool, words: str
) -> None:
    settings = trusting(authority if trusted else trustme.CA())
    async with open_endpoint(well, ssl_context=server_context(authority, name)) as endpoint:
        error = await failed_attempt(endpoint, settings)
        assert isinstance(error, CertificateRejected)
        assert words in str(error)
        assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
        assert trio.current_time() == endpoint.lines[0].closed_at == 0
        assert is_fatal(error)


@TLS_REFUSALS
async def test_h06_it_is_the_same_on_real_sockets(
    authority: trustme.CA, name: str, trusted: bool, words: str
) -> None:
    settings = trusting(authority if trusted else trustme.CA())
    context = server_context(authority, name if trusted else "127.0.0.1")
    async with open_tcp_server(well, ssl_context=context) as server:
        error = await failed_attempt(server.url.replace("ws", "wss"), settings)
        assert isinstance(error, CertificateRejected)
        assert words in str(error)
        assert isinstance(error.__cause__, ssl.SSLCertVerificationError)


async def test_h06_what_is_not_tls_says_so_and_is_tried_again(autojump_clock: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.write(BAD_GATEWAY)

    async with open_endpoint(script) as endpoint:
        endpoint.address = f"wss://{HOST}/"
        error = await failed_attempt(endpoint)
        assert isinstance(error, ConnectRefused)
        assert isinstance(error.__cause__, ssl.SSLError)
        assert trio.current_time() == endpoint.lines[0].closed_at == 0


async def test_h06_a_certificate_that_proves_it_is_accepted(
    autojump_clock: Any, authority: trustme.CA
) -> None:
    async with (
        open_endpoint(well, ssl_context=server_context(authority, HOST)) as endpoint,
        open_client(endpoint=endpoint, settings=trusting(authority)) as client,
    ):
        assert (await client.call({"ping": 1}))["ping"] == "pong"


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP; its answer begins b'SSH-2.0"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "does not speak HTTP"),
        (b"HTTP/2 101\r\n\r\n", "no HTTP/1.1 response"),
        (b"HTTP/1.1 one hundred\r\n\r\n", "no HTTP/1.1 response"),
        (b"HTTP/1.1 101 " + b"x" * 20_000, "longer than 16384 bytes; it begins b'HTTP/1.1 101 xxx"),
        (switching(), "not a WebSocket's"),
        (switching("not a header"), "not a WebSocket's"),
        (switching("Upgrade: smoke", "Connection: Upgrade"), "not a WebSocket's"),
    ],
)
async def test_h07_an_answer_that_is_no_handshake_is_told_as_such(
    autojump_clock: Any, response: bytes, words: str
) -> None:
    async with open_endpoint(answer(response)) as endpoint:
        error = await failed_attempt(endpoint)
        assert isinstance(error, HandshakeFailed)
        assert words in str(error)
        assert trio.current_time() == endpoint.lines[0].closed_at == 0


async def test_h07_a_wrong_accept_key_is_named_as_the_cause(autojump_clock: Any) -> None:
    response = switching("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: no")
    async with open_endpoint(answer(response)) as endpoint:
        error = await failed_attempt(endpoint)
        assert isinstance(error, HandshakeFailed)
        assert trio.current_time() == endpoint.lines[0].closed_at == 0
        assert isinstance(causes(error)[-1], RemoteProtocolError)
        assert "accept token" in str(error)


async def test_h08_a_message_whose_sender_is_cancelled_midway_arrives_whole(
    autojump_clock: Any,
) -> None:
    async def slow(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(5)
        await peer.serve()

    async with (
        open_endpoint(slow, pair=lockstep_stream_pair) as endpoint,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        with trio.move_on_after(1) as impatience:
            await client.send({"large": "x" * 100_000})
        assert impatience.cancelled_caught
        assert trio.current_time() == 1
        assert (await client.call({"ping": 1}))["ping"] == "pong"
        assert trio.current_time() == 5
        assert endpoint.peers[0].requests == [{"large": "x" * 100_000}, {"ping": 1, "req_id": 2}]
        assert client.status.connection == 1


async def test_h08_no_close_frame_is_written_into_the_middle_of_another(
    autojump_clock: Any,
) -> None:
    async def stalled(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(5)
        peer.requests.append(await peer.receive())
        peer.requests.append(await peer.receive())
        peer.ended_at = trio.current_time()

    async with open_endpoint(stalled, pair=slow_pair) as endpoint, open_diary() as diary:
        with trio.CancelScope() as scope:
            async with (
                open_client(endpoint=endpoint, settings=SETTINGS) as client,
                trio.open_nursery() as nursery,
            ):
                await diary.follow(client)
                nursery.start_soon(client.send, "x" * 100_000)
                await trio.sleep(1)
                scope.cancel()
        assert trio.current_time() == endpoint.lines[0].closed_at == 3
        await trio.sleep(5)
        torn, nothing = endpoint.peers[0].requests
        assert torn[:2] == b"\x81\xff"
        assert len(torn) == ROOM
        assert nothing == b""
    assert [(e.code, e.was_clean, e.by) for e in diary.of(Closed)] == [(1006, False, "us")]


async def test_h08_nor_when_it_is_a_violation_that_ends_the_connection(
    autojump_clock: Any,
) -> None:
    async def garbled(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(1)
        await peer.put(TextMessage("<html>"))
        await trio.sleep(5)
        peer.requests.append(await peer.receive())
        peer.requests.append(await peer.receive())

    async with (
        open_endpoint(garbled, well, pair=slow_pair) as endpoint,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        with pytest.raises(OutcomeUnknown, match="not JSON"):
            await client.send("x" * 100_000)
        assert trio.current_time() == endpoint.lines[0].closed_at == 1
        await trio.sleep(6)
        assert [len(data) for data in endpoint.peers[0].requests] == [ROOM, 0]


def slow_pair() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Return a line that holds `ROOM` bytes of what the client writes, and then stalls it."""
    ours, theirs = memory_stream_pair()
    return Narrow(ours), theirs


class Narrow(Line):
    """A line that takes the handshake, and after it `ROOM` bytes."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        if bytes(data[:3]) == b"GET":
            await super().send_all(data)
            return
        await super().send_all(data[:ROOM])
        if len(data) > ROOM:
            await trio.sleep_forever()


async def test_h08_a_write_that_stalls_loses_the_connection_in_time(autojump_clock: Any) -> None:
    async def talkative(peer: Peer) -> None:
        await peer.accept()
        while True:
            await peer.say(tick(0))
            await trio.sleep(1)

    async with (
        open_endpoint(talkative, well, pair=slow_pair) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        await diary.follow(client)
        await trio.sleep(5)
        with pytest.raises(OutcomeUnknown, match="took no bytes for 35 s"):
            await client.call({"buy": "1", "price": 1, "passthrough": {"x": "x" * 10_000}})
        assert trio.current_time() == endpoint.lines[0].closed_at == 40
        await diary.until(Closed)
        assert isinstance(diary.of(Failed)[0].error, HeartbeatMissed)
        assert [event.by for event in diary.of(Closed)] == ["heartbeat"]
        assert (await client.call({"time": 1}))["time"]


async def test_h08_a_heartbeat_that_stalls_loses_the_connection_in_time(
    autojump_clock: Any,
) -> None:
    async def deafened(peer: Peer) -> None:
        await peer.accept()
        await deaf(peer)

    async with (
        open_endpoint(deafened, well, pair=lockstep_stream_pair) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        await diary.follow(client)
        await diary.until(Ready)
        assert diary.times(Closed) == [35]
        assert endpoint.lines[0].closed_at == 35
        assert endpoint.peers[0].closes == []


@both_ways
async def test_h09_a_stuck_consumer_delays_nobody(autojump_clock: Any, fast: bool) -> None:
    async def flooding(peer: Peer) -> None:
        await peer.accept()
        await peer.reply(await peer.request())
        await peer.say(*(tick(n, req_id=1) for n in range(1, 5001)))
        await peer.put(Ping(b"alive?"))
        await peer.serve()

    async with (
        open_endpoint(flooding) as endpoint,
        open_client(endpoint=endpoint, settings=SETTINGS.but(fast=fast)) as client,
        client.subscribe({"ticks": "R_100"}, buffer=2, overflow="drop_oldest") as ticks,
    ):
        assert (await client.call({"time": 1}))["time"]
        await wait_all_tasks_blocked()
        assert trio.current_time() == 0
        assert endpoint.peers[0].pongs == [b"alive?"]
        assert ticks.dropped == 4999
        assert [(await anext(ticks))["tick"]["epoch"] for _ in range(2)] == [4999, 5000]


@both_ways
async def test_h09_a_close_behind_what_nobody_takes_is_noticed_at_once(
    autojump_clock: Any, fast: bool
) -> None:
    async def flooding(peer: Peer) -> None:
        await peer.accept()
        await peer.reply(await peer.request())
        await peer.say(*(tick(n, req_id=1) for n in range(1, 5001)))
        await peer.put(CloseConnection(1001, "going"))
        await peer.event()

    async with (
        open_endpoint(flooding, well) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS.but(fast=fast)) as client,
    ):
        await diary.follow(client)
        async with client.subscribe({"ticks": "R_100"}, buffer=1) as ticks:
            await diary.until(Closed)
            assert diary.times(Closed) == [0]
            assert [(e.code, e.reason) for e in diary.of(Closed)] == [(1001, "going")]
            with pytest.raises(SlowConsumer):
                _ = [message async for message in ticks]
        await diary.until(Ready)
        assert (await client.call({"ping": 1}))["ping"] == "pong"


async def test_h10_every_closer_waits_for_the_end(autojump_clock: Any) -> None:
    async def slow(peer: Peer) -> None:
        await peer.accept()
        assert isinstance(await peer.event(), CloseConnection)
        await trio.sleep(1)
        await peer.put(CloseConnection(1000))
        await peer.event()

    returned: list[float] = []
    async with (
        open_endpoint(slow) as endpoint,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):

        async def close(after: float) -> None:
            await trio.sleep(after)
            await client.aclose()
            assert client.status.state is State.CLOSED
            assert endpoint.lines[0].closed_at == 1
            returned.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            for after in (0, 0, 0.5, 3):
                nursery.start_soon(close, after)
        assert returned == [1, 1, 1, 3]
        assert endpoint.peers[0].closes == [(1000, "")]
        with pytest.raises(ClientClosed):
            await client.call({"ping": 1})


async def test_h10_a_closer_that_is_cancelled_does_not_stop_the_closing(
    autojump_clock: Any,
) -> None:
    async with open_endpoint(half_open) as endpoint:
        async with open_client(endpoint=endpoint, settings=SETTINGS) as client:
            with trio.move_on_after(0.5):
                await client.aclose()
            assert trio.current_time() == 0.5
            assert client.status.state is State.CLOSING
            await client.aclose()
            assert trio.current_time() == endpoint.lines[0].closed_at == 2
        assert trio.current_time() == 2


@pytest.mark.parametrize("answers", [True, False])
async def test_h11_a_ping_during_our_goodbye_does_no_harm(
    autojump_clock: Any, answers: bool
) -> None:
    async def pinging(peer: Peer) -> None:
        await peer.accept()
        close = await peer.event()
        assert isinstance(close, CloseConnection)
        await peer.write(b"\x89\x03one\x89\x03two")
        if answers:
            await peer.put(close.response())
        await peer.event()

    async with open_endpoint(pinging) as endpoint, open_diary() as diary:
        with pytest.raises(ValueError, match="mine"):
            async with open_client(endpoint=endpoint, settings=SETTINGS) as client:
                await diary.follow(client)
                await trio.sleep(1)
                text = "mine"
                raise ValueError(text)
        assert trio.current_time() == endpoint.lines[0].closed_at == (1 if answers else 3)
        assert endpoint.peers[0].pongs == []
    assert [event.was_clean for event in diary.of(Closed)] == [answers]


async def test_h11_a_ping_that_our_goodbye_cuts_in_two_does_no_harm(autojump_clock: Any) -> None:
    async def pinging(peer: Peer) -> None:
        await peer.accept()
        await peer.write(b"\x89\x03o")
        await peer.event()
        await peer.write(b"ne")
        await peer.linger()

    async with open_endpoint(pinging) as endpoint, open_diary() as diary:
        async with open_client(endpoint=endpoint, settings=SETTINGS) as client:
            await diary.follow(client)
            await trio.sleep(1)
        assert trio.current_time() <= 3
        assert endpoint.lines[0].closed_at == trio.current_time()
        assert endpoint.peers[0].closes == [(1000, "")]
    assert [event.by for event in diary.of(Closed)] == ["us"]


@pytest.mark.parametrize("patience", [0, 1])
async def test_h12_a_cancelled_block_says_goodbye_and_waits_no_longer_than_for_the_answer(
    autojump_clock: Any, patience: float
) -> None:
    async def polite(peer: Peer) -> None:
        await peer.accept()
        close = await peer.event()
        assert isinstance(close, CloseConnection)
        await trio.sleep(patience)
        await peer.put(close.response())
        await peer.event()

    async with open_endpoint(polite) as endpoint, open_diary() as diary:
        with trio.move_on_after(5):
            async with open_client(endpoint=endpoint, settings=SETTINGS) as client:
                await diary.follow(client)
                await trio.sleep_forever()
        assert trio.current_time() == endpoint.lines[0].closed_at == 5 + patience
        assert endpoint.peers[0].closes == [(1000, "")]
    assert [(e.code, e.was_clean, e.by) for e in diary.of(Closed)] == [(1000, True, "us")]


async def test_h12_the_goodbye_is_said_also_from_within_a_cancelled_nursery(
    autojump_clock: Any,
) -> None:
    async with open_endpoint(well) as endpoint:

        async def use(task_status: trio.TaskStatus[None]) -> None:
            async with open_client(endpoint=endpoint, settings=SETTINGS):
                task_status.started()
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            await nursery.start(use)
            await nursery.start(use)
            nursery.cancel_scope.cancel()
        assert trio.current_time() == 0
        assert [peer.closes for peer in endpoint.peers] == [[(1000, "")], [(1000, "")]]


def count(peer: Peer) -> None:
    assert peer.number < 1000, "a hot loop"


async def accept_then_close(peer: Peer) -> None:
    count(peer)
    await peer.accept()
    await peer.put(CloseConnection(1013, "later"))
    await peer.event()


async def accept_then_drop(peer: Peer) -> None:
    count(peer)
    await peer.accept()


async def hang_up(peer: Peer) -> None:
    count(peer)
    await peer.read_request()


@pytest.mark.parametrize("script", [accept_then_close, accept_then_drop, hang_up])
async def test_h13_a_server_that_closes_at_once_for_an_hour_is_not_asked_in_a_hot_loop(
    autojump_clock: Any, script: Callable[[Peer], Any]
) -> None:
    settings = Settings(backoff=Backoff(first=0.5, factor=2, cap=60), wait_ready=False)
    async with (
        open_endpoint(script) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)
        await trio.sleep(3600)
        ceilings = [min(60, 0.5 * 2**n) for n in range(len(diary.of(Waiting)))]
        waits = [event.delay for event in diary.of(Waiting)]
        assert all(0 <= wait <= most for wait, most in zip(waits, ceilings, strict=True))
        # One attempt in 30 s on average, of which an hour holds 120: these are ten deviations.
        assert 60 < len(endpoint.peers) < 190
        for wait, before, after in zip(waits, endpoint.peers, endpoint.peers[1:], strict=False):
            assert after.opened_at == pytest.approx(before.opened_at + wait)
        attempts = [event.attempt for event in diary.of(Connecting)]
        assert attempts == list(range(1, len(endpoint.peers) + 1))


async def test_h13_only_a_stable_connection_starts_the_backoff_anew(autojump_clock: Any) -> None:
    def lasting(seconds: float) -> Callable[[Peer], Any]:
        async def script(peer: Peer) -> None:
            await peer.accept()
            with trio.move_on_after(seconds):
                await peer.serve()

        return script

    settings = Settings(stable_after=60, backoff=Backoff(first=1, factor=1, cap=1))
    scripts = [lasting(0), lasting(59), lasting(61), lasting(0), well]
    async with (
        open_endpoint(*scripts) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings.but(wait_ready=False)) as client,
    ):
        await diary.follow(client)
        await diary.until(Opened, times=5)  # one that is lost at once need not get ready
        assert [event.attempt for event in diary.of(Waiting)] == [2, 3, 1, 2]


@pytest.mark.parametrize("fast", [True, False])
async def test_a_ping_that_cannot_be_answered_is_no_mistake_of_the_servers(
    autojump_clock: Any, fast: bool
) -> None:
    """It is gone; trio-websocket finds that out by writing, and calls it its own end, with 1006."""

    async def ask_and_go(peer: Peer) -> None:
        await peer.accept()
        await peer.put(TextMessage("{}"), Ping(b"?"), TextMessage("[]"))

    settings = Settings(fast=fast)
    async with (
        open_endpoint(ask_and_go) as endpoint,
        open_connection(endpoint, 1, settings) as connection,
    ):
        with connection.scope:
            with connection.reading:
                while await connection.receive() is not None:
                    pass
            connection.lose_to_peer()
        assert connection.disconnect is not None
        assert connection.disconnect.by == "network"


@contextmanager
def forked_child() -> Iterator[None]:
    """Have a child process that has copies of all that is open here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this process has several threads, as trio's often do
        child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize("secure", [True, False], ids=["TLS", "TCP"])
@pytest.mark.parametrize(
    "child",
    [
        nullcontext,
        pytest.param(
            forked_child, marks=pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
        ),
    ],
    ids=["alone", "forked"],
)
async def test_g04_what_was_not_sent_before_a_connection_was_given_up_is_never_sent(
    authority: trustme.CA, fast: bool, secure: bool, child: Callable[[], Any]
) -> None:
    """After a FIN the system would go on sending for minutes, to whoever reads again."""
    ended: list[Exception | None] = []
    given_up, over = trio.Event(), trio.Event()

    async def stalled(peer: Peer) -> None:
        await peer.accept()
        await given_up.wait()
        stream = peer.stream.transport_stream if secure else peer.stream
        try:
            while await stream.receive_some():
                pass
            ended.append(None)
        except trio.BrokenResourceError as error:
            ended.append(error.__cause__)
        over.set()

    theirs = server_context(authority, "127.0.0.1") if secure else None
    settings = trusting(authority).but(
        backoff=Backoff(first=0.001, cap=0.001),
        connect_timeout=20,
        close_timeout=0.02,
        fast=fast,
    )
    async with open_tcp_server(stalled, well, ssl_context=theirs) as server:
        url = server.url.replace("ws:", "wss:") if secure else server.url
        async with open_client(endpoint=url, settings=settings) as client:
            with child():
                await client.reconnect()
                given_up.set()
                with trio.move_on_after(0.2):
                    await over.wait()
                assert over.is_set()
    assert [getattr(each, "errno", None) for each in ended] == [errno.ECONNRESET]
