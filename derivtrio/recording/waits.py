"""`Waits`: what a recorder cannot follow just now, why, and since when.

A series that the server refuses, because its symbol has vanished for instance, is asked for again
every minute, and the others go on. So the recorder is well, and yet nothing is kept of this one.
That may last for days; whoever operates the recorder reads it here.
"""

import time
from collections.abc import Iterator

import attrs

from derivtrio.errors import DerivError


@attrs.frozen
class Wait:
    """A series that is not followed just now.

    Attributes:
        series: a symbol, `R_100, 60 s candles` or, of the account, `account`, `balance` or
            `transactions`.
        since: when it was first refused, or ended, in seconds since the epoch.
        error: why, the last time that it was asked for.

    """

    series: str
    since: float
    error: DerivError


@attrs.define(eq=False)
class Waits:
    """The series of a recorder that wait until they may be asked for again, longest first."""

    _waits: dict[str, Wait] = attrs.field(factory=dict, init=False)

    def begin(self, series: str, error: DerivError) -> None:
        """Note that *series* waits because of *error*; if it does so already, since when stays."""
        known = self._waits.get(series)
        since = time.time() if known is None else known.since
        self._waits[series] = Wait(series, since, error)

    def end(self, series: str) -> None:
        """Note that *series* is followed, if it was not."""
        self._waits.pop(series, None)

    def __iter__(self) -> Iterator[Wait]:
        """Yield what waits now."""
        return iter(tuple(self._waits.values()))
