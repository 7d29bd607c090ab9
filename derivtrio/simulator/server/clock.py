"""The simulator's time: epoch seconds that advance with trio's clock.

Under `trio.testing.MockClock` a simulated month passes as fast as the work in it is done.
"""

import math

import attrs
import trio


@attrs.frozen
class Clock:
    """Epoch time that read *start* when trio's clock read *opened*."""

    start: float
    opened: float

    def now(self) -> float:
        """Return the epoch, in seconds."""
        return self.start + (trio.current_time() - self.opened)

    def epoch(self) -> int:
        """Return the last whole second of the epoch, never one before a `deadline` reached.

        The way to trio's clock and back rounds twice, so what is finer than a microsecond is noise.
        """
        return math.floor(round(self.now(), 6))

    def deadline(self, epoch: float) -> float:
        """Return the time on trio's clock at which *epoch* is reached."""
        return self.opened + (epoch - self.start)
