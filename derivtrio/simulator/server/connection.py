"""One connection: the tasks that serve it, and the faults that can happen to it.

1. The reader answers requests.
2. The ticker sends the messages of the streams when they are due.
3. The writer sends what both of them queue.
4. The idle timer ends a connection without messages.

A fault that goes on for a while adds a task of its own. The first task or fault that ends the
connection sets its `ClosePlan` and cancels all of them. Then the Close frame is sent, if there is
one.
"""

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice

import attrs
import trio

from derivtrio.simulator.calls.dispatch import answer, call_of, error_type, parse
from derivtrio.simulator.calls.notifications import settle_and_notify
from derivtrio.simulator.faults.request_faults import (
    CloseReply,
    ErrorReply,
    HugeReply,
    LateEnd,
    LateReply,
    LostReply,
    NoReply,
    RequestFault,
)
from derivtrio.simulator.network.websocket import EndOfInput, Outgoing, ServerWebSocket
from derivtrio.simulator.protocol.envelope import Message, error_reply, masked, reply
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.server.close_plan import SIMULATOR_ENDED, ClosePlan, plan_after
from derivtrio.simulator.server.connection_record import ConnectionRecord, Ending
from derivtrio.simulator.server.fault_tasks import send_pings, send_storm
from derivtrio.simulator.sessions.session import ServerSession
from derivtrio.simulator.sessions.streams import ActiveStream, StreamKey

_REMEMBERED_REQUESTS = 1000
_CLOSE_TIMEOUT = 2.0
_MESSAGES_PER_BATCH = 256
_QUEUED_BATCHES = 256


@attrs.frozen
class _OutgoingBatch:
    """Items to send, not before *due* on trio's clock."""

    due: float
    items: Sequence[Outgoing]


