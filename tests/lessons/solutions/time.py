from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> NoReturn:
    began = trio.current_time()
    while True:
        await work()
        passed = trio.current_time() - began
        await trio.sleep_until(began + (passed // seconds + 1) * seconds)
