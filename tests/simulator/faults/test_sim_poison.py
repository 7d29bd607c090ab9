"""Requests that the server cannot bear, messages that are wrong, and storms of ids."""

import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio
from sim_trades import DEMO, RISE, log_in, receive_of
from wire_peer import PUBLIC, START, Peer, open_peer, open_stream
from wsproto.events import RejectConnection, Request

from derivtrio.simulator import Ending, Simulator, open_simulator

TICKS: dict[str, Any] = {"ticks": "1HZ100V"}
HISTORY: dict[str, Any] = {"ticks_history": "R_100", "end": "latest", "count": 2}


def memory_simulator(*faults: str) -> AbstractAsyncContextManager[Simulator]:
    return open_simulator(port=None, start=START, faults=faults)


async def test_a_poisonous_symbol_closes_the_connection_each_time(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.poison("R_100")
        for request in ({"ticks": "R_100"}, {"ticks": ["1HZ100V", "R_100"]}, HISTORY):
            async with open_peer(sim) as peer:
                await peer.ask(TICKS)
                await peer.send(request)
                assert (await peer.ended()).code == 1011
            await trio.testing.wait_all_tasks_blocked()
            assert sim.history[-1].ending == Ending("server", "fault: poison", 1011, clean=True)
        sim.faults.clear()
        async with open_peer(sim) as peer:
            assert (await peer.ask({"ticks": "R_100"}))["tick"]


async def test_a_poison_leaves_open_streams_alone(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await peer.ask(TICKS)
        sim.faults.poison("1HZ100V", "silent")
        assert [(await peer.receive())["tick"]["epoch"] for _ in range(2)] == [START + 1, START + 2]


async def test_a_poison_drops_or_closes_with_a_code_so_many_times(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.poison("ticks", "drop", 2)
        sim.faults.poison("ticks", "close", 1, 1013)
        for code in (None, None, 1013):
            async with open_peer(sim) as peer:
                await peer.send(TICKS)
                assert (await peer.ended()).code == code
        async with open_peer(sim) as peer:
            assert await peer.ask(TICKS)


async def test_a_poison_is_not_answered_and_not_executed(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await log_in(peer)
        sim.faults.poison("R_100", "silent")
        await peer.send({"buy": "1", "price": 10, "parameters": RISE})
        await peer.send({"ticks": "R_100"})
        assert (await peer.ask({"ping": 1, "passthrough": {"symbol": "R_100"}}))["ping"]
        assert sim.ledger(DEMO).transactions == []


@pytest.mark.parametrize(("number", "seconds"), [(None, 1), (3, 3)])
async def test_a_poison_crashes_the_server_some_time_after_the_reply(
    autojump_clock: object, number: int | None, seconds: int
) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.poison("1HZ100V", "crash", 1, number)
        started = trio.current_time()
        epochs = [(await peer.ask(TICKS))["tick"]["epoch"]]
        epochs += [(await peer.receive())["tick"]["epoch"] for _ in range(seconds - 1)]
        assert epochs == [START + each for each in range(seconds)]
        assert (await peer.ended()).code is None
        assert trio.current_time() == pytest.approx(started + seconds, abs=0.1)


async def test_a_poison_is_answered_with_too_much(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.poison("1HZ100V", "huge", 1, 100_000)
        await peer.send(TICKS | {"req_id": 5})
        text = await peer.text()
        assert 100_000 < len(text) < 100_500
        message = json.loads(text)
        assert (message["req_id"], message["msg_type"]) == (5, "tick")
        # Nothing was executed: the stream does not exist.
        assert (await peer.ask(TICKS))["tick"]


async def test_a_poison_without_a_size_is_beyond_what_a_client_takes(
    autojump_clock: object,
) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.poison("time", "huge", 1)
        await peer.send({"time": 1})
        assert len(await peer.text()) > 16 * 1024 * 1024


async def test_a_poison_can_be_any_pattern(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.poison({"ticks_history": "R_100", "count": 3}, "silent")
        await peer.send(HISTORY | {"count": 3})
        assert len((await peer.ask(HISTORY))["history"]["times"]) == 2


async def test_a_poison_works_on_the_options_api(autojump_clock: object) -> None:
    async with memory_simulator("poison:1HZ100V:close:1:1012@0") as sim:
        await trio.testing.wait_all_tasks_blocked()
        async with open_peer(sim, PUBLIC) as peer:
            await peer.send({"contracts_for": "1HZ100V"})
            assert (await peer.ended()).code == 1012


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("R_101",), "there is no call or symbol 'R_101'"),
        (({},), "a pattern needs at least one member"),
        (("R_100", "explode"), "crash, be silent or huge, but not 'explode'"),
        (("R_100", "close", 0), "0 is too few"),
        (("R_100", "close", 1, 99), "a close code is from 1000 to 4999, not 99"),
        (("R_100", "huge", 1, 0), "0 is too few"),
        (("R_100", "silent", 1, 5), "silent takes no number"),
        (("R_100", "drop", "often"), "'often' is neither a number of times nor 'for_ever'"),
    ],
)
async def test_a_poison_that_makes_no_sense_says_why(arguments: Any, why: str) -> None:
    async with memory_simulator() as sim:
        with pytest.raises(ValueError, match=why):
            sim.faults.poison(*arguments)


async def raw(peer: Peer, request: dict[str, Any]) -> str:
    await peer.send(request)
    return await peer.text()


@pytest.mark.parametrize(
    ("member", "text", "expected"),
    [
        ("tick.quote", "NaN", '"quote":NaN,'),
        ("tick.quote", '"1e5"', '"quote":"1e5",'),
        ("tick.epoch", "1e999", '"epoch":1e999,'),
        ("tick", "[[[1]]]", '"tick":[[[1]]]'),
        ("tick.symbol", "{}", '"symbol":{}'),
        ("req_id", "77", '"req_id":77'),
        ("tick.news", "true", '"news":true'),
        ("subscription.id", "7", '"subscription":{"id":7}'),
    ],
)
async def test_a_member_can_be_anything(
    autojump_clock: object, member: str, text: str, expected: str
) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.malform("ticks", member, text)
        assert expected in await raw(peer, TICKS | {"req_id": 3})
        # The next message is right again; it is held against the schemas.
        assert (await peer.receive())["tick"]["epoch"] == START + 1


async def test_a_malformation_waits_for_a_message_with_such_a_member(
    autojump_clock: object,
) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.malform("ticks_history", "history.prices.1", "null")
        sim.faults.malform("ticks_history", "history.times.9", "null")
        sim.faults.malform("time", "time", None, 2)
        assert (await peer.ask({"ping": 1}))["ping"] == "pong"
        history = json.loads(await raw(peer, HISTORY))["history"]
        assert history["prices"][1] is None
        assert None not in history["times"]
        assert "time" not in json.loads(await raw(peer, {"time": 1}))
        assert "time" not in json.loads(await raw(peer, {"time": 1}))
        assert await peer.ask({"time": 1})
        sim.faults.malform("time", "time", "[]")
        sim.faults.clear()
        assert await peer.ask({"time": 1})


async def test_a_malformation_can_be_scheduled(autojump_clock: object) -> None:
    async with memory_simulator('malform:time:time:{"a":1}@0') as sim, open_peer(sim) as peer:
        await trio.testing.wait_all_tasks_blocked()
        assert json.loads(await raw(peer, {"time": 1}))["time"] == {"a": 1}


async def test_a_malformation_that_makes_no_sense_says_why() -> None:
    async with memory_simulator() as sim:
        with pytest.raises(
            ValueError, match=r"the path of a member is like 'tick\.quote', not 'a\.\.b'"
        ):
            sim.faults.malform("time", "a..b", "1")
        with pytest.raises(ValueError, match="there is no call 'tick'"):
            sim.faults.malform("tick", "quote", "1")


async def test_a_storm_has_a_new_id_in_every_message(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        first = await peer.ask(TICKS | {"req_id": 7})
        await peer.ask({"forget": first["tick"]["id"]})
        await peer.ask({"ticks": "R_100", "req_id": 8})
        sim.faults.id_storm(5000, 1000)
        storm = []
        while len(storm) < 5000:
            message = await peer.receive()
            if message["req_id"] == 7:
                storm.append(message)
        assert 4 <= trio.current_time() <= 5
        assert len({message["subscription"]["id"] for message in storm}) == 5000
        assert all(message["subscription"]["id"] == message["tick"]["id"] for message in storm)
        assert storm[0]["echo_req"] == TICKS | {"req_id": 7}
        assert (await peer.ask({"forget": storm[0]["tick"]["id"]}))["forget"] == 0


async def test_without_a_request_for_ticks_there_is_no_storm(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        for request in ({"ticks": "XYZ"}, {"ticks": []}, HISTORY | {"style": "candles"}):
            await peer.send(request)
            await peer.receive()
        sim.faults.id_storm(10)
        await trio.sleep(1)
        assert await peer.ask({"ping": 1})
        with pytest.raises(ValueError, match="0 is too few"):
            sim.faults.id_storm(0)


async def test_a_storm_waits_for_a_client_that_does_not_read(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await peer.ask(TICKS)
        sim.faults.id_storm(1_000_000, 1_000_000)
        await trio.sleep(60)
        sim.faults.drop()
        assert (await peer.ended()).code is None


async def rejected(sim: Simulator) -> RejectConnection:
    peer = Peer(await open_stream(sim))
    await peer.put(Request(host="x", target="/websockets/v3?app_id=1"))
    event = await peer.event()
    assert isinstance(event, RejectConnection)
    return event


async def test_a_rejection_has_headers_and_a_body_of_any_size(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.reject(503, headers={"Retry-After": "30"})
        sim.faults.reject(302, headers="Location: https://portal.invalid/")
        refused, moved = await rejected(sim), await rejected(sim)
        assert (refused.status_code, dict(refused.headers)[b"retry-after"]) == (503, b"30")
        assert dict(moved.headers)[b"location"] == b"https://portal.invalid/"
        sim.faults.reject(404, 1_000_000)
        assert await Peer(await open_stream(sim)).rejection() == (404, b"x" * 1_000_000)


async def test_a_rejection_can_be_scheduled_with_a_header(autojump_clock: object) -> None:
    async with memory_simulator("reject:429:10:2:Retry-After: 7@0") as sim:
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            refused = await rejected(sim)
            headers = dict(refused.headers)
            assert (headers[b"retry-after"], headers[b"content-length"]) == (b"7", b"10")
        async with open_peer(sim):
            assert sim.accepted == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((101,), "an HTTP status is from 200 to 599, not 101"),
        ((503, -1), "an error page has 0 bytes or more, not -1"),
        (
            (503, b"", 1, "Retry-After"),
            "an HTTP header is like 'Retry-After: 30', not 'Retry-After'",
        ),
        ((503, b"", 1, {"Retry-After": "3\r\nX: y"}), "an HTTP header is like"),
    ],
)
async def test_a_rejection_that_makes_no_sense_says_why(arguments: Any, why: str) -> None:
    async with memory_simulator() as sim:
        with pytest.raises(ValueError, match=why):
            sim.faults.reject(*arguments)


async def test_the_other_streams_of_a_late_reply_are_not_late(autojump_clock: object) -> None:
    async with memory_simulator("late_subscription:5:R_100@0") as sim, open_peer(sim) as peer:
        await trio.testing.wait_all_tasks_blocked()
        await peer.ask(TICKS)
        await peer.send({"ticks": "R_100"})
        late = await receive_of_symbol(peer, "R_100")
        assert (late["tick"]["epoch"], trio.current_time()) == (START, 5)
        assert (await receive_of(peer, "tick"))["tick"]["symbol"] == "1HZ100V"


async def receive_of_symbol(peer: Peer, symbol: str) -> dict[str, Any]:
    while (message := await receive_of(peer, "tick"))["tick"]["symbol"] != symbol:
        pass
    return message
