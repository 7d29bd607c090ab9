"""The test of exercise 10."""

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio.simulator import DEMO_TOKEN, open_simulator
from examples.lessons.contracts import CONTRACT
from examples.lessons.go.exercise import hold


async def test_it_is_sold_on_the_way_out(autojump_clock: MockClock) -> None:
    async with open_simulator(port=None) as sim:
        with trio.move_on_after(120) as outer:
            async with derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client:
                purchase = await client.buy(CONTRACT, 10)
                await hold(client, purchase.contract_id, patience=5)
        assert outer.cancelled_caught
        actions = [entry.action for entry in sim.ledger("VRTC1000001").transactions]
        assert actions == ["buy", "sell"]
        assert trio.current_time() < 130


async def test_a_server_that_does_not_answer_delays_the_end_by_the_patience(
    autojump_clock: MockClock,
) -> None:
    async with open_simulator(port=None, faults=["poison:sell:silent@60"]) as sim:
        began = trio.current_time()
        with trio.move_on_after(120):
            async with derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client:
                purchase = await client.buy(CONTRACT, 10)
                await hold(client, purchase.contract_id, patience=5)
        assert trio.current_time() - began == pytest.approx(125, abs=0.1)
