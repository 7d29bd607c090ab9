"""`derivtrio demo`: what happens, what is recorded, and what is said about it."""

import re
from typing import Any

import pytest
import trio
import trio.testing
from served import line, started
from shell import run

import derivtrio
from derivtrio import Tick
from derivtrio.cli import output
from derivtrio.cli.demo import Pace, demonstrate, show
from derivtrio.cli.outages import Happening, fetched, summary, survived
from derivtrio.simulator import open_simulator


@pytest.mark.parametrize(("seamless", "status"), [(True, 0), (False, 1)])
def test_the_status_of_demo_says_whether_the_record_is_without_a_seam(
    monkeypatch: pytest.MonkeyPatch, *, seamless: bool, status: int
) -> None:
    async def pretended(_pace: Pace, *_where: object) -> bool:
        await trio.lowlevel.checkpoint()
        return seamless

    monkeypatch.setattr("derivtrio.cli.demo.show", pretended)
    assert run("demo").exit_code == status


def test_a_reader_that_goes_away_ends_demo_quietly() -> None:
    with started("-m", "derivtrio", "demo") as process:
        line(process)
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
        assert process.stderr is not None
        assert (process.returncode, process.stderr.read()) == (141, "")


async def play(pace: Pace) -> tuple[list[Happening], list[str], bool]:
    told: list[Happening] = []
    async with open_simulator(port=None, start=1_700_000_000) as sim:
        done = await demonstrate(sim, sim.endpoint, pace, lambda _at, what: told.append(what))
        lines = summary(done, pace.ticks, sim.market)
    return told, lines, survived(done, pace.ticks, sim.market)


def outage_in(line: str) -> float:
    (length,) = re.findall(r"outage of (\d+\.\d) s", line)
    return float(length)


async def test_the_demo_tells_what_happened(autojump_clock: Any) -> None:
    begun = trio.current_time()
    told, lines, seamless = await play(Pace())
    assert trio.current_time() - begun < 30
    assert seamless
    ticks = [what for what in told if isinstance(what, Tick)]
    epochs = [tick.epoch for tick in ticks]
    assert epochs == list(range(1_700_000_000, epochs[-1] + 1))
    assert [what.by for what in told if isinstance(what, derivtrio.Closed)] == [
        *("network", "heartbeat")
    ]
    _, before, drop, network, between, freeze, heartbeat, after, _, *verdict = lines
    assert before == "  before   6 live ticks on connection 1"
    assert ": noticed after 0.0 s, " in drop
    assert 2.5 <= outage_in(drop) <= 3.5
    assert network.endswith("noticed by: network (the connection ended without a Close)")
    assert between == "  between  6 live ticks on connection 2"
    assert ": noticed after 2.0 s, 1 attempt, " in freeze
    assert 2.0 <= outage_in(freeze) <= 2.5
    assert "noticed by: heartbeat (nothing came for 2 s" in heartbeat
    assert after == "  after    6 live ticks on connection 3"
    counts = [int(n) for n in re.findall(r"(\d+) ticks? fetched afterwards", drop + freeze)]
    assert min(counts) >= 1
    assert sum(counts) == len([tick for tick in ticks if fetched(tick)]) == len(ticks) - 18
    last = output.clock(epochs[-1])
    assert verdict == [
        f"Record: {len(ticks)} ticks, from 22:13:20 to {last} UTC; from first to last",
        "it equals the simulator's market function, tick for tick.",
        "The program subscribed once; no tick is missing, none came twice.",
    ]


async def test_a_demo_with_a_seam_in_its_record_says_so(autojump_clock: Any) -> None:
    async with open_simulator(port=None, start=1_700_000_000) as sim:
        pace = Pace()
        done = await demonstrate(sim, sim.endpoint, pace, lambda *_: None)
        assert survived(done, pace.ticks, sim.market)
        (lost,) = [tick for tick in done[1].ticks if fetched(tick)][:1]
        done[1].ticks.remove(lost)
        assert not survived(done, pace.ticks, sim.market)
        *_, difference, verdict = summary(done, pace.ticks, sim.market)
    assert difference.startswith("it differs from ")
    assert difference.endswith(": 1 missing.")
    assert verdict.endswith("the demo has failed.")


async def test_a_demo_whose_ticks_do_not_come_back_says_so(autojump_clock: Any) -> None:
    _, lines, seamless = await play(Pace(away=1000, patience=30))
    assert not seamless
    text = "\n".join(lines)
    assert "outage of no end seen: noticed after 0.0 s" in text
    assert "between  0 live ticks" in text
    assert "  freeze" not in text
    assert lines[-1].endswith("the demo has failed.")


async def test_a_demo_without_any_ticks_says_so(autojump_clock: Any) -> None:
    told: list[Happening] = []
    async with open_simulator(port=None) as sim:
        sim.faults.refuse()
        pace = Pace(patience=10)
        done = await demonstrate(sim, sim.endpoint, pace, lambda _at, what: told.append(what))
        assert not survived(done, pace.ticks, sim.market)
        assert "  before   0 live ticks" in summary(done, pace.ticks, sim.market)


def test_the_demo_over_tcp_is_plain_text_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    pace = Pace(ticks=2, heartbeat=10, patience=1e6)
    assert trio.run(show, pace, clock=trio.testing.MockClock(rate=50))
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    for words in (
        "server  drops",
        "by network",
        "server  freezes",
        "by heartbeat",
        "fetched",
        "Summary",
    ):
        assert words in out
