"""How a connection ended, as data; or why there was none.

Whoever notices the end makes a `Disconnect`; the first one stands.

`by_peer` judges an end that our own program has not decided, from what was seen of it:

| seen                                                | by        | code         |
|-----------------------------------------------------|-----------|--------------|
| a message in too many fragments                     | `us`      | 1008         |
| trio-websocket's reader crashed at what came        | `us`      | 1002         |
| a Close frame with a code that a server may send    | `server`  | the server's |
| the stream ended, a write failed, a pong could not be written | `network` | 1006 |
| a message beyond `Settings.max_message_size`        | `us`      | 1009         |
| anything else: wsproto judged a frame to be illegal | `us`      | 1002         |
"""

import time
from collections.abc import Mapping
from typing import Final

import attrs

from derivtrio.connection.stream import WatchedStream
from derivtrio.connection.url import Address
from derivtrio.errors import (
    BrokenConnection,
    HandshakeFailed,
    HandshakeRejected,
    LinkError,
    PeerClosed,
    ProtocolViolation,
)
from derivtrio.events import By

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
_NO_CODE: Final = 1005
ABNORMAL: Final = 1006
POLICY_VIOLATION: Final = 1008
TOO_BIG: Final = 1009
_END_OF_CODES: Final = 5000

#: Codes that no Close frame may have: RFC 6455 section 7.4.1.
_NEVER_SENT: Final = frozenset({1004, 1005, 1006, 1015})

#: What close codes say that a reader of a log may not know by heart (IANA's registry).
_MEANINGS: Final = {
    1001: "it goes away",
    1008: "against its policy",
    1011: "an internal error",
    1012: "it restarts",
    1013: "it is overloaded: try again later",
    1014: "a gateway got no valid answer from the server behind it",
    3000: "unauthorized",
    3003: "forbidden",
}


@attrs.frozen(eq=False)
class Disconnect:
    """How a connection ended, or is to be ended.

    `error` is None where our own program ended it. `code` and `reason` are the peer's; where `by`
    is `"us"` they are what our Close says, until the peer has answered it.
    """

    by: By
    code: int = ABNORMAL
    reason: str = ""
    was_clean: bool = False
    error: Exception | None = None

    def as_break(self, number: int) -> BrokenConnection:
        """Return what happened to connection *number*, for the requests that it left unanswered."""
        return BrokenConnection(number, time.time(), self.error)

    @property
    def by_message(self) -> bool:
        """Whether one message has ended it: too big, not JSON, or not a frame at all."""
        return isinstance(self.error, ProtocolViolation) and not self.error.blameless

    def answered(self, stream: WatchedStream) -> "Disconnect":
        """Return how our goodbye went: with the peer's Close, or without.

        A Close that no peer may send is not an answer: it is what our goodbye was about.
        """
        answer = stream.close
        if answer is None or not (answer.code == _NO_CODE or _may_be_sent(answer.code)):
            return attrs.evolve(self, code=ABNORMAL, reason="", was_clean=False)
        reason = stream.hide(answer.reason)
        return attrs.evolve(self, code=answer.code, reason=reason, was_clean=True)


def by_peer(
    stream: WatchedStream,
    close_code: int | None,
    crash: Exception | None,
    max_message_size: int,
    *,
    writing: bool = False,
) -> Disconnect:
    """Return how the peer or the network ended a connection; `writing`: a write has failed.

    *close_code* is trio-websocket's close code, and *crash* what its reader raised.
    """
    close = stream.close
    if stream.shattered:
        return _violation(POLICY_VIOLATION, f"more than {stream.most_fragments} fragments")
    if crash is not None:
        return _violation(PROTOCOL_ERROR, str(crash), crash)
    if close is not None and (close_code == close.code or _may_be_sent(close.code)):
        meaning = f" ({_MEANINGS[close.code]})" if close.code in _MEANINGS else ""
        reason = stream.hide(close.reason)
        text = f"closed by the server: {close.code} {reason}".rstrip() + meaning
        error = PeerClosed(text, close.code, reason)
        return Disconnect("server", close.code, reason, was_clean=True, error=error)
    if stream.ended or writing or close_code == ABNORMAL:
        broken = PeerClosed("the connection ended without a Close", ABNORMAL)
        broken.__cause__ = stream.error
        return Disconnect("network", error=broken)
    if close_code == TOO_BIG:
        return _violation(TOO_BIG, f"a message larger than {max_message_size} bytes")
    return _violation(PROTOCOL_ERROR, "an illegal WebSocket frame")


def why_not_opened(
    error: Exception | None, address: Address, headers: Mapping[str, str]
) -> LinkError:
    """Return why there is no WebSocket at *address*: *error*, without what is secret.

    *headers* are what we sent: a server may repeat them, and the URL's query.
    """
    if isinstance(error, HandshakeRejected):
        ours = list(headers.values())
        theirs = {
            name: address.hidden_in(value.encode(), ours).decode()
            for name, value in error.headers.items()
        }
        return HandshakeRejected(error.status, address.hidden_in(error.body, ours), theirs)
    if isinstance(error, LinkError):
        return error
    failure = HandshakeFailed(f"the server's handshake is not a WebSocket's: {error}")
    failure.__cause__ = error
    return failure


def _may_be_sent(code: int) -> bool:
    """Return whether a server may send this code; wsproto does not know all of them."""
    return NORMAL <= code < _END_OF_CODES and code not in _NEVER_SENT


def _violation(code: int, text: str, cause: Exception | None = None) -> Disconnect:
    error = ProtocolViolation(f"the server sent {text}")
    error.__cause__ = cause
    return Disconnect("us", code, error=error)
