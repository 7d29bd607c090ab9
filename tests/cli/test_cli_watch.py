"""`derivtrio watch`: a table on a terminal."""

import re
from typing import Any

import pytest
import trio
from rich.console import Console, RenderableType
from served import Served
from shell import run
from terminal import on_terminal

import derivtrio
from derivtrio import Tick
from derivtrio.cli.charts import chart
from derivtrio.cli.followed import WINDOW, FollowedSymbol, follow
from derivtrio.cli.live_view import CLOSE_TIMEOUT, Monitor, TickClock, lasting, state_line
from derivtrio.cli.screen import Screen
from derivtrio.cli.watch import show
from derivtrio.cli.watch_view import FETCHED, LIVE, QuoteChart, quotes
from derivtrio.simulator import Simulator, open_simulator


@pytest.mark.parametrize("name", ["watch", "top"])
def test_without_a_terminal_it_says_what_to_use_instead(name: str) -> None:
    result = run(name, "R_100")
    assert result.exit_code == 2
    assert "standard output is no terminal; derivtrio ticks prints lines" in result.stderr


def test_a_terminal_that_cannot_place_a_cursor_is_none() -> None:
    with on_terminal("watch", "R_100", TERM="dumb") as terminal:
        assert terminal.wait() == 2
    assert "this terminal cannot place a cursor (TERM is dumb)" in terminal.said


def test_the_table_fills_and_an_unknown_symbol_is_one_line(server: Served) -> None:
    with on_terminal("watch", "R_100", "NO_SUCH", "1HZ100V", "--url", server.url) as terminal:
        terminal.wait_for(r"NO_SUCH: InvalidSymbol: ")
        screen = terminal.wait_for(r"round trip \d+\.\d ms")
        terminal.press(b"\x03")
        assert terminal.wait() == 130
    head = r"\A derivtrio watch · ws://127.0.0.1:\d+/websockets/v3 +\S+ UTC\n"
    assert re.match(head, screen)
    assert screen.endswith("\n\n Ctrl-C ends it")
    for symbol in ("R_100", "1HZ100V"):
        change = r"[+-]\d+\.\d+ [+-]\d+\.\d+%"
        row = rf"^ {symbol} +\d+\.\d+ [▲▼·] +{change} +\d+ s +\d+ +0  .*[▁▂▃▄▅▆▇█]"
        assert re.search(row, screen, re.MULTILINE), screen
    assert re.search(r"^ ready, connection 1, for \d+ s · round trip", screen, re.MULTILINE)
    assert re.search(r"^ \d\d:\d\d:\d\d ready, on connection 1$", screen, re.MULTILINE)
    assert re.search(r"^ R_100 ", terminal.after, re.MULTILINE)
    assert terminal.after.endswith("ready, on connection 1\n")
    assert "Traceback" not in terminal.said


def test_it_survives_a_reconnect_and_a_resize(server: Served) -> None:
    with on_terminal("watch", "R_100", "--url", server.url) as terminal:
        terminal.wait_for("ready, connection 1")
        server.do(server.sim.faults.drop)
        terminal.wait_for("ready, connection 2")
        terminal.wait_for(r"ready, on connection 2\n.*\n.* closed by network, code 1006")
        terminal.resize(12, 60)
        terminal.wait_for(r"\A derivtrio watch .+… .+ UTC\n\n symbol .+ gaps\n")
        assert all(len(line) <= 60 for line in terminal.screen.split("\n"))
        terminal.resize(40, 140)
        terminal.wait_for("last 5 minutes")
        terminal.press(b"\x03")
        assert terminal.wait() == 130


def test_if_all_symbols_are_unknown_it_ends_with_one_line(server: Served) -> None:
    with on_terminal("watch", "NO_SUCH", "--url", server.url) as terminal:
        assert terminal.wait() == 1
    assert re.search(r"^Error: InvalidSymbol: ", terminal.after, re.MULTILINE)


def test_what_standard_error_said_meanwhile_comes_after_the_table(
    server: Served, nobody: str
) -> None:
    with on_terminal("watch", "R_100", "--url", nobody) as terminal:
        screen = terminal.wait_for(r"waiting, attempt [2-9]")
        assert "no tick yet" in screen
        assert "Connection refused" in screen
        assert "trying again" not in screen
        terminal.press(b"\x03")
        assert terminal.wait() == 130
    assert terminal.after.index("no tick yet") < terminal.after.index("; trying again in ")


# --- on the virtual clock


