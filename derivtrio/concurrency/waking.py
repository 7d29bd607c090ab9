"""What a task is woken with, when there is nothing to say to it.

trio would make an `outcome.Value` for each waking, because one can be unwrapped only once. That is
a tenth of the CPU time of a tick for a thousand consumers, and a fiftieth of a call's instructions.
"""

from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, Final

import outcome


class _Woken(outcome.Outcome[None]):
    """Nothing, any number of times."""

    def unwrap(self) -> None:
        return None

    def send(self, gen: Generator[Any, None, object]) -> Any:
        return gen.send(None)

    def asend(self, agen: AsyncGenerator[Any, None]) -> Coroutine[Any, Any, Any]:
        return agen.asend(None)


#: For `trio.lowlevel.reschedule`.
WOKEN: Final = _Woken()
