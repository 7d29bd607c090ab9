"""`PromptLock`: no pause if it is free, first come first served, and cancellation."""

import pytest
import trio
from trio.testing import assert_no_checkpoints, wait_all_tasks_blocked

from derivtrio.concurrency.lock import PromptLock


async def test_a_free_lock_is_taken_and_left_without_a_pause() -> None:
    lock = PromptLock()
    with assert_no_checkpoints():
        async with lock:
            assert lock.locked()
    assert not lock.locked()


async def test_tasks_that_wait_get_it_in_their_order_and_nobody_overtakes() -> None:
    lock, order = PromptLock(), []

    async def task(name: str) -> None:
        async with lock:
            order.append(name)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        async with lock:
            for name in "abc":
                nursery.start_soon(task, name)
                await wait_all_tasks_blocked()
            nursery.start_soon(task, "d")
        assert lock.locked()  # it was handed over: a task that comes now has to wait, too
        nursery.start_soon(task, "e")
    assert order[:3] == ["a", "b", "c"]
    assert sorted(order) == ["a", "b", "c", "d", "e"]
    assert not lock.locked()


async def test_a_task_that_is_cancelled_while_it_waits_does_not_get_it() -> None:
    lock = PromptLock()

    async def wait(scope: trio.CancelScope) -> None:
        with scope:
            async with lock:
                pytest.fail("it has got the lock")

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        async with lock:
            nursery.start_soon(wait, scope)
            await wait_all_tasks_blocked()
            scope.cancel()
            await wait_all_tasks_blocked()
        assert not lock.locked()


async def test_what_is_raised_inside_comes_out_and_frees_it() -> None:
    lock = PromptLock()
    with pytest.raises(KeyError):
        async with lock:
            raise KeyError
    assert not lock.locked()
