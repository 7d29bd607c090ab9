"""G05, G06, G14: whatever breaks, a consumer gets exactly the market. See `drills`."""

import math
import random
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from derivtrio import Tick
from derivtrio.simulator import Market
from derivtrio.streams.ticks import TickTranslator
from tests.drills import (
    fuzz_targets,
    interruptions,
    month,
    mutations,
    namespaces,
    network,
    sockets,
    workload,
)
from tests.drills.witness import Row, Witness, candle_witness, tick_witness
from tests.proxy import KINDS, random_fates

GUARD = 60
START = 1_749_800_000


@pytest.mark.long
async def test_g05_real_connections_break_and_nothing_is_lost() -> None:
    with trio.fail_after(GUARD):
        drill = await sockets.run(sockets.Plan(breaks=2 * len(KINDS), rate=100, most=8000))
    assert drill.passed, sockets.summary(drill)
    assert drill.proxy.suffered == dict.fromkeys(KINDS, 2)
    assert drill.events["ready"] > 3
    assert drill.candles.seen > 1
    assert drill.visits > 0


@pytest.mark.parametrize(
    ("operation", "kind", "step"),
    [
        ("two_readers", "cancelled", 209),
        ("ticks_across_an_outage", "both", 150),
        ("ticks_from_the_past", "dropped", 60),
        ("contracts", "late", 20),
        ("account", "raised", 2),
    ],
)
def test_g12_wherever_an_operation_is_interrupted_everybody_else_goes_on(
    operation: str, kind: str, step: int, caplog: pytest.LogCaptureFixture
) -> None:
    """At one step of a few; `python -m tests.drills.interruptions` tries all steps of all."""
    caplog.set_level("CRITICAL", logger="derivtrio")
    attempt = interruptions.play(interruptions.Attempt(operation, kind, step))
    assert attempt.wrong == []
    assert attempt.struck