@attrs.define(eq=False, repr=False)
class ServerConnection:
    """A live connection, after its handshake.

    *opened* is an epoch. *requests* are the last thousand, tokens masked. *delay* is how many
    seconds late every message is sent.
    """

    session: ServerSession
    websocket: ServerWebSocket
    clock: Clock
    idle_timeout: float
    delay: float
    opened: float = attrs.field(init=False)
    requests: deque[Message] = attrs.field(init=False)
    close_plan: ClosePlan = attrs.field(default=SIMULATOR_ENDED, init=False)
    _cut_at: int | None = attrs.field(default=None, init=False)
    _backend_dead: bool = attrs.field(default=False, init=False)
    #: Whether requests are ignored; `ping` may be excepted.
    _ignoring: bool = attrs.field(default=False, init=False)
    _answers_ping: bool = attrs.field(default=True, init=False)
    #: The tasks of faults that wait for the connection to be served, then its nursery.
    _fault_tasks: list[Callable[[], Awaitable[None]]] = attrs.field(factory=list, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)
    _idle_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _tasks: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _schedule_changed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _queue: trio.MemorySendChannel[_OutgoingBatch] = attrs.field(init=False)
    _batches: trio.MemoryReceiveChannel[_OutgoingBatch] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.opened = self.clock.now()
        self.requests = deque(maxlen=_REMEMBERED_REQUESTS)
        self._restart_idle_timer()
        self._queue, self._batches = trio.open_memory_channel[_OutgoingBatch](_QUEUED_BATCHES)
        self.session.streams.on_change = self._wake_ticker

    @property
    def number(self) -> int:
        """1 for the first connection that the simulator accepted, 2 for the next."""
        return self.session.number

    @property
    def streams(self) -> list[ActiveStream]:
        """The live subscriptions, oldest first."""
        return list(self.session.streams.by_id.values())

    @property
    def loginids(self) -> list[str]:
        """The accounts that it is authorized for, the default one first."""
        return list(self.session.logins)

    def __repr__(self) -> str:
        """Return its number, its logins and its streams."""
        who = ", ".join(self.loginids) or "nobody"
        keys = ", ".join(":".join(map(str, stream.key)) for stream in self.streams)
        return f"<Connection {self.number} of {who}: {keys or 'no streams'}>"

    async def serve(self, response: bytes) -> None:
        """Send the handshake *response*, and serve the connection until it ends.

        `close_plan` then says how it ended.
        """
        try:
            await self.websocket.send([response])
        except trio.BrokenResourceError:
            self._end(plan_after(EndOfInput("reset")))
        with self.session.registered(), self._tasks:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_requests)
                nursery.start_soon(self._send_due_messages)
                nursery.start_soon(self._write_batches)
                nursery.start_soon(self._end_when_idle)
                self._nursery = nursery
                for task in self._fault_tasks:
                    nursery.start_soon(task)
        with trio.move_on_after(_CLOSE_TIMEOUT), suppress(trio.BrokenResourceError):
            await self._close_websocket()

    def record(self) -> ConnectionRecord:
        """Return the record of this connection, which ends now."""
        return ConnectionRecord(
            number=self.number,
            opened=self.opened,
            closed=self.clock.now(),
            ending=self.close_plan.ending,
            requests=tuple(self.requests),
        )

    def drop(self, *, reset: bool = False) -> None:
        """End the byte stream without a Close frame; with *reset*, break it."""
        cause = "fault: reset" if reset else "fault: drop"
        self._end(ClosePlan(Ending("server", cause), stream="reset" if reset else "close"))

    def close(self, code: int, reason: str = "", *, fin: bool = True) -> None:
        """Send a Close frame; with *fin*, end the byte stream after the answer or 2 seconds."""
        ending = Ending("server", "fault: close", code, reason)
        self._end(ClosePlan(ending, say_close=True, stream="close" if fin else "hold"))

    def freeze(self) -> None:
        """Stop reading and writing, and keep the byte stream open."""
        self._end(ClosePlan(Ending("server", "fault: freeze"), stream="hold"))

    def cut(self, size: int | None) -> None:
        """Send only *size* bytes of the next frame and end the byte stream; `None` undoes it."""
        self._cut_at = size

    def fragment(self, size: int | None) -> None:
        """Send messages in frames of *size* characters; `None` means one frame each."""
        self.websocket.fragment = size

    def inject(self, item: Outgoing) -> None:
        """Queue *item*; if the queue is full, drop it."""
        with suppress(trio.WouldBlock):
            self._queue.send_nowait(self._batch([item]))

    def mute_streams(self, word: str, *, lasting: bool) -> list[StreamKey]:
        """Stop the streams that *word* names, and return their keys.

        If it is *lasting*, later streams of this connection are mute as well.
        """
        return self.session.streams.mute(word, lasting=lasting)

    def ignore_requests(self, *, except_ping: bool) -> None:
        """Answer no request any more, or only `ping`."""
        self._ignoring, self._answers_ping = True, except_ping

    def kill_backend(self, ping_every: float) -> None:
        """Send no API message any more; send a WebSocket ping every so many seconds."""
        self._backend_dead = True
        self._start(partial(send_pings, self, ping_every))

    def storm(self, count: int, per_second: float) -> None:
        """Send *count* ticks, each with a new subscription id.

        They answer the oldest remembered request for ticks; without one, nothing is sent.
        """
        self._start(partial(send_storm, self, count, per_second))

    async def send(self, messages: Iterable[Message]) -> None:
        """Queue *messages*, waiting while the queue is full; drop them if the backend is dead."""
        if self._backend_dead:
            # Take them all the same, so that they do not pile up.
            deque(messages, maxlen=0)
        elif items := [self._encoded(message) for message in messages]:
            await self._queue.send(self._batch(items))

    def _encoded(self, message: Message) -> str:
        return self.session.backend.malformations.encoded(self.session.dialect.message(message))

    def _start(self, task: Callable[[], Awaitable[None]]) -> None:
        if self._nursery is None:
            self._fault_tasks.append(task)
        else:
            self._nursery.start_soon(task)

    def _restart_idle_timer(self) -> None:
        self._idle_scope.deadline = trio.current_time() + self.idle_timeout

    def _batch(self, items: Sequence[Outgoing]) -> _OutgoingBatch:
        return _OutgoingBatch(trio.current_time() + self.delay, items)

    def _end(self, close_plan: ClosePlan) -> None:
        # Only the first plan counts; what follows is its consequence.
        if not self._tasks.cancel_called:
            self.close_plan = close_plan
            self._tasks.cancel()

    async def _read_requests(self) -> None:
        while not isinstance(received := await self.websocket.receive(), EndOfInput):
            self._restart_idle_timer()
            request = parse(received)
            self.requests.append(masked(request))
            if self._ignores(request):
                continue
            call = call_of(self.session, request)
            fault = self.session.backend.request_faults.take(call, request)
            if fault is None:
                await self.send(await self._replies(request))
            else:
                await self._apply_fault(request, fault)
        self._end(plan_after(received))

    async def _replies(self, request: Message) -> list[Message]:
        replies = []
        for each in answer(self.session, request, self.clock.epoch()):
            if each is None:
                await trio.lowlevel.checkpoint()
            else:
                replies.append(each)
        self._schedule_changed.set()
        return replies

    def _ignores(self, request: Message) -> bool:
        if self._backend_dead:
            return True
        return self._ignoring and not (self._answers_ping and "ping" in request)

    async def _apply_fault(self, request: Message, fault: RequestFault) -> None:
        """Do with *request* what *fault* says."""
        replies = await self._replies(request) if fault.executed else []
        match fault.outcome:
            case LostReply(cause):
                self._end(ClosePlan(Ending("server", cause)))
            case LateEnd(seconds):
                await self.send(replies)
                self._start(partial(self._end_after, seconds))
            case CloseReply(code):
                ending = Ending("server", "fault: poison", code)
                self._end(ClosePlan(ending, say_close=True))
            case ErrorReply(error):
                # The client does not learn of the streams that the request has opened: end them.
                for each in replies:
                    self.session.streams.remove(each.get("subscription", {}).get("id", ""))
                await self.send([error_reply(request, self._error_type(request), error)])
            case HugeReply(size):
                call = self._error_type(request)
                await self.send([reply(request, call) | {call: {"padding": "x" * size}}])
            case LateReply(seconds, between):
                for each in replies:
                    epoch = math.ceil(self.clock.now() + seconds)
                    self.session.streams.send_late(each, epoch, between)
            case NoReply():
                pass

    async def _end_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self._end(ClosePlan(Ending("server", "fault: poison")))

    def _error_type(self, request: Message) -> str:
        return error_type(call_of(self.session, request) or "error")

    def _wake_ticker(self) -> None:
        self._schedule_changed.set()

    async def _send_due_messages(self) -> None:
        streams = self.session.streams
        while True:
            # The event is new before the heap is read, so no change in between is missed.
            self._schedule_changed = trio.Event()
            due = streams.next_due()
            with trio.CancelScope() as wait:
                if due is not None:
                    wait.deadline = self.clock.deadline(due)
                await self._schedule_changed.wait()
            settle_and_notify(self.session.backend, self.clock.epoch())
            await self.send(islice(streams.due_messages(self.clock.epoch()), _MESSAGES_PER_BATCH))

    async def _write_batches(self) -> None:
        # If the stream breaks, the reader notices too, and knows more about the cause.
        with suppress(trio.BrokenResourceError):
            async for batch in self._batches:
                if batch.due > trio.current_time():
                    await trio.sleep_until(batch.due)
                # If the peer closed at the same moment, this task is already cancelled, and wsproto
                # refuses to make another frame.
                await trio.lowlevel.checkpoint_if_cancelled()
                if self._cut_at is not None:
                    await self.websocket.send(
                        [self.websocket.frames(batch.items[0])[: self._cut_at]]
                    )
                    self._end(ClosePlan(Ending("server", "fault: cut")))
                    return
                await self.websocket.send(batch.items)
                self._restart_idle_timer()

    async def _end_when_idle(self) -> None:
        with self._idle_scope:
            await trio.sleep_forever()
        self._end(ClosePlan(Ending("server", "idle", 1000), say_close=True))

    async def _close_websocket(self) -> None:
        """Send the Close frame, if the plan has one, and wait for the answer to it."""
        close_plan, ending = self.close_plan, self.close_plan.ending
        if not close_plan.say_close:
            return
        await self.websocket.close(ending.code, ending.reason)
        if ending.by == "server" and close_plan.stream == "close":
            while not isinstance(received := await self.websocket.receive(), EndOfInput):
                pass
            ending = attrs.evolve(ending, clean=received.how == "close")
            self.close_plan = attrs.evolve(close_plan, ending=ending)
