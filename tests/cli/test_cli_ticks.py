"""`derivtrio ticks`."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import trio
from served import Served
from shell import only_line, run

import derivtrio
from derivtrio.cli import output
from derivtrio.cli.ticks import Tally, follow_one
from derivtrio.simulator import open_simulator


def test_ticks_prints_json_lines_when_piped(server: Served) -> None:
    result = run("ticks", "R_100", "1HZ100V", "R_100", "--count", "6", "--url", server.url)
    assert (result.exit_code, result.stderr) == (0, "")
    ticks = [json.loads(text) for text in result.stdout.splitlines()]
    assert len(ticks) == 6
    assert {tick["symbol"] for tick in ticks} == {"R_100", "1HZ100V"}
    for tick in ticks:
        known = server.sim.market.tick(tick["symbol"], tick["epoch"])
        assert (tick["quote"], tick["ask"], tick["bid"]) == (known.quote, known.ask, known.bid)


def test_an_unknown_symbol_ends_ticks_with_1(server: Served) -> None:
    result = run("ticks", "R_100", "NO_SUCH", "--url", server.url)
    assert result.exit_code == 1
    assert "InvalidSymbol" in only_line(result.stderr)


async def printed(
    capsys: pytest.CaptureFixture[str], client: derivtrio.Client, count: int, start: int | None
) -> tuple[list[dict[str, Any]], str]:
    """Return the ticks that `derivtrio ticks` prints, and what it says besides."""
    with trio.CancelScope() as scope:
        await follow_one(client.ticks("1HZ100V", start=start), Tally(count), scope)
    out, err = capsys.readouterr()
    return [json.loads(text) for text in out.splitlines()], err


@pytest.mark.parametrize("faults", [["drop@5.5"], ["refuse:10@5.5", "drop@5.5"]], ids=len)
async def test_ticks_prints_every_tick_of_an_outage_once(
    autojump_clock: Any, capsys: pytest.CaptureFixture[str], faults: list[str]
) -> None:
    async with (
        open_simulator(port=None, start=1_700_000_000, faults=faults) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        ticks, err = await printed(capsys, client, 30, None)
        assert client.status.connection == 2
    assert [tick["epoch"] for tick in ticks] == list(range(1_700_000_000, 1_700_000_030))
    known = [sim.market.tick("1HZ100V", tick["epoch"]) for tick in ticks]
    assert [tick["quote"] for tick in ticks] == [tick.quote for tick in known]
    assert err == ""
    for tick in ticks:
        assert list(tick) == ["symbol", "epoch", "quote", "ask", "bid", "pip_size"]
        assert (tick["ask"] is None) == (tick["bid"] is None)
    assert any(tick["ask"] is None for tick in ticks) == (len(faults) > 1)


async def test_ticks_begins_at_start_and_says_what_the_server_no_longer_has(
    autojump_clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1_700_000_000
    async with (
        open_simulator(port=None, start=now) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        ticks, err = await printed(capsys, client, 30, now - 20)
        assert [tick["epoch"] for tick in ticks] == list(range(now - 20, now + 10))
        assert err == ""
        ticks, err = await printed(capsys, client, 1, now - 400 * 86400)
    until = output.moment(ticks[0]["epoch"])
    assert only_line(err) == (
        f"1HZ100V: nothing between 2022-10-10 22:13:19 and {until} (no longer kept)"
    )


@pytest.mark.parametrize("form", ["%s", "%Y-%m-%dT%H:%M:%SZ"])
def test_ticks_from_the_past_as_a_program(server: Served, form: str) -> None:
    ago = int(time.time()) - 3600  # the simulated clock is ahead of it
    start = str(ago) if form == "%s" else f"{datetime.fromtimestamp(ago, UTC):{form}}"
    arguments = ["R_100", "--start", start, "--count", "5", "--url", server.url]
    result = run("ticks", *arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    ticks = [json.loads(text) for text in result.stdout.splitlines()]
    known = server.sim.market.ticks("R_100", ago, ago + 60)[:5]
    assert [(t["epoch"], t["quote"]) for t in ticks] == [(t.epoch, t.quote) for t in known]
