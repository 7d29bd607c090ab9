"""`derivtrio top`: a client at work, on a terminal."""

import re
from typing import Any

import pytest
import trio
from rich.console import Console
from served import Served
from shell import run
from terminal import on_terminal

import derivtrio
from derivtrio.cli.followed import FollowedSymbol, follow
from derivtrio.cli.live_view import Monitor
from derivtrio.cli.top_view import Rates, TopView, budget_lines, calls_line, kilobytes, task_lines
from derivtrio.policy.rate_limits import BudgetUse
from derivtrio.simulator import open_simulator
from derivtrio.trace import timeline
from derivtrio.trace.recording import Recording, TaskSpan


def test_help_says_whose_client_it_shows() -> None:
    text = " ".join(run("top", "--help").output.split())
    assert "the client that this command opens, and no other program's" in text


def test_it_shows_a_client_and_survives_a_reconnect_and_a_resize(server: Served) -> None:
    with on_terminal("top", "R_100", "NO_SUCH", "--url", server.url, rows=40) as terminal:
        terminal.wait_for(r"received +[1-9]\d*\.\d messages/s +\S+ k?B/s  +\S")
        screen = terminal.wait_for(r"ready, connection 1, for \d+ s · round trip \d+\.\d ms [▁-█]")
        assert re.search(r"^ calls +\d+ pending · \d+ answered", screen, re.MULTILINE)
        assert re.search(r"^ R_100 +\d+\.\d+ .* [▁▂▃▄▅▆▇█]", screen, re.MULTILINE)
        assert "NO_SUCH: InvalidSymbol: " in screen
        assert re.search(r"^ general +\d+ of 220 +/ min .* of 14400 +/ h ", screen, re.MULTILINE)
        for task in ("reconnect", "reader", "writer", "heartbeat", "top R_100"):
            assert re.search(rf"[├└] {task}$", screen, re.MULTILINE), task
        server.do(server.sim.faults.drop)
        screen = terminal.wait_for("ready, connection 2")
        terminal.wait_for("reconnects 1")
        assert "closed by network, code 1006" in terminal.screen
        terminal.resize(20, 70)
        terminal.wait_for(r"\A derivtrio top .{50,58} UTC\n")
        lines = terminal.screen.split("\n")
        assert len(lines) <= 20
        assert all(len(line) <= 70 for line in lines)
        terminal.press(b"\x03")
        assert terminal.wait() == 130
    assert "Traceback" not in terminal.said
    assert "reconnect" in terminal.after


def test_its_page_is_told_in_the_last_line(server: Served) -> None:
    with on_terminal("top", "--serve", "0", "--url", server.url) as terminal:
        terminal.wait_for(r" Ctrl-C ends it · time line at http://127\.0\.0\.1:\d+/$")
        terminal.press(b"\x03")
        assert terminal.wait() == 130


# --- on the virtual clock


