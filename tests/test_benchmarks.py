"""The benchmarks run, and judge rightly what they measured. How fast anything is is not tested."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.contestants import DERIVTRIO, GUIDE, TYPED, named, with_checkouts
from tests.benchmarks.medians import ratio
from tests.benchmarks.promises import Promise, judged
from tests.benchmarks.scenarios import SCENARIOS

ROOT = Path(__file__).parents[1]


def scores(*values: float) -> list[dict[str, float]]:
    return [{"cpu_us": value} for value in values]


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert ratio(scores(1, 20, 3), scores(2, 10, 6), "cpu_us") == 0.5


def test_a_faster_client_is_so_many_times_as_fast() -> None:
    promise = Promise("burst-wss", "cpu_us", 5, GUIDE, faster=True, ours=TYPED)
    rounds = {"burst-wss": {GUIDE.name: scores(12), TYPED.name: scores(2)}}
    assert promise.value(rounds, TYPED.name) == 6
    assert promise.is_kept(5)
    assert not promise.is_kept(4.9)


def test_a_client_can_be_compared_with_itself_in_another_scenario() -> None:
    promise = Promise("pending-10000", "cpu_us", 1.3, than="pending-1000")
    rounds = {
        "pending-1000": {DERIVTRIO.name: scores(20), "other": scores(10)},
        "pending-10000": {DERIVTRIO.name: scores(25), "other": scores(21)},
    }
    assert promise.value(rounds, DERIVTRIO.name) == 1.25
    assert promise.value(rounds, "other") == 2.1
    assert promise.is_kept(1.3)
    assert not promise.is_kept(1.31)


def test_each_promise_is_a_line_with_the_figures_of_other_checkouts() -> None:
    kept, missed = {"kb": 80.0}, {"kb": 90.0}
    rounds = {"memory-idle": {DERIVTRIO.name: [kept], named(DERIVTRIO, "before"): [missed]}}
    heading, line = judged(rounds, ["before"])
    assert heading.split() == ["promises", "figure", "limit", "before"]
    assert line.split()[:5] == ["kept", "80.00", "≤", "85", "90.00"]
    (_, line) = judged({"memory-idle": {DERIVTRIO.name: [missed]}})
    assert line.split()[:4] == ["MISSED", "90.00", "≤", "85"]


def test_another_checkout_competes_under_a_name_of_its_own() -> None:
    contestants = {contestant.name: contestant for contestant in with_checkouts({"old": ROOT})}
    assert contestants["derivtrio (old), dicts"].module == DERIVTRIO.module
    assert contestants["derivtrio (old), typed ticks"].only_ticks
    assert not any("(old)" in name for name in contestants if "derivtrio" not in name)


@pytest.mark.parametrize("scenario", ["lone-tick-ws", "lone-call-wss"])
def test_a_scenario_runs(scenario: str) -> None:
    size = ["--quick", "--rounds", "1", "--client", DERIVTRIO.module]
    command = [sys.executable, "-m", "tests.benchmarks", *size, "--only", scenario]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{scenario}: {SCENARIOS[scenario].title}" in done.stdout
    assert f"\n  {DERIVTRIO.name} " in done.stdout
