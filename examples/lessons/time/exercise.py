"""Exercise 17: do something at regular times."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> NoReturn:
    """Call *work* now and then every *seconds*, however long it takes each time.

    The times are multiples of *seconds* after the first, so nothing drifts. Where work takes
    longer than that, the times that have passed meanwhile are left out. This version drifts.
    """
    while True:
        await work()
        await trio.sleep(seconds)
