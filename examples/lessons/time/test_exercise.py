"""The test of exercise 17: a month, in no time."""

import pytest
import trio
from trio.testing import MockClock

from examples.lessons.time.exercise import every

DAY = 86_400


async def times_of(seconds: float, taking: float, until: float) -> list[float]:
    """Return when work began that takes so long, until so many seconds after the start."""
    began, found = trio.current_time(), list[float]()

    async def work() -> None:
        found.append(trio.current_time() - began)
        assert len(found) <= until / seconds + 1, "it works and works, and no time passes"
        await trio.sleep(taking)

    with trio.move_on_after(until):
        await every(seconds, work)
    return found


async def test_a_month_of_noons(autojump_clock: MockClock) -> None:
    found = await times_of(DAY, taking=37, until=30 * DAY - 1)
    assert found == [day * DAY for day in range(30)]


async def test_work_that_takes_no_time(autojump_clock: MockClock) -> None:
    assert await times_of(10, taking=0, until=45) == [0, 10, 20, 30, 40]


async def test_a_time_that_no_float_hits_comes_once(autojump_clock: MockClock) -> None:
    found = await times_of(0.1, taking=0, until=99.95)
    assert found == pytest.approx([tenth / 10 for tenth in range(1000)])


async def test_what_is_missed_is_left_out(autojump_clock: MockClock) -> None:
    assert await times_of(10, taking=25, until=95) == [0, 30, 60, 90]
