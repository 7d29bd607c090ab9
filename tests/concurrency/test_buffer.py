"""The buffer between a producer that never waits and its consumers."""

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from derivtrio.concurrency.buffer import Buffer, BufferFull, OverflowPolicy

POLICIES = st.sampled_from(["error", "drop_oldest", "latest"])


class Model:
    """What a buffer is, as a list: slow, and obviously right."""

    def __init__(self, buffer: int, overflow: OverflowPolicy) -> None:
        self.most = 1 if overflow == "latest" else buffer
        self.overflow = overflow
        self.waiting: list[int] = []
        self.dropped: list[int] = []
        self.lost = 0
        self.closed = False

    def put(self, item: int) -> bool:
        if self.closed:
            return True
        if len(self.waiting) < self.most:
            self.waiting.append(item)
            return True
        self.lost += 1
        if self.overflow == "error":
            self.closed = True
        else:
            self.dropped.append(self.waiting.pop(0))
            self.waiting.append(item)
        return False

    def close(self, last: list[int]) -> None:
        if not self.closed:
            self.waiting += last
        self.closed = True


@given(
    st.lists(
        st.tuples(st.just("put"), st.integers(min_value=1, max_value=9))
        | st.tuples(st.just("put_all"), st.integers(min_value=0, max_value=9))
        | st.tuples(st.just("close"), st.integers(min_value=0, max_value=3))
        | st.tuples(st.sampled_from(["get", "take", "clear"]), st.just(0)),
        max_size=20,
    ),
    st.integers(min_value=1, max_value=6),
    POLICIES,
    st.integers(min_value=0, max_value=1),
)
def test_g07_a_buffer_is_a_list_with_a_policy(
    steps: list[tuple[str, int]], buffer: int, overflow: OverflowPolicy, waiting: int
) -> None:
    dropped: list[int] = []

    async def main() -> None:
        items: Buffer[int] = Buffer("x", buffer, overflow)
        items.on_drop = dropped.append
        model, last = Model(buffer, overflow), 0
        if waiting:  # so that the channel is there from the beginning
            with trio.move_on_after(1):
                await items.get()
        for step, size in steps:
            new = list(range(last + 1, last + 1 + size))
            last += size
            if step == "put":
                for item in new:
                    assert items.put(item) == model.put(item)
            elif step == "put_all":
                lossless = [model.put(item) for item in new]
                assert items.put_all(new) == all(lossless)
            elif step == "close":
                items.close(None, new)
                model.close(new)
            elif step == "clear":
                items.clear()
                model.waiting.clear()
            elif step == "take":
                assert items.take() == (model.waiting.pop(0) if model.waiting else None)
            else:
                await expect(items, model)
            assert len(items) == len(model.waiting)
            assert (items.closed, items.dropped) == (model.closed, model.lost)
            assert dropped == model.dropped

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def expect(items: Buffer[int], model: Model) -> None:
    """Get the next of *items* as the *model* has it."""
    with trio.move_on_after(1) as scope:
        if model.waiting:
            assert await items.get() == model.waiting.pop(0)
        elif not model.closed:
            await items.get()
        elif model.overflow == "error" and model.lost:
            with pytest.raises(BufferFull):
                await items.get()
        else:
            with pytest.raises(StopAsyncIteration):
                await items.get()
    assert not scope.cancelled_caught or not (model.waiting or model.closed)


@given(
    st.lists(st.integers(min_value=0, max_value=4), max_size=12),
    st.lists(st.integers(min_value=0, max_value=3), min_size=1, max_size=3),
    st.integers(min_value=0, max_value=1),
)
def test_g12_several_tasks_that_come_and_go_lose_nothing(
    batches: list[int], tasks: list[int], together: int
) -> None:
    """Each task is cancelled so many times, and begins anew."""
    got: list[list[int]] = [[] for _ in tasks]

    async def main() -> None:
        items: Buffer[int] = Buffer("x", 100, "error")

        async def read(number: int, cancellations: int) -> None:
            while True:
                with trio.CancelScope() as scope:
                    if len(got[number]) < cancellations:
                        scope.deadline = trio.current_time() + 1.5
                    while True:
                        try:
                            got[number].append(await items.get())
                        except StopAsyncIteration:
                            return

        async with trio.open_nursery() as nursery:
            for number, cancellations in enumerate(tasks):
                nursery.start_soon(read, number, cancellations)
            last = 0
            for size in batches:
                new = list(range(last, last + size))
                last += size
                if together:
                    items.put_all(new)
                else:
                    for item in new:
                        items.put(item)
                await trio.sleep(1)
                assert len(items) == 0
            items.close(None, [last])
        assert sorted(item for each in got for item in each) == list(range(last + 1))
        assert all(each == sorted(each) for each in got)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("buffer", [1, 5])
async def test_the_latest_is_the_newest_also_of_a_batch_that_is_being_read(
    autojump_clock: Any, buffer: int
) -> None:
    items: Buffer[int] = Buffer("x", buffer, "latest")
    items.put_all([1, 2, 3])
    assert await items.get() == 3
    with trio.move_on_after(1):
        await items.get()
    items.put_all([4, 5])
    items.put(6)
    assert (len(items), items.dropped) == (1, 4)
    assert await items.get() == 6


