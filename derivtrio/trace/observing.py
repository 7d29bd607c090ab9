"""See what a program and its clients do, without being asked by them.

Three sources, none of which costs anything in a program without a time line:

- trio tells an instrument when a task begins and ends. Only the tasks below the block count.
- A client tells its events, its calls and its filled holes to an observer.
- A stream's messages are counted by `CountedUpstream`, once for each batch of ticks.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import attrs
import trio

from derivtrio.calls.call import Call
from derivtrio.calls.routing import Stream
from derivtrio.calls.session import Session, on_new_client
from derivtrio.errors import ApiError
from derivtrio.events import Event
from derivtrio.models import Tick
from derivtrio.streams.registry import Registry
from derivtrio.streams.upstream import Upstream
from derivtrio.trace.recording import (
    CallSpan,
    ClientTrace,
    NurserySpan,
    Recording,
    StreamDots,
    TaskSpan,
    unnamed,
)
from derivtrio.trace.retention import forget

_LOOP: Final = "derivtrio.reconnect"

#: How often a recording of the last seconds forgets, in these seconds.
_FORGETTINGS: Final = 20


@attrs.define(eq=False)
class Watcher(trio.abc.Instrument):
    """Puts what it sees into a `Recording`."""

    _last: float | None = attrs.field(default=None)
    recording: Recording = attrs.field(init=False)
    _start: float = attrs.field(factory=trio.current_time, init=False)
    _tasks: dict[trio.lowlevel.Task, TaskSpan] = attrs.field(factory=dict, init=False)
    _nurseries: dict[trio.Nursery, NurserySpan] = attrs.field(factory=dict, init=False)
    _outside: list[trio.Nursery] = attrs.field(factory=list, init=False)
    #: Clients whose reconnect task has not begun yet, by the task that opens them.
    _opening: dict[trio.lowlevel.Task, int] = attrs.field(factory=dict, init=False)
    _spawned: int = attrs.field(default=0, init=False)
    _clients: int = attrs.field(default=0, init=False)
    _forget_at: float = attrs.field(default=math.inf, init=False)

    @_last.validator
    def _check_last(self, _: object, last: float | None) -> None:
        if last is not None and not 0 < last < math.inf:
            text = f"last is a number of seconds, more than 0, or None, not {last!r}"
            raise ValueError(text)

    def __attrs_post_init__(self) -> None:
        self.recording = Recording(time.time(), self._last)
        if self._last is not None:
            self._forget_at = 0.0

    def now(self) -> float:
        """Return the time since the beginning, in seconds."""
        return trio.current_time() - self._start

    def forget(self) -> None:
        """Forget what is older than the last so many seconds, if only they are kept."""
        now = self.now()
        if self._last is not None and now >= self._forget_at:
            self._forget_at = now + self._last / _FORGETTINGS
            forget(self.recording, now - self._last)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the present task, the tasks below it, and the clients that they open."""
        task = trio.lowlevel.current_task()
        self._outside = list(task.child_nurseries)  # the tasks in there are none of the block's
        self._add(task, None, None)
        token = on_new_client.set(self.client_opened)
        trio.lowlevel.add_instrument(self)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)
            on_new_client.reset(token)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Note that *task* begins, if it is one of the block's."""
        nursery = task.parent_nursery
        parent = None if nursery is None else self._tasks.get(nursery.parent_task)
        if nursery is None or parent is None or nursery in self._outside:
            return
        span = self._nurseries.get(nursery)
        if span is None:
            span = NurserySpan(len(self.recording.nurseries) + 1, self.now())
            self._nurseries[nursery] = span
            if self._last or len(self.recording.nurseries) < self.recording.tasks.most:
                self.recording.nurseries.append(span)
        span.running += 1
        added = self._add(task, parent, span)
        if unnamed(added.name) == _LOOP:
            added.client = self._opening.pop(nursery.parent_task, None)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """Note that *task* has ended."""
        span = self._tasks.pop(task, None)
        if span is None:
            return
        self.forget()
        span.ended = self.now()
        nursery = task.parent_nursery
        if span.nursery is not None and nursery is not None:
            span.nursery.running -= 1
            if not span.nursery.running:
                span.nursery.ended = span.ended
                self._nurseries.pop(nursery, None)

    def leave_out(self, task: trio.lowlevel.Task) -> None:
        """Forget *task*; the tasks below it that begin later are not noted."""
        if task in self._tasks and task.parent_nursery is not None:
            span, kept = self._tasks[task], self.recording.tasks.things
            self.task_exited(task)
            if span in kept:
                kept.remove(span)

    def _add(
        self, task: trio.lowlevel.Task, parent: TaskSpan | None, nursery: NurserySpan | None
    ) -> TaskSpan:
        self._spawned += 1
        client = None if parent is None else parent.client
        span = TaskSpan(self._spawned, _short(task.name), parent, nursery, self.now(), client)
        self.recording.tasks.add(span)
        self._tasks[task] = span
        return span

    def client_opened(self, session: Session, registry: Registry) -> None:
        """Watch a new client, before it does anything."""
        recording = self.recording
        self._clients += 1
        client = ClientTrace(self._clients, self.now(), self._last is not None)
        client.name = session.bus.name
        recording.clients.append(client)
        observer = ClientObserver(self, client)
        session.observer = observer
        session.bus.listen(observer, traffic=False)
        registry.new_upstream = partial(CountedUpstream, observer=observer)
        task = trio.lowlevel.current_task()
        if task not in self._tasks:  # it is in a nursery that was opened outside of the block
            self._add(task, None, None)
        self._opening[task] = client.number


