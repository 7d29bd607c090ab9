"""`FastSocket`: what it sends and receives at once, what it waits for, and how it ends."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import assert_no_checkpoints, wait_all_tasks_blocked

from derivtrio.connection.fast.sockets import FastSocket, fast_socket

GUARD = 20


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[FastSocket, trio.SocketStream]]:
    """Yield both ends of a TCP connection whose buffers are small."""
    with trio.fail_after(GUARD):
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with listener:
            raw = trio.socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            await raw.connect(listener.socket.getsockname())
            async with fast_socket(trio.SocketStream(raw)) as ours:
                async with await listener.accept() as theirs:
                    yield ours, theirs


async def test_what_fits_is_sent_without_a_pause() -> None:
    async with connected() as (ours, theirs):
        with assert_no_checkpoints():
            await ours.send_all(b"short")
        assert await theirs.receive_some() == b"short"


async def test_what_does_not_fit_is_sent_as_room_comes() -> None:
    async with connected() as (ours, theirs):
        large, received = bytes(range(256)) * 4000, b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, large)
            await wait_all_tasks_blocked()
            while len(received) < len(large):
                received += await theirs.receive_some()
        assert received == large
        await ours.wait_send_all_might_not_block()


async def test_waiting_can_be_cancelled_and_loses_nothing() -> None:
    async with connected() as (ours, theirs):
        with trio.move_on_after(0) as scope:
            await ours.receive_some()
        assert scope.cancelled_caught
        await theirs.send_all(b"later")
        assert await ours.receive_some(3) == b"lat"
        assert await ours.receive_some() == b"er"


async def test_the_end_is_empty_and_a_reset_is_an_error() -> None:
    async with connected() as (ours, theirs):
        await theirs.send_eof()
        assert await ours.receive_some() == b""
    async with connected() as (ours, theirs):
        await ours.send_all(b"unread")
        theirs.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        theirs.socket.close()
        with pytest.raises(OSError, match="reset"):
            await ours.receive_some()
        with pytest.raises((OSError, trio.BrokenResourceError)):
            await ours.send_all(b"more")


async def test_who_waits_is_told_that_it_is_closed_here() -> None:
    async def close_when_others_wait(stream: FastSocket) -> None:
        await wait_all_tasks_blocked()
        await stream.aclose()

    async with connected() as (ours, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(close_when_others_wait, ours)
            with pytest.raises(trio.ClosedResourceError):
                await ours.receive_some()
