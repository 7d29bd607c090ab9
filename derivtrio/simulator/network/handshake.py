"""The HTTP request that a connection begins with, and the answers to it.

`Request` is what came, `Rejection` an answer after which the connection ends, and `Upgrade` the
beginning of a WebSocket.
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

PATH = "/websockets/v3"


@attrs.frozen
class HttpRequest:
    """An HTTP request: `target` has path and query, `headers` names in lower case.

    `data` is all that has come so far, the request included.
    """

    method: str
    target: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    data: bytes = attrs.field(repr=False)


@attrs.frozen
class HttpResponse:
    """An HTTP answer other than 101."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def response(self) -> bytes:
        """Return the whole HTTP response."""
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
    """A request that is granted: the WebSocket connection, and the 101 still to be sent."""

    protocol: WSConnection
    greeting: bytes


async def receive_request(stream: trio.abc.Stream) -> HttpRequest | HttpResponse:
    """Receive the opening request on *stream*; what is no HTTP gets an answer of its own.

    Raises:
        trio.BrokenResourceError: the peer went away in the middle.

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
    """Return the WebSocket connection that *request* asks for, or what is wrong with it."""
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
