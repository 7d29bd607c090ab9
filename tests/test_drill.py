"""G05, G06, G14: whatever breaks, a consumer gets exactly the market. See `drills`."""

from typing import Any

import pytest
import trio

from derivtrio.simulator import Market
from tests.drills import month, sockets
from tests.drills.witness import Row, Witness, candle_witness, tick_witness
from tests.proxy import KINDS, random_fates

GUARD = 60
START = 1_749_800_000


async def test_g05_real_connections_break_and_nothing_is_lost() -> None:
    with trio.fail_after(GUARD):
        drill = await sockets.run(sockets.Plan(breaks=2 * len(KINDS), rate=100, most=8000))
    assert drill.passed, sockets.summary(drill)
    assert drill.proxy.suffered == dict.fromkeys(KINDS, 2)
    assert drill.events["ready"] > 3
    assert drill.candles.seen > 1
    assert drill.visits > 0


async def test_g05_g14_hours_of_faults_leave_nothing_behind(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", logger="derivtrio")
    drill = await month.run(month.Plan(days=3, day=4800, every=40))
    assert drill.passed, month.summary(drill)
    assert drill.suffered.keys() == month.INCIDENTS.keys()
    assert drill.events["ready"] > 100
    assert drill.ticks.seen > 3 * 4800
    assert drill.candles.seen > 40


# What a witness must find


def rows(seen: Witness, *notes: Row) -> Witness:
    for row in notes:
        seen.note(row)
    return seen


def true_rows(count: int) -> list[Row]:
    ticks = Market(1).ticks("1HZ100V", START, START + count - 1)
    return [(tick.epoch, tick.quote) for tick in ticks]


def judged(*notes: Row) -> tuple[int, int, int, int]:
    witness = rows(tick_witness("ticks", 1, "1HZ100V"), *notes)
    assert witness.is_satisfied == (len(witness.remarks) == 0)
    return witness.lost, witness.doubled, witness.disordered, witness.wrong


def test_a_witness_counts_what_is_not_as_it_should_be() -> None:
    a, b, c, d, e = true_rows(5)
    assert judged(a, b, c, d, e) == (0, 0, 0, 0)
    assert judged(c, d, e) == (0, 0, 0, 0)
    assert judged(a, d, e) == (2, 0, 0, 0)
    assert judged(a, b, b, c) == (0, 1, 0, 0)
    assert judged(a, b, d, c, e) == (1, 0, 1, 0)
    assert judged(a, (b[0], 0.0), c) == (0, 0, 0, 1)


def test_a_witness_knows_what_is_made_up() -> None:
    every_other_second = tick_witness("ticks", 1, "R_100")
    for row in ((START, price(START)), (START + 1, 0.0), (START + 2, price(START + 2))):
        every_other_second.note(row)
    assert (every_other_second.lost, every_other_second.wrong) == (0, 1)


def price(epoch: int) -> float:
    return Market(1).tick("R_100", epoch).quote


def test_a_witness_may_rest_at_any_time() -> None:
    first, *others = true_rows(2000)
    witness = rows(tick_witness("ticks", 1, "1HZ100V"), first)
    for row in others:
        if row[0] % 7 == 0:
            witness.rest()
        witness.note(row)
    assert witness.is_satisfied
    assert witness.seen == 2000


def test_a_witness_of_nothing_is_not_satisfied() -> None:
    assert not tick_witness("ticks", 1, "1HZ100V").is_satisfied


def test_a_witness_of_candles() -> None:
    start = START - START % 300
    candles = Market(1).candles("R_100", 300, start, start + 1499)
    a, b, c, *_ = [(x.open_time, x.open, x.high, x.low, x.close) for x in candles]
    verdicts = [
        rows(candle_witness("candles", 1, "R_100", 300), *notes)
        for notes in [(a, b, c), (a, c), (a, (*b[:4], 0.0), c)]
    ]
    assert [(each.lost, each.wrong) for each in verdicts] == [(0, 0), (1, 0), (0, 1)]


def test_fates_are_repeatable_and_of_every_kind() -> None:
    fates = list(random_fates(5, 80))
    assert fates == list(random_fates(5, 80))
    assert fates != list(random_fates(6, 80))
    assert {fate.kind for fate in fates[: len(KINDS)]} == set(KINDS)
    assert all(100 <= fate.after <= 40_000 and fate.seconds <= 0.2 for fate in fates)
