"""The test of exercise 9."""

import pytest

from examples.lessons.c.exercise import Loop, Task


@pytest.mark.parametrize("first", ["slow", "fast"])
def test_tasks_take_turns(first: str) -> None:
    seen: list[tuple[float, str]] = []
    loop = Loop()

    def ticker(name: str, every: float, times: int) -> Task:
        for _ in range(times):
            yield every
            seen.append((loop.now, name))

    tasks = {"slow": ticker("slow", 2, 3), "fast": ticker("fast", 1, 4)}
    loop.start(tasks.pop(first))
    loop.start(*tasks.values())
    loop.run()
    assert seen == [
        (1, "fast"),
        (2, "slow"),
        (2, "fast"),
        (3, "fast"),
        (4, "slow"),
        (4, "fast"),
        (6, "slow"),
    ]
    assert loop.now == 6


def test_who_went_to_sleep_first_wakes_first() -> None:
    seen: list[int] = []
    loop = Loop()

    def sleeper(number: int) -> Task:
        yield 1
        seen.append(number)

    tasks = [(sleeper(number), number) for number in range(4)]
    tasks.sort(key=lambda each: id(each[0]), reverse=True)  # a place in memory means nothing
    for task, _ in tasks:
        loop.start(task)
    loop.run()
    assert seen == [number for _, number in tasks]


def test_a_cancelled_task_cleans_up_and_never_wakes() -> None:
    seen: list[str] = []
    loop = Loop()

    def connection() -> Task:
        try:
            yield 100
            seen.append("woke")
        finally:
            seen.append(f"goodbye at {loop.now:g}")

    victim = connection()

    def interrupt() -> Task:
        yield 5
        loop.cancel(victim)
        yield 1
        seen.append("done")

    loop.start(victim)
    loop.start(interrupt())
    loop.run()
    assert seen == ["goodbye at 5", "done"]
    assert loop.now == 6


def test_a_task_can_start_another() -> None:
    seen: list[float] = []
    loop = Loop()

    def child() -> Task:
        yield 1
        seen.append(loop.now)

    def parent() -> Task:
        yield 10
        loop.start(child())

    loop.start(parent())
    loop.run()
    assert seen == [11]


def test_a_task_that_ends_at_once_is_no_trouble() -> None:
    loop = Loop()

    def nothing() -> Task:
        yield from ()

    loop.start(nothing())
    loop.run()
    assert loop.now == 0
