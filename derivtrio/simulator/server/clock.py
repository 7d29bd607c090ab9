"""The simulator's time: epoch seconds that advance with trio's clock.

With `trio.testing.MockClock` a month takes only as long as the work in it.
"""

import math

import attrs
import trio


@attrs.frozen
class Clock:
    """An epoch that was *start* when trio's clock was *opened*, both in seconds."""

    start: float
    opened: float

    def now(self) -> float:
        """Return the epoch, in seconds."""
        return self.start + (trio.current_time() - self.opened)

    def epoch(self) -> int:
        """Return the epoch in whole seconds, rounded down.

        When a `deadline` is reached, the result is at least its epoch.
        """
        # The conversion to trio's clock and back rounds twice. Without `round`, 17 could become
        # 16.999999 and then 16, and a task that waits for 17 would wake and find nothing to do.
        return math.floor(round(self.now(), 6))

    def deadline(self, epoch: float) -> float:
        """Return the time on trio's clock when *epoch* is reached."""
        return self.opened + (epoch - self.start)
