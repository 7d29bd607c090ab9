"""Real TCP and real TLS, with a server that is not ours: the `websockets` library's.

It runs in a thread of its own, with its own event loop. Nothing here sleeps; what takes time is
waited for, under a guard that is far longer than it takes.
"""

# ruff: noqa: FBT001 - what a test is given as a flag is a parameter, not an option

import asyncio
import gc
import json
import logging
import os
import re
import ssl
import threading
import traceback
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trustme
from peers import (
    Peer,
    crew,
    deaf,
    half_open,
    open_diary,
    open_tcp_server,
    silent,
    well,
)
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from derivtrio import (
    Authorized,
    Backoff,
    CertificateRejected,
    Client,
    Closed,
    ConnectionFailed,
    DerivError,
    Failed,
    HandshakeRejected,
    HeartbeatMissed,
    InvalidToken,
    MessageReceived,
    OutcomeUnknown,
    Ready,
    Settings,
    Waiting,
    open_client,
)

GUARD = 20
LARGE = 1_000_000
SETTINGS = Settings(
    connect_timeout=GUARD,
    restore_timeout=GUARD,
    backoff=Backoff(first=0.01, cap=0.05),
    heartbeat_interval=GUARD,
)

both_ways = pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])


@attrs.define(eq=False)
class ForeignServer:
    """A few of Deriv's calls on a `websockets` server; trio talks to it by `do`.

    `closes` are the close codes and reasons that its connections ended with, oldest first.
    """

    tls: ssl.SSLContext | None
    port: int = 0
    connections: list[ServerConnection] = attrs.field(factory=list)
    paths: list[str] = attrs.field(factory=list)
    requests: list[Any] = attrs.field(factory=list)
    closes: list[tuple[int | None, str | None]] = attrs.field(factory=list)
    _listener: Server | None = None
    # Not asyncio.new_event_loop: trio-asyncio, once imported, forbids that under trio.
    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.SelectorEventLoop)
    _ended: trio.Event = attrs.field(factory=trio.Event)
    _token: Any = attrs.field(factory=trio.lowlevel.current_trio_token)

    @property
    def url(self) -> str:
        return f"{'ws' if self.tls is None else 'wss'}://127.0.0.1:{self.port}/websockets/v3"

    async def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run *work* in the server's event loop, and return what it returns."""
        done = trio.Event()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(lambda _: self._token.run_sync_soon(done.set))
        await done.wait()
        return future.result()

    async def listen(self) -> None:
        """Serve on the port it had before, or on a free one."""
        self._listener = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            ssl=self.tls,
            ping_interval=None,
            max_size=10 * LARGE,
        )
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self, code: int = 1001) -> None:
        """Close the port and, with *code*, all connections."""
        assert self._listener is not None
        self._listener.close(close_connections=False)
        for connection in list(self._listener.connections):
            await connection.close(code)
        await self._listener.wait_closed()

    async def close(self, code: int, reason: str) -> None:
        await self.connections[-1].close(code, reason)

    async def abort(self) -> None:
        """End the newest connection's TCP without a word."""
        self.connections[-1].transport.abort()

    async def send(self, message: Any) -> None:
        await self.connections[-1].send(message)

    async def ping(self) -> None:
        """Return when the newest connection has answered a ping."""
        await (await self.connections[-1].ping(b"are you there?"))

    async def ended(self, times: int = 1) -> None:
        """Wait, in trio, until so many connections are over on this side too."""
        while len(self.closes) < times:
            await self._ended.wait()

    def run(self) -> None:
        """Be the thread's body."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def quit(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        assert connection.request is not None
        self.paths.append(connection.request.path)
        with suppress(ConnectionClosed):
            async for message in connection:
                await self._answer(connection, message)
        await connection.wait_closed()
        self.closes.append((connection.close_code, connection.close_reason))
        self._token.run_sync_soon(self._note_end)

    def _note_end(self) -> None:
        self._ended.set()
        self._ended = trio.Event()

    async def _answer(self, connection: ServerConnection, message: str | bytes) -> None:
        request = json.loads(message) if isinstance(message, str) else message
        self.requests.append(request)
        if isinstance(request, dict):
            for reply in replies_to(request, len(self.connections)):
                await connection.send(json.dumps(reply))


def replies_to(request: dict[str, Any], connection: int) -> list[dict[str, Any]]:
    """Return what Deriv would say, as far as it is needed here."""
    match request:
        case {"ping": 1}:
            payloads: list[dict[str, Any]] = [{"msg_type": "ping", "ping": "pong"}]
        case {"time": 1}:
            payloads = [{"msg_type": "time", "time": 1_700_000_000}]
        case {"authorize": "good"}:
            payloads = [{"msg_type": "authorize", "authorize": {"loginid": "VRTC1"}}]
        case {"authorize": _}:
            error = {"code": "InvalidToken", "message": "The token is invalid."}
            payloads = [{"msg_type": "authorize", "error": error}]
        case {"ticks": symbol, "subscribe": 1}:
            stream = {"id": f"stream-{connection}"}
            payloads = [
                {"msg_type": "tick", "tick": {"symbol": symbol, "epoch": n}, "subscription": stream}
                for n in range(10 * connection, 10 * connection + 3)
            ]
        case {"forget": _}:
            payloads = [{"msg_type": "forget", "forget": 1}]
        case _:
            return []
    return [{**payload, "echo_req": request, "req_id": request["req_id"]} for payload in payloads]


@asynccontextmanager
async def open_foreign_server(tls: ssl.SSLContext | None = None) -> AsyncGenerator[ForeignServer]:
    server = ForeignServer(tls)
    thread = threading.Thread(target=server.run, name="a server that is not ours")
    thread.start()
    with trio.fail_after(GUARD):
        try:
            await server.do(server.listen())
            yield server
            assert crew() == []
        finally:
            with trio.CancelScope(shield=True):
                await server.do(server.stop())
                server.quit()
                await trio.to_thread.run_sync(thread.join)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@attrs.frozen
class Tls:
    """What the two sides take to speak TLS; the server without it speaks plain TCP."""

    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None


@pytest.fixture(params=["tcp", "tls"])
def tls(request: pytest.FixtureRequest, authority: trustme.CA) -> Tls:
    if request.param == "tcp":
        return Tls()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Tls(server, client)


@asynccontextmanager
async def connected(
    server: ForeignServer, tls: Tls | None = None, **settings: Any
) -> AsyncGenerator[Client]:
    context = None if tls is None else tls.client
    async with open_client(
        endpoint=server.url, settings=SETTINGS.but(ssl_context=context, **settings)
    ) as client:
        yield client


async def epochs(ticks: Any, count: int) -> list[int]:
    return [(await anext(ticks))["tick"]["epoch"] for _ in range(count)]


async def test_the_calls_of_a_session(tls: Tls) -> None:
    async with open_foreign_server(tls.server) as server:
        async with open_client(
            endpoint=server.url, token="good", settings=SETTINGS.but(ssl_context=tls.client)
        ) as client:
            assert (await client.call({"ping": 1}))["ping"] == "pong"
            assert (await client.call({"time": 1}))["time"] == 1_700_000_000
            async with client.subscribe({"ticks": "R_100"}) as ticks:
                assert await epochs(ticks, 3) == [10, 11, 12]
                assert ticks.id == "stream-1"
            await client.call({"ping": 1})
            await client.aclose(4001, "that is all")
        await server.ended()
        assert server.closes == [(4001, "that is all")]
        assert server.paths == ["/websockets/v3?app_id=1089"]
        assert [next(iter(request)) for request in server.requests] == [
            *["authorize", "ping", "time", "ticks", "forget", "ping"]
        ]
        assert server.requests[4]["forget"] == "stream-1"


async def test_the_platforms_authorities_are_those_of_now(
    authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted = tmp_path / "authorities.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with open_foreign_server(context) as server:
        trustme.CA().cert_pem.write_to_path(str(trusted))
        os.utime(trusted, (1, 1))
        with pytest.raises(CertificateRejected):
            await connected(server).__aenter__()
        authority.cert_pem.write_to_path(str(trusted))
        async with connected(server) as client:
            assert (await client.call({"ping": 1}))["ping"] == "pong"


async def restarts(server: ForeignServer) -> None:
    await server.do(server.stop(1012))
    await server.do(server.listen())


BREAKS: list[Any] = [
    pytest.param(
        lambda server: server.do(server.close(4000, "enough")),
        (4000, "enough", True, "server"),
        id="closes",
    ),
    pytest.param(
        lambda server: server.do(server.close(1011, "")), (1011, "", True, "server"), id="fails"
    ),
    pytest.param(
        lambda server: server.do(server.abort()), (1006, "", False, "network"), id="aborts"
    ),
    pytest.param(restarts, (1012, "", True, "server"), id="restarts"),
]


@both_ways
@pytest.mark.parametrize(("breaks", "closed"), BREAKS)
async def test_a_lost_connection_is_replaced_and_its_streams_go_on(
    tls: Tls,
    fast: bool,
    breaks: Callable[[ForeignServer], Awaitable[None]],
    closed: tuple[int, str, bool, str],
) -> None:
    async with open_foreign_server(tls.server) as server:
        async with (
            open_diary() as diary,
            connected(server, tls, fast=fast) as client,
            client.subscribe({"ticks": "R_100"}) as ticks,
        ):
            await diary.follow(client)
            assert await epochs(ticks, 3) == [10, 11, 12]
            for connection in (2, 3):
                await breaks(server)
                expected = [10 * connection + n for n in range(3)]
                assert await epochs(ticks, 3) == expected
                assert (await client.call({"ping": 1}))["ping"] == "pong"
                assert client.status.connection == connection
            events = diary.of(Closed)
            assert [(e.code, e.reason, e.was_clean, e.by) for e in events] == [closed] * 2
        await server.ended(3)
        codes = [code for code, _ in server.closes]
        assert codes == [closed[0], closed[0], 1000]


async def test_a_server_that_is_away_is_tried_again_until_it_is_back() -> None:
    async with (
        open_foreign_server() as server,
        open_diary() as diary,
        connected(server) as client,
    ):
        await diary.follow(client)
        await server.do(server.stop())
        await diary.until(Waiting, times=4)
        await server.do(server.listen())
        assert (await client.call({"ping": 1}))["ping"] == "pong"
        assert client.status.connection == 2
        refused = diary.of(Failed)[-1].error
        assert "refused" in str(refused).lower()
        assert isinstance(refused.__cause__, OSError)


@both_ways
async def test_messages_far_over_32767_bytes_go_both_ways(tls: Tls, fast: bool) -> None:
    text = "é" * LARGE
    async with (
        open_foreign_server(tls.server) as server,
        connected(server, tls, fast=fast) as client,
    ):
        reply = await client.call({"ping": 1, "passthrough": {"text": text}})
        assert reply["echo_req"]["passthrough"]["text"] == text
        assert server.requests[0]["passthrough"]["text"] == text
        assert client.status.connection == 1


@both_ways
async def test_a_message_in_fragments_is_one_message(fast: bool) -> None:
    def fragments(size: int) -> list[str]:
        text = json.dumps({"msg_type": "odd", "odd": "é" * LARGE})
        return [text[at : at + size] for at in range(0, len(text), size)]

    async with (
        open_foreign_server() as server,
        connected(server, fast=fast) as client,
        client.events(traffic=True) as events,
    ):
        assert isinstance(await anext(events), Ready)
        await server.do(server.send(fragments(100_000)))
        await server.do(server.send(json.dumps({"msg_type": "last"})))
        received = [await anext(events) for _ in range(2)]
        assert all(isinstance(event, MessageReceived) for event in received)
        assert json.loads(received[0].data) == {"msg_type": "odd", "odd": "é" * LARGE}
        assert json.loads(received[1].data) == {"msg_type": "last"}


@both_ways
async def test_binary_messages_go_both_ways_and_in_their_order(tls: Tls, fast: bool) -> None:
    data = bytes(range(256)) * 1000
    async with (
        open_foreign_server(tls.server) as server,
        connected(server, tls, fast=fast) as client,
        client.events(traffic=True) as events,
    ):
        assert isinstance(await anext(events), Ready)
        for message in ('{"msg_type":"a"}', data, '{"msg_type":"b"}', [data[:7], data[7:]], b""):
            await server.do(server.send(message))
        received = [(await anext(events)).data for _ in range(5)]
        assert received == ['{"msg_type":"a"}', data, '{"msg_type":"b"}', data, b""]
        await client.send(data)
        await client.call({"ping": 1})
        assert server.requests[0] == data


async def test_a_servers_pings_are_answered_also_when_nobody_reads() -> None:
    async with (
        open_foreign_server() as server,
        connected(server) as client,
        client.subscribe({"ticks": "R_100"}, buffer=1, overflow="latest"),
    ):
        for _ in range(10):
            await server.do(server.ping())
        assert client.status.connection == 1


async def test_compression_is_not_asked_for_and_not_agreed_on() -> None:
    async with open_foreign_server() as server, connected(server) as client:
        assert (await client.call({"ping": 1}))["ping"] == "pong"
        request, response = server.connections[0].request, server.connections[0].response
        assert request is not None
        assert response is not None
        assert "Sec-WebSocket-Extensions" not in request.headers
        assert "Sec-WebSocket-Extensions" not in response.headers
        assert server.connections[0].protocol.extensions == []


async def test_an_unsafe_call_under_way_is_an_unknown_outcome_and_not_repeated(tls: Tls) -> None:
    ended: list[OutcomeUnknown] = []

    async def buy(client: Client) -> None:
        with pytest.raises(OutcomeUnknown) as caught:
            await client.call({"buy": "1", "price": 1})
        ended.append(caught.value)

    async with (
        open_foreign_server(tls.server) as server,
        connected(server, tls) as client,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(buy, client)
            await trio.testing.wait_all_tasks_blocked()
            await client.call({"ping": 1})  # its answer says that the server has the other too
            await server.do(server.abort())
        assert (await client.call({"time": 1}))["time"]
        assert [error.connection for error in ended] == [1]
        assert sum("buy" in request for request in server.requests) == 1
        assert client.status.pending == 0


async def test_a_refused_token_is_raised_at_once() -> None:
    async with open_foreign_server() as server:
        with pytest.raises(InvalidToken, match="The token is invalid"):
            async with open_client(endpoint=server.url, token="bad", settings=SETTINGS):
                pytest.fail("the token is bad")
        await server.ended()
        assert server.closes == [(1000, "")]
        assert len(server.connections) == 1


async def test_every_new_connection_is_authorized_before_it_is_ready() -> None:
    async with (
        open_foreign_server() as server,
        open_diary() as diary,
        open_client(
            endpoint=server.url, token="good", settings=SETTINGS.but(wait_ready=False)
        ) as client,
    ):
        await diary.follow(client)
        await diary.until(Ready)
        await server.do(server.abort())
        await diary.until(Ready, times=2)
        story = ["Opened", "Authorized", "Ready"]
        assert [name for name in diary.story() if name in story] == story * 2
        assert [event.loginid for event in diary.of(Authorized)] == ["VRTC1"] * 2


# The dead peers of the virtual clock, on real sockets. What is to be noticed takes 0.1 s here; the
# guard is far longer, and what is asserted is that it was noticed, by whom, and what was left.

SWIFT = SETTINGS.but(
    connect_timeout=0.1, close_timeout=0.1, heartbeat_interval=0.05, heartbeat_timeout=0.05
)


async def deaf_after_handshake(peer: Peer) -> None:
    await peer.accept()
    await deaf(peer)


async def test_g01_a_silent_handshake_is_noticed_and_replaced() -> None:
    given_up = trio.Event()

    async def mute(peer: Peer) -> None:
        await silent(peer)
        given_up.set()

    async with (
        open_tcp_server(mute, well) as server,
        open_client(endpoint=server.url, settings=SWIFT.but(heartbeat_interval=GUARD)) as client,
    ):
        await given_up.wait()
        assert (await client.call({"ping": 1}))["ping"] == "pong"
        assert len(server.peers) >= 2


@pytest.mark.parametrize("script", [half_open, deaf_after_handshake])
async def test_g01_a_half_open_connection_is_noticed_and_replaced(
    script: Callable[[Peer], Awaitable[None]],
) -> None:
    settings = SWIFT.but(connect_timeout=GUARD, wait_ready=False)
    async with (
        open_tcp_server(script, well) as server,
        open_diary() as diary,
        open_client(endpoint=server.url, settings=settings) as client,
    ):
        await diary.follow(client)
        await diary.until(Ready, times=2)
        assert [event.by for event in diary.of(Closed)][:1] == ["heartbeat"]
        assert isinstance(diary.of(Failed)[0].error, HeartbeatMissed)


async def test_g01_a_write_that_a_full_socket_stalls_is_noticed_and_replaced() -> None:
    async def full(peer: Peer) -> None:
        await peer.accept()
        while True:
            await peer.write(b"\x81\x02{}")
            await trio.sleep(0.01)

    settings = SWIFT.but(connect_timeout=GUARD)
    async with (
        open_tcp_server(full, well) as server,
        open_diary() as diary,
        open_client(endpoint=server.url, settings=settings) as client,
    ):
        await diary.follow(client)
        with pytest.raises(OutcomeUnknown, match="took no bytes"):
            await client.send("x" * 20 * LARGE)
        await diary.until(Ready)
        assert diary.of(Closed)[0].by == "heartbeat"


@pytest.mark.parametrize("how", ["leaving", "raising", "cancelling"])
@pytest.mark.parametrize("script", [deaf_after_handshake, half_open, well])
async def test_g02_leaving_ends_the_socket_and_every_task(
    script: Callable[[Peer], Awaitable[None]], how: str
) -> None:
    left, ended = trio.Event(), trio.Event()

    async def watched(peer: Peer) -> None:
        if script is deaf_after_handshake:
            await peer.accept()
            await left.wait()
        else:
            await script(peer)
        await peer.linger()
        ended.set()

    settings = SWIFT.but(connect_timeout=GUARD, heartbeat_interval=GUARD)
    async with open_tcp_server(watched) as server:
        with trio.CancelScope() as scope, suppress(KeyError):
            async with open_client(endpoint=server.url, settings=settings):
                if how == "raising":
                    raise KeyError
                if how == "cancelling":
                    scope.cancel()
        assert crew() == []
        left.set()
        await ended.wait()
        assert server.peers[0].closes == ([(1000, "")] if script is well else [])


async def test_g02_no_socket_is_left_to_the_garbage_collector(tls: Tls) -> None:
    gc.collect()
    async with open_foreign_server(tls.server) as server:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            for _ in range(3):
                async with connected(server, tls) as client:
                    await server.do(server.abort())
                    assert (await client.call({"ping": 1}))["ping"] == "pong"
            gc.collect()
        ours = [w for w in caught if issubclass(w.category, ResourceWarning)]
        assert [str(warning.message) for warning in ours] == []


SECRET = "s3cr3t"


def everything_said(caplog: pytest.LogCaptureFixture, events: list[Any], error: Any) -> str:
    """Return all that a person may come to see: the log, the events, the exception's trace."""
    trace = "" if error is None else "".join(traceback.format_exception(error)) + repr(error)
    # The server is in the same process, and its log is its own affair.
    ours = [record for record in caplog.records if not record.name.startswith("websockets")]
    return (
        "".join(f"{record.getMessage()} {record.exc_text}" for record in ours) + f"{events}{trace}"
    )


