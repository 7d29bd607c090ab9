"""How a client behaves: data that is frozen and validated. Durations are in seconds."""

import math
import ssl
from typing import Any

import attrs
from attrs.validators import optional


def _between(kind: type, lowest: float, what: str, *, strictly: bool = False) -> Any:
    """Return an attrs validator for finite numbers of *kind* from *lowest* up."""

    def check(_: object, field: "attrs.Attribute[Any]", value: Any) -> None:
        numeric = isinstance(value, (int, kind)) and not isinstance(value, bool)
        if not numeric or not lowest <= value < math.inf or (strictly and value == lowest):
            text = f"{field.name} is {what}, not {value!r}"
            raise ValueError(text)

    return check


def _instance_of(kind: type) -> Any:
    """Return an attrs validator for instances of *kind*, whose error is one sentence."""

    def check(_: object, field: "attrs.Attribute[Any]", value: Any) -> None:
        if not isinstance(value, kind):
            text = f"{field.name} is of the type {kind.__name__}, not {value!r}"
            raise TypeError(text)

    return check


_duration = _between(float, 0, "a number of seconds, more than 0", strictly=True)
_duration_or_none: Any = optional(_duration)
_not_negative = _between(float, 0, "a number of seconds, not negative")
_factor = _between(float, 1, "a number, at least 1")
_count = _between(int, 1, "a whole number, at least 1")


@attrs.frozen
class Backoff:
    """How long to wait before the next attempt: exponential, with full jitter.

    Before attempt *n* + 1 the client waits a random time between 0 and
    `min(cap, first * factor ** (n - 1))` seconds.
    """

    first: float = attrs.field(default=0.5, validator=_duration)
    factor: float = attrs.field(default=2, validator=_factor)
    cap: float = attrs.field(default=60, validator=_duration)


@attrs.frozen(kw_only=True)
class Settings:
    """How long a client waits, how much it takes, which servers it trusts. Times in seconds.

    Attributes:
        connect_timeout: for one attempt: URL, TCP, TLS and WebSocket handshake together.
        restore_timeout: for authorization and resubscription on a new connection. Waiting for a
            rate limit does not count.
        close_timeout: for the goodbye; after that the socket is closed by force.
        heartbeat_interval: after so long without a message the client sends a ping.
        heartbeat_timeout: how long the server may then take to send anything at all.
        stale_after: after so long without a word, a stream is compared with what the server has
            (see `streams.staleness`); `None` means never.
        response_timeout: how long a written request waits for its reply.
        backoff: how long to wait between attempts.
        stable_after: how long a connection must stay `READY` for the backoff to start anew.
        max_attempts: attempts in a row without a stable connection; `None` means for ever.
        outbox: how many requests may wait for a connection. Further callers wait for room.
        max_message_size: the largest message accepted from the server, in bytes.
        ssl_context: for `wss://`; `None` means the platform's own certificate authorities.
        wait_ready: whether `open_client` waits for the first connection to be `READY`.
        pacing: whether requests wait so that the server's rate limits are never exceeded (see
            `policy.rate_limits`). `False` is for servers without limits, in tests and benchmarks.
        fast: whether text frames go around trio-websocket (`connection.fast`), and ticks around
            dicts (`calls.fast_ticks`). `False` is the plain way: to read, to debug, to compare.
        check_requests: whether calls and subscriptions that Deriv's schemas do not allow are
            refused before they are sent. `False` is for calls that are newer than this client.

    """

    connect_timeout: float = attrs.field(default=10, validator=_duration)
    restore_timeout: float = attrs.field(default=20, validator=_duration)
    close_timeout: float = attrs.field(default=2, validator=_duration)
    heartbeat_interval: float = attrs.field(default=25, validator=_duration)
    heartbeat_timeout: float = attrs.field(default=10, validator=_duration)
    stale_after: float | None = attrs.field(default=60, validator=_duration_or_none)
    response_timeout: float = attrs.field(default=60, validator=_duration)
    backoff: Backoff = attrs.field(factory=Backoff, validator=_instance_of(Backoff))
    stable_after: float = attrs.field(default=60, validator=_not_negative)
    max_attempts: int | None = attrs.field(default=None, validator=optional(_count))
    outbox: int = attrs.field(default=1024, validator=_count)
    max_message_size: int = attrs.field(default=8 * 2**20, validator=_count)
    ssl_context: ssl.SSLContext | None = attrs.field(
        default=None, validator=optional(_instance_of(ssl.SSLContext))
    )
    wait_ready: bool = attrs.field(default=True, validator=_instance_of(bool))
    pacing: bool = attrs.field(default=True, validator=_instance_of(bool))
    fast: bool = attrs.field(default=True, validator=_instance_of(bool))
    check_requests: bool = attrs.field(default=True, validator=_instance_of(bool))

    def but(self, **changes: Any) -> "Settings":
        """Return a copy with *changes*, validated like a new one."""
        return attrs.evolve(self, **changes)
