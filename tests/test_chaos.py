"""A short form of the chaos runs, and what their judges must be able to condemn. See `chaos`."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from derivtrio import Gap, Tick, open_client
from derivtrio.simulator import Market, open_simulator
from tests.chaos import faults, inside, known, run
from tests.chaos.consumers import OPEN as STREAMS
from tests.chaos.determinism import HotLoop, run_seeded
from tests.chaos.draw import draw_plan
from tests.chaos.invariants import disagreement
from tests.chaos.records import InOrder, ticks_record
from tests.chaos.requests import RUN, Request, stake_of
from tests.chaos.run import play
from tests.chaos.schedule import Plan, parse_plan, parse_step
from tests.chaos.shrink import replay_line, shrink
from tests.chaos.totals import Totals, line_of, totals_of, with_table
from tests.chaos.world import World

SHORT = 0.006
START = 1_749_800_000


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", logger="derivtrio")


@pytest.mark.parametrize("seed", range(1, 5))
def test_g02_g03_g04_g05_g06_g07_g12_g14_chaos_breaks_no_promise(seed: int) -> None:
    result = play(draw_plan(seed, SHORT, every=15))
    assert result.finding is None, replay_line(result.plan)
    assert result.connections > 3
    assert result.faults.total() > 10
    assert result.figures["ticks"] > 100


def test_a_seed_repeats_exactly() -> None:
    plan = draw_plan(11, SHORT / 2, every=10)
    once, again, other = play(plan), play(plan), play(draw_plan(12, SHORT / 2, every=10))
    assert (once.trace, once.figures, once.connections) == (
        again.trace,
        again.figures,
        again.connections,
    )
    assert once.trace != other.trace


@pytest.mark.long
def test_a_broken_promise_is_found_and_shrunk_to_what_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never_both(world: World) -> Iterator[str]:
        """G00: no drop in a run in which something is asked to be bought."""
        if world.faults["drop"] and world.orders:
            yield "there was a drop, and a purchase"

    monkeypatch.setattr(run, "AT_THE_END", (never_both,))
    failed = play(draw_plan(3, SHORT / 3, every=15))
    assert failed.finding is not None
    assert failed.finding.promise == "G00"
    shortest = shrink(failed, seconds=30)
    assert sorted(step.name for step in shortest.plan.steps) == ["buy", "drop"]
    assert play(parse_plan(str(shortest.plan))).finding == shortest.finding


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_is_read_as_it_is_written(seed: int) -> None:
    plan = draw_plan(seed, 0.05)
    assert parse_plan(str(plan)) == plan
    assert all(";" not in str(step) and "'" not in str(step) for step in plan.steps)


def test_every_fault_that_there_is_is_drawn() -> None:
    plans = [draw_plan(seed, 0.2, everything=True) for seed in range(12)]
    drawn = {step.name for plan in plans for step in plan.steps}
    assert drawn >= set(inside.fault_grammar())
    others = drawn - set(inside.fault_grammar())
    assert others <= {*STREAMS, *RUN, *run.ACTIONS, "calm"}


def held_back(*, everything: bool) -> list[str]:
    """Return the faults drawn that are to be held back, because of those soon before them."""
    found: list[str] = []
    for seed in range(12):
        steps = [
            step
            for step in draw_plan(seed, 0.2, everything=everything).steps
            if faults.is_fault(step)
        ]
        for number, step in enumerate(steps):
            recent = [str(each) for each in steps[:number] if each.at > step.at - 200]
            found += [str(step)] if known.is_held_back(str(step), recent) else []
    return found


def test_what_is_held_back_is_drawn_only_when_asked_for() -> None:
    assert held_back(everything=False) == []
    assert held_back(everything=True)


def test_a_step_may_come_checkpoints_later() -> None:
    step = parse_step("stop:63@488.08+4")
    assert (step.name, step.words, step.at, step.after) == ("stop", ("63",), 488.08, 4)
    assert str(step) == "stop:63@488.08+4"


def test_a_hot_loop_is_noticed() -> None:
    hot = HotLoop(most=1000)

    async def spin() -> None:
        await trio.sleep(5)
        with hot.scope:
            while True:
                await trio.lowlevel.checkpoint()

    run_seeded(1, spin, hot=hot)
    assert hot.found


def test_the_scheduler_follows_its_seed() -> None:
    async def order() -> list[int]:
        seen: list[int] = []

        async def note(number: int) -> None:
            await trio.lowlevel.checkpoint()
            seen.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(note, number)
        return seen

    assert run_seeded(1, order) == run_seeded(1, order) != run_seeded(2, order)


def test_tables_are_counted() -> None:
    async def count() -> tuple[int, int]:
        async with (
            open_simulator(port=None, start=START) as sim,
            open_client(endpoint=sim.endpoint) as client,
        ):
            before = inside.table_sizes(client)
            async with client.ticks("R_100"), client.ticks("R_50"):
                during = inside.table_sizes(client)
            return before.total(), during.total()

    before, during = run_seeded(1, count)
    assert during > before + 4


# What judges must be able to condemn


def true_ticks(count: int) -> list[Tick]:
    ticks = Market(1).ticks("1HZ100V", START, START + count - 1)
    return [Tick(tick.symbol, tick.epoch, tick.quote) for tick in ticks]


def judged(*ticks: Tick, since: int | None = None) -> tuple[InOrder, str | None]:
    record = ticks_record(Market(1), "1HZ100V", since)
    texts = [record.note(tick) for tick in ticks]
    return record, next((text for text in texts if text), None)


def test_g05_a_record_knows_right_from_wrong() -> None:
    a, b, c, d = true_ticks(4)
    assert judged(a, b, c, d)[1] is None
    assert judged(b, c, since=START + 1)[1] is None
    assert "came after" in str(judged(a, b, b)[1])
    assert "came after" in str(judged(b, a)[1])
    assert "was due" in str(judged(a, Tick("1HZ100V", b.epoch, 0.0))[1])


def test_g05_what_is_passed_over_needs_a_gap() -> None:
    a, b, c, d = true_ticks(4)
    record, text = judged(a, d)
    assert text is None
    assert record.missing == [b.epoch, c.epoch]
    gap = Gap("1HZ100V", a.epoch, c.epoch, filled=False, reason="")
    assert record.passed_over([gap]) == 1
    assert record.passed_over([Gap("1HZ100V", a.epoch, d.epoch, filled=False, reason="")]) == 0
    assert judged(c, since=START)[0].passed_over([]) == 2


def order(report: Any, contract_id: int | None = None) -> Request:
    made = Request(1, "buy", ("1", "CALL", "R_100", "plain"), 0.0)
    made.report, made.contract_id = report, contract_id
    return made


@pytest.mark.parametrize(
    ("orders", "made", "agree"),
    [
        ([order("done", 1)], {1}, True),
        ([order("not done")], set(), True),
        ([order("unknown")], {1}, True),
        ([order("unknown")], set(), True),
        ([order(None)], {1}, True),
        ([order("not done")], {1}, False),
        ([order("refused")], {1}, False),
        ([order("not sent")], {1}, False),
        ([order("done", 1)], set(), False),
        ([order("done", 1)], {1, 2}, False),
        ([order("ambiguous")], {1}, False),
        ([order("ambiguous"), order("ambiguous")], {1}, True),
        ([order("done", 1), order("done", 1)], {1}, False),
        ([order("done", 1), order("unknown")], {1, 2}, True),
        ([order("done", 1), order("unknown")], {1, 2, 3}, False),
    ],
)
def test_g04_the_judge_of_purchases(orders: list[Request], made: set[int], *, agree: bool) -> None:
    assert (disagreement(orders, made) is None) == agree


def test_g04_an_order_may_be_ambiguous_beside_another_that_is_in_doubt() -> None:
    assert disagreement([order("ambiguous")], set(), others_in_doubt=True) is None
    assert disagreement([order("not done")], {1}, others_in_doubt=True)


def test_no_two_purchases_have_the_same_stake() -> None:
    stakes = [stake_of(number) for number in range(9000)]
    assert len(set(stakes)) == 9000
    assert list(islice(stakes, 2)) == [Decimal("1.00"), Decimal("1.01")]


def test_an_empty_plan_is_lived_through() -> None:
    result = play(Plan(1, "v3", True, False, ()))  # noqa: FBT003 - it is data
    assert result.finding is None
    assert result.connections == 1


def test_totals_count_each_seed_once_and_are_written_into_a_page() -> None:
    result = play(draw_plan(5, SHORT / 3, every=10))
    line, longer = line_of(result, 0.002), line_of(result, 0.004)
    totals = totals_of([line, line, longer])
    assert totals.lengths == {0.002: 1, 0.004: 1}
    assert totals.figures["ticks"] == 2 * result.figures["ticks"]
    page = "# A page\n\n<!-- chaos totals -->\n```text\nold\n```\n\nMore.\n"
    assert with_table(page, totals) == page.replace("old\n", str(totals))
    assert "2 (1 of 0.002 days, 1 of 0.004 days)" in str(totals)


def test_the_guide_has_room_for_the_totals() -> None:
    page = (Path(__file__).parents[1] / "examples" / "guide" / "proof.md").read_text()
    assert str(Totals()) in with_table(page, Totals())


def test_quiet_hours_make_days_cheap_and_end_in_a_calm() -> None:
    plan = draw_plan(3, 1, quiet=10)
    dense = draw_plan(3, 1)
    assert len(plan.steps) < len(dense.steps) / 4
    calms = [step.at for step in plan.steps if step.name == "calm"]
    assert max(later - sooner for sooner, later in pairwise(calms)) > 3600
    assert calms[-1] > 80_000