async def test_g13_neither_token_nor_one_time_url_is_seen_when_all_goes_well(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    token = "good"
    async with open_foreign_server() as server, open_diary() as diary:
        url = f"{server.url}?otp={SECRET}"
        async with open_client(
            endpoint=url, token=token, settings=SETTINGS.but(wait_ready=False)
        ) as client:
            await diary.follow(client, traffic=True)
            await diary.until(Ready)
            await server.do(server.abort())
            await diary.until(Ready, times=2)
        assert SECRET in server.paths[0]
        assert [request["authorize"] for request in server.requests] == [token] * 2
    told = [event for _, event in diary.entries]
    assert SECRET not in everything_said(caplog, told, None)
    assert not re.search(r'authorize"?: ?"good', everything_said(caplog, told, None))


def refusing(response: bytes) -> Callable[[Peer], Awaitable[None]]:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.write(response)

    return script


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno",
        b"HTTP/1.1 302 Found\r\nlocation: /?otp=s3cr3t\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\nCannot GET /?app_id=1089&otp=s3cr3t",
    ],
    ids=["hang up", "not HTTP", "401", "302", "404 that repeats the URL"],
)
async def test_g13_no_one_time_url_is_seen_when_it_is_refused(
    caplog: pytest.LogCaptureFixture, response: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = SETTINGS.but(max_attempts=1, wait_ready=False)
    async with open_tcp_server(refusing(response)) as server, open_diary() as diary:
        with pytest.raises(DerivError) as caught:
            async with open_client(
                endpoint=f"{server.url}?otp={SECRET}", settings=settings
            ) as client:
                await diary.follow(client)
                await trio.sleep_forever()
        assert isinstance(caught.value, ConnectionFailed)
        assert HandshakeRejected.__name__ in diary.story() or diary.of(Failed)
    said = everything_said(caplog, [event for _, event in diary.entries], caught.value)
    assert "Failed" in said
    assert SECRET not in said
