"""G04: whatever breaks, the account's ledger and what the client reported agree. See `drills`."""

from decimal import Decimal
from typing import Any

import pytest

from tests.drills import trades
from tests.drills.trades import Attempt, Drill, Plan


async def test_g04_ledger_and_reports_agree_on_every_purchase(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", logger="derivtrio")
    drill = await trades.run(Plan(attempts=300, twins=0.2))
    assert drill.passed, trades.summary(drill)
    assert drill.suffered.keys() == trades.INCIDENTS.keys()
    reports = [attempt.report for attempt in drill.attempts]
    for report in ("bought", "refused", "not bought", "not sent"):
        assert reports.count(report) >= 10, report
    assert sum(attempt.unknown is not None for attempt in drill.attempts) > 30


# What the drill must find


def attempt(report: Any, contract_id: int | None = None) -> Attempt:
    words = trades.Words(trades.DEMO, "CALL", "R_100", Decimal(1), 5)
    return Attempt(
        words, by_proposal=False, limit=words.stake, report=report, contract_id=contract_id
    )


@pytest.mark.parametrize(
    ("attempts", "made", "agree"),
    [
        ([attempt("bought", 1)], {1}, True),
        ([attempt("not bought")], set(), True),
        ([attempt("not bought")], {1}, False),
        ([attempt("refused")], {1}, False),
        ([attempt("not sent")], {1}, False),
        ([attempt("bought", 1)], set(), False),
        ([attempt("bought", 1)], {1, 2}, False),
        ([attempt("bought", 1)], {2}, False),
        ([attempt("ambiguous")], {1}, False),
        ([attempt("ambiguous")], set(), False),
        ([attempt("bought", 1), attempt("not bought")], {1}, True),
        ([attempt("bought", 1), attempt("bought", 1)], {1}, False),
        ([attempt("bought", 1), attempt("bought", 2)], {1, 2}, True),
        ([attempt("bought", 1), attempt("not bought")], {1, 2}, False),
        ([attempt("ambiguous"), attempt("ambiguous")], {1}, True),
        ([attempt("ambiguous"), attempt("ambiguous")], {1, 2}, False),
        ([attempt("ambiguous"), attempt("bought", 1)], {1}, False),
    ],
)
def test_the_judge_knows_right_from_wrong(
    attempts: list[Attempt], made: set[int], *, agree: bool
) -> None:
    assert trades.agrees(attempts, made) == agree


def test_a_drill_in_which_anything_is_wrong_has_failed() -> None:
    nobody: Any = None
    drill = Drill(Plan(), nobody, nobody, print)
    assert drill.passed
    drill.judge([attempt("not bought")], {1})
    assert not drill.passed
