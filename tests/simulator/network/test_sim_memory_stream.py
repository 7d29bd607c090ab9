import pytest
import trio

from derivtrio.simulator.network.memory_stream import open_pair


async def test_bytes_go_both_ways() -> None:
    one, other = open_pair()
    await one.send_all(b"ping")
    assert await other.receive_some() == b"ping"
    await other.send_all(bytearray(b"pong"))
    assert await one.receive_some(2) == b"po"
    assert await one.receive_some() == b"ng"


async def test_a_writer_waits_for_a_reader(autojump_clock: object) -> None:
    one, other = open_pair()
    payload = bytes(range(256)) * 1024
    with trio.move_on_after(1) as scope:
        await one.send_all(payload)
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.send_all, payload)
        received = b""
        while len(received) < 65536 + len(payload):
            received += await other.receive_some()
    assert received == payload[:65536] + payload


async def test_the_end_of_file_comes_after_the_data() -> None:
    one, other = open_pair()
    await one.send_all(b"last words")
    await one.aclose()
    assert await other.receive_some() == b"last words"
    assert await other.receive_some() == b""
    assert await other.receive_some() == b""


async def test_sending_to_a_closed_end_breaks() -> None:
    one, other = open_pair()
    await one.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await other.send_all(b"anyone?")


async def test_a_closed_end_cannot_be_used() -> None:
    one, _other = open_pair()
    await one.aclose()
    await one.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await one.send_all(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await one.receive_some()


async def test_closing_wakes_whoever_waits(autojump_clock: object) -> None:
    reading, _ = open_pair()
    read_from, writing = open_pair()

    async def expect_closed() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await reading.receive_some()

    async def expect_broken() -> None:
        with pytest.raises(trio.BrokenResourceError):
            await writing.send_all(b"x" * 10**6)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_closed)
        nursery.start_soon(expect_broken)
        await trio.testing.wait_all_tasks_blocked()
        await reading.aclose()
        await read_from.aclose()


async def test_a_reset_destroys_what_is_under_way() -> None:
    one, other = open_pair()
    await one.send_all(b"lost")
    one.reset()
    with pytest.raises(trio.BrokenResourceError):
        await other.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await other.send_all(b"x")


async def test_two_tasks_cannot_use_one_direction_at_once(autojump_clock: object) -> None:
    one, other = open_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.receive_some)
        nursery.start_soon(one.send_all, b"x" * 10**6)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await one.receive_some()
        with pytest.raises(trio.BusyResourceError):
            await one.send_all(b"y")
        await other.send_all(b"go on")
        nursery.cancel_scope.cancel()


async def test_a_cancelled_operation_has_done_nothing(autojump_clock: object) -> None:
    one, other = open_pair()
    with trio.CancelScope() as scope:
        scope.cancel()
        await one.send_all(b"never")
    await one.send_all(b"sent")
    with trio.CancelScope() as scope:
        scope.cancel()
        await other.receive_some()
    assert await other.receive_some() == b"sent"


async def test_waiting_to_send_does_not_block() -> None:
    one, _other = open_pair()
    with trio.testing.assert_checkpoints():
        await one.wait_send_all_might_not_block()
