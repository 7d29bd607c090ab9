"""Killed at random moments, while connections break, a recorder keeps exactly the market."""

from pathlib import Path

import trio

from tests.drills import kills

GUARD = 100


async def test_g05_a_recorder_that_is_killed_keeps_every_tick_once(tmp_path: Path) -> None:
    plan = kills.Plan(kills=4, rate=100, longest=1.5, target=str(tmp_path / "ticks.db"))
    with trio.fail_after(GUARD):
        drill = await kills.run(plan)
    assert drill.passed, kills.summary(drill)
    assert min(drill.kept.values()) > 30
