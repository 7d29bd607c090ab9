"""The server's HTTP answer to the WebSocket handshake, as far as it decides anything. No I/O.

wsproto judges a 101 in full. What it is not shown is everything else: another status is a refusal,
whose body may say why, and bytes that are not HTTP/1.1 are no answer at all.
"""

import re
from typing import Final

import attrs

from derivtrio.errors import HandshakeFailed, HandshakeRejected

SWITCHING_PROTOCOLS: Final = 101

_FIRST_FINAL: Final = 200
_MAX_HEAD: Final = 2**14
_MAX_BODY: Final = 2**12
_END_OF_HEAD: Final = b"\r\n\r\n"
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
_CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


@attrs.define(eq=False)
class Answer:
    """What has come of the answer.

    Attributes:
        status: the HTTP status, once the whole head is there; interim answers do not count.
        head: the head with that status, its blank line included.
        rest: what came behind it: the first frames, or the beginning of a refusal's body.

    """

    status: int | None = attrs.field(default=None, init=False)
    head: bytes = attrs.field(default=b"", init=False)
    rest: bytes = attrs.field(default=b"", init=False)

    def feed(self, data: bytes) -> None:
        """Take in *data*.

        Raises:
            HandshakeFailed: this is not HTTP.

        """
        self.rest += data
        while self.status is None:
            if not self.rest.startswith(b"HTTP/"[: len(self.rest)]) or len(self.rest) > _MAX_HEAD:
                text = f"the server does not speak HTTP; its answer begins {self.rest[:32]!r}"
                raise HandshakeFailed(text)
            head, end, rest = self.rest.partition(_END_OF_HEAD)
            if not end:
                return
            self.head, self.rest = head + end, rest
            self.status = _final_status(head)

    @property
    def finished(self) -> bool:
        """Whether all of a refusal's body is there that is worth having."""
        return len(self.rest) >= self._body_size

    @property
    def refusal(self) -> HandshakeRejected | None:
        """The error that the answer is, once its head is there and is no 101."""
        if self.status is None or self.status == SWITCHING_PROTOCOLS:
            return None
        return HandshakeRejected(self.status, self.rest[: self._body_size])

    @property
    def _body_size(self) -> int:
        announced = _CONTENT_LENGTH.search(self.head)
        return min(_MAX_BODY, int(announced[1])) if announced else _MAX_BODY


def _final_status(head: bytes) -> int | None:
    """Return the status in *head*, or None if a further head will follow."""
    match = _STATUS_LINE.match(head)
    if match is None:
        text = f"the server's answer is no HTTP/1.1 response: {head[:32]!r}"
        raise HandshakeFailed(text)
    status = int(match[1])
    return None if status < _FIRST_FINAL and status != SWITCHING_PROTOCOLS else status
