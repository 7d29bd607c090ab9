"""Streams that stop, requests that get no answer, and a front end without a backend."""

from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any

import pytest
import trio
from sim_trades import DEMO, LASTING, RISE, log_in, receive_of
from wire_peer import PUBLIC, START, Peer, open_peer
from wsproto.events import Ping, Pong

from derivtrio.simulator import Ending, Simulator, open_simulator

TICKS: dict[str, Any] = {"ticks": "1HZ100V"}
CANDLES: dict[str, Any] = {
    "ticks_history": "1HZ100V",
    "end": "latest",
    "count": 1,
    "style": "candles",
    "granularity": 60,
    "subscribe": 1,
}


def memory_simulator(*faults: str) -> AbstractAsyncContextManager[Simulator]:
    return open_simulator(port=None, start=START, faults=faults, idle_timeout=10**6)


async def silent(peer: Peer, seconds: float = 100) -> bool:
    """Whether no message comes for so long."""
    with trio.move_on_after(seconds):
        await peer.receive()
        return False
    return True


async def renewed(peer: Peer, stream_id: str, request: dict[str, Any]) -> dict[str, Any]:
    """Forget a stream, and ask for it again."""
    assert (await peer.ask({"forget": stream_id}))["forget"] == 1
    return await peer.ask(request)


