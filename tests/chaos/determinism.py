"""What makes a run repeat exactly: one seed for every source of chance, and the virtual clock.

1. trio's scheduler is seeded (see `inside`). It then also sorts each batch of tasks, so that the
   order of sets, which depends on addresses, does not matter.
2. The client's backoff draws from the `random` module, which is seeded.
3. The virtual clock jumps when every task waits; real time does not matter.
4. The collection of garbage runs finalizers; it happens at fixed moments only.

Masking keys and nonces of WebSocket stay random: no length and no decision depends on them.
"""

import gc
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, TypeVarTuple

import attrs
import trio

from tests.chaos import inside

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Rounds of the scheduler at one moment of the virtual clock. A busy moment has a few thousand.
_HOT: Final = 200_000


@attrs.define(eq=False)
class HotLoop(trio.abc.Instrument):
    """Notices that the virtual time stands still while tasks run, and cancels *scope*."""

    most: int = _HOT
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    found: bool = False
    _moment: float = -1.0
    _rounds: int = 0

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - it is trio's
        """Count one round of the scheduler."""
        now = trio.current_time()
        self._rounds = self._rounds + 1 if now == self._moment else 0
        self._moment = now
        if self._rounds > self.most:
            self.found = True
            self.scope.cancel()


def run_seeded(
    seed: int, run: Callable[[*Ts], Awaitable[T]], *args: *Ts, hot: HotLoop | None = None
) -> T:
    """Run *run* under the virtual clock, with every source of chance seeded."""
    inside.seed_scheduler(seed)
    random.seed(seed)
    gc.collect()
    gc.disable()
    try:
        clock, instruments = inside.quick_clock(), [hot or HotLoop()]
        return trio.run(run, *args, clock=clock, instruments=instruments)
    finally:
        gc.enable()
