"""The health page: `/healthz` and `/metrics` over HTTP, for probes and for Prometheus.

h11 speaks HTTP, trio serves. Whoever asks is not trusted:

- One request per connection, `GET` or `HEAD`; a body is not read.
- At most `CONNECTIONS` at a time; a further one is closed at once.
- Everything together may take `PATIENCE` seconds, and a head `HEAD_SIZE` bytes.

Nothing that a visitor sends is logged or repeated.
"""

import json
from collections.abc import Callable
from typing import Final

import attrs
import h11
import trio

from derivtrio.cli.health import Health
from derivtrio.cli.prometheus import CONTENT_TYPE, exposition
from derivtrio.recording.store import MissingExtra

CONNECTIONS: Final = 16
PATIENCE: Final = 5.0
HEAD_SIZE: Final = 8192

_TEXT: Final = "text/plain; charset=utf-8"


@attrs.frozen
class Page:
    """What is answered."""

    status: int
    body: bytes
    kind: str = _TEXT


def healthz(health: Health) -> Page:
    """Return 200 if all is well, otherwise 503; the body says why, as JSON."""
    report = health.report()
    body = json.dumps(report).encode() + b"\n"
    return Page(200 if report["healthy"] else 503, body, "application/json")


def metrics(health: Health) -> Page:
    """Return the metrics as Prometheus reads them; 501 without the extra that it needs."""
    try:
        return Page(200, exposition(health), CONTENT_TYPE)
    except MissingExtra as error:
        return Page(501, f"{error}\n".encode())


_PAGES: Final[dict[bytes, Callable[[Health], Page]]] = {b"/healthz": healthz, b"/metrics": metrics}


def page_for(request: h11.Request, health: Health) -> Page:
    """Return the answer to *request*."""
    if request.method not in (b"GET", b"HEAD"):
        return Page(405, b"GET or HEAD\n")
    make = _PAGES.get(request.target.partition(b"?")[0])
    return Page(404, b"/healthz and /metrics\n") if make is None else make(health)


@attrs.define(eq=False)
class HealthServer:
    """Answers visitors with the state of `health`."""

    health: Health
    _visitors: int = attrs.field(default=0, init=False)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Answer one visitor."""
        if self._visitors >= CONNECTIONS:
            await trio.aclose_forcefully(stream)
            return
        self._visitors += 1
        try:
            with trio.move_on_after(PATIENCE):
                await self._answer(stream)
        except (trio.BrokenResourceError, h11.ProtocolError):
            pass  # the visitor has left, or is no HTTP client
        finally:
            self._visitors -= 1
            await trio.aclose_forcefully(stream)

    async def _answer(self, stream: trio.abc.Stream) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_SIZE)
        request: h11.Request | None = None
        try:
            request = await _request(http, stream)
            if request is None:
                return
            page = page_for(request, self.health)
        except h11.RemoteProtocolError as error:
            page = Page(error.error_status_hint, b"this is no request\n")
        headers = [
            ("Content-Type", page.kind),
            ("Content-Length", str(len(page.body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
        head = http.send(h11.Response(status_code=page.status, headers=headers)) or b""
        only_head = request is not None and request.method == b"HEAD"  # h11 refuses a body then
        body = b"" if only_head else http.send(h11.Data(data=page.body)) or b""
        await stream.send_all(head + body)
        if isinstance(stream, trio.SocketStream):
            await stream.send_eof()


async def _request(http: h11.Connection, stream: trio.abc.Stream) -> h11.Request | None:
    """Return the request; None if the visitor leaves without one."""
    while True:
        event = http.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        http.receive_data(bytes(await stream.receive_some(HEAD_SIZE)))
