"""Short versions of the drills: kills at random moments, the speed, a replay, and a year."""

from pathlib import Path
from typing import Any

import pytest
import trio

from tests.drills import kills, replay, throughput, year

GUARD = 100


@pytest.mark.long
async def test_g05_a_recorder_that_is_killed_keeps_every_tick_once(tmp_path: Path) -> None:
    plan = kills.Plan(kills=4, rate=100, longest=1.5, target=str(tmp_path / "ticks.db"))
    with trio.fail_after(GUARD):
        drill = await kills.run(plan)
    assert drill.passed, kills.summary(drill)
    assert min(drill.kept.values()) > 30


async def test_a_day_of_many_symbols_comes_as_fast_as_the_limits_allow(
    autojump_clock: Any,
) -> None:
    """Here for 5 symbols, and 5 hours: the requests that their ticks need, and few more."""
    drill = await replay.run(replay.Plan(symbols=5, seconds=5 * 3600))
    assert (drill.ticks, drill.gaps, drill.refused) == (drill.due, 0, 0)
    assert drill.asked <= 5 * 6 + 2  # four windows at most, the subscription, the server's time
    assert replay.allowed_after(650) == 120


@pytest.mark.long
async def test_g14_a_recorder_that_is_left_running_keeps_everything(
    autojump_clock: Any, tmp_path: Path
) -> None:
    """A day of the year, with a fault every two hours, and two restarts."""
    plan = year.Plan(weeks=1, week=86400, every=7200, restart=30_000, folder=tmp_path)
    drill = await year.run(plan)
    assert drill.wrong == []
    assert drill.starts == 3
    assert drill.kept["R_100"] > 3500
    assert "INFO ready again, on connection %d" in drill.log.kinds
    assert (tmp_path / "log.json").read_text().count("\n") == sum(drill.log.kinds.values())


def test_a_recorder_is_half_as_fast_as_a_bare_database_at_least(tmp_path: Path) -> None:
    """In seconds of CPU, and beside each other; it was 0.8 when this was written."""
    best = max((throughput.measure(5_000, tmp_path / str(n)) for n in range(3)), key=share)
    assert share(best) >= throughput.SHARE, str(best)


def share(result: throughput.Result) -> float:
    return result.recorded / result.bare
