"""What a client knows of the server's time, from the answers that happen to have it.

It costs no request: an answer to `time` says it, and so does the `purchase_time` of a purchase that
was confirmed. A price says that the server's time is at least that of its spot.
"""

import math
import time

import attrs
import trio

from derivtrio.api.parsing import is_epoch
from derivtrio.calls.call import Call
from derivtrio.policy.server_clock import ServerClock, reading


@attrs.define(eq=False)
class ServerTime:
    """The server's clock, as one client knows it."""

    _clock: ServerClock | None = attrs.field(default=None, init=False)
    _last_epoch: int | None = attrs.field(default=None, init=False)
    _at_least: tuple[float, float] = attrs.field(default=(-math.inf, math.inf), init=False)

    def update(self, seen: ServerClock) -> ServerClock:
        """Take note of what an answer shows; return what is known then."""
        self._clock = seen if self._clock is None else self._clock.updated(seen)
        return self._clock

    def note_answer(self, call: Call, epoch: object) -> None:
        """Take note of *epoch*, the server's time when it answered *call*, just now."""
        if call.written_mono is None or not is_epoch(epoch) or epoch == self._last_epoch:
            return  # a second answer within a second says nothing new
        self._last_epoch = epoch
        now_mono, now_wall = trio.current_time(), time.time()
        # If the machine's clock was set in between, `written_wall` is by the old one.
        asked_wall = min(call.written_wall, now_wall - (now_mono - call.written_mono))
        self.update(reading(epoch, (call.written_mono, now_mono), (asked_wall, now_wall)))

    def note_at_least(self, epoch: object) -> None:
        """Take note that the server's time is *epoch* or later now."""
        if is_epoch(epoch) and epoch > self._at_least[0]:
            self._at_least = (epoch, trio.current_time())

    def of_writing(self, call: Call) -> tuple[float, float] | None:
        """Return between which of the server's times *call* was written; None if unknown."""
        if call.written_mono is None:
            return None
        least, most = -math.inf, math.inf
        if self._clock is not None:
            least, most = self._clock.bounds(call.written_mono, call.written_wall)
        epoch, seen_mono = self._at_least
        if seen_mono <= call.written_mono and epoch <= most:
            least = max(least, epoch)
        return None if least == -math.inf else (least, most)
