"""Which epochs of a live stream are believed.

A tick that says it is from next year, once delivered, would make every tick after it look old. So
an epoch that is far from where it should be is not believed at first. The rules:

1. A live epoch is *far ahead* if it is more than a day beyond the stream's present, which is an
   epoch that was believed, and the time that has passed since. It is *far behind* if it is more
   than a minute before the last one.
2. Such an item is *set aside*. The next item with an epoch that is neither drops it, and whatever
   it stood for counts as lost.
3. If three items in a row are set aside and agree with each other, it is the epochs before them
   that were wrong: the three are believed, and nothing is lost. What is missing before them is
   looked for from the `earliest` on. (A first tick of 1970 made a hole of half a century.)

The time that has passed is the longer of two: trio's clock stands still while the machine is
suspended, and the machine's clock may be set.
"""

import math
import time
from collections.abc import Callable
from typing import Any, Final

import attrs

#: How far an epoch may be from where it should be, in seconds.
FAR_AHEAD: Final = 86_400
FAR_BEHIND: Final = 60

#: How much longer than it seems a stream may have been silent, in seconds: a week, if the clocks of
#: this machine are wrong, or another one counts the server's time.
_UNNOTICED: Final = 7 * 86_400

#: How many items that agree with each other are believed (rule 3).
_WITNESSES: Final = 3


@attrs.define(eq=False, repr=False)
class Epochs:
    """What is known of a stream's epochs.

    Attributes:
        slack: how much more than that an epoch may be off, in seconds.
        clock: what measures the time that has passed: trio's.
        horizon: epochs up to this one are not far ahead.
        aside: the items that are set aside, with their epochs.

    """

    _slack: int = 0
    clock: Callable[[], float] = time.monotonic
    horizon: float = attrs.field(default=math.inf, init=False)
    _believed: int = attrs.field(default=0, init=False)
    _mono: float = attrs.field(default=0.0, init=False)
    _wall: float = attrs.field(default=0.0, init=False)
    aside: list[tuple[int, Any]] = attrs.field(factory=list, init=False)

    def begin(self, epoch: int) -> None:
        """Believe *epoch*, which has come just now."""
        self._believed, self.horizon = epoch, epoch + FAR_AHEAD + self._slack
        self._mono, self._wall = self.clock(), time.time()
        self.aside.clear()

    def is_far(self, epoch: int, last: int) -> bool:
        """Return whether *epoch*, after *last*, is far from where it should be (rule 1).

        If it is not, what is set aside is dropped. At first nothing is far: a stream may be asked
        to begin in the future.
        """
        if self.horizon == math.inf:
            return False
        if epoch > self.horizon:
            self.horizon = self._believed + self._passed + FAR_AHEAD + self._slack
        if epoch > self.horizon or epoch < last - FAR_BEHIND - self._slack:
            return True
        self.aside.clear()
        return False

    def earliest(self, epoch: int) -> int:
        """Return the earliest that the item before can have, if an *epoch* that came now is right.

        An item that agrees with what was set aside may be believed; so this is asked for before.
        """
        return math.floor(epoch - self._passed - _UNNOTICED - self._slack)

    @property
    def _passed(self) -> float:
        return max(self.clock() - self._mono, time.time() - self._wall)

    def set_aside(self, epoch: int, item: Any) -> list[Any]:
        """Set *item* aside; return it and those before it, if they are believed now."""
        if self.aside and not 0 <= epoch - self.aside[-1][0] <= FAR_BEHIND + self._slack:
            self.aside.clear()
        self.aside.append((epoch, item))
        if len(self.aside) < _WITNESSES:
            return []
        believed = [each for _, each in self.aside if each is not None]
        self.begin(epoch)
        return believed

    def interrupt(self) -> None:
        """Keep only the epochs of what is set aside: the reply that resumes may repeat an item."""
        if self.aside:
            self.aside = [(epoch, None) for epoch, _ in self.aside]
