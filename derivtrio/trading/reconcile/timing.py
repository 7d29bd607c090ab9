"""Until when may a request still be executed? The rules for saying "no".

A trade that was executed shows in the account at once, or almost at once. That a trade was *not*
executed is harder to know, because its request may still be under way:

1. A request can no longer reach the server when the server has ended their connection. If this side
   has given it up, because the server was silent for example, the server may still read from it
   for two minutes: rule 3. And the request has reached the server when the server has answered a
   later request on the same connection.
2. From then on, the server waits at most 15 seconds for its backend (`Mojo::WebSocketProxy`, the
   framework that serves v3, gives up after that). Allow some seconds more, because the account's
   lists may lag behind. Only what is looked up after that can show that there is nothing.
3. A trade that is not in this client's log was made by another client, or too long ago. Its
   connection is not known. But the server closes a connection on which it receives nothing for two
   minutes; so after two minutes, too, the request is no longer under way.

There are three clocks. Waiting is measured by trio's (`…_mono`). The account's lists have the
server's (`…_epoch`). The machine's (`…_wall`) may be set by anybody, also between two runs, so it
is never a reason to say "no":

4. When a trade of another run was written is known by the server's clock, if the doubt brings that
   along (`OutcomeUnknown.server_epoch`). Otherwise the two minutes begin when this client hears of
   it, and any purchase in the account may be the one, however old it looks.
5. The server's own clock may have been set meanwhile, or another machine of it tells the time now.
   So where the two disagree, both count: what was known when the trade was made, and what is now.
   If nothing was known then, this machine's clock stands in for it: what has happened at that time
   by this clock forbids a "no", too.
"""

import math
import time
from typing import Final

import attrs
import trio

from derivtrio.api.parsing import is_epoch
from derivtrio.calls.call import IDLE_TIMEOUT, Call
from derivtrio.calls.other_clients import ForeignDoubt
from derivtrio.calls.pages import LAG
from derivtrio.calls.request import request_until_answered
from derivtrio.calls.session import Session
from derivtrio.errors import OutcomeUnknown, ProtocolViolation
from derivtrio.policy.rate_limits import Urgency
from derivtrio.policy.server_clock import SKEW, ServerClock, reading
from derivtrio.wording import shown

#: How long the server waits for its backend, in seconds.
_BACKEND_TIMEOUT: Final = 15

#: How long after its last chance to reach the server a request may still be executed, in seconds.
CERTAIN_AFTER: Final = _BACKEND_TIMEOUT + LAG


@attrs.frozen
class Bounds:
    """When a trade may have been executed, in the server's time.

    Attributes:
        earliest: not before that.
        written: hardly before that: when the request was written, as well as it is known.
        latest: not after that.

    """

    earliest: float
    written: float
    latest: float


