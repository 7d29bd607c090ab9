"""The time line while it grows, in a browser: a page, and a feed of its newest state.

    with timeline(last=600) as shown:
        async with derivtrio.open_client() as client, trio.open_nursery() as nursery:
            url = await nursery.start(serve, shown)

The picture is drawn once a second at most, only while somebody looks at it, and once for all
browsers. A browser that lags gets the newest state, not all states. The page loads nothing from
elsewhere; `derivtrio.web` says who may read it.
"""

import ipaddress
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import h11
import trio

from derivtrio.concurrency.buffer import Buffer
from derivtrio.logs import TolerantLogger
from derivtrio.trace.layout import arranged
from derivtrio.trace.page import SCRIPTS, document, fragments, style, text_of
from derivtrio.trace.timelines import Timeline
from derivtrio.web import Feed, Page, WebServer
from derivtrio.wording import wrong_port

_log: Final = TolerantLogger(logging.getLogger("derivtrio.trace"))

#: How often the picture is drawn, in seconds, and the part of the time that drawing may take.
INTERVAL: Final = 1.0
_SHARE: Final = 0.02

#: The shortest time that the picture shows, in seconds: so it does not shrink at first.
_LEAST: Final = 30


#: Scripts and styles come from this server alone, and nothing else comes at all.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none';"
    " form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_HEAD: Final = (
    '<title>derivtrio, live</title>\n<link rel="icon" href="data:,">\n'
    '<link rel="stylesheet" href="page.css">'
)
_SCRIPT: Final = "\n".join(f'<script src="{name}"></script>' for name in (*SCRIPTS, "live.js"))

_FILES: Final = {
    b"/page.css": "text/css; charset=utf-8",
    **{f"/{name}".encode(): "text/javascript; charset=utf-8" for name in (*SCRIPTS, "live.js")},
}


async def serve(
    shown: Timeline,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve *shown* as a page that follows it, until cancelled; the task's status is its URL.

    Start it in a nursery of yours: `url = await nursery.start(serve, shown)`. With port 0 the
    system chooses one. Browsers must use an IP address, `localhost`, or *host*.

    Whoever can reach *host* can read the page; there is no password. An address that other machines
    can reach is a WARNING in the log. Tokens and messages are not on the page.

    *Cancellation*: closes the listeners and all connections.

    Raises:
        OSError: the port is in use, or this machine does not have that address.
        ValueError: *port* is not one.

    """
    if wrong := wrong_port(port):
        raise ValueError(wrong)
    listeners = await trio.open_tcp_listeners(port, host=host)
    url = _url(host, listeners)
    task_status.started(url)
    await serve_listeners(shown, listeners, host)


async def serve_listeners(shown: Timeline, listeners: list[trio.SocketListener], host: str) -> None:
    """Serve *shown* at *listeners*, which were opened for *host*, until cancelled."""
    shown.leave_out(trio.lowlevel.current_task())
    addresses = [listener.socket.getsockname()[0] for listener in listeners]
    if not all(ipaddress.ip_address(each.partition("%")[0]).is_loopback for each in addresses):
        text = "the time line at %s can be read by everybody who reaches this machine"
        _log.warning(text, _url(host, listeners))
    live = LiveTimeline(shown)
    server = WebServer(live.page_for, frozenset({"localhost", host.lower()}))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(live.draw, name="derivtrio.trace.draw")
        await server.listen(listeners)


def _url(host: str, listeners: list[trio.SocketListener]) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listeners[0].socket.getsockname()[1]}/"


@attrs.define(eq=False)
class LiveTimeline:
    """The page of a time line, and the browsers that follow it."""

    _shown: Timeline
    _browsers: list[Buffer[bytes]] = attrs.field(factory=list, init=False)
    _arrival: trio.Event = attrs.field(factory=trio.Event, init=False)

    def page_for(self, request: h11.Request) -> Page | Feed:
        """Return the answer to *request*."""
        path = request.target.partition(b"?")[0]
        if path == b"/":
            return Page(200, self._page().encode(), "text/html; charset=utf-8", _HEADERS)
        if path == b"/feed":
            return Feed(self.followed, "text/event-stream", _HEADERS)
        if path in _FILES:
            name = path[1:].decode()
            body = style() if name == "page.css" else text_of(name)
            return Page(200, body.encode(), _FILES[path], _HEADERS)
        return Page(404, b"the time line is at /\n", headers=_HEADERS)

    async def draw(self) -> None:
        """Draw the picture again and again for those who follow it."""
        while True:
            while not self._browsers:
                self._arrival = trio.Event()
                await self._arrival.wait()
            begun = time.perf_counter()
            part = f"data: {json.dumps(self._fragments())}\n\n".encode()
            took = time.perf_counter() - begun
            for browser in self._browsers:
                browser.put(part)
            await trio.sleep(max(INTERVAL, took / _SHARE))

    @contextmanager
    def followed(self) -> Iterator[Buffer[bytes]]:
        """Let a browser follow during the block."""
        browser: Buffer[bytes] = Buffer("browser", 1, "latest")
        browser.put(b"retry: 2000\n\n")
        self._browsers.append(browser)
        self._arrival.set()
        try:
            yield browser
        finally:
            self._browsers.remove(browser)

    def _page(self) -> str:
        return document(_HEAD, self._fragments(), _SCRIPT, '<p id="live">not connected yet</p>')

    def _fragments(self) -> dict[str, str]:
        recording = self._shown.recording
        picture = arranged(recording, self._shown.length)
        wall = recording.began_wall + picture.began
        return fragments(picture, recording, f' data-wall="{wall:.3f}" data-least="{_LEAST}"')
