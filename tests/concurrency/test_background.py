"""A task beside a block: whose exception comes out, and when."""

import pytest
import trio

from derivtrio.concurrency.background import running


class Task:
    """Runs until told to stop, and then takes its time."""

    def __init__(self, takes: float = 0) -> None:
        self.takes = takes
        self.told = trio.Event()
        self.ended = False

    async def run(self) -> None:
        await self.told.wait()
        await trio.sleep(self.takes)
        self.ended = True


async def test_the_blocks_exception_is_not_wrapped() -> None:
    task, error = Task(), KeyError()
    with pytest.raises(KeyError) as caught:
        async with running(task.run, stop=task.told.set, name="task"):
            raise error
    assert caught.value is error
    assert task.ended


async def test_cancellation_reaches_the_block_and_not_the_task(
    autojump_clock: trio.testing.MockClock,
) -> None:
    task = Task(takes=3)
    with trio.move_on_after(1) as scope:
        async with running(task.run, stop=task.told.set, name="task"):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert task.ended
    assert trio.current_time() == 4


async def test_the_blocks_exception_outlives_a_cancellation_while_the_task_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    task = Task(takes=3)
    with pytest.raises(KeyError), trio.move_on_after(1):
        async with running(task.run, stop=task.told.set, name="task"):
            raise KeyError
    assert trio.current_time() == 3


async def test_a_bug_in_the_task_cancels_the_block_and_comes_out_in_a_group(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def broken() -> None:
        await trio.sleep(1)
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        async with running(broken, stop=lambda: None, name="task"):
            await trio.sleep_forever()
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    assert trio.current_time() == 1
