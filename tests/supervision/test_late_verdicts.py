"""G01, no false death: what has come in time is read before a deadline is judged.

A program that was stopped finds, when it goes on, its deadlines passed and the answers in its
sockets. On the virtual clock a jump is such a stop: the peer writes, and the clock jumps in the
same step, before any other task can run. Over real sockets the event loop is blocked.
"""

# ruff: noqa: FBT001 - what a test is given as a flag is a parameter, not an option

import json
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import attrs
import pytest
import trio
import trustme
from peers import (
    BAD_GATEWAY,
    HOST,
    Line,
    Peer,
    half_open,
    open_diary,
    open_endpoint,
    reply_to,
    tick,
    well,
)
from trio.testing import MockClock
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from wsproto.events import CloseConnection, Ping

from derivtrio import (
    ApiError,
    Backoff,
    Closed,
    ConnectionFailed,
    HandshakeRejected,
    Settings,
    open_client,
)

SETTINGS = Settings(
    backoff=Backoff(first=0.001, cap=0.001), stable_after=0, max_message_size=10_000_000
)

#: Long enough for every deadline of a client.
STOP: Final = 1000.0

both_ways = pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])


@attrs.frozen
class Tls:
    """What the two sides take to speak TLS; None for plain TCP."""

    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["tcp", "tls"])
def tls(request: pytest.FixtureRequest, authority: trustme.CA) -> Tls:
    if request.param == "tcp":
        return Tls()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST, "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Tls(server, client)


@attrs.define(eq=False)
class Stopping:
    """A good server that stops the client's program each time it has answered a *call*."""

    clock: MockClock
    call: str
    before: Callable[[Peer], Any] | None = None
    stops: int = 0

    async def __call__(self, peer: Peer) -> None:
        await peer.accept()
        while (request := await peer.request()) is not None:
            if self.before is not None and self.call in request:
                await self.before(peer)
            await peer.reply(request)
            if self.call in request:
                self.stops += 1
                self.clock.jump(STOP)
        if peer.closes:
            await peer.put(CloseConnection(*peer.closes[-1]))


async def many_ticks(peer: Peer) -> None:
    """Send more than one read takes."""
    for first in range(0, 1000, 100):
        await peer.say(*(tick(number) for number in range(first, first + 100)))


async def many_pings(peer: Peer) -> None:
    """Send what trio-websocket has to answer before it reads on."""
    await peer.put(*(Ping(b"?") for _ in range(10)))


