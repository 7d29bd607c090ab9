"""A small HTTP server for pages about this process: whether it is well, and its time line.

h11 speaks HTTP, trio serves. Whoever asks is not trusted:

- One request per connection, `GET` or `HEAD`; a body is not read.
- At most `CONNECTIONS` at a time; a further one is closed at once.
- Everything together may take `PATIENCE` seconds, and a head `HEAD_SIZE` bytes. A `Feed`, which
  goes on without an end, has that time for each of its parts. There are at most `FEEDS` of them.
- When the process may open no more files and sockets, visitors wait until one is closed. That is a
  line in the log, once a minute; `trio.serve_listeners` writes a traceback, ten times a second.
- With `names`, the `Host` of a request must be an IP address or one of them. A web page of a
  stranger can make its own name point to this machine ("DNS rebinding"); then the browser lets it
  read what this server says, but the `Host` is still the stranger's name.

Nothing that a visitor sends is logged or repeated.
"""

import errno
import ipaddress
import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Final

import attrs
import h11
import trio

from derivtrio.concurrency.buffer import Buffer
from derivtrio.wording import TolerantLogger

CONNECTIONS: Final = 16
FEEDS: Final = 8
PATIENCE: Final = 5.0
HEAD_SIZE: Final = 8192

#: How long the end of a feed may take, in seconds.
_GOODBYE: Final = 0.2

#: What the system says when it has no room: for this process, for all, or in memory.
_NO_ROOM: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)

#: The pause before the next attempt, and between two lines of the log, in seconds.
_PAUSE: Final = 0.1
_SILENCE: Final = 60.0

_log: Final = TolerantLogger(logging.getLogger("derivtrio.web"))

_TEXT: Final = "text/plain; charset=utf-8"
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::\d+)?")


@attrs.frozen
class Page:
    """What is answered."""

    status: int
    body: bytes
    kind: str = _TEXT
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Feed:
    """An answer that goes on. A visitor who lags misses parts, if the buffer drops them.

    Attributes:
        opened: gives the visitor's buffer of parts, for as long as the visitor stays.
        kind: the media type.
        headers: more of them.

    """

    opened: Callable[[], AbstractContextManager[Buffer[bytes]]]
    kind: str
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.define(eq=False)
class WebServer:
    """Answers visitors with what `page_for` makes of their requests.

    Attributes:
        names: the names by which this server may be called; None: any.

    """

    page_for: Callable[[h11.Request], Page | Feed]
    names: frozenset[str] | None = None
    _visitors: int = attrs.field(default=0, init=False)
    _feeds: int = attrs.field(default=0, init=False)

    async def listen(self, listeners: Iterable[trio.abc.Listener[trio.SocketStream]]) -> None:
        """Answer all who come to *listeners*, until cancelled."""
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(self._accept, listener, nursery)

    async def _accept(
        self, listener: trio.abc.Listener[trio.SocketStream], nursery: trio.Nursery
    ) -> None:
        told = -math.inf
        async with listener:
            while True:
                try:
                    nursery.start_soon(self.serve, await listener.accept())
                except OSError as error:
                    if error.errno not in _NO_ROOM:
                        raise
                    if trio.current_time() >= told + _SILENCE:
                        told = trio.current_time()
                        _log.warning("new visitors have to wait: %s", error.strerror)
                    await trio.sleep(_PAUSE)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Answer one visitor."""
        if self._visitors >= CONNECTIONS:
            await trio.aclose_forcefully(stream)
            return
        self._visitors += 1
        try:
            await self._answer(stream)
        except (trio.BrokenResourceError, h11.ProtocolError):
            pass  # the visitor has left, or is no HTTP client
        finally:
            self._visitors -= 1
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.abc.Stream) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_SIZE)
        feed: Feed | None = None
        with trio.move_on_after(PATIENCE):
            feed = await self._reply(http, stream)
        if feed is not None:
            await self._follow(http, stream, feed)

    async def _reply(self, http: h11.Connection, stream: trio.abc.Stream) -> Feed | None:
        """Send the page that is asked for; of a feed, send the head and return it."""
        only_head = False
        page: Page | Feed
        try:
            request = await _request(http, stream)
            if request is None:
                return None
            page = self._page(request)
            only_head = request.method == b"HEAD"  # h11 refuses a body then
        except h11.RemoteProtocolError as error:
            page = Page(error.error_status_hint, b"this is no request\n")
        head = http.send(_head(page)) or b""
        if isinstance(page, Feed) and not only_head:
            await stream.send_all(head)
            return page
        body = b"" if isinstance(page, Feed) or only_head else page.body
        await stream.send_all(head + (http.send(h11.Data(data=body)) or b"" if body else b""))
        if isinstance(stream, trio.SocketStream):
            await stream.send_eof()
        return None

    def _page(self, request: h11.Request) -> Page | Feed:
        if request.method not in (b"GET", b"HEAD"):
            return Page(405, b"GET or HEAD\n")
        if self.names is not None and not _is_called(request, self.names):
            return Page(403, b"use the IP address of this server, or localhost\n")
        page = self.page_for(request)
        if isinstance(page, Feed) and self._feeds >= FEEDS:
            return Page(503, b"too many browsers follow this already\n")
        return page

    async def _follow(self, http: h11.Connection, stream: trio.abc.Stream, feed: Feed) -> None:
        """Send the parts of *feed* until it ends, or the visitor has not taken one in time.

        *Cancellation*: tells the visitor that this is the end.
        """
        self._feeds += 1
        try:
            with feed.opened() as parts:
                while (part := await _next_part(parts, http, stream)) is not None:
                    with trio.fail_after(PATIENCE):
                        await stream.send_all(http.send(h11.Data(data=part)) or b"")
        except trio.TooSlowError:
            pass
        finally:
            self._feeds -= 1


async def _next_part(
    parts: Buffer[bytes], http: h11.Connection, stream: trio.abc.Stream
) -> bytes | None:
    """Return the next part; at the end of them, and when cancelled, say so and return None."""
    try:
        return await parts.get()
    except (StopAsyncIteration, trio.Cancelled) as end:
        with trio.move_on_after(_GOODBYE, shield=True):
            await stream.send_all(http.send(h11.EndOfMessage()) or b"")
        if isinstance(end, trio.Cancelled):
            raise
        return None


async def _request(http: h11.Connection, stream: trio.abc.Stream) -> h11.Request | None:
    """Return the request; None if the visitor leaves without one."""
    while True:
        event = http.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        http.receive_data(bytes(await stream.receive_some(HEAD_SIZE)))


def _head(page: Page | Feed) -> h11.Response:
    status = page.status if isinstance(page, Page) else 200
    headers = {"Content-Type": page.kind, "Cache-Control": "no-store", "Connection": "close"}
    if isinstance(page, Page):
        headers["Content-Length"] = str(len(page.body))
    return h11.Response(status_code=status, headers=[*headers.items(), *page.headers.items()])


def _is_called(request: h11.Request, names: frozenset[str]) -> bool:
    """Return whether the `Host` of *request* is an IP address, or one of *names*."""
    host = next((value for name, value in request.headers if name == b"host"), b"")
    found = _HOST.fullmatch(host.decode("latin-1").lower())
    if found is None:
        return False
    try:
        ipaddress.ip_address(found[1] or found[2])
    except ValueError:
        return found[2] in names
    return True
