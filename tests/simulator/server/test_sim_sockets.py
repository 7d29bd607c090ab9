"""The simulator on real sockets, with other WebSocket clients."""

import json
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
import trustme
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from wire_peer import Peer
from wsproto.events import Ping, Pong

from derivtrio.simulator import Faults, Simulator, open_simulator

TLS_NAME = "simulator.example"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(TLS_NAME).configure_cert(context)
    return context


@pytest.fixture
def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def in_thread(work: Callable[..., Any], *args: Any, **named: Any) -> Any:
    with trio.fail_after(20):
        return await trio.to_thread.run_sync(partial(work, *args, **named), abandon_on_cancel=True)


def port_of(sim: Simulator) -> int:
    return int(sim.url.partition("127.0.0.1:")[2].partition("/")[0])


async def open_tcp(sim: Simulator) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port_of(sim))


def ask(websocket: ClientConnection, request: dict[str, Any]) -> dict[str, Any]:
    websocket.send(json.dumps(request))
    reply: dict[str, Any] = json.loads(websocket.recv(timeout=10))
    return reply


def converse(url: str, **options: Any) -> list[dict[str, Any]]:
    with connect(url, **options) as websocket:
        return [
            ask(websocket, {"ping": 1, "req_id": 1}),
            ask(websocket, {"ticks": "1HZ100V", "req_id": 2}),
            json.loads(websocket.recv(timeout=10)),
        ]


def status_of(url: str) -> int:
    with pytest.raises(InvalidStatus) as caught:
        connect(url)
    return caught.value.response.status_code


async def test_websockets_can_talk_to_it() -> None:
    async with open_simulator(5) as sim:
        pong, first, second = await in_thread(converse, sim.url)
        assert sim.url.endswith("/websockets/v3?app_id=1089")
        assert pong["ping"] == "pong"
        for message in (first, second):
            tick = sim.market.tick("1HZ100V", message["tick"]["epoch"])
            assert message["tick"]["quote"] == tick.quote
        assert second["tick"]["epoch"] == first["tick"]["epoch"] + 1
        await _until(lambda: sim.history != [])
        assert (sim.history[0].ending.by, sim.history[0].ending.clean) == ("client", True)


async def test_websockets_can_talk_to_it_over_tls(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with open_simulator(ssl_context=server_context) as sim:
        assert sim.url.startswith("wss://")
        options = {"ssl": client_context, "server_hostname": TLS_NAME}
        pong, *_ = await in_thread(converse, sim.url, **options)
        assert pong["ping"] == "pong"


async def test_broken_tls_fails_the_tls_handshake(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with open_simulator(ssl_context=server_context) as sim:
        sim.faults.break_tls()
        stream = trio.SSLStream(await open_tcp(sim), client_context, server_hostname=TLS_NAME)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.do_handshake()
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        await trio.aclose_forcefully(stream)


async def test_a_client_that_distrusts_the_certificate_harms_nobody(
    server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with open_simulator(ssl_context=server_context) as sim:
        with pytest.raises(ssl.SSLCertVerificationError):
            await in_thread(connect, sim.url)
        options = {"ssl": client_context, "server_hostname": TLS_NAME}
        assert await in_thread(converse, sim.url, **options)
        assert (sim.attempts, sim.accepted) == (2, 1)


async def test_rejections_reach_websockets_as_http() -> None:
    async with open_simulator() as sim:
        assert await in_thread(status_of, sim.url.replace("1089", "mine")) == 401
        sim.faults.reject(503)
        assert await in_thread(status_of, sim.url) == 503


async def test_refuse_is_a_refused_tcp_connection_and_the_port_comes_back() -> None:
    async with open_simulator() as sim:
        url = sim.url
        for _ in range(3):
            sim.faults.refuse()
            for _ in range(3):
                with pytest.raises(ConnectionRefusedError):
                    await in_thread(connect, url)
            sim.faults.clear()
            await _until_listening(sim)
        assert await in_thread(converse, url)


async def test_refuse_ends_by_itself() -> None:
    async with open_simulator() as sim:
        sim.faults.refuse(0.05)
        with pytest.raises(OSError, match="all attempts to connect"):
            await open_tcp(sim)
        await _until_listening(sim)


async def test_drop_is_a_fin() -> None:
    async with open_simulator() as sim, await open_tcp(sim) as stream:
        peer = Peer(stream)
        await peer.shake_hands()
        sim.faults.drop()
        assert (await peer.ended()).code is None


async def test_drop_with_reset_is_a_rst() -> None:
    async with open_simulator() as sim, await open_tcp(sim) as stream:
        peer = Peer(stream)
        await peer.shake_hands()
        sim.faults.drop(reset=True)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await peer.receive()
        assert isinstance(caught.value.__cause__, ConnectionResetError)


@pytest.mark.parametrize(
    ("harm", "code"), [(Faults.drop, None), (partial(Faults.close, code=1012), 1012)]
)
async def test_ends_over_tls(
    server_context: ssl.SSLContext,
    client_context: ssl.SSLContext,
    harm: Callable[[Faults], None],
    code: int | None,
) -> None:
    def wait_for_the_end(url: str) -> None:
        with connect(url, ssl=client_context, server_hostname=TLS_NAME) as websocket:
            with pytest.raises(ConnectionClosed) as caught:
                websocket.recv(timeout=10)
            assert (caught.value.rcvd and caught.value.rcvd.code) == code

    async with open_simulator(ssl_context=server_context) as sim:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, wait_for_the_end, sim.url)
            await _until(lambda: len(sim.connections) == 1)
            harm(sim.faults)
        await _until(lambda: sim.history != [])
        assert sim.history[0].ending.clean is (code is not None)


async def test_a_frozen_connection_stays_open() -> None:
    async with open_simulator() as sim, await open_tcp(sim) as stream:
        peer = Peer(stream)
        await peer.shake_hands()
        sim.faults.freeze()
        await peer.send({"ping": 1})
        with trio.move_on_after(0.05) as scope:
            await peer.receive()
        assert scope.cancelled_caught
        assert sim.held == 1


async def test_it_can_listen_on_ipv6() -> None:
    try:
        async with open_simulator(host="::1") as sim:
            assert sim.url.startswith("ws://[::1]:")
            assert await in_thread(converse, sim.url)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")


async def test_a_port_that_is_taken_is_an_os_error() -> None:
    async with open_simulator() as sim:
        with pytest.raises(OSError, match="in use"):
            async with open_simulator(port=port_of(sim)):
                raise AssertionError


async def test_leaving_the_block_frees_the_port() -> None:
    async with open_simulator() as sim:
        port = port_of(sim)
    async with open_simulator(port=port) as again:
        assert port_of(again) == port


async def _until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110  (the other side is a thread)
            await trio.sleep(0.005)


async def _until_listening(sim: Simulator) -> None:
    with trio.fail_after(20):
        while True:
            try:
                stream = await open_tcp(sim)
            except OSError:
                await trio.sleep(0.005)
            else:
                await stream.aclose()
                return


async def test_a_front_end_pings_over_tcp_while_its_backend_is_dead() -> None:
    async with open_simulator(1) as sim:
        peer = Peer(await open_tcp(sim))
        async with peer.stream:
            await peer.shake_hands()
            await peer.ask({"ticks": "1HZ100V"})
            sim.faults.backend_dead(0.01)
            await peer.send({"ping": 1})
            with trio.fail_after(20):
                for _ in range(5):
                    assert isinstance(await peer.event(), Ping)
                await peer.put(Ping(b"anybody?"))
                while isinstance(event := await peer.event(), Ping):
                    pass
            assert event == Pong(b"anybody?")