@both_ways
@pytest.mark.parametrize("before", [None, many_ticks, many_pings])
async def test_g01_a_pong_that_has_come_counts_however_late_it_is_read(
    autojump_clock: MockClock, tls: Tls, fast: bool, before: Callable[[Peer], Any] | None
) -> None:
    server = Stopping(autojump_clock, "ping", before)
    settings = SETTINGS.but(fast=fast, ssl_context=tls.client)
    async with (
        open_endpoint(server, ssl_context=tls.server) as endpoint,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await trio.sleep(5 * STOP)
        assert server.stops > 3
        assert client.status.connection == 1


@both_ways
@pytest.mark.parametrize("before", [None, many_ticks, many_pings])
@pytest.mark.parametrize(
    "request_", [{"time": 1}, {"buy": "1", "price": 1}], ids=["read", "purchase"]
)
async def test_g01_a_reply_that_has_come_counts_however_late_it_is_read(
    autojump_clock: MockClock,
    tls: Tls,
    fast: bool,
    request_: dict[str, Any],
    before: Callable[[Peer], Any] | None,
) -> None:
    """A purchase is refused here, which is an answer: its outcome is known."""
    server = Stopping(autojump_clock, next(iter(request_)), before)
    settings = SETTINGS.but(fast=fast, ssl_context=tls.client)
    async with (
        open_endpoint(server, ssl_context=tls.server) as endpoint,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        for _ in range(4):
            try:
                assert (await client.call(request_))["time"]
            except Exception as error:  # noqa: BLE001 - which it is, is the test
                assert getattr(error, "code", None) == "UnrecognisedRequest", error  # noqa: PT017
        assert server.stops == 4
        assert client.status.connection == 1


@both_ways
async def test_g01_a_restoration_that_is_answered_counts_however_late_that_is_read(
    autojump_clock: MockClock, tls: Tls, fast: bool
) -> None:
    server = Stopping(autojump_clock, "authorize")
    settings = SETTINGS.but(fast=fast, ssl_context=tls.client, max_attempts=1)
    for _ in range(5):
        async with (
            open_endpoint(server, ssl_context=tls.server) as endpoint,
            open_client(endpoint=endpoint, token="t", settings=settings) as client,
        ):
            assert client.status.connection == 1


@both_ways
async def test_g01_a_handshake_that_is_answered_counts_however_late_that_is_read(
    autojump_clock: MockClock, tls: Tls, fast: bool
) -> None:
    async def stopping(peer: Peer) -> None:
        await peer.accept()
        autojump_clock.jump(STOP)
        await peer.serve()

    settings = SETTINGS.but(fast=fast, ssl_context=tls.client, max_attempts=1)
    for _ in range(5):
        async with (
            open_endpoint(stopping, ssl_context=tls.server) as endpoint,
            open_client(endpoint=endpoint, settings=settings) as client,
        ):
            assert client.status.connection == 1


@both_ways
async def test_g01_the_reason_of_a_refusal_counts_however_late_it_is_read(
    autojump_clock: MockClock, tls: Tls, fast: bool
) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.read_request()
        await peer.write(BAD_GATEWAY)
        await trio.testing.wait_all_tasks_blocked()
        await peer.write(b"why")
        autojump_clock.jump(STOP)

    settings = SETTINGS.but(fast=fast, ssl_context=tls.client, max_attempts=1)
    async with open_endpoint(refusing, ssl_context=tls.server) as endpoint:
        for _ in range(5):
            with pytest.raises(ConnectionFailed) as caught:
                async with open_client(endpoint=endpoint, settings=settings):
                    pass
            error = caught.value.__cause__
            assert isinstance(error, HandshakeRejected)
            assert error.body.endswith(b"</html>why")


@both_ways
@pytest.mark.parametrize("before", [b"", (b"\x81\x7d" + b"{}".ljust(125)) * 1000, b"\x89\x00" * 10])
async def test_g01_a_goodbye_that_is_answered_is_clean_however_late_that_is_read(
    autojump_clock: MockClock, tls: Tls, fast: bool, before: bytes
) -> None:
    async def stopping(peer: Peer) -> None:
        await peer.accept()
        await peer.request()
        await peer.write(before)
        await peer.put(CloseConnection(1000, "bye"))
        autojump_clock.jump(STOP)
        await peer.linger()

    settings = SETTINGS.but(fast=fast, ssl_context=tls.client)
    async with open_endpoint(stopping, ssl_context=tls.server) as endpoint:
        for _ in range(5):
            async with open_diary() as diary:
                async with open_client(endpoint=endpoint, settings=settings) as client:
                    await diary.follow(client)
            assert [(e.was_clean, e.reason) for e in diary.of(Closed)] == [(True, "bye")]


async def test_g01_a_server_is_asked_again_once_by_a_program_that_was_stopped(
    autojump_clock: MockClock,
) -> None:
    """Perhaps the network stood still with it, as with a virtual machine or a laptop."""

    async def forgetful(peer: Peer) -> None:
        await peer.accept()
        await peer.request()
        autojump_clock.jump(STOP)
        await peer.serve()

    async with (
        open_endpoint(forgetful) as endpoint,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        await trio.sleep(2 * STOP)
        assert client.status.connection == 1


async def test_g01_a_dead_server_is_not_asked_again_for_ever_by_a_program_that_is_stopped_often(
    autojump_clock: MockClock,
) -> None:
    async def dead(peer: Peer) -> None:
        await peer.accept()
        while await peer.request() is not None:
            autojump_clock.jump(STOP)

    async with (
        open_endpoint(dead, well) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        await diary.follow(client)
        await diary.until(Closed)
        assert diary.of(Closed)[0].by == "heartbeat"
        assert len(endpoint.peers[0].requests) == 2


async def test_g01_a_flood_does_not_put_off_the_verdict_for_ever(autojump_clock: MockClock) -> None:
    """The reader's turn ends after what a socket can hold."""

    async def flooding(peer: Peer) -> None:
        await peer.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.linger)
            await trio.sleep(30)
            with suppress(trio.BrokenResourceError):
                while peer.ended_at is None:  # from 35 s on in every turn of the loop
                    await peer.write(b"\x82\x7f" + (2**16).to_bytes(8, "big") + bytes(2**16))
                    if trio.current_time() < 35:
                        await trio.sleep(1)

    async with (
        open_endpoint(flooding, half_open) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        await diary.follow(client)
        await diary.until(Closed)
        assert diary.times(Closed) == [35]


# The same over real sockets: the loop of the client is blocked in the step in which it writes,
# until the answer is in its socket and the deadline has passed. The machine's speed is no matter.

MOMENT: Final = 0.03


@attrs.define(eq=False)
class BlockingServer:
    """A server in a thread, and an endpoint that blocks the loop after a write, when `armed`."""

    tls: Tls
    armed: bool = False
    blocked: trio.Event = attrs.field(factory=trio.Event)
    port: int = 0
    generation: str = "v3"
    limits: str = "website_status"
    _answered: threading.Event = attrs.field(factory=threading.Event)

    async def url(self) -> str:
        return f"{'ws' if self.tls.server is None else 'wss'}://127.0.0.1:{self.port}/"

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        return BlockingStream(await trio.open_tcp_stream(host, port), self)

    def block(self) -> None:
        """Block the client's loop, once, until it has its answer and is late."""
        if self.armed:
            self.armed = False
            self.blocked.set()
            self._answered.wait(10)
            time.sleep(2 * MOMENT)

    def serve(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for text in connection:
                connection.send(json.dumps(reply_to(json.loads(text))))
                self._answered.set()


class BlockingStream(Line):
    """A TCP stream whose writes may block the loop."""

    def __init__(self, stream: trio.abc.Stream, server: BlockingServer) -> None:
        super().__init__(stream)
        self.server = server

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)
        self.server.block()


@asynccontextmanager
async def open_blocking_server(tls: Tls) -> AsyncGenerator[BlockingServer]:
    blocking = BlockingServer(tls)
    server = serve(blocking.serve, "127.0.0.1", 0, ssl=tls.server, compression=None)
    blocking.port = server.socket.getsockname()[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with trio.fail_after(20):
            yield blocking
    finally:
        server.shutdown()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(thread.join)


@both_ways
async def test_g01_a_blocked_loop_costs_no_healthy_connection(tls: Tls, fast: bool) -> None:
    settings = SETTINGS.but(
        fast=fast, ssl_context=tls.client, heartbeat_interval=MOMENT, heartbeat_timeout=MOMENT
    )
    async with (
        open_blocking_server(tls) as server,
        open_client(endpoint=server, settings=settings) as client,
    ):
        server.armed = True
        await server.blocked.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert client.status.connection == 1


@both_ways
@pytest.mark.parametrize("name", ["time", "buy"])
async def test_g01_a_blocked_loop_costs_no_reply_and_no_purchase(
    tls: Tls, fast: bool, name: str
) -> None:
    settings = SETTINGS.but(fast=fast, ssl_context=tls.client, response_timeout=MOMENT)
    async with (
        open_blocking_server(tls) as server,
        open_client(endpoint=server, settings=settings) as client,
    ):
        server.armed = True
        if name == "time":
            assert (await client.call({"time": 1}))["time"]
        else:
            with pytest.raises(ApiError, match="Unrecognised"):  # which is an answer
                await client.call({"buy": "1", "price": 1})
        assert server.blocked.is_set()
        assert client.status.connection == 1