@attrs.define(eq=False)
class ClientObserver:
    """Notes what one client tells."""

    _watcher: Watcher
    _client: ClientTrace
    _calls: dict[Call, CallSpan] = attrs.field(factory=dict, init=False)

    def put(self, event: Event, /) -> None:
        """Note an event."""
        self._watcher.forget()
        self._client.records += 1
        self._client.events.add((self._watcher.now(), event))

    def close(self) -> None:
        """Note that the client has ended."""
        self._client.ended = self._watcher.now()

    def call_begun(self, call: Call) -> None:
        """Note that *call* is queued."""
        self._client.records += 1
        span = CallSpan(call.label, self._watcher.now())
        if self._client.calls.add(span):
            self._calls[call] = span

    def call_ended(self, call: Call) -> None:
        """Note how *call* ended, and when it was written last."""
        span = self._calls.pop(call, None)
        if span is None:
            return
        span.ended = self._watcher.now()
        if call.written_mono is not None:
            span.written = max(span.queued, span.ended - (trio.current_time() - call.written_mono))
        span.end, span.good = _end_of(call)

    def fetched(self, symbol: str, count: int) -> None:
        """Note that missed items came from the history."""
        if count:
            stream = self.stream(symbol)
            self._client.records += 1
            stream.fetched.add(self._watcher.now(), count, self._watcher.recording.most_dots)

    def received(self, stream: StreamDots, count: int) -> None:
        """Note that *count* items of *stream* came together."""
        self._watcher.forget()
        self._client.records += 1
        stream.live.add(self._watcher.now(), count, self._watcher.recording.most_dots)

    def stream(self, label: str) -> StreamDots:
        """Return the stream with this label; make it if it is new."""
        streams = self._client.streams
        if label not in streams:
            streams[label] = StreamDots(label)
            self._watcher.recording.streams += 1
        return streams[label]


@attrs.define(eq=False)
class CountedUpstream(Upstream):
    """An upstream that tells an observer how many messages it brings."""

    _observer: ClientObserver = attrs.field(kw_only=True)
    _dots: StreamDots = attrs.field(init=False)
    _is_source: bool = attrs.field(default=True, init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self._dots = self._observer.stream(_stream_label(self.label))
        self._dots.sources += 1

    def close(self, error: Exception | None = None) -> None:
        """Note that this is not a source any more, and end the stream at its consumers."""
        if self._is_source:
            self._is_source = False
            self._dots.sources -= 1
        super().close(error)

    def deliver(self, message: dict[str, Any]) -> Stream | None:
        """Count *message*, and pass it on."""
        self._observer.received(self._dots, 1)
        return super().deliver(message)

    def deliver_all(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Count those of *messages* that are not delivered singly, and pass them on."""
        rest = super().deliver_all(messages)
        if len(rest) < len(messages):
            self._observer.received(self._dots, len(messages) - len(rest))
        return rest

    def take_ticks(self, ticks: list[Tick], data: bytes, batch: Sequence[Any]) -> bool:
        """Count *ticks*, and pass them on."""
        self._observer.received(self._dots, len(ticks))
        return super().take_ticks(ticks, data, batch)


def _stream_label(label: str) -> str:
    """Return the label; of ticks and candles only the symbol, as what is fetched has it."""
    return label.removeprefix("ticks_history ").removeprefix("ticks ")


def _end_of(call: Call) -> tuple[str, bool]:
    """Return how *call* ended, in words without what the server said; and whether it did well."""
    if call.abandoned:
        return "its caller went away", False
    if call.error is None:
        return "answered" if call.decided else "not answered", call.decided
    code = f" {call.error.code}" if isinstance(call.error, ApiError) else ""
    return f"{type(call.error).__name__}{code}", False


def _short(name: str) -> str:
    """Return a task's name without the modules in front of a function."""
    if name.startswith("derivtrio.") and unnamed(name).count(".") == 1:
        return name
    return name.replace("<locals>.", "").rpartition(".")[2] or name
