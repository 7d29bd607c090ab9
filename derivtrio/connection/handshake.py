"""The server's HTTP answer to the WebSocket handshake. No I/O.

`h11` reads the answer, and wsproto judges a 101 in full: it is given the bytes of that head. What
wsproto is not shown is everything else:

- Interim answers (1xx) are skipped.
- Another status is a refusal, and the beginning of its body may say why.
- Bytes that are not HTTP/1.1 are no answer at all.

Only the head is limited in size. Whatever comes behind a 101 is the first frames, and is handed on
untouched; of a refusal's body the first 4 KiB are kept.
"""

from collections.abc import Iterable
from typing import Final

import attrs
import h11

from derivtrio.errors import HandshakeFailed, HandshakeRejected
from derivtrio.redaction import HIDDEN, shown_url

SWITCHING_PROTOCOLS: Final = 101

_MAX_HEAD: Final = 2**14
_MAX_BODY: Final = 2**12
_MAX_HEADER: Final = 200
_SHOWN: Final = 32

_NO_REQUEST: Final = h11.Request(
    method="GET", target="/", headers=[("Host", "x"), ("Upgrade", "websocket")]
)


def _reader() -> h11.Connection:
    """Return an h11 client that waits for the answer to a request to switch protocols.

    wsproto has written the real request. h11 must know of one, or it would not accept a 101.
    """
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
    http.send(_NO_REQUEST)
    http.send(h11.EndOfMessage())
    return http


@attrs.define(eq=False, repr=False)
class Answer:
    """What has come of the answer.

    Attributes:
        status: the HTTP status, once the whole head is there; interim answers do not count.
        head: the bytes of the head with that status, its blank line included.
        rest: what came behind it: the first frames, or the beginning of a refusal's body.
        finished: whether nothing more of the answer is needed.

    """

    status: int | None = attrs.field(default=None, init=False)
    head: bytes = attrs.field(default=b"", init=False)
    rest: bytes = attrs.field(default=b"", init=False)
    finished: bool = attrs.field(default=False, init=False)
    _headers: dict[str, str] = attrs.field(factory=dict, init=False)
    _unread: bytes = attrs.field(default=b"", init=False)
    #: None before the first byte, and again after a 101: it would take 4 kB for nothing.
    _http: h11.Connection | None = attrs.field(default=None, init=False)

    def feed(self, data: bytes) -> None:
        """Take in *data*, which is not empty, until `finished`.

        Raises:
            HandshakeFailed: this is not HTTP, or its head is too long.

        """
        if self.status is None:
            self._feed_head(data)
        else:
            self._feed_body(data)

    @property
    def refusal(self) -> HandshakeRejected | None:
        """The error that the answer is, once its head is there and is not a 101."""
        if self.status is None or self.status == SWITCHING_PROTOCOLS:
            return None
        return HandshakeRejected(self.status, self.rest, self._headers)

    def _feed_head(self, data: bytes) -> None:
        self._unread += data
        # h11 waits for a blank line; what speaks first and is not HTTP may never send one.
        if not self._unread.startswith(b"HTTP/"[: len(self._unread)]):
            text = f"the server does not speak HTTP; its answer begins {_shown(self._unread)}"
            raise HandshakeFailed(text)
        http = self._http = self._http or _reader()
        try:
            http.receive_data(data)
            while self.status is None:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    break
                self._take_head(event, http)
        except h11.RemoteProtocolError as error:
            self._check_size(self._unread)  # h11 has the same limit, and calls it something else
            text = (
                f"the server's handshake is not a WebSocket's: no HTTP/1.1 response ({error});"
                f" its answer begins {_shown(self._unread)}"
            )
            raise HandshakeFailed(text) from error
        self._check_size(self._unread if self.status is None else self.head)
        if self.refusal is not None:
            self._feed_body(b"")
        elif self.finished:
            self._http = None

    def _take_head(self, event: object, http: h11.Connection) -> None:
        """Take the head of the answer out of the bytes, or drop an interim one."""
        behind, _ = http.trailing_data
        head, self._unread = self._unread[: len(self._unread) - len(behind)], behind
        match event:
            case h11.InformationalResponse(status_code=101):
                self.rest, self.finished = behind, True
            case h11.Response():
                self._headers = worth_keeping(event.headers)
            case _:
                return
        self.status, self.head = event.status_code, head

    def _feed_body(self, data: bytes) -> None:
        http = self._http
        try:
            if data and http is not None:
                http.receive_data(data)
            while http is not None and not self.finished:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    return
                if isinstance(event, h11.Data):
                    self.rest = (self.rest + event.data)[:_MAX_BODY]
                over = isinstance(event, h11.EndOfMessage)
                self.finished = over or len(self.rest) == _MAX_BODY
        except h11.RemoteProtocolError:  # the status counts; a body in disorder ends here
            self.finished = True

    def _check_size(self, head: bytes) -> None:
        if len(head) > _MAX_HEAD:
            text = (
                f"the head of the server's answer is longer than {_MAX_HEAD} bytes;"
                f" it begins {_shown(head)}"
            )
            raise HandshakeFailed(text)


def _shown(data: bytes) -> str:
    """Return how *data* begins; not the query of a URL, for it may be our own request."""
    return repr(data[:_SHOWN].partition(b"?")[0])


def worth_keeping(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return what a refusal's *headers* say about where else, or when, to ask."""
    kept = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").title(), raw_value.decode("latin-1")
        if name == "Location":
            kept[name] = _shown_location(value)
        elif name == "Retry-After":
            kept[name] = value[:_MAX_HEADER]
    return kept


def _shown_location(location: str) -> str:
    try:
        return shown_url(location)[:_MAX_HEADER]
    except ValueError:
        return HIDDEN
