"""Exercise 12: a supervisor must not forget too early that things went badly."""

from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio

FIRST, LONGEST, STABLE = 1.0, 60.0, 60.0


async def supervise(connect: Callable[[], Awaitable[None]]) -> NoReturn:
    """Call *connect* again and again, with a pause after each time.

    It returns when a connection has ended, and raises OSError if there was none. The pause is FIRST
    seconds, and doubles each time up to LONGEST. It begins anew only after a connection that lasted
    STABLE seconds. Any other exception is a bug, and comes out. This version is easily made happy,
    and hides bugs.
    """
    pause = FIRST
    while True:
        try:
            await connect()
            pause = FIRST
        except Exception as error:  # noqa: BLE001  (this is a fault to be found)
            print("failed:", error)
        await trio.sleep(pause)
        pause = min(LONGEST, pause * 2)
