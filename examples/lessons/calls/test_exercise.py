"""The test of exercise 14: six moments of a loss, and five refusals."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio.simulator import DEMO_TOKEN, open_simulator
from examples.lessons.calls.exercise import advice
from examples.lessons.calls.program import REQUESTS

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("lose_before:buy@0", REQUESTS["buy"], "find out first"),
    ("lose_after:buy@0", REQUESTS["buy"], "find out first"),
    ("fail_after:Timeout:buy@0", REQUESTS["buy"], "find out first"),
    ("fail_before:RateLimit:buy@0", REQUESTS["buy"], "ask again"),
    ("fail_before:ServiceUnavailable:buy@0", REQUESTS["buy"], "ask again"),
    ("poison:time:drop@0", REQUESTS["time"], "ask again"),
    ("poison:time:silent@0", REQUESTS["time"], "ask again"),
    ("drop@1000", {"ticks_history": "NO_SUCH", "end": "latest"}, "change something first"),
    ("drop@1000", {"no_such_call": 1}, "change something first"),
    ("drop@1000", {"balance": 1, "loginid": "CR1"}, "change something first"),
]


@pytest.mark.parametrize(("fault", "request_", "expected"), CASES)
async def test_advice(
    autojump_clock: MockClock, fault: str, request_: dict[str, Any], expected: str
) -> None:
    async with (
        open_simulator(port=None, faults=[fault]) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client,
    ):
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(derivtrio.DerivError) as caught:
            await client.call(request_)
        assert advice(caught.value) == expected


async def test_a_proposal_of_another_connection_was_not_bought(autojump_clock: MockClock) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client,
    ):
        async with client.proposal(REQUESTS["buy"]["parameters"]) as prices:
            proposal = await anext(prices)
        sim.faults.drop()
        await trio.sleep(30)
        with pytest.raises(derivtrio.ConnectionChanged) as caught:
            await client.buy(proposal)
        assert advice(caught.value) == "ask again"
