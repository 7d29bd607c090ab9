from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import trio

FIRST, LONGEST, STABLE = 1.0, 60.0, 60.0


async def supervise(connect: Callable[[], Awaitable[None]]) -> NoReturn:
    pause = FIRST
    while True:
        began = trio.current_time()
        with suppress(OSError):
            await connect()
            if trio.current_time() - began >= STABLE:
                pause = FIRST
        await trio.sleep(pause)
        pause = min(LONGEST, pause * 2)
