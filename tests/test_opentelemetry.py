"""The code of the page about OpenTelemetry, with its SDK: spans of outages, and metrics."""

from collections.abc import Iterator
from typing import Any

import pytest
import trio
from pages import GUIDE, LIVE_URL, read

import derivtrio
from derivtrio.simulator import open_simulator

pytest.importorskip("opentelemetry.sdk", reason="no SDK: pip install opentelemetry-sdk")

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SETUP, OUTAGES, METRICS, PROGRAM = read(GUIDE / "opentelemetry.md").blocks("py")

SPANS = InMemorySpanExporter()
READER = InMemoryMetricReader()


@pytest.fixture(scope="module", autouse=True)
def _providers() -> Iterator[None]:
    """Have what is exported kept; a process can set its providers once."""
    traces = TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(SPANS))
    trace.set_tracer_provider(traces)
    provider = MeterProvider([READER])
    metrics.set_meter_provider(provider)
    yield
    provider.shutdown()
    traces.shutdown()


@pytest.fixture
def names() -> dict[str, Any]:
    """What the page defines."""
    found: dict[str, Any] = {"__name__": "page"}
    for block in (OUTAGES, METRICS):
        exec(compile(block.text, block.page, "exec"), found)
    SPANS.clear()
    return found


async def test_each_outage_is_a_span(autojump_clock: Any, names: dict[str, Any]) -> None:
    async with trio.open_nursery() as nursery, open_simulator(port=None) as sim:
        async with derivtrio.open_client(endpoint=sim.endpoint) as client:
            nursery.start_soon(names["trace_outages"], client)
            for seconds in (5, 1):
                await trio.sleep(100)
                sim.faults.refuse(seconds)
                sim.faults.drop()
                await trio.sleep(100)
    spans = SPANS.get_finished_spans()
    assert [(span.name, span.attributes) for span in spans] == [
        ("outage", {"connection": 2}),
        ("outage", {"connection": 3}),
    ]
    first, _ = spans
    assert first.events[0].name == "PeerClosed"
    assert {event.name for event in first.events[1:]} == {"ConnectRefused"}
    assert first.start_time is not None
    assert first.end_time is not None
    assert first.end_time >= first.start_time


async def test_so_is_one_that_begins_with_the_servers_close(
    autojump_clock: Any, names: dict[str, Any]
) -> None:
    async with trio.open_nursery() as nursery, open_simulator(port=None) as sim:
        async with derivtrio.open_client(endpoint=sim.endpoint) as client:
            nursery.start_soon(names["trace_outages"], client)
            await trio.sleep(100)
            sim.faults.close(1001, "restart")
            await trio.sleep(100)
    (span,) = SPANS.get_finished_spans()
    assert (span.name, span.attributes) == ("outage", {"connection": 2})
    (closed,) = span.events
    assert (closed.name, closed.attributes) == ("Closed", {"code": 1001, "reason": "restart"})


async def test_an_exporter_reads_the_metrics_in_its_own_thread(
    autojump_clock: Any, names: dict[str, Any]
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        names["observe"](client)
        await client.call({"time": 1})
        await client.reconnect()
        before = client.metrics
        data = await trio.to_thread.run_sync(READER.get_metrics_data)
        after = client.metrics
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    points = {
        (metric.name, *point.attributes.values()): point.value
        for metric in scope.metrics
        for point in metric.data.data_points
    }
    received = points["deriv.messages", "received"]
    assert before.messages_received <= received <= after.messages_received
    assert before.calls["answered"] <= points["deriv.calls", "answered"] <= after.calls["answered"]
    assert points["deriv.reconnects", "ReconnectRequested"] == 1


async def test_the_program_has_a_span_of_its_own(
    autojump_clock: Any, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derivtrio, "run", lambda _main: None)
    async with open_simulator(port=None) as sim:
        assert f'"{LIVE_URL}"' in PROGRAM.text
        found = names | {"ENDPOINT": sim.endpoint}
        exec(PROGRAM.text.replace(f'"{LIVE_URL}"', "ENDPOINT"), found)
        await found["main"]()
    assert [span.name for span in SPANS.get_finished_spans()] == ["look"]


def test_the_providers_can_be_set_up_so() -> None:
    code = SETUP.text.replace("trace.set_tracer_provider(traces)", "")
    code = code.replace("metrics.set_meter_provider(MeterProvider([reader]))", "")
    names: dict[str, Any] = {}
    exec(code, names)
    provider = MeterProvider([names["reader"]])
    provider.shutdown()
    names["traces"].shutdown()
