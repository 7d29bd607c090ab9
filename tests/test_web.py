"""`derivtrio.web`: who is answered, and who is not; the health page's own tests are elsewhere."""

import errno
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import h11
import pytest
import trio
import trio.testing
from crowded import CrowdedListener

from derivtrio.concurrency.buffer import Buffer
from derivtrio.web import FEEDS, PATIENCE, Feed, Page, WebServer

NAMES = frozenset({"localhost", "box.example"})


@attrs.define
class Site:
    """A page, and a feed of what is put in."""

    buffers: list[Buffer[bytes]] = attrs.field(factory=list)

    def page_for(self, request: h11.Request) -> Page | Feed:
        return (
            Feed(self.opened, "text/event-stream") if request.target == b"/f" else Page(200, b"x")
        )

    @contextmanager
    def opened(self) -> Iterator[Buffer[bytes]]:
        buffer: Buffer[bytes] = Buffer("browser", 1, "latest")
        self.buffers.append(buffer)
        try:
            yield buffer
        finally:
            self.buffers.remove(buffer)


async def answer(server: WebServer, raw: bytes) -> bytes:
    """Return all that is answered to *raw*."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, theirs)
        await ours.send_all(raw)
        return b"".join([bytes(part) async for part in ours])


def get(path: str = "/", host: str = "127.0.0.1:8080", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8080", "[::1]:8080", "192.0.2.7:8080", "localhost:8080"),
        *("LocalHost", "box.example:8080", "box.example"),
    ],
)
async def test_a_server_answers_to_addresses_and_its_names(host: str) -> None:
    reply = await answer(WebServer(Site().page_for, NAMES), get(host=host))
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert reply.endswith(b"\r\n\r\nx")


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("localhost.", "", "[evil]", "127.0.0.1@evil.example", "1.2.3", "::1"),
    ],
)
async def test_a_name_of_a_stranger_that_points_here_is_refused(host: str) -> None:
    for path in ("/", "/f"):
        reply = await answer(WebServer(Site().page_for, NAMES), get(path, host=host))
        assert reply.startswith(b"HTTP/1.1 403 ")


async def test_without_a_host_there_is_nothing() -> None:
    reply = await answer(WebServer(Site().page_for, NAMES), b"GET / HTTP/1.0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 403 ")


async def test_only_get_and_head_are_answered() -> None:
    server = WebServer(Site().page_for, NAMES)
    assert (await answer(server, get(method="POST"))).startswith(b"HTTP/1.1 405 ")
    for path in ("/", "/f"):
        reply = await answer(server, get(path, method="HEAD"))
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.endswith(b"\r\n\r\n")


async def test_a_feed_is_sent_part_by_part_and_ends_with_its_buffer(autojump_clock: Any) -> None:
    site = Site()
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(WebServer(site.page_for, NAMES).serve, theirs)
        await ours.send_all(get("/f"))
        assert b"text/event-stream" in await ours.receive_some()
        for number in range(3):
            await trio.sleep(10 * PATIENCE)
            site.buffers[0].put(b"part %d" % number)
            assert b"part %d" % number in await ours.receive_some()
        site.buffers[0].close()
        assert await ours.receive_some() == b"0\r\n\r\n"
        assert await ours.receive_some() == b""
    assert site.buffers == []


async def test_a_visitor_who_does_not_read_is_dropped_and_holds_up_nobody(
    autojump_clock: Any,
) -> None:
    """Its buffer has one part, the newest; the other visitor gets each."""
    site = Site()
    server = WebServer(site.page_for, NAMES)
    slow, slow_end = trio.testing.lockstep_stream_pair()
    quick, quick_end = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve, slow_end)
        await slow.send_all(get("/f"))
        await slow.receive_some()
        nursery.start_soon(server.serve, quick_end)
        await quick.send_all(get("/f"))
        await quick.receive_some()
        begun = trio.current_time()
        while len(site.buffers) == 2:
            for buffer in site.buffers:
                buffer.put(b"part")
            assert b"part" in await quick.receive_some()
            assert all(len(buffer) <= 1 for buffer in site.buffers)
            await trio.sleep(1)
        assert trio.current_time() - begun == pytest.approx(PATIENCE, abs=1)
        site.buffers[0].put(b"part")
        assert b"part" in await quick.receive_some()
        nursery.cancel_scope.cancel()


async def test_feeds_are_few_and_leave_room_for_pages(autojump_clock: Any) -> None:
    site = Site()
    server = WebServer(site.page_for, NAMES)
    async with trio.open_nursery() as nursery:
        for _ in range(FEEDS):
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(server.serve, theirs)
            await ours.send_all(get("/f"))
            await ours.receive_some()
        assert (await answer(server, get("/f"))).startswith(b"HTTP/1.1 503 ")
        assert (await answer(server, get())).startswith(b"HTTP/1.1 200 ")
        nursery.cancel_scope.cancel()


async def test_g07_visitors_wait_while_no_more_sockets_can_be_opened(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = CrowdedListener(90.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(WebServer(Site().page_for).listen, [listener])
        ours = listener.connect()
        await ours.send_all(get())
        assert b"".join([bytes(part) async for part in ours]).endswith(b"\r\n\r\nx")
        assert trio.current_time() == pytest.approx(90.0, abs=0.2)
        nursery.cancel_scope.cancel()
    assert listener.is_closed
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == 2 * [("WARNING", "new visitors have to wait: Too many open files")]


async def test_any_other_error_ends_a_listener() -> None:
    listener = CrowdedListener(math.inf, errno.EBADF)
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="Bad file descriptor")):
        await WebServer(Site().page_for).listen([listener])
    assert listener.is_closed
