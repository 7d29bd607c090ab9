"""Short versions of the drills: kills at random moments, and the speed."""

from pathlib import Path

import trio

from tests.drills import kills, throughput

GUARD = 100


async def test_g05_a_recorder_that_is_killed_keeps_every_tick_once(tmp_path: Path) -> None:
    plan = kills.Plan(kills=4, rate=100, longest=1.5, target=str(tmp_path / "ticks.db"))
    with trio.fail_after(GUARD):
        drill = await kills.run(plan)
    assert drill.passed, kills.summary(drill)
    assert min(drill.kept.values()) > 30


def test_a_recorder_is_half_as_fast_as_a_bare_database_at_least(tmp_path: Path) -> None:
    """In seconds of CPU, and beside each other; it was 0.8 when this was written."""
    best = max((throughput.measure(5_000, tmp_path / str(n)) for n in range(3)), key=share)
    assert share(best) >= throughput.SHARE, str(best)


def share(result: throughput.Result) -> float:
    return result.recorded / result.bare
