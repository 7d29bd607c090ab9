"""`derivtrio.trace.serve`: the live page over real sockets, and what a recording forgets."""

import errno
import json
import logging
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
import trio

import derivtrio
from derivtrio.events import Closed, Ready, Throttled
from derivtrio.simulator import open_simulator
from derivtrio.trace import Timeline, outages_of, serve, timeline
from derivtrio.trace.live import INTERVAL, LiveTimeline
from derivtrio.trace.recording import ClientTrace, Kept, Recording
from derivtrio.trace.retention import forget

SECRET = "a-secret-token"


@attrs.frozen
class Served:
    client: derivtrio.Client
    shown: Timeline
    url: str
    scope: trio.CancelScope

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    async def ask(
        self, path: str, host: str = "localhost", method: str = "GET"
    ) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        await stream.send_all(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        return stream

    async def answer(self, path: str, host: str = "localhost", method: str = "GET") -> str:
        async with await self.ask(path, host, method) as stream:
            return b"".join([bytes(part) async for part in stream]).decode()


@asynccontextmanager
async def live(**options: Any) -> AsyncGenerator[Served]:
    """Serve the time line of a client that has an account."""
    async with open_simulator(port=None) as sim:
        with timeline(last=600) as shown:
            async with (
                derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client,
                trio.open_nursery() as nursery,
            ):
                url = await nursery.start(partial(serve, shown, port=0, **options))
                yield Served(client, shown, url, nursery.cancel_scope)
                nursery.cancel_scope.cancel()


async def event_of(stream: trio.SocketStream) -> dict[str, str]:
    """Return the next state that a feed sends."""
    text = ""
    while not (found := re.search(r"^data: (.*)\n\n", text, re.MULTILINE)):
        text += (await stream.receive_some()).decode()
    parts: dict[str, str] = json.loads(found[1])
    return parts


async def test_the_page_and_its_feed_come_over_a_socket() -> None:
    async with live() as served:
        await served.client.call({"ping": 1})
        head, _, body = (await served.answer("/")).partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 200 ")
        assert "default-src 'none'" in head
        assert "script-src 'self'" in head
        assert "unsafe" not in head
        assert 'data-h="ping: sent after' in body
        for path in re.findall(r'(?:src|href)="([^"]*)"', body):
            if path != "data:,":
                assert (await served.answer(f"/{path}")).startswith("HTTP/1.1 200 "), path
        async with await served.ask("/feed") as stream:
            parts = await event_of(stream)
        assert set(parts) == {"head", "why", "frame", "left-out"}
        assert "<svg " in parts["frame"]
        assert (await served.answer("/feed", method="HEAD")).endswith("\r\n\r\n")
        assert (await served.answer("/nothing")).startswith("HTTP/1.1 404 ")


async def test_the_page_loads_nothing_from_elsewhere() -> None:
    async with live() as served:
        files = [await served.answer(path) for path in ("/", "/page.js", "/live.js", "/page.css")]
    named = {url for text in files for url in re.findall(r"\w+://[^\s\"')]+", text)}
    assert named <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "box"])
async def test_a_stranger_whose_name_points_here_reads_nothing(host: str) -> None:
    async with live() as served:
        for path in ("/", "/feed", "/page.js"):
            assert (await served.answer(path, host)).startswith("HTTP/1.1 403 ")


async def test_g13_the_page_has_no_tokens() -> None:
    async with live() as served:
        with pytest.raises(derivtrio.ApiError):
            await served.client.authorize(SECRET)
        page = await served.answer("/")
        async with await served.ask("/feed") as stream:
            fed = json.dumps(await event_of(stream))
    assert "calls" in page
    for text in (page, fed):
        assert SECRET not in text
        assert "demo-token" not in text


async def test_the_server_is_not_part_of_the_picture() -> None:
    async with live() as served:
        async with await served.ask("/feed") as stream:
            await event_of(stream)
            names = {task.name for task in served.shown.recording.tasks}
    assert "derivtrio.reader" in names
    assert not {"serve", "draw", "derivtrio.trace.draw", "_run_handler"} & names


async def test_a_server_whose_task_is_one_too_many_to_be_kept_runs_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("derivtrio.trace.recording.MOST_TASKS", 1)
    with timeline() as shown:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, shown, port=0))
            nursery.cancel_scope.cancel()
    assert len(shown.recording.tasks) == 1


async def test_g02_cancelling_ends_the_feeds_and_frees_the_port() -> None:
    async with live() as served, await served.ask("/feed") as stream:
        await event_of(stream)
        served.scope.cancel()
        with trio.fail_after(5):
            rest = b"".join([bytes(part) async for part in stream])
        assert rest.endswith(b"0\r\n\r\n")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", served.port))


async def test_a_port_in_use_is_the_starters_error() -> None:
    with socket.socket() as taken, timeline() as shown:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with trio.open_nursery() as nursery:
            with pytest.raises(OSError, match="Address already in use") as caught:
                await nursery.start(partial(serve, shown, port=taken.getsockname()[1]))
        assert caught.value.errno == errno.EADDRINUSE


