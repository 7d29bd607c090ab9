"""What one client has counted since its start.

Counting must cost next to nothing. So the counters are plain numbers. Those who know raise them,
once for a batch of messages and once for a call, and never for a tick. `Session.metrics` makes a
`Metrics` of them when somebody asks.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

#: How many buckets the latencies have; the last but one ends at 2 ** 16 ms, which is 65.5 s.
_BUCKETS: Final = 18


class Metrics(msgspec.Struct, frozen=True):
    """What a client has counted since its start. Durations are in seconds.

    Attributes:
        name: the name with which the client was opened.
        since: when it was opened, in seconds since the epoch.
        connections: how many WebSockets were opened.
        messages_received: messages from the server.
        messages_sent: messages to the server.
        bytes_received: the bytes of the WebSocket stream from the server, without TLS.
        bytes_sent: the same to the server.
        calls: requests for which somebody waited, by their end: `answered`; `refused` (`ApiError`);
            `unknown` (`OutcomeUnknown`); `timeout`; `lost` with a connection; `cancelled` after
            they were written; `unsent`, which never were. One that is asked again counts again. New
            subscriptions and the client's own questions, such as those for history, count; what
            restores a connection, and heartbeats, do not. What `client.send` has written counts as
            `answered`.
        reconnects: why the client had to connect again, by the name of the error that ended a
            connection or an attempt.
        gaps: how many `Gap`s were announced.
        stale_streams: how often a stream was found to be mute.
        dropped_items: how many items of the server's streams consumers have lost to their overflow
            policies.
        throttled_seconds: for how long at least one request waited for a rate limit.
        latencies: the time from writing a request to its reply, as pairs of an upper bound and how
            many were below it and above the bound before. The last bound is infinite.

    """

    name: str | None
    since: float
    connections: int
    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int
    calls: Mapping[str, int]
    reconnects: Mapping[str, int]
    gaps: int
    stale_streams: int
    dropped_items: int
    throttled_seconds: float
    latencies: Sequence[tuple[float, int]]


class Counters(msgspec.Struct):
    """The numbers that a client raises; `Metrics` says what most of them mean.

    Attributes:
        events: how many events were announced, by their class.
        last_message_wall: when the last message came, in seconds since the epoch; None before that.
        latencies: how many replies took less than `2 ** n` milliseconds, and not less than half as
            many.

    """

    since_wall: float = msgspec.field(default_factory=time.time)
    events: Counter[type] = msgspec.field(default_factory=Counter)
    last_message_wall: float | None = None
    messages_received: int = 0
    messages_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    calls: Counter[str] = msgspec.field(default_factory=Counter)
    reconnects: Counter[str] = msgspec.field(default_factory=Counter)
    dropped_items: int = 0
    latencies: list[int] = msgspec.field(default_factory=lambda: [0] * _BUCKETS)

    def latency_pairs(self) -> Sequence[tuple[float, int]]:
        """Return the latencies as `Metrics` has them."""
        bounds = [2**n / 1000 for n in range(_BUCKETS - 1)]
        return tuple(zip((*bounds, float("inf")), self.latencies, strict=True))


#: The last bucket of `Counters.latencies`.
LAST_BUCKET: Final = _BUCKETS - 1
