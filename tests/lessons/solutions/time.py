from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> NoReturn:
    began, turn = trio.current_time(), 0
    while True:
        await work()
        passed = trio.current_time() - began
        # 1.0 // 0.1 is 9: the turn that was just done must not come again.
        turn = max(turn, int(passed // seconds)) + 1
        await trio.sleep_until(began + turn * seconds)
