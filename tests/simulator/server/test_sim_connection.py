"""What a client sees on a connection without faults."""

import json

import pytest
import trio
from wire_peer import START, TARGET, Peer, open_peer, open_stream
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from derivtrio.simulator import open_simulator


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/websockets/v3", 401),
        ("/websockets/v3?app_id=", 401),
        ("/websockets/v3?app_id=abc", 401),
        ("/websockets/v3?app_id=%D9%A1", 401),
        ("/websockets/v4?app_id=1089", 404),
        ("/", 404),
    ],
)
async def test_a_handshake_that_is_not_for_us_is_rejected(
    autojump_clock: object, target: str, status: int
) -> None:
    async with open_simulator(port=None) as sim:
        got, body = await Peer(await open_stream(sim)).rejection(target)
        assert got == status
        if status == 401:
            assert json.loads(body)["error"]["code"] == "InvalidAppID"
        assert (sim.accepted, sim.attempts, sim.connections) == (0, 1, [])


async def test_language_and_brand_are_accepted(autojump_clock: object) -> None:
    target = "/websockets/v3?l=EN&app_id=1089&brand=deriv"
    async with open_simulator(port=None) as sim, open_peer(sim, target) as peer:
        assert (await peer.ask({"ping": 1}))["ping"] == "pong"


@pytest.mark.parametrize(
    "request_",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET " + TARGET.encode() + b" HTTP/1.1\r\nHost: " + b"x" * 64 + b".\xff\r\n"
        b"Connection: Upgrade\r\n\r\n",
    ],
)
async def test_what_is_no_handshake_gets_an_http_error(
    autojump_clock: object, request_: bytes
) -> None:
    async with open_simulator(port=None) as sim:
        stream = await open_stream(sim)
        await stream.send_all(request_)
        assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert bytes(await stream.receive_some()) == b""


