"""What each fault does to a peer, on in-memory connections and virtual time."""

import json
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from wire_peer import START, Closed, Peer, is_mute, open_peer, open_stream
from wsproto.events import CloseConnection, Ping, Request, TextMessage
from wsproto.utilities import RemoteProtocolError

from derivtrio.simulator import Ending, Faults, Simulator, open_simulator


def memory_simulator() -> AbstractAsyncContextManager[Simulator]:
    return open_simulator(port=None, start=START)


def ending(sim: Simulator) -> Ending:
    return sim.history[-1].ending


async def test_refuse_holds_for_its_time(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.refuse(5)
        await trio.sleep(4.9)
        with pytest.raises(ConnectionRefusedError):
            await open_stream(sim)
        await trio.sleep(0.2)
        async with open_peer(sim):
            assert (sim.attempts, sim.accepted) == (2, 1)


async def test_refuse_without_a_time_holds_until_cleared(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.refuse()
        await trio.sleep(86_000)
        with pytest.raises(ConnectionRefusedError):
            await open_stream(sim)
        sim.faults.clear()
        async with open_peer(sim) as peer:
            assert await peer.ask({"ping": 1})


async def test_refuse_leaves_live_connections_alone(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.refuse()
        assert await peer.ask({"ping": 1})


async def test_silence_accepts_and_never_answers(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.silence()
        peer = Peer(await open_stream(sim))
        await peer.put(Request(host="x", target="/websockets/v3?app_id=1"))
        assert await is_mute(peer.stream)
        assert (sim.held, sim.accepted, sim.attempts) == (1, 0, 1)
        async with open_peer(sim):
            assert sim.accepted == 1


async def test_reject_answers_with_an_http_status(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.reject(520, b"<html>cloud</html>", times=2)
        for _ in range(2):
            assert await Peer(await open_stream(sim)).rejection() == (520, b"<html>cloud</html>")
        async with open_peer(sim):
            assert (sim.accepted, sim.attempts) == (1, 3)


@pytest.mark.parametrize("arm", [Faults.garbage_handshake, Faults.break_tls])
async def test_an_answer_that_is_no_http(
    autojump_clock: object, arm: Callable[[Faults], None]
) -> None:
    async with memory_simulator() as sim:
        arm(sim.faults)
        peer = Peer(await open_stream(sim))
        with pytest.raises(RemoteProtocolError):
            await peer.shake_hands()


async def test_hang_up_ends_the_stream_in_the_handshake(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.hang_up()
        with pytest.raises(Closed):
            await Peer(await open_stream(sim)).shake_hands()


async def test_accept_then_close(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.accept_then_close(1013)
        async with open_peer(sim) as peer:
            assert (await peer.ended()).code == 1013
            assert trio.current_time() == 0
        await trio.testing.wait_all_tasks_blocked()
        assert ending(sim) == Ending("server", "fault: close", 1013, clean=True)


async def test_openings_happen_in_the_order_asked_for(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.reject(503)
        sim.faults.hang_up()
        assert (await Peer(await open_stream(sim)).rejection())[0] == 503
        with pytest.raises(Closed):
            await Peer(await open_stream(sim)).shake_hands()


async def test_drop_ends_the_stream_without_a_close_frame(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.drop()
        assert (await peer.ended()).code is None
        assert ending(sim) == Ending("server", "fault: drop")


async def test_drop_with_reset_breaks_the_stream(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.drop(reset=True)
        with pytest.raises(trio.BrokenResourceError):
            await peer.receive()
        with pytest.raises(trio.BrokenResourceError):
            await peer.send({"ping": 1})
        assert ending(sim).cause == "fault: reset"


async def test_close_is_a_close_handshake(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.close(1012, "restart")
        assert await peer.event() == CloseConnection(1012, "restart")
        assert len(sim.connections) == 1
        await peer.put(CloseConnection(1012))
        assert await peer.stream.receive_some() == b""
        assert ending(sim) == Ending("server", "fault: close", 1012, "restart", clean=True)


async def test_close_does_not_wait_for_ever_for_the_answer(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.close()
        await peer.event()
        assert await peer.stream.receive_some() == b""
        assert trio.current_time() == 2
        assert ending(sim) == Ending("server", "fault: close", 1001, clean=False)


async def test_close_without_fin_leaves_the_stream_open(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.close_without_fin(1001, "later")
        assert await peer.event() == CloseConnection(1001, "later")
        await trio.testing.wait_all_tasks_blocked()
        assert sim.held == 1
        await peer.put(CloseConnection(1001))
        assert await is_mute(peer.stream)
        assert sim.connections == []


async def test_a_ping_after_the_close_is_not_answered(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.close()
        await peer.stream.send_all(peer.protocol.send(Ping(b"still there?")))
        await peer.event()
        await peer.put(CloseConnection(1001))
        assert await peer.stream.receive_some() == b""
        assert ending(sim).clean


async def test_no_close_frame_follows_a_message_that_was_cut_short(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.huge(10**6)
        await trio.testing.wait_all_tasks_blocked()
        sim.faults.close()
        await trio.testing.wait_all_tasks_blocked()
        received = 0
        while data := await peer.stream.receive_some():
            received += len(data)
        assert received == 65536


async def test_freeze_neither_reads_nor_writes(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await peer.ask({"ticks": "1HZ100V"})
        sim.faults.freeze()
        assert await is_mute(peer.stream)
        with trio.move_on_after(10) as scope:
            await peer.stream.send_all(b"\x00" * 10**6)
        assert scope.cancelled_caught
        assert (sim.connections, sim.held) == ([], 1)


async def test_a_fault_can_be_for_one_connection(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as first, open_peer(sim) as second:
        sim.faults.drop(connection=sim.connections[1])
        assert (await second.ended()).code is None
        assert await first.ask({"ping": 1})


async def test_delay_makes_everything_later_but_no_slower(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.delay(3)
        async with open_peer(sim) as peer:
            for number in range(5):
                await peer.send({"ping": 1, "req_id": number})
            for number in range(5):
                assert (await peer.receive())["req_id"] == number
            assert trio.current_time() == 3
            first = await peer.ask({"ticks": "1HZ100V"})
            assert (first["tick"]["epoch"], trio.current_time()) == (START + 3, 6)
            second = await peer.receive()
            assert (second["tick"]["epoch"], trio.current_time()) == (START + 4, 7)


async def test_delay_ends_with_clear(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.delay(3)
        await peer.ask({"ping": 1})
        sim.faults.clear()
        await peer.ask({"ping": 1})
        async with open_peer(sim) as later:
            await later.ask({"ping": 1})
        assert trio.current_time() == 3


async def test_garbage_is_a_text_frame_that_is_no_json(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.garbage("{{{")
        assert await peer.event() == TextMessage("{{{")
        assert await peer.ask({"ping": 1})


async def test_garbage_of_bytes_is_no_frame(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.garbage(b"\xff\xff\xff\xff")
        event = await peer.event()
        assert isinstance(event, CloseConnection)
        assert event.code == 1002


async def test_huge_is_one_message_of_that_size(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.huge(1_000_000)
        text = await peer.text()
        assert len(text) == 1_000_000
        assert json.loads(text)["msg_type"] == "huge"


async def test_unknown_is_a_message_of_a_type_that_nobody_knows(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.unknown()
        assert (await peer.receive())["msg_type"] == "unheard_of"
        assert await peer.ask({"ping": 1})


async def test_cut_ends_the_stream_within_a_frame(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.cut(5)
        await peer.send({"ping": 1})
        assert len(await peer.stream.receive_some()) == 5
        assert await peer.stream.receive_some() == b""
        assert ending(sim).cause == "fault: cut"


async def test_fragmented_sends_messages_in_several_frames(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.fragmented(10)
        await peer.send({"ping": 1})
        frames: list[TextMessage] = []
        while not frames or not frames[-1].message_finished:
            event = await peer.event()
            assert isinstance(event, TextMessage)
            frames.append(event)
        assert "".join(frame.data for frame in frames) == (
            '{"echo_req":{"ping":1},"msg_type":"ping","ping":"pong"}'
        )
        assert [len(frame.data) for frame in frames[:-1]] == [10] * 5
        sim.faults.clear()
        assert (await peer.ask({"ping": 1}))["ping"] == "pong"


async def test_a_fragmented_standing_order_holds_for_later_connections(
    autojump_clock: object,
) -> None:
    async with memory_simulator() as sim:
        sim.faults.fragmented(10)
        async with open_peer(sim) as peer:
            await peer.send({"ping": 1})
            assert await peer.event() == TextMessage('{"echo_req', message_finished=False)


async def test_clear_disarms_what_waits(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.silence(10)
        sim.faults.cut(1)
        sim.faults.clear()
        assert await peer.ask({"ping": 1})
        async with open_peer(sim) as other:
            assert await other.ask({"ping": 1})


async def test_faults_without_connections_do_nothing(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        for harm in (Faults.drop, Faults.close, Faults.freeze, Faults.garbage, Faults.unknown):
            harm(sim.faults)
        async with open_peer(sim) as peer:
            assert await peer.ask({"ping": 1})


async def test_a_connection_dies_of_its_first_fault(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.close(1001)
        sim.faults.freeze()
        assert (await peer.ended()).code == 1001
        await trio.testing.wait_all_tasks_blocked()
        assert ending(sim).cause == "fault: close"


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("refuse", (-1,), "not a number of seconds"),
        ("refuse", (math.nan,), "not a number of seconds"),
        ("silence", (0,), "too few"),
        ("hang_up", (-2,), "too few"),
        ("accept_then_close", (999,), "from 1000 to 4999"),
        ("rest", (42,), "from 200 to 599"),
        ("close", (70_000,), "from 1000 to 4999"),
        ("close", (1006,), "without such a frame"),
        ("close", (1001, "x" * 124), "123 bytes at most"),
        ("close_without_fin", (1001, "é" * 62), "123 bytes at most"),
        ("delay", (math.inf,), "not a number of seconds"),
        ("fragmented", (0,), "too few"),
        ("huge", (-5,), "too few"),
        ("cut", (-1,), "not a number of bytes"),
        ("lose_before", ("bye",), "no call 'bye'"),
        ("lose_after", ("buy", 0), "too few"),
        ("fail_before", ("Timeout", "R_100"), "no call 'R_100'"),
        ("fail_after", ("Timeout", "sel"), "no call 'sel'"),
        ("answer_late", (-1, "buy"), "not a number of seconds"),
    ],
)
async def test_an_argument_that_makes_no_sense_is_refused_at_once(
    name: str, arguments: tuple[Any, ...], why: str
) -> None:
    async with open_simulator(port=None) as sim:
        with pytest.raises(ValueError, match=why):
            getattr(sim.faults, name)(*arguments)