async def test_a_mute_stream_stops_and_everything_else_goes_on(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await peer.ask(TICKS)
        await peer.ask({"ticks": "R_100"})
        sim.faults.mute("1HZ100V")
        received = [await peer.receive() for _ in range(20)]
        assert {message["tick"]["symbol"] for message in received} == {"R_100"}
        history = {"ticks_history": "1HZ100V", "end": "latest", "count": 1}
        await peer.send(history)
        ahead = await receive_of(peer, "history")
        assert ahead["history"]["times"] == [START + 40]


async def test_a_mute_stream_keeps_its_key_and_speaks_when_it_is_renewed(
    autojump_clock: object,
) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        stream_id = (await peer.ask(TICKS))["tick"]["id"]
        sim.faults.mute("1HZ100V")
        assert (await peer.ask(TICKS))["error"]["code"] == "AlreadySubscribed"
        assert (await renewed(peer, stream_id, TICKS))["tick"]["epoch"] == START
        assert (await peer.receive())["tick"]["epoch"] == START + 1


@pytest.mark.parametrize("times", [2, 3])
async def test_a_mute_can_take_several_renewals(autojump_clock: object, times: int) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        stream_id = (await peer.ask(TICKS))["tick"]["id"]
        sim.faults.mute("1HZ100V", times)
        for _ in range(times - 1):
            assert await silent(peer)
            stream_id = (await renewed(peer, stream_id, TICKS))["tick"]["id"]
        assert await silent(peer)
        first = await renewed(peer, stream_id, TICKS)
        assert (await peer.receive())["tick"]["epoch"] == first["tick"]["epoch"] + 1


async def test_a_mute_can_last_as_long_as_the_connection(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        async with open_peer(sim) as peer:
            stream_id = (await peer.ask(TICKS))["tick"]["id"]
            sim.faults.mute("1HZ100V", "connection")
            for _ in range(3):
                assert await silent(peer)
                stream_id = (await renewed(peer, stream_id, TICKS))["tick"]["id"]
        async with open_peer(sim) as peer:
            await peer.ask(TICKS)
            assert await peer.receive()


async def test_a_mute_for_ever_ends_with_clear(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.mute("ticks", "for_ever")
        async with open_peer(sim) as peer:
            stream_id = (await peer.ask(TICKS))["tick"]["id"]
            assert await silent(peer)
            await peer.ask(CANDLES)
            assert (await peer.receive())["msg_type"] == "ohlc"
            sim.faults.clear()
            await peer.send({"forget": stream_id})
            await receive_of(peer, "forget")
            await peer.send(TICKS)
            await receive_of(peer, "tick")
            assert await receive_of(peer, "tick")


async def test_a_mute_names_a_kind_or_one_subscription(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await peer.ask(CANDLES)
        stream_id = (await peer.ask(TICKS))["tick"]["id"]
        sim.faults.mute("candles")
        assert (await peer.receive())["msg_type"] == "tick"
        assert (await peer.receive())["msg_type"] == "tick"
        # By the id of a subscription, the next ones with the same key are meant as well.
        sim.faults.mute(stream_id, 2)
        assert await silent(peer)
        stream_id = (await renewed(peer, stream_id, TICKS))["tick"]["id"]
        assert await silent(peer)
        await renewed(peer, stream_id, TICKS)
        assert await peer.receive()


async def test_a_mute_can_be_for_one_connection(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as mute, open_peer(sim) as heard:
        for peer in (mute, heard):
            await peer.ask(TICKS)
        sim.faults.mute(connection=sim.connections[0])
        assert await heard.receive()
        assert await silent(mute)


async def test_the_streams_of_an_account_become_mute(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await log_in(peer)
        await peer.ask({"balance": 1, "subscribe": 1})
        transaction_id = (await peer.ask({"transaction": 1, "subscribe": 1}))["transaction"]["id"]
        sim.faults.mute("transaction")
        sim.deposit(DEMO, Decimal(1))
        assert (await peer.receive())["msg_type"] == "balance"
        sim.faults.mute("balance", "for_ever")
        sim.deposit(DEMO, Decimal(1))
        assert await silent(peer)
        await renewed(peer, transaction_id, {"transaction": 1, "subscribe": 1})
        sim.deposit(DEMO, Decimal(1))
        assert (await peer.receive())["msg_type"] == "transaction"
        assert (await peer.ask({"balance": 1}))["balance"]["balance"] == 10003


async def test_a_mute_contract_ends_unheard(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await log_in(peer)
        bought = await peer.ask({"buy": "1", "price": 10, "parameters": LASTING, "subscribe": 1})
        contract_id = bought["buy"]["contract_id"]
        assert (await peer.receive())["msg_type"] == "proposal_open_contract"
        sim.faults.mute(str(contract_id))
        assert await silent(peer, 1000)
        lookup = {"proposal_open_contract": 1, "contract_id": contract_id}
        assert (await peer.ask(lookup))["proposal_open_contract"]["is_sold"] == 1


async def test_where_all_contracts_are_mute_a_new_one_is_too(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await log_in(peer)
        await peer.ask({"proposal_open_contract": 1, "subscribe": 1})
        sim.faults.mute("proposal_open_contract")
        assert (await peer.ask({"buy": "1", "price": 10, "parameters": RISE}))["buy"]
        assert await silent(peer)


async def test_the_server_can_stream_on_without_an_answer(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        await log_in(peer)
        await peer.ask(TICKS)
        sim.faults.mute("calls")
        for request in ({"ping": 1}, {"time": 1}, {"buy": "1", "price": 10, "parameters": RISE}):
            await peer.send(request)
        received = [await peer.receive() for _ in range(50)]
        assert {message["msg_type"] for message in received} == {"tick"}
        assert sim.ledger(DEMO).transactions == []
        assert len(sim.connections[0].requests) == 5
        async with open_peer(sim) as other:
            assert await other.ask({"time": 1})


async def test_ping_can_be_the_only_call_that_is_answered(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        async with open_peer(sim) as peer:
            sim.faults.mute("calls_except_ping", 2)
            await peer.send({"time": 1})
            assert (await peer.ask({"ping": 1}))["ping"] == "pong"
            assert await silent(peer)
        async with open_peer(sim) as peer:
            await peer.send({"time": 1})
            assert (await peer.ask({"ping": 1}))["ping"] == "pong"
        async with open_peer(sim) as peer:
            assert await peer.ask({"time": 1})


async def test_a_mute_can_be_scheduled(autojump_clock: object) -> None:
    async with memory_simulator("mute:1HZ100V:2@10.5") as sim, open_peer(sim) as peer:
        stream_id = (await peer.ask(TICKS))["tick"]["id"]
        epochs = [(await peer.receive())["tick"]["epoch"] for _ in range(10)]
        assert epochs[-1] == START + 10
        assert await silent(peer)
        await renewed(peer, stream_id, TICKS)
        assert await silent(peer)


async def test_a_mute_works_on_the_options_api(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim, PUBLIC) as peer:
        await peer.ask(TICKS | {"subscribe": 1})
        sim.faults.mute("ticks")
        assert await silent(peer)


async def pings_and_pongs(peer: Peer, seconds: float) -> list[tuple[float, bytes]]:
    """Return the times and contents of the pings that come, and say when anything else does."""
    pings: list[tuple[float, bytes]] = []
    with trio.move_on_after(seconds):
        while True:
            event = await peer.event()
            assert isinstance(event, Ping), event
            await peer.put(event.response())
            pings.append((trio.current_time(), bytes(event.payload)))
    return pings


async def test_a_front_end_pings_while_its_backend_is_dead(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await log_in(peer)
        await peer.ask(TICKS)
        await trio.sleep_until(0.5)
        sim.faults.backend_dead(3)
        for request in ({"ping": 1}, {"buy": "1", "price": 10, "parameters": RISE}):
            await peer.send(request)
        # Far beyond the idle timeout of two minutes: the front end keeps the connection.
        pings = await pings_and_pongs(peer, 1000)
        assert [at for at, _ in pings] == [0.5 + 3 * number for number in range(334)]
        assert sim.ledger(DEMO).transactions == []
        await peer.put(Ping(b"anybody?"))
        event = await peer.event()
        while isinstance(event, Ping):
            event = await peer.event()
        assert event == Pong(b"anybody?")
        await peer.put(Ping(b""))
        assert len(sim.connections) == 1


async def test_the_close_handshake_is_the_front_ends(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        async with open_peer(sim) as peer:
            sim.faults.backend_dead(3)
            assert isinstance(await peer.event(), Ping)
            await peer.goodbye()
        await trio.testing.wait_all_tasks_blocked()
        assert sim.history[-1].ending == Ending("client", "close handshake", 1000, clean=True)


async def test_a_backend_can_be_dead_for_several_connections(autojump_clock: object) -> None:
    async with memory_simulator("backend_dead:2:2@1") as sim:
        async with open_peer(sim) as peer:
            await trio.sleep(2)
            assert len(await pings_and_pongs(peer, 10)) == 6
        async with open_peer(sim) as peer:
            await peer.send({"ping": 1})
            assert len(await pings_and_pongs(peer, 10)) == 5
        async with open_peer(sim) as peer:
            assert await peer.ask({"ping": 1})


async def test_a_dead_backend_ends_with_clear_for_new_connections(autojump_clock: object) -> None:
    async with memory_simulator() as sim:
        sim.faults.backend_dead(times="for_ever")
        for _ in range(3):
            async with open_peer(sim) as peer:
                await peer.send({"ping": 1})
                assert await pings_and_pongs(peer, 5)
        sim.faults.clear()
        async with open_peer(sim) as peer:
            assert await peer.ask({"ping": 1})


@pytest.mark.parametrize(
    ("stream", "times", "why"),
    [
        ("R_101", 1, "'R_101' cannot be mute, but a symbol, a contract id"),
        ("", 1, "'' cannot be mute"),
        ("ticks", 0, "0 is too few"),
        ("ticks", "always", "'always' is neither a number of times, nor 'connection', nor"),
    ],
)
async def test_what_cannot_be_mute_says_why(stream: str, times: Any, why: str) -> None:
    async with memory_simulator() as sim:
        with pytest.raises(ValueError, match=why):
            sim.faults.mute(stream, times)


async def test_a_dead_backend_has_a_time_between_pings() -> None:
    async with memory_simulator() as sim:
        with pytest.raises(ValueError, match="0 is not a number of seconds above 0"):
            sim.faults.backend_dead(0)
        with pytest.raises(ValueError, match="'connection' is neither a number of times nor"):
            sim.faults.backend_dead(1, "connection")  # type: ignore[arg-type]
