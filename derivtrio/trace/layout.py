"""Which row of the picture each thing has. No drawing in here.

A client has a section: its states, the tasks of its connections, its calls, its streams. Each
connection is a frame around its tasks, and each outage is a band. The program's own tasks have a
section of their own (`task_tree`).
"""

from collections.abc import Iterable, Sequence
from typing import Final

from derivtrio.events import (
    Authorized,
    Closed,
    Connecting,
    Event,
    Failed,
    Gap,
    Opened,
    Overflow,
    Ready,
    Stale,
    Throttled,
    Waiting,
)
from derivtrio.trace.outages import outages_of, seconds, told
from derivtrio.trace.picture import Bar, Frame, Mark, Picture, Row, Section
from derivtrio.trace.recording import (
    CallSpan,
    ClientTrace,
    Recording,
    StreamDots,
    TaskSpan,
    unnamed,
)
from derivtrio.trace.task_tree import program_section, task_bar
from derivtrio.wording import counted

#: How many rows calls have at most; what does not fit overlaps.
_MOST_CALL_ROWS: Final = 6

#: The tasks of a connection, in the order in which they stand in the picture.
_CONNECTION: Final = "websocket reader writer heartbeat deadlines staleness limits".split()

#: What the client's tasks do; the page says so where a row's title is pointed at.
JOBS: Final = {
    "websocket": "handshake, pings and the Close",
    "reader": "takes what the server sends to its call or stream",
    "writer": "writes calls to the socket",
    "heartbeat": "asks a silent server for a sign of life",
    "deadlines": "ends calls that got no reply in time",
    "staleness": "notices streams that are mute",
    "limits": "asks the server for its limits when a budget is first used up",
    "patience": "ends an attempt to connect that takes too long, and a goodbye",
    "restore-timeout": "gives a connection up on which resubscribing takes too long",
    "waiting": "says in the log how many calls wait while streams are resubscribed",
    "promotion": "ranks resubscribing with your calls after a minute",
    "suspects": "asks again for reads that may have broken connections",
    "renewal": "asks again for a stream that the server has ended",
    "forgets": "repeats a refused forget",
    "statement": "looks into the account's statement once more, some seconds after an outage",
}

#: What a state of the connection is called in the picture, by the event that begins it.
_STATES: Final[dict[type, str]] = {
    Connecting: "connecting",
    Opened: "restoring",
    Ready: "ready",
    Waiting: "backoff",
}


def arranged(recording: Recording, now: float | None = None) -> Picture:
    """Return what is in *recording*, with a place for each thing.

    *now* is how long it is; None if that is not known.
    """
    length = recording.length or now or _last_moment(recording)
    began = 0.0 if recording.last is None else max(0.0, length - recording.last)
    sections = [program_section(recording, length)]
    for client in recording.clients:
        tasks = [task for task in recording.tasks if task.client == client.number]
        sections.append(_client(client, tasks, length, alone=len(recording.clients) == 1))
    return Picture(length, [section for section in sections if section.rows], began)


def _last_moment(recording: Recording) -> float:
    """Return when the last thing happened; of a recording that still goes on."""
    times = [task.ended or task.began for task in recording.tasks]
    for client in recording.clients:
        times += [at for at, _ in client.events]
        times += [at for each in client.streams.values() for at in each.live.times[-1:]]
    return max(times, default=0.0)


def _client(
    client: ClientTrace, tasks: Sequence[TaskSpan], length: float, *, alone: bool
) -> Section:
    title = client.name or ("client" if alone else f"client {client.number}")
    section = Section(title, outages=outages_of(client))
    section.rows.append(_states(client, length))
    first = len(section.rows)
    rows = _task_rows(tasks, length)
    section.rows += rows
    inside = sum(row.title in _CONNECTION for row in rows)
    section.frames += _connections(client, first, first + inside - 1, length)
    section.rows += _calls(client.calls, length)
    section.rows += [_stream(stream) for stream in client.streams.values()]
    return section


def _states(client: ClientTrace, length: float) -> Row:
    """Return the row of the connection's states; what else happens is marked in it."""
    row = Row("state", "states")
    end = length if client.ended is None else client.ended
    steps = [(at, each) for at, each in client.events if isinstance(each, (*_STATES, Closed))]
    ends = [*(at for at, _ in steps[1:]), end]
    for (at, event), until in zip(steps, ends, strict=False):
        name = _STATES.get(type(event))
        if name is not None:
            text = f"{name} for {seconds(until - at)}{_detail(event)}"
            row.bars.append(Bar(name, at, until, name, text))
    row.marks += [
        Mark(at, _mark_kind(event), text)
        for at, event in client.events
        if (text := happening(event))
    ]
    return row


