"""How far what is fetched from the past is: a bar on a terminal, a line a minute in a log."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from served import Served, environment

import derivtrio
from derivtrio import Filling
from derivtrio.cli.progress import Backlog, LogLines, showing_progress
from derivtrio.simulator import Limits, Quota, open_simulator

START = 1_700_000_000


def filling(stream: str, reached: int, before: int = 3600, granularity: int = 0) -> Filling:
    return Filling(stream, granularity, 0, reached, before)


def test_a_backlog_counts_all_streams_until_all_are_done() -> None:
    backlog = Backlog()
    assert backlog.is_done
    backlog.note(filling("R_100", 900))
    assert (backlog.done, backlog.total, backlog.is_done) == (900, 3600, False)
    assert str(backlog) == "R_100: 25 % of 1 hour, up to 1970-01-01 00:15:00 at least"
    backlog.note(filling("R_100", 3600))
    backlog.note(filling("R_100", 1800, 7200, 60))
    assert (backlog.done, backlog.total) == (1800, 7200)
    backlog.note(filling("R_50", 600))
    backlog.note(filling("R_50", 3600))
    assert (backlog.done, backlog.total, backlog.last.granularity) == (5400, 10800, 60)
    assert str(backlog).startswith("2 streams: 50 % of 3 hours, up to 1970-01-01 00:30:00")
    backlog.note(filling("R_100", 7200, 7200, 60))
    assert backlog.is_done
    backlog.note(filling("R_25", 1))
    assert (backlog.done, backlog.total) == (1, 3600)


async def test_a_log_has_a_line_a_minute_with_fields(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "derivtrio.cli")
    async with (
        open_simulator(port=None, start=START, limits=Limits(general=Quota(8, 1000))) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        showing_progress(client, LogLines()),
        client.ticks("R_100", start=START - 300_000) as ticks,
        client.candles("R_100", 60, start=START - 100_000) as candles,
    ):
        await anext(candles)
        begun = trio.current_time()
        async for tick in ticks:
            if tick.ask is not None:
                break
        minutes = (trio.current_time() - begun) / 60
    lines = [r for r in caplog.records if "from the past" in r.getMessage()]
    assert minutes > 2
    assert abs(len(lines) - 1 - minutes) <= 1
    *during, last = lines
    assert all(r.getMessage().startswith("fetching from the past: R_100: ") for r in during)
    shares = [vars(r)["share"] for r in during]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] <= 1
    assert vars(during[0])["streams"] == 1
    assert START - 300_000 < vars(during[0])["reached"] < START
    assert last.getMessage().startswith("fetched from the past: R_100: 100 % of 83 hours")


async def test_what_one_answer_fills_is_not_told(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "derivtrio.cli")
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        showing_progress(client, LogLines()),
        client.ticks("R_100", start=START - 3000) as ticks,
    ):
        with trio.move_on_after(300):
            async for _ in ticks:
                pass
    assert [r.getMessage() for r in caplog.records if r.name == "derivtrio.cli"] == []


async def test_g15_it_says_nothing_of_how_the_client_ended(autojump_clock: Any) -> None:
    """What the block raises comes out as it is; so does the end of the client."""
    once = derivtrio.Settings(max_attempts=1)
    async with open_simulator(port=None, start=START) as sim:
        with pytest.raises(derivtrio.ConnectionFailed):
            async with (
                derivtrio.open_client(endpoint=sim.endpoint, settings=once) as client,
                showing_progress(client, LogLines()),
            ):
                sim.faults.refuse()
                sim.faults.drop()
                await trio.sleep_forever()
        sim.faults.clear()
        with pytest.raises(KeyError):
            async with (
                derivtrio.open_client(endpoint=sim.endpoint) as client,
                showing_progress(client, LogLines()),
            ):
                raise KeyError


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no pseudoterminals here")
def test_a_terminal_has_a_bar_and_its_cursor_again(server: Served, tmp_path: Path) -> None:
    terminal, end = os.openpty()
    start = str(int(time.time()) - 3_000_000)
    recording = ("record", "R_100", "1HZ100V", "--to", str(tmp_path / "ticks.db"))
    with subprocess.Popen(
        [sys.executable, "-m", "derivtrio", *recording, "--url", server.url, "--start", start],
        env=environment(TERM="xterm", COLUMNS="100"),
        stdin=subprocess.DEVNULL,
        stdout=end,
        stderr=end,
    ) as process:
        os.close(end)
        try:
            shown = read_until(terminal, b"2 streams: ")
            process.send_signal(signal.SIGTERM)
            shown += read_until(terminal, None)
            assert process.wait(20) == 143
        finally:
            process.kill()
            os.close(terminal)
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1
    assert shown.index(b"rows written in all") < shown.index(b"\x1b[?25h")
    assert b" % of 1,6" in shown


def read_until(terminal: int, words: bytes | None) -> bytes:
    """Read until the terminal shows *words*; or until nobody writes to it any more."""
    shown = b""
    while words is None or words not in shown:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # so Linux says that the other end is closed
            more = b""
        assert more or words is None, shown
        if not more:
            break
        shown += more
    return shown