async def test_g03_g18_a_server_that_is_nearly_right_breaks_no_promise(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With two seeds, the plain way and the fast one; the drill has hundreds."""
    caplog.set_level("CRITICAL", logger="derivtrio")
    drill = await mutations.run(mutations.Plan(range(2, 4), rounds=1))
    assert drill.passed, mutations.summary(drill)


async def test_the_drill_of_mutations_sees_what_is_wrong(autojump_clock: Any) -> None:
    drill = mutations.Drill(mutations.Plan(range(0)))
    liar: Any = Liar()
    work = workload.Workload(liar, liar, v3=True, chance=random.Random(1), drill=drill)
    for lie in (Tick("R_100", 5, "1.5"), Tick("R_100", 5, math.nan)):  # type: ignore[arg-type]
        await work.decided(liar.call(lie))
    with trio.move_on_after(1000), suppress(KeyError):
        await work.again("call", 1, work.call)
    assert [remark.rpartition(": ")[2] for remark in drill.remarks] == [
        "Expected `float`, got `str` - at `$.quote`",
        "nan is no number",
        "2}",
        f"no end after {workload.PATIENCE:.0f} s",
        "KeyError('oops')",
    ]


class Liar:
    """Answers with the request at first; to calls with another one, not at all, with an error."""

    def __init__(self) -> None:
        self.calls = 0

    async def call(self, request: Any) -> Any:
        self.calls += 1
        match self.calls:
            case 1 | 2:
                return request
            case 3:
                return {"echo_req": {"passthrough": {"number": 2}}}
            case 4:
                await trio.sleep_forever()
        text = "oops"
        raise KeyError(text)


@pytest.mark.long
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


def test_g01_g05_networks_of_the_kernel_fail_and_nothing_is_lost() -> None:
    """It runs in a process of its own, because it moves to another network namespace."""
    chosen = ("black hole both ways", "reset", "connection forgotten by a router")
    result = subprocess.run(
        [sys.executable, "-m", "tests.drills.network"]
        + ["--interval=0.2", "--slack=20", "--hold=0.1", "--rate=20"]
        + [f"--incident={name}" for name in chosen],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=False,
    )
    if result.returncode == network.IMPOSSIBLE:
        pytest.skip(result.stdout.strip())
    assert result.stdout.endswith("PASSED\n"), result.stdout + result.stderr
    assert result.returncode == 0


@pytest.mark.parametrize("target", fuzz_targets.TARGETS)
def test_g18_the_targets_of_the_fuzzer_hold_for_its_seeds_and_their_beginnings(target: str) -> None:
    seeds = fuzz_targets.SEEDS[target]
    for seed in seeds:
        for end in range(0, len(seed) + 1, 1 + len(seed) // 40):
            fuzz_targets.TARGETS[target](seed[:end])
            fuzz_targets.TARGETS[target](seed[:end] + seeds[0])


@pytest.mark.parametrize(
    ("target", "data"),
    [
        ("frames", b"\x81\x02\x7b\x7d\x81\x03\xe0\xdf\xdf"),  # not UTF-8: wsproto's own verdict
        ("seams", bytes([0x01, 0xE3, 0xE3, 0x00, 0x20])),  # another symbol, in a batch
    ],
)
def test_g18_what_the_fuzzer_has_found(target: str, data: bytes) -> None:
    fuzz_targets.TARGETS[target](data)


def test_the_targets_see_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(translator: Any, ticks: Any, *_: Any) -> list[Any]:
        return [item for tick in ticks[1:] for item in translator.advance(tick)]

    monkeypatch.setattr(TickTranslator, "advance_all", forgetful)
    for target in ("streams", "seams"):
        with pytest.raises(AssertionError):
            for seed in fuzz_targets.SEEDS[target]:
                fuzz_targets.TARGETS[target](seed)


# What is made of a network's failures


def outcome(**changes: Any) -> network.Outcome:
    values = {"name": "reset", "found": 1.0, "by": "network", "back": 2.0, "left": 0} | changes
    return network.Outcome(**values)


@pytest.mark.parametrize(
    ("changes", "remarks"),
    [
        ({}, []),
        ({"found": 3.5}, []),
        ({"found": 3.6}, ["reset: found after 3.60 s, not within 3.5 s"]),
        ({"found": None, "by": ""}, ["reset: never found"]),
        ({"back": None}, ["reset: no ticks for 60 s after it"]),
        ({"left": 2}, ["reset: 2 files are left open"]),
        ({"name": "30 % of the packets lost", "found": None}, []),
        ({"name": "30 % of the packets lost", "found": 9.0}, []),
    ],
)
def test_an_outcome_of_a_failed_network_is_judged(
    changes: dict[str, Any], remarks: list[str]
) -> None:
    assert outcome(**changes).remarks(3.5) == remarks


def test_a_drill_of_networks_that_came_to_no_end_has_not_passed() -> None:
    client: Any = None
    plan = network.Plan(incidents=("reset", "link down"))
    witness = rows(tick_witness("ticks", 1, "1HZ100V"), *true_rows(2))
    drill = network.Drill(plan, client, client, witness)
    drill.outcomes.append(outcome())
    assert drill.remarks == ["the drill came to no end"]
    drill.outcomes.append(outcome(name="link down"))
    assert drill.passed
    drill.gaps, drill.left = 1, 2
    assert drill.remarks == [
        "1 gaps, although the server has every tick",
        "2 files are open after the client's end",
    ]


def test_every_firewall_rule_is_of_an_end_and_a_chain_that_exist() -> None:
    for incident in network.INCIDENTS.values():
        assert incident.begin
        for end, command in (*incident.begin, *incident.end):
            assert end in ("client", "server")
            assert command.split()[0] in ("ip", "nft", "tc")
            if command.startswith("nft add"):
                assert command.split()[5] in ("input", "output")


def test_without_linux_there_are_no_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert namespaces.missing() == "network namespaces are Linux's"


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
