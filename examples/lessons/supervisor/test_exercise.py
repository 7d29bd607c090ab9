"""The test of exercise 12."""

import pytest
import trio
from trio.testing import MockClock

from examples.lessons.supervisor.exercise import supervise


async def attempts(
    lasting: list[float | None], seconds: float, refused_after: float = 0
) -> list[float]:
    """Return when attempts began; connections last as long as *lasting* says, the last for ever on.

    None is an attempt that fails, after *refused_after* seconds.
    """
    times: list[float] = []
    lives = iter(lasting)
    life = next(lives)

    async def connect() -> None:
        nonlocal life
        times.append(trio.current_time())
        now, life = life, next(lives, lasting[-1])
        if now is None:
            await trio.sleep(refused_after)
            raise ConnectionRefusedError
        await trio.sleep(now)

    began = trio.current_time()
    with trio.move_on_after(seconds):
        await supervise(connect)
    return [time - began for time in times]


async def test_a_server_that_refuses(autojump_clock: MockClock) -> None:
    assert await attempts([None], 200) == [0, 1, 3, 7, 15, 31, 63, 123, 183]


async def test_a_server_that_accepts_and_closes_is_asked_no_more_often(
    autojump_clock: MockClock,
) -> None:
    assert await attempts([0], 200) == [0, 1, 3, 7, 15, 31, 63, 123, 183]


async def test_only_a_stable_connection_begins_anew(autojump_clock: MockClock) -> None:
    assert await attempts([None, None, 100, None], 130) == [0, 1, 3, 104, 106, 110, 118]


async def test_a_long_wait_for_a_connection_is_not_a_connection(
    autojump_clock: MockClock,
) -> None:
    assert await attempts([None], 400, refused_after=75) == [0, 76, 153, 232, 315]


async def test_a_bug_comes_out(autojump_clock: MockClock) -> None:
    async def connect() -> None:
        raise LookupError

    with pytest.raises(LookupError), trio.fail_after(1000):
        await supervise(connect)
