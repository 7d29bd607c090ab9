"""The HTTP request that begins a WebSocket connection, and when it is turned down.

Deriv wants `GET /websockets/v3?app_id=N`; `l` (language) and `brand` may follow. It answers 401
to an app id that it does not know (reported by third parties). Here that is any app id that is
missing or no number, and the body is Deriv's `InvalidAppID` error as JSON.
"""

from http.client import responses
from urllib.parse import parse_qs, urlsplit

import attrs
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, RejectConnection, Request
from wsproto.utilities import RemoteProtocolError

from derivtrio.codec import encode

PATH = "/websockets/v3"


@attrs.frozen
class Rejection:
    """An HTTP answer other than 101."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"

    def response(self) -> bytes:
        """Return the whole HTTP response."""
        phrase = responses.get(self.status, "Unknown")
        head = (
            f"HTTP/1.1 {self.status} {phrase}\r\n"
            f"Content-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + self.body


@attrs.frozen
class Upgrade:
    """A request that is granted: the WebSocket connection, and the 101 still to be sent."""

    protocol: WSConnection
    greeting: bytes


async def receive_upgrade(stream: trio.abc.Stream) -> Upgrade | None:
    """Receive the opening request on *stream*; return `None` if it had to be turned down.

    Raises:
        trio.BrokenResourceError: the peer went away in the middle.

    """
    protocol = WSConnection(ConnectionType.SERVER)
    try:
        request = await _receive_request(stream, protocol)
    except (RemoteProtocolError, UnicodeError) as error:
        await stream.send_all(Rejection(_status(error), str(error).encode()).response())
        return None
    rejection = verdict(request.target)
    if rejection is not None:
        await stream.send_all(rejection.response())
        return None
    return Upgrade(protocol, protocol.send(AcceptConnection()))


def verdict(target: str) -> Rejection | None:
    """Return why a request for *target* (path and query) is turned down, or `None`."""
    parts = urlsplit(target)
    if parts.path != PATH:
        return Rejection(404, b"Not Found")
    app_id = parse_qs(parts.query).get("app_id", [""])[0]
    if app_id.isascii() and app_id.isdecimal():
        return None
    error = {"code": "InvalidAppID", "message": "Your app_id is invalid."}
    return Rejection(401, encode({"error": error}).encode(), "application/json")


async def _receive_request(stream: trio.abc.Stream, protocol: WSConnection) -> Request:
    while True:
        data = await stream.receive_some()
        if not data:
            raise trio.BrokenResourceError
        protocol.receive_data(bytes(data))
        for event in protocol.events():
            if isinstance(event, Request):
                return event


def _status(error: Exception) -> int:
    hint = getattr(error, "event_hint", None)
    return hint.status_code if isinstance(hint, RejectConnection) else 400
