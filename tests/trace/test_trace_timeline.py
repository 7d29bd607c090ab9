"""`derivtrio.trace`: what is recorded, on the virtual clock, and what is said of it."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any, get_args

import pytest
import trio

import derivtrio
from derivtrio.simulator import open_simulator
from derivtrio.trace import Timeline, timeline
from derivtrio.trace.layout import arranged, happening
from derivtrio.trace.observing import ClientObserver, Watcher
from derivtrio.trace.outages import seconds
from derivtrio.trace.picture import Picture, Row, Section
from derivtrio.trace.recording import MOST_CALLS, ClientTrace, Dots
from derivtrio.trace.still import still

SETTINGS = derivtrio.Settings(backoff=derivtrio.Backoff(first=2, cap=2), heartbeat_interval=5)


async def outage(seconds: float = 10) -> Timeline:
    """Follow R_100 through an outage in which the server refuses for *seconds*."""
    async with open_simulator(port=None) as sim:
        with timeline() as shown:
            async with (
                derivtrio.open_client(
                    endpoint=sim.endpoint, token="demo-token", settings=SETTINGS
                ) as client,
                client.ticks("R_100") as ticks,
            ):
                for _ in range(5):
                    await anext(ticks)
                with pytest.raises(derivtrio.ApiError):
                    await client.call({"ticks_history": "NO_SUCH", "end": "latest"})
                sim.faults.drop()
                sim.faults.refuse(seconds)
                for _ in range(10):
                    await anext(ticks)
    return shown


def svg_of(page: str) -> ET.Element:
    (text,) = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    return ET.fromstring(text)


def classed(root: ET.Element, name: str) -> list[ET.Element]:
    return [each for each in root.iter() if name in each.get("class", "").split()]


async def test_an_outage_is_told_in_a_sentence_with_its_backoff_and_its_fetched_ticks(
    autojump_clock: Any,
) -> None:
    shown = await outage()
    (break_,) = shown.outages()
    assert (break_.connection, break_.by, break_.successor) == (1, "network", 2)
    assert break_.ended is not None
    assert 10 <= break_.ended - break_.began <= 14
    waited = sum(delay for _, delay in break_.pauses)
    assert waited == pytest.approx(break_.ended - break_.began, abs=1)
    numbers = [each.number for each in break_.tries]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(break_.tries) >= 4
    assert not break_.tries[-1].error
    assert all(each.error for each in break_.tries[:-1])
    (fetched,) = break_.fetched.values()
    assert fetched >= 3
    assert break_.sentence.startswith("Connection 1 broke after ")
    assert f"{len(break_.tries) - 1} attempts failed, the last with: " in break_.sentence
    assert break_.sentence.endswith(
        f"Missed items were fetched from the history: {fetched} of R_100."
    )
    assert "the connection ended without a Close" in break_.sentence


async def test_the_tasks_calls_and_ticks_are_in_the_recording(autojump_clock: Any) -> None:
    recording = (await outage()).recording
    (client,) = recording.clients
    of_client = [task for task in recording.tasks if task.client == 1]
    names = [task.name for task in of_client]
    assert names.count("derivtrio.reconnect") == 1
    assert names.count("derivtrio.reader") == names.count("derivtrio.writer") == 2
    assert all(task.ended is not None for task in recording.tasks if task.number > 1)
    assert client.ended is not None
    stream = client.streams["R_100"]
    live, fetched = sum(stream.live.counts), sum(stream.fetched.counts)
    assert live >= 7
    assert fetched >= 3
    ends = {call.label: call.end for call in client.calls}
    (bad,) = [call for call in client.calls if not call.good]
    assert ends[bad.label].startswith("InvalidRequest ") or "ApiError" in bad.end
    assert bad.written is not None
    assert bad.ended is not None
    assert bad.queued <= bad.written <= bad.ended


async def test_tasks_of_the_program_are_rows_in_their_nursery(autojump_clock: Any) -> None:
    async with trio.open_nursery() as outside:
        outside.start_soon(trio.sleep, 1, name="outsider")
        with timeline() as shown:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 2, name="worker")
                nursery.start_soon(trio.sleep, 3, name="worker")
    tasks = [task for task in shown.recording.tasks if task.name == "worker"]
    assert [task.ended for task in tasks] == [2, 3]
    assert "outsider" not in [task.name for task in shown.recording.tasks]
    (span,) = shown.recording.nurseries
    assert (span.began, span.ended) == (0, 3)
    root = svg_of(shown.html())
    assert len(classed(root, "nursery")) == 1
    assert len(classed(root, "task")) == 3


async def test_the_page_is_valid_and_shows_what_happened(autojump_clock: Any) -> None:
    page = (await outage()).html()
    root = svg_of(page)
    assert len(classed(root, "outage")) == 1
    assert len(classed(root, "connection")) == 2
    assert len(classed(root, "failed-call")) == 1
    assert len(classed(root, "backoff")) >= 4
    (fetched,) = classed(root, "fetched")
    # A square is a line from top to bottom: PDF does not paint a line without a length.
    assert re.fullmatch(r"M0 [\d.]+(m\d+ 0m0-2.5v5m0-2.5)+", fetched.get("d", ""))
    assert "Why did it reconnect?" in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


async def test_the_page_asks_no_network(autojump_clock: Any) -> None:
    page = (await outage()).html().replace("http://www.w3.org/2000/svg", "")
    assert "default-src 'none'" in page
    for forbidden in ("http:", "https:", "url(h", "@import", "fetch(", "XMLHttp", "src="):
        assert forbidden not in page.replace("default-src=", ""), forbidden


async def test_no_secret_is_in_any_form(autojump_clock: Any) -> None:
    shown = await outage()
    for text in (shown.html(), shown.perfetto(), shown.mermaid(), repr(shown.recording)):
        assert "demo-token" not in text


async def test_the_reason_of_a_close_is_masked(autojump_clock: Any) -> None:
    reason = '{"token":"a-secret-token"}'
    async with open_simulator(port=None) as sim:
        with timeline() as shown:
            async with derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client:
                sim.faults.close(1008, reason)
                await trio.sleep(1)
                await client.wait_ready()
    (break_,) = shown.outages()
    assert break_.by == "server"
    assert "1008" in break_.sentence
    assert "a-secret-token" not in shown.html() + shown.perfetto() + shown.mermaid()


async def test_perfetto_json_has_a_process_for_each_client_and_rows_with_names(
    autojump_clock: Any,
) -> None:
    events = json.loads((await outage()).perfetto())["traceEvents"]
    names = {each["args"]["name"] for each in events if each["ph"] == "M"}
    assert {"program", "client", "state", "reader", "calls", "R_100"} <= names
    bars = [each for each in events if each["ph"] == "X"]
    assert all(each["dur"] >= 0 and isinstance(each["ts"], int) for each in bars)
    assert {"ready", "backoff"} <= {each["name"] for each in bars}
    assert sum(each["name"] == "fetched" for each in events if each["ph"] == "i") >= 1


async def test_mermaid_tells_one_outage_as_a_sequence(autojump_clock: Any) -> None:
    first, *lines = (await outage()).mermaid().splitlines()
    assert first == "sequenceDiagram"
    assert "    S--xC: the connection ended without a Close" in lines
    assert "    C->>S: attempt 2" in lines
    assert any("missed items" in line for line in lines)
    form = r"    (participant \w as \w+|Note over [CS,]+: .+|[PCS]-?-[->x>]+[PCS]: [^;#]+)"
    assert [line for line in lines if not re.fullmatch(form, line)] == []


@pytest.mark.parametrize(
    ("name", "begin"),
    [("a.html", "<!DOCTYPE html>"), ("a.json", '{"traceEvents"'), ("a.mmd", "sequenceDiagram")],
)
async def test_the_ending_of_the_name_says_what_is_written_also_after_an_error(
    autojump_clock: Any, tmp_path: Path, name: str, begin: str
) -> None:
    path = tmp_path / name
    async with open_simulator(port=None) as sim:
        with pytest.raises(KeyError), timeline(path):
            async with derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client:
                sim.faults.drop()
                await trio.sleep(1)
                await client.wait_ready()
                raise KeyError
    assert path.read_text(encoding="utf-8").startswith(begin)


async def test_g16_a_mute_stream_is_marked_when_it_is_noticed(autojump_clock: Any) -> None:
    async with open_simulator(port=None, faults=["mute:1HZ100V@10"]) as sim:
        with timeline() as shown:
            async with (
                derivtrio.open_client(endpoint=sim.endpoint) as client,
                client.ticks("1HZ100V") as ticks,
            ):
                for _ in range(90):
                    await anext(ticks)
    _, section = arranged(shown.recording).sections
    (mark,) = (each for row in section.rows for each in row.marks if "mute" in each.text)
    assert mark.text == "1HZ100V is mute, though the server has more: it is asked for again"
    assert (mark.kind, 65 <= mark.at <= 80) == ("bad", True)


HAPPENINGS: list[derivtrio.Event] = [
    derivtrio.Authorized("CR1"),
    derivtrio.Failed(derivtrio.DerivError("gone")),
    derivtrio.Closed(1001, "", was_clean=True, by="server"),
    derivtrio.Stale("R_100", 0),
    derivtrio.Gap("R_100", 0, 60, filled=False, reason="none"),
    derivtrio.Throttled("general", 3),
    derivtrio.Overflow("R_100", 7),
]
#: What a time line shows in another way: states, fetched items, and traffic as a stream's dots.
SHOWN_OTHERWISE = {
    derivtrio.Connecting,
    derivtrio.Opened,
    derivtrio.Ready,
    derivtrio.Waiting,
    derivtrio.Filling,
    derivtrio.MessageReceived,
    derivtrio.MessageSent,
}


def test_every_event_is_marked_or_shown_otherwise() -> None:
    marked = {type(event) for event in HAPPENINGS if happening(event)}
    assert marked | SHOWN_OTHERWISE == set(get_args(derivtrio.Event))


async def test_a_client_that_never_connects_is_told_too(autojump_clock: Any) -> None:
    settings = derivtrio.Settings(max_attempts=3)
    async with open_simulator(port=None) as sim:
        sim.faults.refuse()
        with timeline() as shown, pytest.raises(derivtrio.ConnectionFailed):
            async with derivtrio.open_client(endpoint=sim.endpoint, settings=settings):
                pass
    (break_,) = shown.outages()
    assert break_.connection is None
    assert break_.sentence.startswith("The first connection did not come about: ")
    assert break_.sentence.endswith("It was not ready again before the recording ended.")
    assert len(classed(svg_of(shown.html()), "outage")) == 1


async def test_two_clients_have_a_section_each_and_a_client_outside_has_none(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as outsider,
    ):
        with timeline() as shown:
            async with (
                derivtrio.open_client(endpoint=sim.endpoint) as one,
                derivtrio.open_client(endpoint=sim.endpoint) as two,
            ):
                for client in (one, two, outsider):
                    await client.call({"ping": 1})
    first, second = shown.recording.clients
    assert [len(first.calls), len(second.calls)] == [1, 1]
    for number in (1, 2):
        names = [task.name for task in shown.recording.tasks if task.client == number]
        assert names.count("derivtrio.reader") == 1
    assert shown.html().count('class="section"') == 3


async def test_a_client_with_a_name_has_a_section_of_that_name_with_its_tasks(
    autojump_clock: Any,
) -> None:
    names = ("prices <of> a.b", "orders")
    async with open_simulator(port=None) as sim:
        with timeline() as shown:
            async with (
                derivtrio.open_client(endpoint=sim.endpoint, name=names[0]),
                derivtrio.open_client(endpoint=sim.endpoint, name=names[1]),
            ):
                await trio.sleep(300)
                sim.faults.drop()
                await trio.sleep(5)
    _, *sections = arranged(shown.recording).sections
    assert [section.title for section in sections] == [*names]
    for section in sections:
        assert len(section.frames) == 2
        inside = section.rows[section.frames[0].first : section.frames[0].last + 1]
        assert {"reader", "writer", "heartbeat"} <= {row.title for row in inside}
    page = shown.html()
    assert ">orders, outage 1</button> <b>00:05:00</b>" in page
    assert ">prices &lt;of&gt; a.b, outage 1</button>" in page


@pytest.mark.parametrize(
    ("length", "text"),
    [
        *((0.0004, "0 ms"), (0.03, "30 ms"), (1.04, "1.0 s"), (119, "119.0 s"), (120, "2.0 min")),
        *((3600, "1.0 h"), (86_400, "24.0 h"), (30 * 86_400, "30.0 days")),
    ],
)
def test_a_length_of_time_is_for_people(length: float, text: str) -> None:
    assert seconds(length) == text


async def test_a_recording_without_a_client_says_so(autojump_clock: Any) -> None:
    with timeline() as shown:
        await trio.sleep(0.03)
    assert "No client was opened." in shown.html()


@pytest.mark.long
async def test_a_simulated_day_of_fifty_streams_is_below_five_megabytes_and_says_so(
    autojump_clock: Any,
) -> None:
    with timeline() as shown:
        watcher = Watcher()
        client = ClientTrace(1, 0.0)
        watcher.recording.clients.append(client)
        observer = ClientObserver(watcher, client)
        streams = [observer.stream(f"symbol {number}") for number in range(50)]
        for second in range(86_400):
            for number, stream in enumerate(streams):
                dots, most = stream.live, watcher.recording.most_dots
                dots.add(second + number / 50, 1, most)
        for _ in range(20_000):
            call = derivtrio.calls.call.api_call({"ping": 1})
            observer.call_begun(call)
            observer.call_ended(call)
        watcher.recording.length = 86_400
    assert shown.recording.clients == []
    page = Timeline(watcher.recording).html()
    assert len(page.encode()) < 5_000_000
    assert sum(sum(stream.live.counts) for stream in streams) == 50 * 86_400
    assert "A dot stands for the items of up to " in page
    assert f"{20_000 - MOST_CALLS:,} later calls are not shown." in page
    svg_of(page)


async def test_a_tick_costs_less_than_a_record_where_they_come_together(
    autojump_clock: Any,
) -> None:
    """The time line is told once of a batch, and not at all of what it does not show."""
    shown = await outage()
    (client,) = shown.recording.clients
    stream = client.streams["R_100"]
    items = sum(stream.live.counts) + sum(stream.fetched.counts)
    others = len(client.events) + len(client.calls)
    assert client.records - others <= items


def test_dots_that_are_too_many_are_merged_and_none_is_lost() -> None:
    dots = Dots()
    for number in range(10_000):
        dots.add(number / 10, 2, 100)
    assert len(dots.times) <= 100
    assert sum(dots.counts) == dots.total() == 20_000
    assert dots.times == sorted(dots.times)
    assert dots.width >= 10
    assert dots.total(since=500) == pytest.approx(10_000, abs=2 * 10 * dots.width)


def test_a_program_without_a_time_line_does_not_import_it() -> None:
    from served import finished  # noqa: PLC0415 - needs no server

    probe = "import derivtrio, sys; print([m for m in sys.modules if 'derivtrio.trace' in m])"
    assert finished("-c", probe).stdout.strip() == "[]"


async def test_fetched_candles_are_in_the_row_of_their_stream(autojump_clock: Any) -> None:
    async with open_simulator(port=None) as sim:
        with timeline() as shown:
            async with (
                derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
                client.candles("R_100", 60, closed_only=True) as candles,
            ):
                await anext(candles)
                sim.faults.drop()
                sim.faults.refuse(200)
                for _ in range(4):
                    await anext(candles)
    (stream,) = shown.recording.clients[0].streams.values()
    assert sum(stream.fetched.counts) >= 3
    assert sum(stream.live.counts) >= 2


async def test_a_picture_for_a_page_needs_neither_a_script_nor_a_pointer(
    autojump_clock: Any, tmp_path: Path
) -> None:
    shown = await outage()
    shown.save(tmp_path / "run.svg")
    text = (tmp_path / "run.svg").read_text(encoding="utf-8")
    root = ET.fromstring(text)
    assert not re.search(r"data-|<script|href|url\(|@import", text)
    said = {each.text for each in root.iter() if each.tag.endswith("text")}
    assert {"ready", "connection 1", "connection 2", "outage 1", "R_100", "0 s"} <= said
    assert [shown.outages()[0].sentence] == [
        each.text for each in root.iter() if each.tag.endswith("desc")
    ]
    assert len(classed(root, "connection")) == 3  # one of them is in the legend
    assert "prefers-color-scheme: dark" in text


async def test_the_frame_of_a_connection_has_its_tasks_only(autojump_clock: Any) -> None:
    shown = await outage()
    (client,) = [each for each in arranged(shown.recording).sections if each.title == "client"]
    inside = {row.title for row in client.rows[client.frames[0].first : client.frames[0].last + 1]}
    assert {"reader", "writer", "heartbeat", "staleness"} <= inside
    assert "state" not in inside, "it outlives connections"


async def test_a_picture_can_be_asked_for_at_any_time(autojump_clock: Any) -> None:
    with timeline() as shown:
        assert "<svg" in shown.svg("nothing yet")
        await trio.sleep(40 * 86_400)
    root = ET.fromstring(shown.svg("forty days"))
    said = [each.text or "" for each in root.iter() if each.tag.endswith("text")]
    assert 4 <= sum(text.startswith("day ") for text in said) <= 10


@pytest.mark.parametrize("length", [0.0004, 0.3, 7, 100, 3000, 80_000, 1e6, 1e8])
def test_an_axis_has_some_round_times(length: float) -> None:
    picture = Picture(length, [Section("", [Row("", "tasks")])])
    root = ET.fromstring(still(picture, title="", text=""))
    (axis,) = [each for each in root.iter() if each.get("id") == "axis"]
    assert 2 <= len(axis) <= 11
    assert len({each.text for each in axis}) == len(axis)
