"""Live streams, over in-memory connections and virtual time."""

import itertools
from decimal import Decimal

import pytest
import trio
from wire_peer import START, Peer, open_peer

from derivtrio.simulator import SCOPES, Account, open_simulator


async def epochs(peer: Peer, count: int) -> list[int]:
    return [(await peer.receive())["tick"]["epoch"] for _ in range(count)]


async def test_ticks_come_when_they_are_due(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await peer.ask({"ticks": "R_100"})
        for number in range(1, 50):
            message = await peer.receive()
            assert trio.current_time() == 2 * number
            assert message["tick"]["epoch"] == START + 2 * number
            assert message["tick"]["quote"] == sim.market.tick("R_100", START + 2 * number).quote


async def test_several_streams_arrive_in_the_order_of_time(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await peer.ask({"ticks": ["R_100", "1HZ100V"]})
        await peer.receive()
        received = [(await peer.receive())["tick"] for _ in range(30)]
        times = [tick["epoch"] for tick in received]
        assert times == sorted(times)
        assert times.count(START + 1) == 1
        assert times.count(START + 2) == 2


async def test_a_stream_that_starts_between_ticks_has_no_hole(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START + 0.7) as sim, open_peer(sim) as peer:
        assert (await peer.ask({"ticks": "1HZ100V"}))["tick"]["epoch"] == START
        assert await epochs(peer, 3) == [START + 1, START + 2, START + 3]
        assert trio.current_time() == pytest.approx(2.3)


async def test_the_epoch_of_the_clock_and_of_the_ticks_agree(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START + 1 / 3) as sim, open_peer(sim) as peer:
        await peer.ask({"ticks": "1HZ100V"})
        for _ in range(100):
            (epoch,) = await epochs(peer, 1)
            assert sim.now() >= epoch - 1e-6
            await peer.send({"time": 1})
            assert (await peer.receive())["time"] == epoch


async def test_a_later_subscription_to_a_faster_stream_does_not_wait(
    autojump_clock: object,
) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        await peer.ask({"ticks": "R_100"})
        await trio.sleep(0.5)
        await peer.ask({"ticks": "1HZ100V"})
        assert await epochs(peer, 3) == [START + 1, START + 2, START + 2]


async def test_nothing_comes_after_the_reply_to_forget(autojump_clock: object) -> None:
    async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
        first = await peer.ask({"ticks": "1HZ100V"})
        await peer.receive()
        assert (await peer.ask({"forget": first["tick"]["id"]}))["forget"] == 1
        with trio.move_on_after(100) as scope:
            await peer.receive()
        assert scope.cancelled_caught


async def test_the_streams_of_a_closed_market_pause_until_it_opens(autojump_clock: object) -> None:
    friday_evening = 1_700_254_499 - 100
    async with (
        open_simulator(port=None, start=friday_evening, idle_timeout=10**6) as sim,
        open_peer(sim) as peer,
    ):
        await peer.ask({"ticks": "frxEURUSD"})
        received = await epochs(peer, 100)
        expected = sim.market.ticks("frxEURUSD", friday_evening + 1, friday_evening + 3 * 86400)
        assert received == [tick.epoch for tick in expected[:100]]
        assert max(b - a for a, b in itertools.pairwise(received)) > 2 * 86400


async def test_a_deposit_is_told_to_those_who_asked(autojump_clock: object) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        open_peer(sim) as peer,
        open_peer(sim) as other,
    ):
        for each in (peer, other):
            await each.ask({"authorize": "demo-token"})
        await peer.ask({"balance": 1, "subscribe": 1})
        sim.deposit("VRTC1000001", Decimal("0.1"))
        assert (await peer.receive())["balance"]["balance"] == 10000.1
        assert (await other.ask({"balance": 1}))["balance"]["balance"] == 10000.1


async def test_a_client_that_does_not_read_holds_up_nobody_else(autojump_clock: object) -> None:
    async with (
        open_simulator(port=None, start=START, idle_timeout=10**6) as sim,
        open_peer(sim) as stuck,
        open_peer(sim) as reader,
    ):
        for peer in (stuck, reader):
            await peer.ask({"ticks": "1HZ100V"})
        for _ in range(5000):
            await reader.receive()
        assert trio.current_time() == 5000
        late = await epochs(stuck, 5000)
        assert late == list(range(START + 1, START + 5001))


async def test_every_simulator_has_its_own_accounts(autojump_clock: object) -> None:
    account = Account("CR1000001", Decimal(5), {"mine": SCOPES}, is_virtual=False)
    for _ in range(2):
        async with open_simulator(port=None, start=START, accounts=[account]) as sim:
            assert sim.accounts.keys() == {"CR1000001"}
            sim.deposit("CR1000001", Decimal(1))
            assert sim.accounts["CR1000001"].balance == 6


async def test_the_same_seed_and_requests_give_the_same_messages(autojump_clock: object) -> None:
    runs = []
    for _ in range(2):
        async with open_simulator(port=None, start=START) as sim, open_peer(sim) as peer:
            await peer.send({"ticks": ["R_10", "stpRNG"]})
            runs.append([await peer.text() for _ in range(50)])
    assert runs[0] == runs[1]
