"""A client's metrics, as Prometheus reads them. Needs the extra `metrics` (prometheus-client)."""

import itertools
from collections.abc import Iterator
from typing import Any, Final

from derivtrio.calls.status import State
from derivtrio.cli.health import Health
from derivtrio.recording.extras import needing

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

#: Counters without labels: the field of `Metrics`, and what it counts.
_COUNTERS: Final = {
    "connections": "WebSockets opened.",
    "messages_received": "Messages from the server.",
    "messages_sent": "Messages to the server.",
    "bytes_received": "Bytes from the server, without TLS.",
    "bytes_sent": "Bytes to the server, without TLS.",
    "gaps": "Holes that the server's history could not fill.",
    "stale_streams": "How often a stream was found to be mute.",
    "dropped_items": "Items that slow consumers have lost.",
    "throttled_seconds": "Seconds in which a request waited for a rate limit.",
}


def exposition(health: Health) -> bytes:
    """Return all metrics in Prometheus's text format.

    Raises:
        MissingExtra: prometheus-client is not installed.

    """
    with needing("metrics", "/metrics"):
        from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
    registry = CollectorRegistry()
    registry.register(_Collector(health))
    text: bytes = generate_latest(registry)
    return text


class _Collector:
    """Reads the numbers at the moment of a scrape."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def describe(self) -> list[Any]:
        """Return nothing, so that registering reads no numbers."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield one family of metrics after the other."""
        yield from _gauges(self._health)
        yield from _counters(self._health)
        yield _latencies(self._health)


def _gauges(health: Health) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415

    status = health.client.status
    yield Gauge("derivtrio_healthy", "1 if /healthz says 200.", not health.troubles)
    state = Gauge("derivtrio_state", "1 for the state that the client is in.", labels=["state"])
    for each in State:
        state.add_metric([each.value], status.state is each)
    yield state
    yield Gauge("derivtrio_subscriptions", "Streams that the client keeps.", status.subscriptions)
    yield Gauge("derivtrio_pending_calls", "Calls without an answer yet.", status.pending)
    heard, written = health.signs
    if status.round_trip is not None:
        text = "How long the server took for the last heartbeat."
        yield Gauge("derivtrio_round_trip_seconds", text, status.round_trip)
    if heard is not None:
        text = "When the last message came, since the epoch."
        yield Gauge("derivtrio_last_message_timestamp_seconds", text, heard)
    if written is not None:
        text = "When the store last wrote, since the epoch."
        yield Gauge("derivtrio_last_write_timestamp_seconds", text, written)
    if health.store is not None:
        yield from _waiting(health)


def _waiting(health: Health) -> Iterator[Any]:
    from prometheus_client.core import GaugeMetricFamily as Gauge  # noqa: PLC0415

    waits = list(health.waits)
    text = "Series that the server refuses, or has ended."
    yield Gauge("derivtrio_waiting_series", text, len(waits))
    text = "Since when a series waits, since the epoch."
    since = Gauge("derivtrio_waiting_since_timestamp_seconds", text, labels=["series"])
    for wait in waits:
        since.add_metric([wait.series], wait.since)
    yield since


def _counters(health: Health) -> Iterator[Any]:
    from prometheus_client.core import CounterMetricFamily as Counter  # noqa: PLC0415

    metrics = health.client.metrics
    for field, text in _COUNTERS.items():
        yield Counter(f"derivtrio_{field}", text, getattr(metrics, field))
    calls = Counter("derivtrio_calls", "Requests, by their end.", labels=["outcome"])
    for outcome, count in metrics.calls.items():
        calls.add_metric([outcome], count)
    yield calls
    reconnects = Counter("derivtrio_reconnects", "New attempts, by the reason.", labels=["error"])
    for error, count in metrics.reconnects.items():
        reconnects.add_metric([error], count)
    yield reconnects
    if health.store is not None:
        yield Counter("derivtrio_rows_written", "Rows that the store keeps.", health.store.rows)


def _latencies(health: Health) -> Any:
    from prometheus_client.core import HistogramMetricFamily as Histogram  # noqa: PLC0415

    pairs = health.client.metrics.latencies
    sums = itertools.accumulate(count for _, count in pairs)
    bounds = ("+Inf" if bound == float("inf") else f"{bound}" for bound, _ in pairs)
    buckets = list(zip(bounds, sums, strict=True))
    text = "Seconds from writing a request to its reply."
    return Histogram("derivtrio_reply_seconds", text, buckets=buckets, sum_value=None)
