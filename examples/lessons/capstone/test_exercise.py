"""The test of exercise 18."""

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio.simulator import DEMO_TOKEN, Simulator, open_simulator
from examples.lessons.capstone.exercise import clean_up
from examples.lessons.contracts import CONTRACT


async def buy_and_be_killed(sim: Simulator, count: int) -> None:
    """Leave *count* contracts behind."""
    async with derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client:
        for _ in range(count):
            await client.buy(CONTRACT, 10)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("drop", 3),
        ("lose_after:sell", 3),
        ("lose_before:sell", 2),
        ("fail_after:Timeout:sell", 3),
        ("fail_before:InvalidSellContractProposal:sell", 2),
    ],
)
async def test_everything_is_sold_that_can_be(
    autojump_clock: MockClock, fault: str, expected: int
) -> None:
    async with open_simulator(port=None) as sim:
        await buy_and_be_killed(sim, 3)
        await trio.sleep(60)
        async with derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client:
            name, *words = fault.split(":")
            getattr(sim.faults, name)(*words)
            sold = await clean_up(client)
        entries = sim.ledger("VRTC1000001").transactions
        assert [each.action for each in entries].count("sell") == sold >= expected


async def test_nothing_left_is_nothing_to_do(autojump_clock: MockClock) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client,
    ):
        assert await clean_up(client) == 0