@attrs.define(eq=False, repr=False)
class Timing:
    """Until when one trade in doubt, and its rivals, may be executed.

    In all methods *call* is None for the trade in doubt, if its call is not known any more.

    Attributes:
        unknown: what the trade ended with.
        call: the call that made it; None if that is not known any more.

    """

    unknown: OutcomeUnknown
    call: Call | None
    _session: Session
    _clock: ServerClock = attrs.field(init=False)
    _read_mono: dict[Call | None, float] = attrs.field(factory=dict, init=False)

    async def read_clock(self) -> None:
        """Ask for the server's time. Its answer also shows that the server has read the trade."""
        asked_mono, asked_wall = trio.current_time(), time.time()
        reply = await request_until_answered({"time": 1}, self._session, Urgency.TRADE)
        answered_mono, answered_wall = trio.current_time(), time.time()
        if not is_epoch(epoch := reply.get("time")):
            text = f"the server's time is a number of seconds, not {shown(epoch)}"
            raise ProtocolViolation(text)
        seen = reading(epoch, (asked_mono, answered_mono), (asked_wall, answered_wall))
        self._clock = self._session.trades.server_time.update(seen)
        if self.call is not None and math.isinf(self.call.closed_mono):
            self._read_mono[self.call] = answered_mono
        elif self.call is None:  # another connection may have carried it: rule 3
            self._read_mono[None] = answered_mono + IDLE_TIMEOUT - self._age(answered_mono)

    def note_read(self, call: Call, asked_mono: float) -> None:
        """Note that the server has answered a question that was asked at *asked_mono*.

        So it has read what was written earlier on the same connection, if that still lives.
        """
        lives = math.isinf(call.closed_mono)
        if lives and call.written_mono is not None and call.written_mono < asked_mono:
            self._read_mono.setdefault(call, trio.current_time())

    def end_mono(self, call: Call | None) -> float:
        """Return from when on *call* cannot be executed any more."""
        closed_mono = math.inf if call is None else call.closed_mono
        return min(closed_mono, self._read_mono.get(call, math.inf)) + CERTAIN_AFTER

    def quiet_mono(self, call: Call | None) -> float:
        """Return from when on *call* will not say itself what became of it.

        While its caller waits for the answer, it may; and what it then says cannot be taken back.
        """
        if call is not None and self._session.trades.is_under_way(call):
            return math.inf
        return self.end_mono(call)

    def bounds_epoch(self, call: Call | None) -> Bounds:
        """Return when *call* may have been executed."""
        end_mono, known = self.end_mono(call), self.unknown.server_epoch
        latest = self._clock.latest(end_mono)
        written_mono, written_wall = self._written_mono, self.unknown.written_at
        if call is not None:
            written_mono, written_wall = call.written_mono, call.written_wall
        if written_mono is not None:
            least, most = self._clock.bounds(written_mono, written_wall)
            if known is not None and call is self.call and known[1] < least:  # rule 5
                least = known[0]
            elif known is not None and call is self.call and known[0] > most:
                latest = known[0] + 1 + end_mono - written_mono + SKEW
            if known is None or math.isinf(known[1]):  # rule 5
                latest = max(latest, written_wall + 1 + end_mono - written_mono + SKEW)
                return Bounds(min(least, written_wall) - SKEW, math.floor(least), latest)
        elif known is not None:
            least, _ = known
        else:
            # The start is a guess, by this machine's clock; nothing before it is certain.
            guess = self._clock.earliest(None, self.unknown.written_at)
            return Bounds(-math.inf, guess, latest)
        # A row has whole seconds: what is bought at 7.8 has the time 7.
        return Bounds(least - SKEW, math.floor(least), latest)

    def is_near(self, doubt: ForeignDoubt, call: Call) -> bool:
        """Return whether another client's order may have been executed after *call* was written.

        Two minutes for a connection that nobody hears of any more, and then the backend: rule 3.
        """
        same_run = doubt.run is trio.lowlevel.current_trio_token()
        if same_run and call.written_mono is not None and doubt.written_mono is not None:
            earlier = call.written_mono - doubt.written_mono
        else:
            earlier = call.written_wall - doubt.author.written_wall
        return earlier < IDLE_TIMEOUT + CERTAIN_AFTER

    async def wait(self, pause: float) -> None:
        """Wait for *pause* seconds.

        Less, if the connection ends, the client is closed, or "no" can be said earlier.
        """
        now_mono, end_mono = trio.current_time(), self.end_mono(self.call)
        until_mono = now_mono + pause
        if now_mono < end_mono < until_mono:
            until_mono = end_mono
        with trio.move_on_at(until_mono):
            if self.call is not None and math.isinf(self.call.closed_mono):
                await self.call.wait_closed()
            else:
                await self._session.state.wait_ending()

    @property
    def _written_mono(self) -> float | None:
        """When the trade was written, on trio's clock; None if it was written in another run."""
        same_run = self.unknown.run is trio.lowlevel.current_trio_token()
        return self.unknown.written_on if same_run else None

    def _age(self, now_mono: float) -> float:
        """Return how many seconds ago the trade was written, at least."""
        since_mono = self._session.trades.seen_since(self.unknown)
        if (written_mono := self._written_mono) is not None:
            since_mono = min(since_mono, written_mono)
        age = now_mono - since_mono
        if (known := self.unknown.server_epoch) is not None:
            _, latest = known
            age = max(age, self._clock.now(now_mono) - latest - SKEW)
        return age