def _detail(event: Event) -> str:
    match event:
        case Connecting(attempt=attempt):
            return f", attempt {attempt}"
        case Waiting(delay=delay, attempt=attempt):
            return f": a pause of {seconds(delay)} before attempt {attempt}"
        case Opened(connection=connection):
            return f": authorizing and resubscribing on connection {connection}"
        case Ready(connection=connection):
            return f" on connection {connection}"
    return ""


def _mark_kind(event: Event) -> str:
    return "bad" if isinstance(event, Failed | Gap | Overflow | Stale) else "note"


def happening(event: Event) -> str:  # noqa: PLR0911 - a table
    """Return a sentence for an event that is no state; an empty text for the others."""
    match event:
        case Failed(error=error):
            return f"failed: {told(error)}"
        case Closed(code=code, by=by):
            return f"closed by {by}, code {code}"
        case Authorized():
            return "authorized"
        case Stale(stream=stream):
            return f"{stream} is mute, though the server has more: it is asked for again"
        case Gap(stream=stream, after=after, before=before, reason=reason):
            return f"{stream}: nothing between {after} and {before} ({reason})"
        case Throttled(group=group, delay=delay):
            return f"{group} requests are held back for {seconds(delay)}"
        case Overflow(stream=stream, dropped=dropped):
            return f"{stream}: {counted(dropped, 'item')} dropped, its consumer lags"
    return ""


def _task_rows(tasks: Iterable[TaskSpan], length: float) -> list[Row]:
    """Return a row for each kind of task; those of later connections share them.

    First come those that live and end with a connection.
    """
    rows: dict[str, Row] = {}
    for task in tasks:
        name = unnamed(task.name).removeprefix("derivtrio.")
        if name == "reconnect" or not task.name.startswith("derivtrio."):
            continue
        row = rows.setdefault(name, Row(name, "tasks", indent=1, text=JOBS.get(name, "")))
        row.bars.append(task_bar(task, length))
    order = {name: place for place, name in enumerate(_CONNECTION)}
    return [rows[name] for name in sorted(rows, key=lambda name: order.get(name, len(order)))]


def _connections(client: ClientTrace, first: int, last: int, length: float) -> list[Frame]:
    """Return a frame around the tasks of each connection."""
    if last < first:
        return []
    frames: list[Frame] = []
    opened: tuple[float, int] | None = None
    for at, event in [*client.events, (length, None)]:
        if isinstance(event, Opened):
            opened = (at, event.connection)
        elif opened is not None and (event is None or isinstance(event, Closed)):
            began, number = opened
            text = (
                f"connection {number}: one cancel scope around these tasks; open for"
                f" {seconds(at - began)}, {_end_of(event)}"
            )
            name = f"connection {number}"
            frames.append(Frame("connection", first, last, began, at, name, text))
            opened = None
    return frames


def _end_of(event: Closed | None) -> str:
    return "still open" if event is None else f"closed by {event.by} with code {event.code}"


def _calls(calls: Iterable[CallSpan], length: float) -> list[Row]:
    """Put calls into as few rows as they need; what comes at the same time stands side by side."""
    rows: list[Row] = []
    ends: list[float] = []
    for call in calls:
        ended = length if call.ended is None else call.ended
        free = next((place for place, end in enumerate(ends) if end <= call.queued), None)
        if free is None and len(rows) < _MOST_CALL_ROWS:
            free = len(rows)
            rows.append(Row("" if rows else "calls", "calls"))
            ends.append(0.0)
        place = len(rows) - 1 if free is None else free
        ends[place] = max(ends[place], ended)
        rows[place].bars.append(_call_bar(call, ended))
    return rows


def _call_bar(call: CallSpan, ended: float) -> Bar:
    kind = "call" if call.good else "failed-call"
    waited = (call.written or ended) - call.queued
    sent = "never sent" if call.written is None else f"sent after {seconds(waited)}"
    end = call.end or "not ended yet"
    text = f"{call.label}: {sent}, {end} after {seconds(ended - call.queued)}"
    return Bar(kind, call.queued, ended, call.label, text)


def _stream(stream: StreamDots) -> Row:
    return Row(stream.label, "stream", live=stream.live, fetched=stream.fetched)
