"""`derivtrio plot`."""

from pathlib import Path

import pytest
from served import finished
from shell import only_line, run
from test_cli_export import START, filled

from derivtrio import Candle
from derivtrio.recording import GAPS, TICKS
from derivtrio.recording.chart import Chart

PNG = b"\x89PNG"


def drawn(*arguments: str) -> str:
    pytest.importorskip("matplotlib")
    result = run("plot", *arguments)
    assert (result.exit_code, result.stdout) == (0, ""), result.stderr
    return only_line(result.stderr)


def test_it_draws_candles_of_the_ticks(tmp_path: Path) -> None:
    gap = ("R_100", 0, START + 300, START + 500, "no longer kept")
    db, out = filled(tmp_path / "ticks.db", {GAPS: [gap]}), tmp_path / "chart.png"
    assert drawn(str(db), "R_100", "--candles", "60", "--out", str(out)) == f"18 candles in {out}"
    assert out.read_bytes().startswith(PNG)
    assert out.stat().st_size > 10_000


def test_it_draws_recorded_candles_where_there_are_no_ticks(tmp_path: Path) -> None:
    db, out = filled(tmp_path / "ticks.db", {}), tmp_path / "chart.svg"
    bounds = ("--from", str(START - 40), "--to", str(START))
    assert drawn(str(db), "R_100", "--candles", "60", *bounds, "--out", str(out))
    text = drawn(
        str(db), "R_100", "--from", str(START + 100), "--to", "2023-11-15", "--out", str(out)
    )
    assert text == f"4 candles in {out}"


def test_a_chart_knows_gaps_from_quiet_times() -> None:
    times = [0, 60, 300, 360, 900]
    candles = [Candle("R_100", 60, at, at, 1.0, 2.0, 0.5, 1.5, closed=True) for at in times]
    assert Chart(candles, []).quiet == [(120, 300), (420, 900)]
    assert Chart(candles, [(130, 290)]).quiet == [(420, 900)]


@pytest.mark.parametrize("price", [1e200, 1.7e308, -1.7e308])
def test_prices_that_no_chart_has_room_for_are_one_line(tmp_path: Path, price: float) -> None:
    pytest.importorskip("matplotlib")
    row = ("R_50", START, 0, price, None, None)
    db, out = filled(tmp_path / "ticks.db", {TICKS: [row]}), tmp_path / "chart.png"
    result = run("plot", str(db), "R_50", "--out", str(out))
    assert result.exit_code == 1
    text = f"Error: a price of {abs(price):g} is too large for a chart, which goes up to 1e+100"
    assert only_line(result.stderr) == text
    assert not out.exists()


def test_large_prices_are_drawn_with_exponents(tmp_path: Path) -> None:
    rows = [("R_50", START + n, 0, n * 1e90, None, None) for n in range(3)]
    db, out = filled(tmp_path / "ticks.db", {TICKS: rows}), tmp_path / "chart.svg"
    assert drawn(str(db), "R_50", "--out", str(out)) == f"1 candle in {out}"


def test_nothing_to_draw_is_one_line(tmp_path: Path) -> None:
    db = filled(tmp_path / "ticks.db", {})
    result = run("plot", str(db), "R_50", "--out", str(tmp_path / "chart.png"))
    assert result.exit_code == 1
    assert "there is nothing of R_50 in" in only_line(result.stderr)
    assert not (tmp_path / "chart.png").exists()


def test_a_picture_of_no_known_kind_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    db = filled(tmp_path / "ticks.db", {})
    result = run("plot", str(db), "R_100", "--out", str(tmp_path / "chart.xyz"))
    assert result.exit_code == 1
    assert "xyz" in only_line(result.stderr)


def test_without_matplotlib_one_line_says_how_to_get_it(tmp_path: Path) -> None:
    db = filled(tmp_path / "ticks.db", {})
    code = "import sys; sys.modules['matplotlib'] = None; from derivtrio.__main__ import main; "
    result = finished("-c", code + "main()", "plot", str(db), "R_100")
    assert result.returncode == 1
    assert only_line(result.stderr).endswith("pip install '.[plot]'")
