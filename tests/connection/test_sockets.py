"""The streams below the tap: TCP that sends at once, TLS that hands over all that has come."""

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trustme
from trio.testing import memory_stream_pair

from derivtrio.connection.fast.sockets import Prompt, Socket, open_socket
from derivtrio.connection.tls import TLS, wrap
from derivtrio.simulator.network.memory_stream import open_pair

GUARD = 20
NAME = "deriv.example"


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[Socket, trio.SocketStream]]:
    """Yield both ends of a TCP connection whose buffers are small."""
    with trio.fail_after(GUARD):
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with listener:
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            raw.connect(listener.socket.getsockname())
            ours = Socket(raw, trio.SocketStream(trio.socket.from_stdlib_socket(raw)))
            async with ours, await listener.accept() as theirs:
                yield ours, theirs


async def received(stream: trio.abc.Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive_some()
    return data


async def test_a_socket_sends_at_once_and_says_what_is_left() -> None:
    async with connected() as (ours, theirs):
        assert ours.send_now(b"short")
        assert not ours.busy
        large = bytes(range(256)) * 4000
        assert not ours.send_now(large)
        assert ours.busy
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, b"end")
            data = await received(theirs, 5 + len(large) + 3)
        assert data == b"short" + large + b"end"
        assert not ours.busy


async def test_waiting_for_a_socket_can_be_cancelled_and_loses_nothing() -> None:
    async with connected() as (ours, theirs):
        with trio.move_on_after(0) as scope:
            await ours.receive_some()
        assert scope.cancelled_caught
        await theirs.send_all(b"here")
        assert await ours.receive_some(2) == b"he"
        assert await ours.receive_some() == b"re"
        await theirs.aclose()
        assert await ours.receive_some() == b""


async def test_a_socket_says_whether_it_was_closed_or_broke() -> None:
    async with connected() as (ours, theirs):
        await ours.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await ours.receive_some()
        assert not ours.send_now(b"nothing")
    async with connected() as (ours, theirs):
        theirs.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await theirs.aclose()
        with pytest.raises(trio.BrokenResourceError):
            await ours.receive_some()


async def test_closing_ends_the_wait_of_another_task() -> None:
    async with connected() as (ours, _), trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ours.receive_some()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await ours.aclose()


async def test_a_socket_is_opened_as_trio_does() -> None:
    with trio.fail_after(GUARD):
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        address = listener.socket.getsockname()
        async with listener:
            async with await open_socket(*address) as ours:
                assert isinstance(ours, Prompt)
                async with await listener.accept() as theirs:
                    await theirs.send_all(b"hello")
                    assert await ours.receive_some() == b"hello"
        with pytest.raises(OSError, match="connect"):
            await open_socket(*address)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def secured(
    authority: trustme.CA, pair: Any = memory_stream_pair, version: Any = ssl.TLSVersion.TLSv1_3
) -> AsyncGenerator[tuple[TLS, trio.SSLStream[Any]]]:
    """Yield our end, and the end of a server as `trio.SSLStream` has it, after the handshake."""
    context = ssl.create_default_context()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(context)
    authority.issue_cert(NAME).configure_cert(theirs)
    context.maximum_version = version
    near, far = pair()
    with trio.fail_after(GUARD):
        client, server = wrap(near, context, NAME), trio.SSLStream(far, theirs, server_side=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.do_handshake)
            await client.do_handshake()
        yield client, server


versions = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name
)


@versions
async def test_tls_hands_over_all_that_has_come(authority: trustme.CA, version: Any) -> None:
    large = bytes(range(256)) * 200  # four records
    async with secured(authority, version=version) as (client, server):
        await server.send_all(large)
        await server.send_all(b"end")
        assert await client.receive_some() == large + b"end"
        await client.send_all(b"thanks")
        assert await server.receive_some() == b"thanks"


async def test_tls_gives_no_more_than_is_asked_for(authority: trustme.CA) -> None:
    async with secured(authority) as (client, server):
        await server.send_all(b"x" * 20_000)
        pieces = [len(await client.receive_some(7000)) for _ in range(3)]
        assert pieces == [7000, 7000, 6000]


async def test_tls_waits_for_the_rest_of_a_record(authority: trustme.CA) -> None:
    near, far = memory_stream_pair()
    async with secured(authority, lambda: (near, far)) as (client, server):
        record = await written_by(server, b"one record")
        got: list[bytes] = []

        async def take() -> None:
            got.append(await client.receive_some())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(take)
            await far.send_all(record[:9])
            await trio.testing.wait_all_tasks_blocked()
            assert got == []
            await far.send_all(record[9:])
        assert got == [b"one record"]


async def written_by(server: trio.SSLStream[Any], data: bytes) -> bytes:
    """Return what *server* sends for *data*, which does not arrive."""
    there, here = memory_stream_pair()
    wire, server.transport_stream = server.transport_stream, there
    await server.send_all(data)
    server.transport_stream = wire
    return bytes(await here.receive_some())


@pytest.mark.parametrize("how", ["with notice", "without"])
async def test_tls_ends_when_the_stream_does(authority: trustme.CA, how: str) -> None:
    async with secured(authority) as (client, server):
        await server.send_all(b"the last")
        if how == "with notice":
            with trio.move_on_after(0.05):  # it waits for our notice, which does not come
                await server.aclose()
        else:
            await server.transport_stream.aclose()
        assert await client.receive_some() == b"the last"
        assert await client.receive_some() == b""
        assert await client.receive_some() == b""


async def test_tls_hands_over_what_came_before_nonsense(authority: trustme.CA) -> None:
    async with secured(authority) as (client, server):
        await server.send_all(b"sense")
        await server.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + b"nonsense" * 4)
        assert await client.receive_some() == b"sense"
        for _ in range(2):
            with pytest.raises(trio.BrokenResourceError) as caught:
                await client.receive_some()
            assert isinstance(caught.value.__cause__, ssl.SSLError)


async def test_tls_sends_at_once_where_its_transport_does(authority: trustme.CA) -> None:
    async with secured(authority) as (client, _):
        assert client.busy
    async with secured(authority, open_pair) as (client, server):
        assert not client.busy
        assert client.send_now(b"short")
        assert await server.receive_some() == b"short"
        large = bytes(range(256)) * 1000
        assert not client.send_now(large)
        assert client.busy
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send_all, b"end")
            assert await received(server, len(large) + 3) == large + b"end"
        assert not client.busy


async def test_waiting_for_tls_can_be_cancelled_and_loses_nothing(authority: trustme.CA) -> None:
    async with secured(authority) as (client, server):
        with trio.move_on_after(0) as scope:
            await client.receive_some()
        assert scope.cancelled_caught
        await server.send_all(b"here")
        assert await client.receive_some() == b"here"


async def test_a_server_that_is_not_trusted_is_told_so(authority: trustme.CA) -> None:
    near, far = open_pair()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(NAME).configure_cert(context)
    client = wrap(near, ssl.create_default_context(), NAME)
    server = trio.SSLStream(far, context, server_side=True)
    told: list[BaseException | None] = []

    async def shake_hands() -> None:
        try:
            await server.do_handshake()
            await server.receive_some()
        except trio.BrokenResourceError as error:
            told.append(error.__cause__)

    with trio.fail_after(GUARD):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shake_hands)
            with pytest.raises(trio.BrokenResourceError) as caught:
                await client.do_handshake()
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert "UNKNOWN_CA" in str(told[0]).upper().replace(" ", "_")