class FakeTarget:
    """Opens a client of a simulator that has no URL."""

    shown = "simulator"

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def open(self, max_attempts: int | None, **more: Any) -> Any:
        settings = derivtrio.Settings(max_attempts=max_attempts, **more)
        return derivtrio.open_client(endpoint=self.sim.endpoint, settings=settings)


async def test_ctrl_c_ends_it_within_a_second_also_if_the_server_is_frozen(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derivtrio.cli.screen._write", lambda _text: None)
    async with open_simulator(port=None) as sim:
        target: Any = FakeTarget(sim)
        with trio.move_on_after(30) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(show, target, ("R_100",), None)
                await trio.sleep(20)
                sim.faults.freeze()
        assert scope.cancelled_caught
        assert CLOSE_TIMEOUT <= trio.current_time() - scope.deadline < 1


async def followed(
    sim: Simulator, symbols: tuple[str, ...], seconds: float
) -> tuple[list[FollowedSymbol], Monitor]:
    """Follow *symbols* for some seconds."""
    rows = [FollowedSymbol(symbol) for symbol in symbols]
    settings = derivtrio.Settings(backoff=derivtrio.Backoff(first=1, cap=1))
    async with derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client:
        monitor = Monitor(client)
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(monitor.follow)
                nursery.start_soon(monitor.measure)
                for row in rows:
                    nursery.start_soon(follow, client, row, rows, monitor)
    return rows, monitor


def drawn(renderable: RenderableType, width: int = 110) -> str:
    console = Console(width=width, color_system=None, force_terminal=True, legacy_windows=False)
    with console.capture() as capture:
        console.print(renderable, no_wrap=True)
    return capture.get()


async def test_the_chart_begins_with_the_last_minutes_and_shows_what_was_fetched(
    autojump_clock: Any,
) -> None:
    async with open_simulator(port=None, faults=["refuse:20@100", "drop@100"]) as sim:
        (row,), monitor = await followed(sim, ("1HZ100V",), 150)
        now = monitor.clock.now
    epochs = [tick.epoch for tick, _ in row.ticks]
    assert epochs == list(range(epochs[0], epochs[-1] + 1))
    assert WINDOW - 1 <= len(epochs) <= WINDOW + 2
    assert 15 <= sum(fetched for _, fetched in row.ticks) <= 30
    assert now == pytest.approx(epochs[-1], abs=2)
    columns = QuoteChart(row, now, 1).columns(60)
    assert [style for _, style in columns].count(FETCHED) in range(4, 8)
    assert [style for _, style in columns].count(LIVE) >= 50
    assert None not in [quote for quote, _ in columns]


async def test_an_outage_that_lasts_is_a_hole_at_the_end_of_the_chart(autojump_clock: Any) -> None:
    async with open_simulator(port=None, faults=["refuse:200@100", "drop@100"]) as sim:
        (row,), monitor = await followed(sim, ("1HZ100V",), 160)
        now = monitor.clock.now
    values = [quote for quote, _ in QuoteChart(row, now, 1).columns(60)]
    assert values[-9:] == [None] * 9
    assert None not in values[:40]
    table = drawn(quotes([row], now, 110, 10))
    assert re.search(r" (5\d s|1 min \d s) ", table)


async def test_a_closed_market_is_told_and_asked_for_again(autojump_clock: Any) -> None:
    saturday, monday = 1_700_265_600 + 43_200, 1_700_438_400
    async with open_simulator(port=None, start=saturday) as sim:
        rows, monitor = await followed(sim, ("frxEURUSD", "R_100"), 600)
        assert rows[0].error == "the market is closed"
        assert not rows[0].over
        assert rows[1].error == ""
        text = drawn(quotes(rows, monitor.clock.now, 110, 10))
        assert " frxEURUSD: the market is closed\n" in text
        await trio.sleep(monday - saturday)
        rows, _ = await followed(sim, ("frxEURUSD",), 600)
    assert rows[0].error == ""
    assert rows[0].ticks


async def test_what_may_be_granted_later_is_asked_for_again(autojump_clock: Any) -> None:
    async with open_simulator(port=None) as sim:
        sim.faults.fail_before("InternalServerError", "time", 2)
        (row,), _ = await followed(sim, ("R_100",), 300)
    assert (row.error, row.over) == ("", False)
    assert row.ticks


def ticks(*quoted: float) -> FollowedSymbol:
    row = FollowedSymbol("R_100")
    for number, quote in enumerate(quoted):
        row.take(Tick("R_100", 1000 + number, quote, quote, quote, 2))
    return row


def test_the_change_is_since_the_beginning_of_the_chart() -> None:
    text = drawn(quotes([ticks(100.0, 110.0, 102.0)], 1003.0, 110, 10))
    assert re.search(r"R_100 +102\.00 ▼ +\+2\.00 \+2\.00% +1 s +3 +0 ", text)


def test_a_quote_that_has_not_changed_stands_under_the_others() -> None:
    text = drawn(quotes([ticks(100.0, 110.0), ticks(100.0, 100.0)], 1003.0, 110, 3))
    places = [line.index("0.00") for line in text.splitlines() if "R_100" in line]
    assert len(set(places)) == 1
    assert "100.00 ·" in text


def test_more_symbols_than_there_is_room_for_are_counted() -> None:
    rows = [FollowedSymbol(f"R_{number}") for number in range(20)]
    text = drawn(quotes(rows, 0.0, 80, 8))
    assert "and 13 more, for which there is no room" in text
    assert len(text.splitlines()) <= 9


@pytest.mark.parametrize("width", [20, 50, 80, 200])
def test_it_fits_into_any_width(width: int) -> None:
    text = drawn(quotes([ticks(100.0, 110.0, 102.0)], 1003.0, width, 10), width)
    assert all(len(line) <= width for line in text.splitlines())


@pytest.mark.parametrize(
    ("values", "rows", "expected"),
    [
        ([1, 2, 3], 1, "▁▅█"),
        ([1, None, 3], 1, "▁ █"),
        ([5, 5], 1, "▄▄"),
        ([], 1, ""),
        ([None], 1, " "),
        ([1, 2], 2, " █\n▁█"),
    ],
)
def test_a_chart_reaches_from_the_lowest_to_the_highest(
    values: list[float | None], rows: int, expected: str
) -> None:
    assert chart([(value, "") for value in values], rows).plain == expected


def test_a_chart_from_zero_and_one_of_plain_characters() -> None:
    columns = [(0.0, ""), (8.0, "")]
    assert chart(columns, zero=True).plain == "▁█"
    assert chart(columns, plain=True).plain.isascii()
    assert chart([(0.0, "")], zero=True).plain == "▁"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min"), (90_000, "1 d 1 h")],
)
def test_how_long_something_lasts(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


async def test_the_servers_time_goes_on_and_never_back(autojump_clock: Any) -> None:
    clock = TickClock()
    clock.note(1000)
    await trio.sleep(10)
    assert clock.now == pytest.approx(1010)
    clock.note(1005)
    assert clock.now == pytest.approx(1010)
    clock.note(1020)
    assert clock.now == pytest.approx(1020)


async def test_the_state_says_why_there_is_no_connection(autojump_clock: Any) -> None:
    settings = derivtrio.Settings(wait_ready=False)
    async with open_simulator(port=None) as sim:
        sim.faults.refuse(1000)
        async with derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client:
            await trio.sleep(100)
            line = state_line(client, Monitor(client).pings).plain
    assert re.match(r" waiting, attempt \d+, for \d+ s · no connection to ", line)


async def test_a_terminal_that_takes_nothing_holds_up_the_view_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stuck, written = trio.Event(), trio.Event()

    def write(_text: str) -> None:
        trio.from_thread.run_sync(written.set)
        trio.from_thread.run(stuck.wait)

    monkeypatch.setattr("derivtrio.cli.screen._write", write)
    screen = Screen(lambda _width, _height: "view", 0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(screen.show)
        await written.wait()
        await trio.sleep(0.05)  # other tasks run
        screen.scope.cancel()
        with trio.fail_after(5):
            await trio.testing.wait_all_tasks_blocked()
        stuck.set()


def test_only_the_lines_that_changed_are_written() -> None:
    texts = iter(["one\ntwo", "one\nthree", "one"])
    screen = Screen(lambda _width, _height: next(texts), 1, "the foot")
    first, second, third = (screen._frame() for _ in range(3))  # noqa: SLF001 - what is written
    assert "one" in first
    assert "two" in first
    assert "the foot" in first
    assert "one" not in second
    assert "\x1b[2;1H\x1b[2Kthree" in second
    assert "the foot" not in second
    assert "\x1b[2;1H\x1b[2K\x1b[" in third


def test_an_error_of_the_token_ends_it_with_one_line(server: Served) -> None:
    arguments = ("watch", "R_100", "--url", server.url)
    with on_terminal(*arguments, DERIV_TOKEN="a-secret-token") as terminal:
        assert terminal.wait() == 1
    assert re.search(r"^Error: .*InvalidToken: .*$", terminal.after, re.MULTILINE)
    assert terminal.after.count("Error: ") == 1
    assert "a-secret-token" not in terminal.said
