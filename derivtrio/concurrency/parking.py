"""What a task is woken with, and under which run of trio this is.

A task is woken with an outcome. Those of the `outcome` library can be unwrapped once, so each
waking has to make a new one: a quarter of what it costs. `WOKEN` says nothing, any number of times.
"""

from collections.abc import AsyncGenerator, Generator
from typing import Any, Final

import outcome
import trio


class _Woken(outcome.Outcome[None]):
    """None, to be unwrapped any number of times."""

    def unwrap(self) -> None:
        return None

    def send(self, gen: Generator[Any, None, object]) -> Any:
        return gen.send(None)

    async def asend(self, agen: AsyncGenerator[Any, None]) -> Any:
        return await agen.asend(None)


#: What every task is woken with: nothing.
WOKEN: Final = _Woken()


def require_trio() -> trio.lowlevel.TrioToken:
    """Return the token of the trio that this runs under; raise a RuntimeError without one."""
    try:
        return trio.lowlevel.current_trio_token()
    except RuntimeError:
        text = (
            "derivtrio needs trio to run under, not asyncio: derivtrio.run(main) or trio.run(main)"
        )
        raise RuntimeError(text) from None
