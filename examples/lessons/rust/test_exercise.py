"""The test of exercise 7."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio.simulator import DEMO_TOKEN, open_simulator
from examples.lessons.contracts import CONTRACT
from examples.lessons.rust import outcomes
from examples.lessons.rust.exercise import outcome

BUY = {"buy": "1", "price": 10, "parameters": CONTRACT}


@pytest.mark.parametrize(
    ("fault", "request_", "expected"),
    [
        ("drop@1000", {"ping": 1}, "Answered"),
        ("drop@1000", {"ticks_history": "NO_SUCH", "end": "latest"}, "Refused"),
        ("drop@1000", BUY, "Answered"),
        ("lose_after:buy@0", BUY, "InDoubt"),
        ("lose_before:buy@0", BUY, "InDoubt"),
        ("lose_after:ping@0", {"ping": 1}, "Answered"),
        ("poison:ping:drop@0", {"ping": 1}, "NotDone"),
        ("poison:time:silent@0", {"time": 1}, "NotDone"),
    ],
)
async def test_four_outcomes(
    autojump_clock: MockClock, fault: str, request_: dict[str, Any], expected: str
) -> None:
    async with (
        open_simulator(port=None, faults=[fault]) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client,
    ):
        found = await outcome(client, request_)
        assert type(found) is getattr(outcomes, expected)


async def test_a_client_that_is_closed_has_not_done_it(autojump_clock: MockClock) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        await client.aclose()
        assert await outcome(client, {"ping": 1}) == outcomes.NotDone()


async def test_a_refusal_has_its_code(autojump_clock: MockClock) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        assert await outcome(client, {"balance": 1}) == outcomes.Refused("AuthorizationRequired")


async def test_a_cancellation_is_no_outcome(autojump_clock: MockClock) -> None:
    async with (
        open_simulator(port=None, faults=["poison:ping:silent@0"]) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        with trio.move_on_after(5) as patience:
            await outcome(client, {"ping": 1})
        assert patience.cancelled_caught
