"""Lessons 2, 4, 5, 8 and 12: what ends where its block or its scope ends."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from derivtrio import Event, Subscription
from derivtrio.simulator import EndingName
from derivtrio.trace.picture import Mark, Row, Section
from derivtrio.trace.recording import TaskSpan
from examples.lessons.csharp import program as csharp
from examples.lessons.perl import program as perl
from examples.lessons.python import program as python
from examples.lessons.supervisor import program as supervisor
from examples.lessons.swift import program as swift
from examples.pictures.lanes import bar, frame, lanes, mark, printed, row, state_bars, tasks
from examples.pictures.runs import Run, replaced, run_with
from examples.pictures.wire import Wire

Span = tuple[float, float]


def a_block_is_a_lifetime() -> str:
    """Lesson 2: what is opened in a block is gone after it, by its end and by its limit."""
    sections = list[Section]()
    for ending in ("answers", "silent"):
        run = run_with(ending, python.talk, delay=0.35)
        (client,) = run.recording.clients
        inside = tasks(run, ("reader", "writer", "heartbeat"))
        rows = [printed(run), row("the client", state_bars(run)), *inside]
        last, ended = len(rows) - 1, client.ended or run.ended
        frames = [
            frame("scope", (0, last), (0, 5), "with trio.move_on_after(5)"),
            frame("block", (1, last), (client.began, ended), "async with open_client(…)"),
        ]
        sections.append(Section(f"--server {ending}", rows, frames))
    text = (
        "Two runs. The server answers: the client's tasks live inside the frame of the block,"
        " and none is left after it. The server is silent: the scope ends the block after five"
        " seconds, and the tasks with it; only the goodbye comes after that."
    )
    return lanes("A block is a lifetime", text, sections)


def scopes_cannot_be_forgotten() -> str:
    """Lesson 4: one scope around three steps; whichever it is that hangs, it ends there."""
    names = {"connecting": "connect", "ready": "call", "closing": "goodbye"}
    sections = list[Section]()
    for ending in ("answers", "silent"):
        run = run_with(ending, csharp.talk, delay=0.35)
        bars = {each.kind: each for each in state_bars(run)}
        rows = [
            row(name, [bar(kind, bars[kind].began, bars[kind].ended)])
            for kind, name in names.items()
        ]
        limit = frame("scope", (0, 2), (0, 5), "with trio.move_on_after(5)")
        sections.append(Section(f"--server {ending}", [*rows, printed(run)], [limit]))
    text = (
        "Two runs. A frame of five seconds stands around connect, call and goodbye. With a"
        " server that answers all three fit. With a silent one the call is cut off where the"
        " frame ends, and a short goodbye follows."
    )
    kinds = {"connecting": "connect", "ready": "call"}
    return lanes("One scope around all of it", text, sections, kinds=kinds)


def deadlines_belong_to_the_caller() -> str:
    """Lesson 5: `receive` knows no clock; the deadline around it is the caller's."""
    rows, began = list[Row](), 0.0
    for ending in ("answers", "silent", "closes-1000", "closes-1008", "dies"):
        run, spans = _received(ending)
        began = spans[0][0]
        bars = [bar("ready", *spans[0], "receive")]
        bars += [bar("closing", spans[0][1], ended, "goodbye") for _, ended in spans[1:]]
        rows.append(row(f"--server {ending}", bars, [mark(run.at("[close]"), run.said("[close]"))]))
    limit = frame("scope", (0, len(rows) - 1), (began, began + 1), "with trio.move_on_after(1)")
    text = (
        "Five runs, one for each server. Where the server answers or is silent, the scope of"
        " one second ends receive, and a goodbye follows. Where the server ends the connection,"
        " receive ends by itself, and the scope has nothing to do."
    )
    section = Section("receive(events), with five servers", rows, [limit])
    kinds = {"ready": "receive(events)"}
    return lanes("Deadlines belong to the caller", text, [section], length=2.1, kinds=kinds)


def _received(ending: EndingName) -> tuple[Run, list[Span]]:
    """Run the program of lesson 5; return also when each call of `receive` began and ended."""
    spans, receive = list[Span](), swift.receive

    async def timed(events: Subscription[Event]) -> None:
        began = trio.current_time()
        try:
            await receive(events)
        finally:
            spans.append((began, trio.current_time()))

    with replaced(swift, "receive", timed):
        return run_with(ending, swift.talk), spans


def who_keeps_this_alive() -> str:
    """Lesson 8: the name is there longer than the client; the block decides."""
    run = run_with("answers", perl.talk, delay=0.1)
    (client,) = run.recording.clients
    ended = client.ended or run.ended
    length = ended * 1.3
    over = bar("name", ended, length, "ClientClosed")
    rows = [
        row("the name", [bar("name", client.began, length, "client")]),
        row("the client", [*state_bars(run), over]),
        printed(run),
    ]
    block = frame("block", (0, 1), (client.began, ended), "async with open_client(…) as client")
    text = (
        "The client is connecting, ready and closing inside the frame of its block. The name is"
        " still there after the block, but what it names is closed: it raises ClientClosed."
    )
    return lanes(
        "Who keeps this alive?", text, [Section("--server answers", rows, [block])], length=length
    )


def a_loop_around_a_nursery() -> str:
    """Lesson 12: each attempt is a nursery; the pauses between them grow."""
    with replaced(supervisor, "open_websocket_url", _open_in_memory):
        run = run_with("dies", supervisor.talk, delay=0.02)
    starts = [at for at, line in run.lines if line.startswith("[attempt]")]
    reads, sockets = _spans(run, "read"), _spans(run, "_reader_task")
    pauses = zip((ended for _, ended in reads), [*starts[1:], run.ended], strict=True)
    rows = [
        row("the loop", [bar("backoff", *each, f"{each[1] - each[0]:.2f} s") for each in pauses]),
        row("the socket", [bar("connecting", *each) for each in sockets]),
        row("read", [bar("ready", *each) for each in reads]),
        row("beat", [bar("call", *each) for each in reads]),
        row("it prints", marks=_not_attempts(printed(run).marks)),
    ]
    frames = [
        frame("block", (1, 3), (began, ended), f"attempt {number}")
        for number, (began, (_, ended)) in enumerate(zip(starts, reads, strict=True), 1)
    ]
    text = (
        "Three attempts, each a frame around a socket, its reader and its heartbeat. They end"
        " together when the server dies. Between the frames the loop waits, each time twice as"
        " long."
    )
    kinds = {
        "backoff": "a pause",
        "connecting": "the socket",
        "ready": "read()",
        "call": "beat()",
        "block": "a nursery: one connection",
    }
    section = Section("--server dies", rows, frames)
    return lanes("A loop around a nursery", text, [section], kinds=kinds, length=0.85)


def _not_attempts(marks: list[Mark]) -> list[Mark]:
    return [each for each in marks if each.name != "[attempt]"]


@asynccontextmanager
async def _open_in_memory(wire: Wire) -> AsyncGenerator[WebSocketConnection]:
    """Do what `trio_websocket.open_websocket_url` does, over *wire*."""
    async with trio.open_nursery() as nursery:
        stream: Any = await wire.open_stream(
            "", 80
        )  # the library asks for a socket, and needs none
        async with await wrap_client_stream(nursery, stream, "server.invalid", "/") as socket:
            yield socket
        nursery.cancel_scope.cancel()


def _spans(run: Run, name: str) -> list[Span]:
    """Return when the tasks of that name began and ended."""

    def span(task: TaskSpan) -> Span:
        return task.began, run.ended if task.ended is None else task.ended

    return [span(task) for task in run.recording.tasks if task.name == name]
