"""The test of exercise 3."""

import pytest
import trio
from trio.testing import MockClock

import derivtrio
from derivtrio.simulator import DEMO_TOKEN, open_simulator
from examples.lessons.php.exercise import readiness

SETTINGS = derivtrio.Settings(wait_ready=False)


@pytest.mark.parametrize(
    ("fault", "expected", "after"),
    [
        ("drop@1000", "ready", 0),
        ("silence@0", "nothing", 3),
        ("refuse:60@0", "nothing", 3),
        ("poison:authorize:silent@0", "opened", 3),
    ],
)
async def test_it_is_honest(
    autojump_clock: MockClock, fault: str, expected: str, after: float
) -> None:
    async with open_simulator(port=None, faults=[fault]) as sim:
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        async with derivtrio.open_client(
            endpoint=sim.endpoint, token=DEMO_TOKEN, settings=SETTINGS
        ) as client:
            assert await readiness(client, 3) == expected
            assert trio.current_time() - began == pytest.approx(after, abs=0.1)
