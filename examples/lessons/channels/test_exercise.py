"""The test of exercise 15."""

import trio
from trio.testing import MockClock

from examples.lessons.channels.exercise import NewestChannel


async def test_what_fits_is_kept_in_order() -> None:
    channel = NewestChannel[int](3)
    for item in range(3):
        channel.put(item)
    assert [await channel.get() for _ in range(3)] == [0, 1, 2]
    assert channel.dropped == 0


async def test_the_oldest_are_dropped() -> None:
    channel = NewestChannel[int](3)
    for item in range(1000):
        channel.put(item)
    assert [await channel.get() for _ in range(3)] == [997, 998, 999]
    assert channel.dropped == 997


async def test_who_gets_first_waits(autojump_clock: MockClock) -> None:
    channel = NewestChannel[str](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(put_later, channel, "late")
        assert await channel.get() == "late"
    assert trio.current_time() == 5


async def test_a_cancelled_get_takes_nothing(autojump_clock: MockClock) -> None:
    channel = NewestChannel[str](1)
    with trio.move_on_after(1):
        await channel.get()
    channel.put("kept")
    assert await channel.get() == "kept"


async def put_later(channel: NewestChannel[str], item: str) -> None:
    """Put *item* in after five seconds."""
    await trio.sleep(5)
    channel.put(item)