@pytest.mark.parametrize(("overflow", "kept"), [("drop_oldest", [2, 3]), ("latest", [3])])
async def test_g07_a_batch_on_its_way_to_a_task_that_was_woken_can_lose_its_oldest(
    autojump_clock: Any, overflow: OverflowPolicy, kept: list[int]
) -> None:
    items: Buffer[int] = Buffer("x", 2, overflow)
    got: list[int] = []

    async def read() -> None:
        while True:
            got.append(await items.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        for item in (1, 2, 3):
            items.put(item)
        await trio.testing.wait_all_tasks_blocked()
        assert got == kept
        items.put(4)
        items.clear()
        await trio.testing.wait_all_tasks_blocked()
        assert got == kept
        items.put(5)
        await trio.testing.wait_all_tasks_blocked()
        assert got == [*kept, 5]
        nursery.cancel_scope.cancel()
    assert items.dropped == 3 - len(kept)


async def test_the_end_waits_for_a_task_that_is_about_to_take_the_last_items(
    autojump_clock: Any,
) -> None:
    items: Buffer[int] = Buffer("x", 5, "error")
    log: list[Any] = []

    async def read(name: str) -> None:
        try:
            while True:
                log.append(await items.get())
        except StopAsyncIteration:
            log.append(name)

    async with trio.open_nursery() as nursery:
        for name in ("one", "other"):
            nursery.start_soon(read, name)
        await trio.testing.wait_all_tasks_blocked()
        items.put_all([1, 2, 3])
        items.close()
    assert log[:3] == [1, 2, 3]
    assert sorted(log[3:]) == ["one", "other"]


async def test_an_error_that_ends_a_stream_keeps_its_cause(autojump_clock: Any) -> None:
    items: Buffer[int] = Buffer("x", 5, "error")
    error = KeyError("the end")
    error.__cause__ = cause = OSError()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.testing.wait_all_tasks_blocked)
        with pytest.raises(KeyError) as caught:
            nursery.start_soon(lambda: _close(items, error))
            await items.get()
    assert (type(caught.value), caught.value.args) == (KeyError, ("the end",))
    assert caught.value.__cause__ is cause


class Uncopyable(Exception):
    def __init__(self, one: object, *, other: object) -> None:
        super().__init__(one, other)


async def test_g07_each_task_raises_an_error_of_its_own(autojump_clock: Any) -> None:
    error = KeyError("the end")
    error.add_note("known to all")
    raised: list[Exception] = []

    async def read(items: Buffer[int]) -> None:
        with pytest.raises((KeyError, Uncopyable)) as caught:
            await items.get()
        caught.value.add_note("mine")
        raised.append(caught.value)

    async with trio.open_nursery() as nursery:
        for items in (Buffer[int]("x", 5, "error"), Buffer[int]("y", 5, "error")):
            nursery.start_soon(read, items)
            nursery.start_soon(read, items)
            await trio.testing.wait_all_tasks_blocked()
            items.close(error)
    assert len({id(each) for each in [error, *raised]}) == 5
    assert [each.__notes__ for each in raised] == 4 * [["known to all", "mine"]]
    assert error.__notes__ == ["known to all"]
    items.reopen()
    items.close(Uncopyable(1, other=2))
    await read(items)
    assert isinstance(raised[-1], Uncopyable)


async def test_g14_an_error_that_is_read_again_and_again_does_not_grow(
    autojump_clock: Any,
) -> None:
    items: Buffer[int] = Buffer("x", 5, "error")
    items.close(KeyError("the end"))
    lengths = []
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            await items.get()
        lengths.append(len(caught.traceback))
    assert lengths == lengths[:1] * 3


async def _close(items: Buffer[int], error: Exception) -> None:
    items.close(error)


@pytest.mark.parametrize(("buffer", "overflow"), [(0, "error"), (True, "error"), (1, "newest")])
def test_a_buffer_refuses_what_it_cannot_be(buffer: Any, overflow: Any) -> None:
    with pytest.raises(ValueError, match=r"^(buffer|overflow) is"):
        Buffer("x", buffer, overflow)


async def test_two_tasks_can_share_the_work_of_one_buffer(autojump_clock: Any) -> None:
    items: Buffer[int] = Buffer("work", 10, "error")
    done: list[tuple[str, int]] = []

    async def work(name: str) -> None:
        for _ in range(2):
            done.append((name, await items.get()))
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work, "one")
        nursery.start_soon(work, "other")
        await trio.testing.wait_all_tasks_blocked()
        items.put_all([1, 2])
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(item for _, item in done) == [1, 2]
        assert {name for name, _ in done} == {"one", "other"}
        with trio.move_on_after(0):
            await items.get()
        items.put_all([3, 4])
    assert sorted(item for _, item in done) == [1, 2, 3, 4]


async def test_a_buffer_wakes_its_consumer_once_per_batch(autojump_clock: Any) -> None:
    items: Buffer[int] = Buffer("test", 1000, "error")
    steps, got = 0, list[int]()

    class Count(trio.abc.Instrument):
        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            nonlocal steps
            steps += task.name == "consumer"

    async def consume() -> None:
        while True:
            got.append(await items.get())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(consume, name="consumer")
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.add_instrument(count := Count())
        for n in range(200):
            items.put(n)
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(count)
        nursery.cancel_scope.cancel()
    assert got == list(range(200))
    assert steps == 1


async def test_a_buffer_delivers_what_is_in_it_before_it_ends(autojump_clock: Any) -> None:
    items: Buffer[int] = Buffer("test", 10, "error")
    items.put(1)
    items.close(KeyError("the end"))
    assert items.put(2)
    assert await items.get() == 1
    for _ in range(2):
        with pytest.raises(KeyError):
            await items.get()


async def test_a_consumer_of_a_full_buffer_lets_others_run(autojump_clock: Any) -> None:
    items: Buffer[int] = Buffer("test", 1000, "error")
    for n in range(1000):
        items.put(n)
    with trio.CancelScope() as scope:
        scope.cancel()
        taken = 0
        while True:
            await items.get()
            taken += 1
    assert taken <= 256
    assert len(items) == 1000 - taken
