"""From user code to the writer: requests in their order, let out as the budgets allow.

A memory channel leads in. Without a connection it fills up, and then callers wait for room.
While budgets have room, requests pass straight through. What may not be written yet waits in one
`WaitingRoom`, where it holds up nothing that needs another budget or is more urgent.

Requests that restore a connection take the same way. On a new connection only they may go at first;
`open_to` then lets out other calls, trades first. If even restoration has to wait for a budget,
user calls may go meanwhile, and `held_back` measures how long that lasts, because it does not count
against the patience with the server.

A read that may have broken the last connections is a *suspect*. It waits here until
`suspects.repeat_suspects` has it asked alone.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress

import attrs
import trio

from derivtrio.calls.call import Call
from derivtrio.calls.life import ABANDONED
from derivtrio.errors import BrokenConnection, DerivError
from derivtrio.events import Event, Throttled
from derivtrio.policy.rate_limits import Budgets, Urgency
from derivtrio.policy.throttling import Stopwatch, WaitingRoom


def _ignore(_: Event) -> None:
    """Announce nothing."""


@attrs.define(eq=False, repr=False)
class SendQueue:
    """Requests on their way to the writer.

    Attributes:
        capacity: how many may wait in the channel.
        budgets: what may be sent, and when.
        announce: is told when requests are throttled.
        when_held_back: called when something is first held back on the present connection, and then
            no more.
        held_back: for how long restoration has waited for budgets on the present connection.
        suspects: reads that may have broken connections, and wait to be asked alone.
        throttled_for: for how long anything has waited for budgets, on all connections.
        clock: trio's; other threads may ask it, and `trio.current_time` may not be called there.

    """

    capacity: int
    budgets: Budgets = attrs.field(factory=Budgets)
    announce: Callable[[Event], None] = _ignore
    when_held_back: Callable[[], object] | None = attrs.field(default=None, init=False)
    held_back: Stopwatch = attrs.field(factory=Stopwatch, init=False)
    suspects: list[Call] = attrs.field(factory=list, init=False)
    throttled_for: Stopwatch = attrs.field(factory=Stopwatch, init=False)
    clock: trio.abc.Clock = attrs.field(factory=trio.lowlevel.current_clock, init=False)
    _connection: int | None = attrs.field(default=None, init=False)
    _arrived: list[Call] = attrs.field(factory=list, init=False)
    _room: WaitingRoom[Call] = attrs.field(init=False)
    _due: float = attrs.field(default=math.inf, init=False)
    _throttled: set[str] = attrs.field(factory=set, init=False)
    _way_in: trio.MemorySendChannel[Call | None] = attrs.field(init=False)
    _way_out: trio.MemoryReceiveChannel[Call | None] = attrs.field(init=False)
    #: How many are in the channel, callers that wait for room included; and whether one of them is
    #: the None of `wake_writer`.
    _in_channel: int = attrs.field(default=0, init=False)
    _writer_woken: bool = attrs.field(default=False, init=False)
    _refusal: Callable[[], DerivError] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._room = WaitingRoom(self.budgets)
        self._way_in, self._way_out = trio.open_memory_channel(self.capacity)

    def __len__(self) -> int:
        waiting = self._in_channel - self._writer_woken + len(self.suspects)
        return len(self._room) + len(self._arrived) + waiting

    async def put(self, call: Call) -> None:
        """Queue *call*; without a connection, wait while there are `capacity` others.

        *Cancellation*: the call is not queued, or, if its caller does not wait for it, not written.

        Raises:
            DerivError: what the queue was closed with.

        """
        if call.is_trade and trio.current_effective_deadline() <= trio.current_time():
            await trio.lowlevel.checkpoint()  # its deadline has passed; nothing has raised that yet
        if self._refusal is not None:
            await trio.lowlevel.checkpoint()  # so a loop that goes on asking lets other tasks run
            raise self._refusal()
        self._in_channel += 1
        try:
            self._way_in.send_nowait(call)  # no checkpoint: the caller waits for the reply anyhow
        except trio.WouldBlock:
            if self._connection is not None:
                # The writer would empty the channel in its next turn. Doing that here spares the
                # caller a wait of its own, which would cost as much as the rest of the call.
                self._empty_channel()
            try:
                await self._way_in.send(call)
            except BaseException:  # a cancelled caller
                self._in_channel -= 1
                raise

    def put_first(self, calls: Sequence[Call]) -> None:
        """Queue *calls* before all others, in their order, without waiting."""
        if self._refused(calls):
            return
        if self._room:
            for call in reversed(calls):
                self._room.add_first(call)
        else:
            self._arrived[:0] = calls
        if calls:
            self.wake_writer()

    def pass_over(self, why: BrokenConnection) -> None:
        """Note that a connection broke before the suspects that wait could be asked on it."""
        for call in [each for each in self.suspects if why.may_blame]:
            call.passed_over(why)
        self.suspects[:] = [call for call in self.suspects if not call.decided]

    def put_again(self, calls: Sequence[Call]) -> None:
        """Queue *calls*, which were lost with their connection, before all others; not suspects."""
        self.put_first([call for call in calls if not call.is_suspect])
        suspects = [call for call in calls if call.is_suspect]
        if not self._refused(suspects):
            self.suspects += suspects

    def put_last(self, calls: Sequence[Call]) -> None:
        """Queue *calls* behind all others, in their order, without waiting."""
        if not self._refused(calls):
            self._empty_channel()
            self._arrived.extend(calls)
            self.wake_writer()

    def withdraw(self, call: Call) -> None:
        """Let *call*, which nobody waits for any more, take up no room."""
        self._room.remove(call)
        if call in self.suspects:
            self.suspects.remove(call)

    def begin(self, connection: int) -> None:
        """Let out only what restores *connection*, until `open_to`; calls for others are over."""
        self._connection = connection
        self._room.max_urgency = None
        self.held_back = Stopwatch()
        for call in list(self._room):
            if call.only_on is not None:
                self._room.remove(call)
                self._arrived.append(call)  # `tasks.write_calls` decides what becomes of it

    def open_to(self, urgency: Urgency) -> None:
        """Let out what is so urgent, or more."""
        self._room.max_urgency = urgency
        self.wake_writer()

    @property
    def waits_for_restoration(self) -> bool:
        """Whether only what restores the connection may go."""
        return self._room.max_urgency is None

    @property
    def is_open_to_users(self) -> bool:
        """Whether user calls may go."""
        most = self._room.max_urgency
        return most is not None and most >= Urgency.USER

    @property
    def restoring(self) -> int:
        """How many requests that restore the connection wait here."""
        return sum(call.restores for call in (*self._room, *self._arrived))

    @property
    def throttled_groups(self) -> list[str]:
        """The rate-limit groups for which something waits now."""
        now = self.clock.current_time()
        return sorted(group for group, until in self._room.stopped(now).items() if until > now)

    def promote_restoration(self) -> None:
        """Make what still restores the connection as urgent as user calls: it has waited enough."""
        self._room.promote()
        self.wake_writer()

    def hurry(self, calls: Sequence[Call]) -> None:
        """Let those of *calls* that still wait go with user calls, and before all of these."""
        for call in reversed(calls):
            waited = self._room.remove(call)
            call.urgency = Urgency.USER
            if waited:
                self._room.add_first(call)
        self.wake_writer()

    def end(self) -> None:
        """Note that there is no connection: from now on the channel fills up."""
        self._connection = self.when_held_back = None
        self.throttled_for.note(trio.current_time(), running=False)

    def wake_writer(self) -> None:
        """Have the writer, which may be waiting at the channel, look what there is to do."""
        if not self._in_channel:
            self._way_in.send_nowait(None)
            self._in_channel, self._writer_woken = 1, True

    def throttled(self, name: str, urgency: Urgency) -> None:
        """Announce that calls such as *name* have to wait, if they have."""
        now = trio.current_time()
        group, until = self.budgets.limiting(name, urgency, now)
        self._announce({group: until}, now)

    def room_at(self, call: Call) -> float:
        """Return from when on the budgets have room for *call*, on trio's clock."""
        return self.budgets.limiting(call.name, call.urgency, trio.current_time())[1]

    async def get(self, most: int) -> list[Call]:
        """Return up to *most* requests to write now; they are counted already.

        There may be none: after waiting, it is time to look whether something else is to be done.

        *Cancellation*: loses nothing.
        """
        is_empty = not (self._arrived or self._room or self._writer_woken)
        while not is_empty:
            if calls := self._let_out(most):
                return calls
            is_empty = not self._arrived  # what may go can stand behind many that may not
        if self._due == math.inf:
            self._take(await self._way_out.receive())
        else:
            with trio.move_on_at(self._due):
                self._take(await self._way_out.receive())
        return self._let_out(most)

    def close(self, refusal: Callable[[], DerivError]) -> None:
        """Refuse what comes and fail what waits, each with an error made by *refusal*."""
        if self._refusal is not None:
            return
        self._refusal = refusal
        self._empty_channel()  # callers that wait for room come in, and are refused with the rest
        calls = [*self._room.clear(), *self._arrived, *self.suspects]
        self._arrived.clear()
        self.suspects.clear()
        for call in calls:
            call.fail(refusal())

    def _refused(self, calls: Sequence[Call]) -> bool:
        """Return whether the queue is closed; if it is, fail *calls*."""
        if self._refusal is None:
            return False
        for call in calls:
            call.fail(self._refusal())
        return True

    def _let_out(self, most: int) -> list[Call]:
        """Return up to *most* requests that may go; whatever may not is in the room then."""
        now, room, max_urgency = self.clock.current_time(), self._room, self._room.max_urgency
        admit, some_wait = self.budgets.admit, bool(room)
        out: list[Call] = []
        for call in self._next(most):
            if call.state is ABANDONED:
                continue
            # Once one has to wait, those behind it wait, too: the room knows who may pass whom.
            passes = not some_wait and max_urgency is not None and call.urgency <= max_urgency
            # Its connection is gone: `tasks.write_calls` decides it, and no budget is charged.
            stale = call.only_on is not None and call.only_on != self._connection
            if stale or (passes and admit(call.name, call.urgency, now)):
                out.append(call)
            else:
                room.add(call)
                some_wait = True
        # Usually nothing waits, and this is skipped.
        if some_wait or self._throttled or self._due < math.inf:
            while len(out) < most and (released := room.leave(now)) is not None:
                out.append(released)
            self._note_stops(now)
        return out

    def _next(self, most: int) -> list[Call]:
        """Take up to *most* requests from where they come in, in their order."""
        arrived = self._arrived
        try:
            while len(arrived) < most and self._in_channel:
                self._take(self._way_out.receive_nowait())
        except trio.WouldBlock:  # Ctrl-C came when a caller had counted its call, but not sent it
            self._in_channel = 0
        calls = arrived[:most]
        del arrived[:most]
        return calls

    def _empty_channel(self) -> None:
        """Take all that is in the channel, as the writer would."""
        with suppress(trio.WouldBlock):  # the writer has been given one, but has not run since
            while self._in_channel:
                self._take(self._way_out.receive_nowait())

    def _take(self, arrival: Call | None) -> None:
        """Note what has come out of the channel."""
        self._in_channel -= self._in_channel > 0
        if arrival is None:
            self._writer_woken = False
        else:
            self._arrived.append(arrival)

    def _note_stops(self, now: float) -> None:
        """Note which budgets hold requests back now, and until when."""
        until = self._room.stopped(now)
        self._due = min(until.values(), default=math.inf)
        self._throttled &= self.budgets.paused(now).union(until)
        self._announce(until, now)
        throttled = now < self._due < math.inf
        self.throttled_for.note(now, running=throttled)
        held_back = throttled and self._room.holds_restoration
        self.held_back.note(now, running=held_back)
        if held_back and self._room.max_urgency is Urgency.TRADE:
            self.open_to(Urgency.USER)  # they need not wait for what waits itself

    def _announce(self, until: dict[str, float], now: float) -> None:
        """Say that requests of these groups wait, once for as long as some do."""
        for group, end in until.items():
            if end > now:
                if self.when_held_back is not None:
                    self.when_held_back()
                    self.when_held_back = None
                if group not in self._throttled and not self.budgets.awaits_limits(group, now):
                    self._throttled.add(group)
                    self.announce(Throttled(group, end - now))
