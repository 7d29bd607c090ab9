"""The HTTP request that a connection begins with, and the responses to it.

A connection serves one request. An `HttpResponse` ends it; an `Upgrade` turns it into a WebSocket.
"""

from collections.abc import Mapping
from http.client import responses

import attrs
import h11
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, RejectConnection
from wsproto.utilities import RemoteProtocolError


@attrs.frozen
class HttpRequest:
    """An HTTP request: `target` is path and query; the names of `headers` are in lower case.

    `data` is every byte received so far, the request included. wsproto reads it again in `upgrade`.
    """

    method: str
    target: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    data: bytes = attrs.field(repr=False)


@attrs.frozen
class HttpResponse:
    """An HTTP response other than 101, a success or an error."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def encoded(self) -> bytes:
        """Return the response as it is sent."""
        phrase = responses.get(self.status, "Unknown")
        fields = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Connection": "close",
            **self.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status} {phrase}\r\n{lines}\r\n".encode() + self.body


@attrs.frozen
class Upgrade:
    """An accepted WebSocket: its protocol state, and the 101 response that is still to be sent."""

    protocol: WSConnection
    response: bytes


async def receive_request(stream: trio.abc.Stream) -> HttpRequest | HttpResponse:
    """Receive the request on *stream*; for bytes that are not HTTP, return the error response.

    Raises:
        trio.BrokenResourceError: the peer closed the stream before its request was complete.

    """
    http, data = h11.Connection(h11.SERVER), b""
    try:
        while not isinstance(event := http.next_event(), h11.Request):
            received = bytes(await stream.receive_some())
            if not received:
                raise trio.BrokenResourceError
            http.receive_data(received)
            data += received
        headers = {name.decode(): value.decode() for name, value in event.headers}
    except h11.RemoteProtocolError as error:
        return HttpResponse(error.error_status_hint, str(error).encode())
    except UnicodeError as error:
        return HttpResponse(400, str(error).encode())
    return HttpRequest(event.method.decode(), event.target.decode(), headers, data)


def upgrade(request: HttpRequest) -> Upgrade | HttpResponse:
    """Accept *request* as a WebSocket, or return the error response if it is not a valid one."""
    protocol = WSConnection(ConnectionType.SERVER)
    try:
        protocol.receive_data(request.data)
    except (RemoteProtocolError, UnicodeError) as error:
        return HttpResponse(_status(error), str(error).encode())
    assert protocol.state is ConnectionState.CONNECTING  # noqa: S101  (it has read the request)
    next(protocol.events())
    return Upgrade(protocol, protocol.send(AcceptConnection()))


def _status(error: Exception) -> int:
    hint = getattr(error, "event_hint", None)
    return hint.status_code if isinstance(hint, RejectConnection) else 400
