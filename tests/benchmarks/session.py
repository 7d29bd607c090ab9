"""What every client under test looks like to the scenarios."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

Task = Callable[[], Awaitable[None]]


class Session(Protocol):
    """One open client."""

    async def call(self, request: dict[str, Any]) -> Any:
        """Send *request*, a fresh dict, and return its reply."""
        ...

    async def history(self, symbol: str) -> Any:
        """Return 5000 ticks of the past."""
        ...

    async def subscribe(self, symbol: str) -> AsyncIterator[Any]:
        """Return the ticks of *symbol*, from the first reply on, while the client lives."""
        ...


@dataclass(frozen=True)
class Client:
    """A library, or a way of using one.

    `open` connects to a URL. `run` is the event loop's, `gather` runs tasks side by side.
    """

    open: Callable[[str], AbstractAsyncContextManager[Session]]
    run: Callable[[Task], None]
    gather: Callable[[Sequence[Task]], Awaitable[None]]


def history_request(symbol: str) -> dict[str, Any]:
    """Return a request for 5000 ticks."""
    return {"ticks_history": symbol, "end": "latest", "count": 5000, "style": "ticks"}
