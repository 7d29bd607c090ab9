"""What happens to a connection, as data.

One connection's life reads `Connecting`, `Opened`, `Authorized` (where there is a token),
`Ready`, `Closed`. An attempt that fails before the socket is open reads `Connecting`, `Failed`.
`Waiting` says how long it is until the next attempt. A connection that the client or the network
ended has a `Failed` with the reason before its `Closed`. There is none where the server closed it,
for the `Closed` then has the reason, nor at the end of the client.

Every event has the `time` at which it was announced, in seconds since the epoch, and as
`client` the `name` with which its client was opened.
"""

import time
from typing import Any, Literal

import attrs

#: Who ended a connection: our program, the server's Close, a TCP stream that ended without a
#: Close, or our heartbeat's verdict that the peer is mute.
By = Literal["us", "server", "network", "heartbeat"]


def _now() -> Any:
    return attrs.field(factory=time.time, kw_only=True)


def _name() -> Any:
    return attrs.field(default=None, kw_only=True, repr=False)


@attrs.frozen
class Connecting:
    """An attempt begins; `attempt` counts from 1 since the last stable connection."""

    attempt: int
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Opened:
    """The WebSocket is open; `connection` counts the client's connections from 1."""

    connection: int
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Authorized:
    """The server has accepted the token; `loginid` is the account."""

    loginid: str
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Ready:
    """Authorization and every subscription have been answered: calls flow."""

    connection: int
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class MessageReceived:
    """One message from the server, as it came (`bytes` for a binary one), secrets masked."""

    data: str | bytes
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class MessageSent:
    """One message to the server, as it went (`bytes` for a binary one), secrets masked."""

    data: str | bytes
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Stale:
    """The server has more of `stream`, and has not sent it: the stream is asked for again.

    `stream` is a symbol, or the name of a call such as `balance`. `since` is when the stream last
    said something, in seconds since the epoch.
    """

    stream: str
    since: float
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Closed:
    """An open WebSocket has ended.

    `code` and `reason` are those of the Close frame that the peer sent; without one the code is
    1006 and the reason empty, as RFC 6455 section 7.1.5 has it. `was_clean` says that Close frames
    went both ways. `by` says who ended it: `"us"`, `"server"`, `"network"` (a byte stream that
    ended without a Close frame) or `"heartbeat"` (no sign of life).
    """

    code: int
    reason: str
    was_clean: bool
    by: By
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Failed:
    """An attempt failed, or a connection broke; `error` says why."""

    error: Exception
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Waiting:
    """The next attempt, number `attempt`, begins in `delay` seconds."""

    delay: float
    attempt: int
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Gap:
    """The stream has no data for the open interval between the epochs `after` and `before`.

    `reason` says why. `filled` is False: a hole that the server's history closes is no gap, and is
    not announced.
    """

    stream: str
    after: int
    before: int
    filled: bool
    reason: str
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Filling:
    """A long hole in `stream`, from the epoch `after` to `before`, is filled up to `reached`.

    It comes after each answer of the server's history, if one answer does not fill the hole. At
    its end `reached` is `before`. Of candles `granularity` is the length; of ticks it is 0.
    """

    stream: str
    granularity: int
    after: int
    reached: int
    before: int
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Throttled:
    """Requests of the rate-limit `group` are held back for `delay` seconds."""

    group: str
    delay: float
    time: float = _now()
    client: str | None = _name()


@attrs.frozen
class Overflow:
    """A consumer of `stream` lags; `dropped` of its items are lost to it so far."""

    stream: str
    dropped: int
    time: float = _now()
    client: str | None = _name()


#: What `Client.events` yields.
Event = (
    Connecting
    | Opened
    | Authorized
    | Ready
    | MessageReceived
    | MessageSent
    | Stale
    | Closed
    | Failed
    | Waiting
    | Gap
    | Filling
    | Throttled
    | Overflow
)