async def test_only_an_address_that_others_can_reach_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def warnings() -> list[str]:
        return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]

    for host in ("127.0.0.1", "localhost"):
        async with live(host=host):
            pass
    assert warnings() == []
    async with live(host="0.0.0.0") as served:
        url = served.url
    assert warnings() == [
        f"the time line at {url} can be read by everybody who reaches this machine"
    ]


async def test_nothing_is_drawn_while_nobody_looks(autojump_clock: Any) -> None:
    drawn = 0

    @attrs.frozen
    class Counted:
        recording: Recording

        @property
        def length(self) -> float:
            nonlocal drawn
            drawn += 1
            return 1.0

    shown: Any = Counted(Recording(0.0))
    page = LiveTimeline(shown)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(page.draw)
        await trio.sleep(1000)
        assert drawn == 0
        with page.followed() as one, page.followed() as two:
            await trio.sleep(10 * INTERVAL)
            assert 9 <= drawn <= 11
            assert len(one) == len(two) == 1
        before = drawn
        await trio.sleep(1000)
        assert drawn <= before + 1
        nursery.cancel_scope.cancel()


async def test_g14_a_recording_of_the_last_minutes_forgets_the_rest(autojump_clock: Any) -> None:
    sizes = []
    async with open_simulator(port=None) as sim:
        with timeline(last=300) as shown:
            async with (
                derivtrio.open_client(endpoint=sim.endpoint) as client,
                client.ticks("R_100") as ticks,
            ):
                for hour in range(3):
                    for number in range(400):
                        await anext(ticks)
                        if number % 50 == 0:
                            await client.call({"ping": 1})
                            sim.faults.drop() if number == 50 else None
                    recording = shown.recording
                    (trace,) = recording.clients
                    dots = trace.streams["R_100"].live.times
                    things = (trace.events, trace.calls, recording.tasks, recording.nurseries)
                    sizes.append([len(dots), *map(len, things)])
                    assert dots[0] >= trio.current_time() - 330, hour
                assert shown.length is not None
                page = shown.html()
    assert sizes[2] == pytest.approx(sizes[1], abs=6)
    assert "<h1>The last 5.0 min of " in page
    assert ">ready</text>" in page
    assert "connection 4: one cancel scope" in page
    assert "The connection never broke." in page


async def test_an_outage_that_is_longer_than_what_is_kept_is_told_from_its_beginning(
    autojump_clock: Any,
) -> None:
    async with open_simulator(port=None) as sim:
        with timeline(last=300) as shown:
            async with derivtrio.open_client(endpoint=sim.endpoint):
                await trio.sleep(1000)
                sim.faults.drop()
                sim.faults.refuse(3600)
                await trio.sleep(3000)
                page = shown.html()
            (outage,) = shown.outages()
    assert outage.sentence.startswith("Connection 1 broke after 16.7 min: the network ended it")
    assert "outage 1</button>" in page
    assert 'class="outage" x="0"' in page


def test_what_is_over_is_forgotten_and_what_tells_the_state_is_not() -> None:
    client, recording = ClientTrace(1, 0.0), Recording(0.0, 300)
    recording.clients.append(client)
    told: list[Any] = [
        (0, derivtrio.Connecting(1)),
        (1, derivtrio.Opened(1)),
        (1, Ready(1)),
        (5, Throttled("pricing", 1)),
        (9, Closed(1006, "", was_clean=False, by="network")),
        (9, derivtrio.Waiting(1, 1)),
        (10, derivtrio.Connecting(1)),
        (11, derivtrio.Opened(2)),
        (11, Ready(2)),
        (12, Throttled("pricing", 1)),
        (900, Throttled("pricing", 1)),
    ]
    for each in told:
        client.events.add(each)
    forget(recording, 500)
    assert [at for at, _ in client.events] == [10, 11, 11, 900]
    assert outages_of(client) == []


def test_of_too_many_things_the_newest_are_kept_and_those_that_go_on() -> None:
    @attrs.define
    class Thing:
        number: int
        ended: float | None

    kept: Kept[Thing] = Kept(3, newest=True)
    assert all(kept.add(Thing(number, None if number == 0 else 1.0)) for number in range(9))
    assert [thing.number for thing in kept] == [0, 7, 8]
    assert kept.left_out == 6


@pytest.mark.parametrize("last", [0, -1, float("inf"), float("nan")])
async def test_the_last_so_many_seconds_are_more_than_none(last: float) -> None:
    with pytest.raises(ValueError, match="last is a number of seconds, more than 0"):
        with timeline(last=last):
            pass


@pytest.mark.parametrize("port", [-1, 65_536, 70_000, 0.5, True, "8080", 10**30])
async def test_a_port_that_is_none_is_refused_before_anything_is_opened(port: Any) -> None:
    with timeline() as shown:
        with pytest.raises(ValueError, match="port is a whole number from 0 to 65535, not "):
            await serve(shown, port=port)