def drawn(renderable: Any, width: int = 110) -> str:
    console = Console(width=width, color_system=None, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(renderable, no_wrap=True)
    return capture.get()


@pytest.mark.parametrize(("width", "height"), [(40, 10), (80, 24), (110, 36), (200, 60)])
async def test_it_fits_into_any_size(autojump_clock: Any, width: int, height: int) -> None:
    async with open_simulator(port=None) as sim:
        with timeline(last=600) as shown:
            async with (
                derivtrio.open_client(endpoint=sim.endpoint) as client,
                trio.open_nursery() as nursery,
            ):
                monitor, rates = Monitor(client), Rates(client)
                nursery.start_soon(monitor.follow)
                nursery.start_soon(monitor.measure)
                nursery.start_soon(rates.measure)
                await trio.sleep(30)
                rows = [FollowedSymbol(f"R_{number}") for number in range(3)]
                view = TopView(rows, monitor, rates, shown.recording, "simulator")
                text = drawn(view.drawn(width, height), width)
                nursery.cancel_scope.cancel()
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    assert "ready, connection 1" in text
    if height >= 24:
        assert len(lines) <= height
        assert "tasks" in text


async def test_a_low_and_narrow_terminal_has_the_quotes_and_the_last_event(
    autojump_clock: Any,
) -> None:
    async with open_simulator(port=None, start=1_700_000_000) as sim:  # a Tuesday
        with timeline(last=600) as shown:
            async with (
                derivtrio.open_client(endpoint=sim.endpoint) as client,
                trio.open_nursery() as nursery,
            ):
                monitor = Monitor(client)
                nursery.start_soon(monitor.follow)
                rows = [FollowedSymbol(name) for name in ("R_100", "frxEURUSD", "1HZ100V")]
                for row in rows:
                    nursery.start_soon(follow, client, row, rows, monitor)
                await trio.sleep(20)
                await client.reconnect()
                await trio.sleep(0.1)
                view = TopView(rows, monitor, Rates(client), shown.recording, "simulator")
                text = drawn(view.drawn(60, 13), 60)
                nursery.cancel_scope.cancel()
    assert len(text.splitlines()) <= 13
    for row in rows:
        line = rf"^ {row.symbol} +\d+\.\d+ . +[-+][\d.]+ [-+][\d.]+% "
        assert re.search(line, text, re.MULTILINE)
    assert "last events" in text
    assert "ready, on connection 2" in text


async def test_rates_are_of_the_last_seconds(autojump_clock: Any) -> None:
    async with open_simulator(port=None) as sim:
        async with (
            derivtrio.open_client(endpoint=sim.endpoint) as client,
            client.ticks("1HZ100V", overflow="latest"),
            trio.open_nursery() as nursery,
        ):
            rates = Rates(client)
            nursery.start_soon(rates.measure)
            await trio.sleep(100.5)
            nursery.cancel_scope.cancel()
    assert len(rates.seconds) == 60
    received = [each[0] for each in rates.seconds]
    assert sum(received) / 60 == pytest.approx(1, abs=0.2)
    assert all(each[1] > 100 * each[0] for each in rates.seconds)


async def test_calls_that_wait_say_what_for(autojump_clock: Any) -> None:
    settings = derivtrio.Settings(wait_ready=False)
    async with open_simulator(port=None) as sim:
        sim.faults.refuse(1000)
        async with derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.call, {"ping": 1})
                await trio.sleep(1)
                text = calls_line(client).plain
                nursery.cancel_scope.cancel()
    assert re.match(r" calls +1 pending, waiting for a connection: attempt \d", text)


async def test_a_client_tells_how_much_of_its_budgets_is_used(autojump_clock: Any) -> None:
    async with open_simulator(port=None) as sim:
        async with derivtrio.open_client(endpoint=sim.endpoint) as client:
            for _ in range(5):
                await client.call({"time": 1})
            uses = {(use.group, use.period): use for use in client.budgets}
            minute = uses["general", 60.0]
            assert minute.used >= 5
            assert minute.limit == 220
            await trio.sleep(100)
            later = {(use.group, use.period): use.used for use in client.budgets}
        assert later["general", 60.0] < minute.used
        assert later["general", 3600.0] >= minute.used
        settings = derivtrio.Settings(pacing=False)
        async with derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client:
            assert client.budgets == []


def test_a_budget_is_drawn_as_a_bar_and_a_pause_is_told() -> None:
    full = [BudgetUse("pricing", 60.0, 80, 80, 0.0), BudgetUse("pricing", 3600.0, 0, 3600, 0.0)]
    _, line = budget_lines(full)
    assert re.fullmatch(r" pricing +80 of 80 +/ min █{12} +0 of 3600 +/ h +░{12} +", line.plain)
    _, line = budget_lines([BudgetUse("general", 60.0, 1, 220, 12.5)])
    assert line.plain.count("█") == 1
    assert line.plain.endswith("pauses for 12 s")
    (line,) = budget_lines(full, short=True)
    assert line.plain == " rate limits  pricing 80/80"


def test_the_tasks_that_run_are_a_tree() -> None:
    recording = Recording(0.0)
    main = TaskSpan(1, "main", None, None, 0.0)
    one = TaskSpan(2, "one", main, None, 0.0)
    for task in (
        main,
        one,
        TaskSpan(3, "below", one, None, 0.0),
        TaskSpan(4, "gone", one, None, 0.0, ended=1.0),
        TaskSpan(5, "derivtrio.reader", main, None, 0.0),
    ):
        recording.tasks.add(task)
    assert [line.plain for line in task_lines(recording, 9)] == [
        "main",
        "├ one",
        "│ └ below",
        "└ reader",
    ]
    assert [line.plain for line in task_lines(recording, 3)] == ["main", "├ one", "… 2 more"]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2e6, "2.0 MB")]
)
def test_bytes_are_for_people(size: float, text: str) -> None:
    assert kilobytes(size) == text