async def test_a_client_that_says_nothing_is_shown_out(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        stream = await open_stream(sim)
        assert await stream.receive_some() == b""
        assert trio.current_time() == 60


async def test_a_client_that_leaves_in_the_handshake_harms_nobody(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        stream = await open_stream(sim)
        await stream.send_all(b"GET /websock")
        await stream.aclose()
        async with open_peer(sim) as peer:
            assert (await peer.ask({"ping": 1}))["ping"] == "pong"


async def test_pings_are_answered(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim, open_peer(sim) as peer:
        await peer.put(Ping(b"are you there"))
        assert await peer.event() == Pong(b"are you there")


async def test_a_request_may_come_in_pieces(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim, open_peer(sim) as peer:
        await peer.put(TextMessage('{"pi', message_finished=False))
        await peer.put(Ping())
        await peer.put(TextMessage('ng":1}', message_finished=True))
        assert await peer.event() == Pong()
        assert (await peer.receive())["ping"] == "pong"


async def test_a_binary_request_is_read_as_json_too(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim, open_peer(sim) as peer:
        await peer.put(BytesMessage(b'{"ping":1}'))
        assert (await peer.receive())["ping"] == "pong"


async def test_what_is_not_json_gets_a_reply_and_the_connection_stays(
    autojump_clock: object,
) -> None:
    async with open_simulator(port=None) as sim, open_peer(sim) as peer:
        await peer.put(TextMessage("hello?"))
        assert (await peer.receive())["error"]["code"] == "BadRequest"
        assert (await peer.ask({"ping": 1}))["ping"] == "pong"


async def test_a_request_that_is_too_long_closes_with_1009(autojump_clock: object) -> None:
    async with open_simulator(port=None, max_message_size=100) as sim, open_peer(sim) as peer:
        await peer.put(TextMessage("x" * 101))
        closed = await peer.ended()
        assert (closed.code, closed.reason) == (1009, "message too big")
        await trio.testing.wait_all_tasks_blocked()
        ending = sim.history[0].ending
        assert (ending.by, ending.cause, ending.clean) == ("server", "protocol violation", True)


async def test_bytes_that_are_no_frame_close_with_1002(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim, open_peer(sim) as peer:
        await peer.stream.send_all(b"\xff\xff\xff\xff")
        assert (await peer.ended()).code == 1002


async def test_a_large_reply_arrives_whole(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        request = {"ticks_history": "R_100", "end": "latest", "count": 5000}
        reply = await peer.ask(request)
        assert len(reply["history"]["times"]) == 5000


async def test_the_clients_goodbye_is_answered_and_recorded(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await trio.sleep(5)
        await peer.put(CloseConnection(4001, "done"))
        assert await peer.event() == CloseConnection(4001, "done")
        assert await peer.stream.receive_some() == b""
        assert sim.connections == []
        (record,) = sim.history
        assert (record.number, record.opened, record.closed) == (1, START, START + 5)
        assert (record.ending.by, record.ending.code, record.ending.reason) == (
            "client",
            4001,
            "done",
        )
        assert record.ending.clean


async def test_a_close_right_behind_a_request_harms_nobody(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        for _ in range(50):
            async with open_peer(sim) as peer:
                frames = [TextMessage('{"ping":1}'), CloseConnection(1000)]
                await peer.stream.send_all(b"".join(map(peer.protocol.send, frames)))
                while not isinstance(await peer.event(), CloseConnection):
                    pass
        assert all(record.ending.clean for record in sim.history)


async def test_a_client_that_just_goes_is_recorded_as_such(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        async with open_peer(sim):
            assert len(sim.connections) == 1
        await trio.testing.wait_all_tasks_blocked()
        ending = sim.history[0].ending
        assert (ending.by, ending.code, ending.clean, ending.fin) == ("client", 1006, False, True)


async def test_a_connection_is_closed_after_two_idle_minutes(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim, open_peer(sim) as peer:
        await trio.sleep(100)
        await peer.ask({"ping": 1})
        assert (await peer.ended()).code == 1000
        assert trio.current_time() == 220
        await trio.testing.wait_all_tasks_blocked()
        assert (sim.history[0].ending.cause, sim.history[0].ending.clean) == ("idle", True)


async def test_pings_of_the_protocol_are_no_requests(autojump_clock: object) -> None:
    async with open_simulator(port=None, idle_timeout=30) as sim, open_peer(sim) as peer:
        await trio.sleep(20)
        await peer.put(Ping())
        assert await peer.event() == Pong()
        await peer.ended()
        assert trio.current_time() == 30


async def test_a_request_counts_when_it_comes(autojump_clock: object) -> None:
    async with open_simulator(port=None, idle_timeout=30) as sim, open_peer(sim) as peer:
        await trio.sleep(20)
        sim.faults.delay(20)
        assert (await peer.ask({"ping": 1}))["ping"] == "pong"
        assert trio.current_time() == 40


async def test_a_stream_keeps_its_connection_alive(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim, open_peer(sim) as peer:
        await peer.ask({"ticks": "R_100"})
        for _ in range(1000):
            await peer.receive()
        assert len(sim.connections) == 1


async def test_what_was_asked_is_recorded_without_tokens(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        async with open_peer(sim) as peer:
            await peer.ask({"authorize": "demo-token", "req_id": 1})
            await peer.ask({"ping": 1})
            asked = [{"authorize": "<not shown>", "req_id": 1}, {"ping": 1}]
            assert list(sim.connections[0].requests) == asked
            await peer.goodbye()
        await trio.testing.wait_all_tasks_blocked()
        assert list(sim.history[0].requests) == asked
        assert "demo-token" not in repr([sim, sim.history, sim.accounts])


async def test_a_connection_says_who_it_is_and_what_it_streams(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim, open_peer(sim) as peer:
        (connection,) = sim.connections
        assert repr(connection) == "<Connection 1 of nobody: no streams>"
        await peer.ask({"authorize": "demo-token"})
        await peer.ask({"ticks": "R_100", "req_id": 9})
        assert repr(connection) == "<Connection 1 of VRTC1000001: ticks:R_100>"
        assert connection.loginids == ["VRTC1000001"]
        assert [stream.request["req_id"] for stream in connection.streams] == [9]


async def test_a_long_computation_lets_others_in_between(autojump_clock: object) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        open_peer(sim) as slow,
        open_peer(sim) as quick,
    ):
        finished: list[str] = []

        async def ask(peer: Peer, request: dict[str, object]) -> None:
            finished.append(next(iter(await peer.ask(request))))

        rows = {"style": "candles", "granularity": 3600, "count": 200}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, slow, {"ticks_history": "R_100", "end": "latest"} | rows)
            await trio.lowlevel.checkpoint()
            for _ in range(10):
                await quick.ask({"ping": 1})
            assert finished == []


async def test_memory_stays_bounded(autojump_clock: object) -> None:
    async with open_simulator(port=None) as sim:
        for _ in range(1010):
            async with open_peer(sim) as peer:
                await peer.goodbye()
        await trio.testing.wait_all_tasks_blocked()
        assert sim.accepted == 1010
        assert [record.number for record in sim.history] == list(range(11, 1011))
        async with open_peer(sim) as peer:
            for number in range(1, 1011):
                await peer.ask({"ping": 1, "req_id": number})
            kept = sim.connections[0].requests
            assert [request["req_id"] for request in kept] == list(range(11, 1011))


async def test_a_simulator_says_how_it_is(autojump_clock: object) -> None:
    async with open_simulator(7, port=None) as sim:
        async with open_peer(sim):
            assert repr(sim) == "<Simulator in memory, seed 7: 1 live, 1 accepted, 1 attempts>"
        sim.faults.refuse()
        await trio.testing.wait_all_tasks_blocked()
        assert repr(sim).endswith("0 live, 1 accepted, 1 attempts, refusing>")
