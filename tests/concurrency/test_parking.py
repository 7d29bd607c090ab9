"""A task that waits until it is woken."""

from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest
import trio
import trio.testing

from derivtrio.concurrency.parking import WOKEN, Parked, park, wake_all, wake_one


async def test_who_is_parked_is_woken_in_turn_each_time(autojump_clock: Any) -> None:
    parked: Parked = []
    woken: list[int] = []

    async def wait(number: int) -> None:
        for _ in range(3):
            await park(parked)
            woken.append(number)

    async with trio.open_nursery() as nursery:
        for number in (1, 2):
            nursery.start_soon(wait, number)
            await trio.testing.wait_all_tasks_blocked()
        for expected in ([1], [1, 2], [1, 2, 1]):
            wake_one(parked)
            await trio.testing.wait_all_tasks_blocked()
            assert woken == expected
        wake_all(parked)
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(woken) == [1, 1, 1, 2, 2]
        nursery.cancel_scope.cancel()
    assert parked == []


async def test_a_waking_says_nothing_however_it_is_unpacked() -> None:
    def waiting() -> Generator[None, None, None]:
        assert (yield) is None

    async def also_waiting() -> AsyncGenerator[None, None]:
        assert (yield) is None

    for _ in range(2):
        WOKEN.unwrap()
        generator, agenerator = waiting(), also_waiting()
        next(generator)
        await anext(agenerator)
        with pytest.raises(StopIteration):
            WOKEN.send(generator)
        with pytest.raises(StopAsyncIteration):
            await WOKEN.asend(agenerator)
