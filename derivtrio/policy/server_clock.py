"""The server's clock, as far as it can be known from here. No I/O.

The call `time` gives whole seconds, and its answer takes a while; so what is known is an interval.
An estimate is kept for as long as newer ones agree with it: what is decided about one order must
fit what was decided about another, to the second.

What a client knows (`ServerTime`) costs no request: an answer to `time` says it, and so does the
`purchase_time` of a purchase that was confirmed. A price says that the server's time is at least
that of its spot, unless that is in this machine's future: no server's clock is so far ahead.

The time of a writing is known by trio's clock and by the machine's. The first stands still while
the machine is suspended, and the second may be set. So the true time lies between the two, or is
what one of them says.
"""

import math
from typing import Final, NamedTuple

import attrs
import msgspec

from derivtrio.api.parsing import is_epoch

#: How far the server's own clocks may be apart, in seconds.
SKEW: Final = 5

#: What is so many seconds ahead of this machine's clock is no server's time.
_FAR_AHEAD: Final = 3600


class Moment(NamedTuple):
    """A moment by both clocks of ours: trio's, and this machine's."""

    mono: float
    wall: float


class Lead(msgspec.Struct, frozen=True):
    """By how many seconds the server's clock is ahead of another one: at least, and at most."""

    least: float
    most: float

    def agrees(self, other: "Lead") -> bool:
        """Return whether both can be true."""
        return self.least <= other.most and other.least <= self.most


class ServerClock(msgspec.Struct, frozen=True):
    """The server's clock, compared with trio's clock and with this machine's."""

    over_trio: Lead
    over_wall: Lead

    def earliest(self, written_mono: float | None, written_wall: float) -> float:
        """Return a server's epoch that is not later than the writing of something.

        It was written at *written_mono* on trio's clock, if that is known, and at *written_wall* on
        the machine's. The earlier of the two counts, less what the server's clocks may be apart.
        """
        by_wall = written_wall + self.over_wall.least
        if written_mono is None:
            return by_wall - SKEW
        return min(by_wall, written_mono + self.over_trio.least) - SKEW

    def bounds(self, written_mono: float, written_wall: float) -> tuple[float, float]:
        """Return two of the server's epochs, between which something was written.

        The arguments are those of `earliest`.
        """
        trio, wall = self.over_trio, self.over_wall
        return (
            min(written_mono + trio.least, written_wall + wall.least),
            max(written_mono + trio.most, written_wall + wall.most),
        )

    def now(self, mono: float) -> float:
        """Return a server's epoch that is not later than *mono* on trio's clock."""
        return mono + self.over_trio.least

    def latest(self, mono: float) -> float:
        """Return a server's epoch that is not earlier than *mono* on trio's clock."""
        return mono + self.over_trio.most + SKEW

    def updated(self, newer: "ServerClock") -> "ServerClock":
        """Return what is known after a *newer* reading: the same, unless that disagrees."""
        trio, wall = self.over_trio, self.over_wall
        return ServerClock(
            trio if trio.agrees(newer.over_trio) else newer.over_trio,
            wall if wall.agrees(newer.over_wall) else newer.over_wall,
        )


def reading(epoch: int, trio: tuple[float, float], wall: tuple[float, float]) -> ServerClock:
    """Return what an answer to `time` says.

    The question was asked and answered at these times, on trio's clock and on the machine's.
    """
    return ServerClock(
        Lead(epoch - trio[1], epoch + 1 - trio[0]), Lead(epoch - wall[1], epoch + 1 - wall[0])
    )


@attrs.define(eq=False, repr=False)
class ServerTime:
    """What one client knows of the server's time.

    Attributes:
        last_epoch: what the last answer said; another that says the same tells nothing new.

    """

    last_epoch: int | None = attrs.field(default=None, init=False)
    _clock: ServerClock | None = attrs.field(default=None, init=False)
    _at_least: tuple[float, float] = attrs.field(default=(-math.inf, math.inf), init=False)

    def update(self, seen: ServerClock) -> ServerClock:
        """Take note of what an answer shows; return what is known then."""
        self._clock = seen if self._clock is None else self._clock.updated(seen)
        return self._clock

    def note_answer(self, epoch: object, written: Moment, now: Moment) -> None:
        """Take note of *epoch*, the server's time in the answer that has come *now*."""
        if not is_epoch(epoch):
            return
        self.last_epoch = epoch
        # If the machine's clock was set in between, `written.wall` is by the old one.
        asked_wall = min(written.wall, now.wall - (now.mono - written.mono))
        self.update(reading(epoch, (written.mono, now.mono), (asked_wall, now.wall)))

    def note_at_least(self, epoch: object, now: Moment) -> None:
        """Take note that the server's time is *epoch* or later *now*; not if that is far ahead."""
        if is_epoch(epoch) and self._at_least[0] < epoch <= now.wall + _FAR_AHEAD:
            self._at_least = (epoch, now.mono)

    def at(self, written: Moment) -> tuple[float, float] | None:
        """Return between which of the server's times that moment was; None if unknown."""
        least, most = -math.inf, math.inf
        if self._clock is not None:
            least, most = self._clock.bounds(written.mono, written.wall)
        epoch, seen_mono = self._at_least
        if seen_mono <= written.mono and epoch <= most:
            least = max(least, epoch)
        return None if least == -math.inf else (least, most)
