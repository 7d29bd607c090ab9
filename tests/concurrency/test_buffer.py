"""Between the reader and its consumers."""

from typing import Any

import trio
import trio.testing

from derivtrio.concurrency.buffer import Buffer


async def test_two_tasks_can_share_the_work_of_one_mailbox(autojump_clock: Any) -> None:
    mailbox: Buffer[int] = Buffer("work", 10, "error")
    done: list[tuple[str, int]] = []

    async def work(name: str) -> None:
        for _ in range(2):
            done.append((name, await mailbox.get()))
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, "one")
        nursery.start_soon(work, "other")
        await trio.testing.wait_all_tasks_blocked()
        mailbox.put_all([1, 2])
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(item for _, item in done) == [1, 2]
        assert {name for name, _ in done} == {"one", "other"}
        with trio.move_on_after(0):
            await mailbox.get()
        mailbox.put_all([3, 4])
    assert sorted(item for _, item in done) == [1, 2, 3, 4]
