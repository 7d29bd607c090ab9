"""The recording as trace events, which Perfetto and Chrome can show.

The format is Chrome's "Trace Event Format": a process for each client and one for the program, a
thread for each row of the picture, `X` for what lasts and `i` for what does not. Times are in µs.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from derivtrio.trace.layout import arranged
from derivtrio.trace.picture import Picture, Row
from derivtrio.trace.recording import Recording

_MICROSECONDS: Final = 1_000_000


def trace_events(recording: Recording) -> str:
    """Return *recording* as JSON."""
    events = list(_events(arranged(recording)))
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, separators=(",", ":"))


def _events(picture: Picture) -> Iterator[dict[str, Any]]:
    for pid, section in enumerate(picture.sections, 1):
        yield _named("process_name", pid, 0, section.title)
        for tid, row in enumerate(section.rows, 1):
            yield _named("thread_name", pid, tid, row.title)
            yield from _row(pid, tid, row)


def _named(kind: str, pid: int, tid: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": {"name": name}}


def _row(pid: int, tid: int, row: Row) -> Iterator[dict[str, Any]]:
    place = {"pid": pid, "tid": tid}
    for bar in row.bars:
        began, length = _us(bar.began), _us(bar.ended - bar.began)
        said = {"what": bar.text}
        yield {"ph": "X", "name": bar.name, "ts": began, "dur": length, "args": said, **place}
    for mark in row.marks:
        yield {"ph": "i", "s": "t", "name": mark.text, "ts": _us(mark.at), **place}
    for kind, dots in (("live", row.live), ("fetched", row.fetched)):
        for at, count in zip(dots.times, dots.counts, strict=True):
            said_count = {"items": count}
            yield {"ph": "i", "s": "t", "name": kind, "ts": _us(at), "args": said_count, **place}


def _us(seconds: float) -> float:
    return round(seconds * _MICROSECONDS)
