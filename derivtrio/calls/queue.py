"""From user code to the writer: requests in their order, let out as the budgets allow.

A memory channel leads in. It has room for so many requests; then callers wait at the door. As long
as there is a budget for everything, requests pass straight through. What may not be written yet
waits in an anteroom, where it holds up nobody who needs another budget, or is more urgent.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs
import trio

from derivtrio.calls.call import Call
from derivtrio.errors import DerivError
from derivtrio.events import Event, Throttled
from derivtrio.policy.rate_limits import Budgets, Urgency
from derivtrio.policy.throttling import WaitingRoom


def _nobody(_: Event) -> None:
    """Listen to nothing."""


@attrs.define(eq=False)
class SendQueue:
    """Requests on their way to the writer.

    Attributes:
        capacity: how many may wait in the channel.
        budgets: what may be sent, and when.
        limits_matter: set when something is first held back on the present connection.

    """

    capacity: int
    budgets: Budgets = attrs.field(factory=Budgets)
    announce: Callable[[Event], None] = _nobody
    limits_matter: trio.Event = attrs.field(factory=trio.Event, init=False)
    _connection: int | None = attrs.field(default=None, init=False)
    _first: deque[Call] = attrs.field(factory=deque, init=False)
    _room: WaitingRoom[Call] = attrs.field(init=False)
    _due: float = attrs.field(default=math.inf, init=False)
    _throttled: set[str] = attrs.field(factory=set, init=False)
    _held_back: set[str] = attrs.field(factory=set, init=False)
    _reviewed: trio.Event = attrs.field(factory=trio.Event, init=False)
    _door: trio.MemorySendChannel[Call | None] = attrs.field(init=False)
    _waiting: trio.MemoryReceiveChannel[Call | None] = attrs.field(init=False)
    _writer_woken: bool = attrs.field(default=False, init=False)
    _refusal: Callable[[], DerivError] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._room = WaitingRoom(self.budgets)
        self._door, self._waiting = trio.open_memory_channel(self.capacity)

    def __len__(self) -> int:
        waiting = self._waiting.statistics().current_buffer_used
        return len(self._room) + len(self._first) + waiting - self._writer_woken

    async def put(self, call: Call) -> None:
        """Queue *call*; wait while there are `capacity` others.

        *Cancellation*: the call is not queued, or, if its caller does not wait for it, not written.

        Raises:
            DerivError: what the outbox was closed with.

        """
        if call.is_trade and trio.current_effective_deadline() <= trio.current_time():
            await trio.lowlevel.checkpoint()  # its time is up, though nobody has noticed yet
        if self._refusal is not None:
            raise self._refusal()
        try:
            self._door.send_nowait(call)  # the caller will wait for the reply soon enough
        except trio.WouldBlock:
            await self._door.send(call)

    def put_first(self, calls: Sequence[Call]) -> None:
        """Queue *calls* before all others, in their order, without waiting."""
        if self._refusal is not None:
            for call in calls:
                call.fail(self._refusal())
            return
        if self._room:
            for call in reversed(calls):
                self._room.add_first(call)
        else:
            self._first.extendleft(reversed(calls))
        if calls:
            self.wake_writer()

    def withdraw(self, call: Call) -> None:
        """Let *call*, whose caller has gone, take up no room."""
        self._room.discard(call)

    def begin(self, connection: int) -> None:
        """Let nothing out until `open_to`; what was for another *connection* is over."""
        self._connection = connection
        self._room.max_urgency = None
        self._held_back.clear()
        self.limits_matter = trio.Event()
        for call in list(self._room):
            if call.only_on is not None:
                self._room.discard(call)
                self._first.append(call)  # the writer decides what becomes of it

    def open_to(self, urgency: Urgency) -> None:
        """Let out what is so urgent, or more."""
        self._room.max_urgency = urgency
        if urgency is Urgency.RESTORATION:
            self._held_back.clear()
        self.wake_writer()

    def wake_writer(self) -> None:
        """Have the writer, which may be waiting at the channel, look what there is to do."""
        if not self._waiting.statistics().current_buffer_used:
            self._door.send_nowait(None)
            self._writer_woken = bool(self._waiting.statistics().current_buffer_used)

    def review(self) -> None:
        """Look again at what waits: the budgets have changed."""
        self.wake_writer()
        self._reviewed.set()
        self._reviewed = trio.Event()

    async def admitted(self, name: str, urgency: Urgency) -> None:
        """Wait until the call *name*, made past this queue, may go, and count it."""
        while not self.budgets.admit(name, urgency, trio.current_time()):
            await self.hold_back(name, urgency)

    async def hold_back(self, name: str, urgency: Urgency) -> None:
        """Wait until the call *name*, made past this queue, may go, as far as can be told now."""
        group, until = self.throttled(name, urgency)
        self._held_back.add(group)
        with trio.move_on_at(until):
            await self._reviewed.wait()

    def throttled(self, name: str, urgency: Urgency) -> tuple[str, float]:
        """Say that calls such as *name* have to wait, if they have; return why and until when."""
        now = trio.current_time()
        group, until = self.budgets.limiting(name, urgency, now)
        self._announce({group: until}, now)
        return group, until

    async def get(self, most: int) -> list[Call]:
        """Return up to *most* requests to write now; they are counted already.

        There may be none: after waiting, it is time to look whether something else is to be done.

        *Cancellation*: loses nothing.
        """
        if calls := self._let_out(most):
            return calls
        if self._due == math.inf:
            await self._arrival()
        else:
            with trio.move_on_at(self._due):
                await self._arrival()
        return self._let_out(most)

    def close(self, refusal: Callable[[], DerivError]) -> None:
        """Refuse what comes and fail what waits, each with an error made by *refusal*."""
        if self._refusal is not None:
            return
        self._refusal = refusal
        calls: list[Call | None] = [*self._room.clear(), *self._first]
        self._first.clear()
        with suppress(trio.WouldBlock):
            while True:  # those who wait at the door are let in, and turned away with the rest
                calls.append(self._waiting.receive_nowait())
        self._writer_woken = False
        for call in calls:
            if call is not None:
                call.fail(refusal())

    def _let_out(self, most: int) -> list[Call]:
        """Return up to *most* requests that may go; whatever may not is in the anteroom then."""
        now, room, max_urgency = trio.current_time(), self._room, self._room.max_urgency
        admit = self.budgets.admit
        out: list[Call] = []
        for call in self._arrived(most):
            if call.abandoned:
                continue
            passes = not room and max_urgency is not None and call.urgency <= max_urgency
            stale = call.only_on is not None and call.only_on != self._connection
            if stale or (passes and admit(call.name, call.urgency, now)):
                out.append(call)
            else:
                room.add(call)
        if room or self._throttled or self._due < math.inf:
            while len(out) < most and (released := room.leave(now)) is not None:
                out.append(released)
            self._note_stops(now)
        return out

    def _arrived(self, most: int) -> list[Call]:
        """Take up to *most* requests from where they come in, in their order."""
        calls = [self._first.popleft() for _ in range(min(most, len(self._first)))]
        receive = self._waiting.receive_nowait
        try:
            while len(calls) < most:
                if (arrival := receive()) is not None:
                    calls.append(arrival)
                else:
                    self._writer_woken = False
        except trio.WouldBlock:
            pass
        return calls

    async def _arrival(self) -> None:
        """Wait for a request, or a wake_writer."""
        call = await self._waiting.receive()
        if call is None:
            self._writer_woken = False
        else:
            self._first.append(call)

    def _note_stops(self, now: float) -> None:
        until = self._room.stopped(now)
        self._due = min(until.values(), default=math.inf)
        self._throttled &= self._held_back.union(until, self.budgets.paused(now))
        self._announce(until, now)

    def _announce(self, until: dict[str, float], now: float) -> None:
        """Say that requests of these groups wait, once for as long as some do."""
        for group, end in until.items():
            if end > now:
                self.limits_matter.set()
                if group not in self._throttled and not self.budgets.awaits_limits(group, now):
                    self._throttled.add(group)
                    self.announce(Throttled(group, end - now))
