"""`derivtrio export`."""

import csv
import gc
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from shell import only_line, run

from derivtrio.recording import CANDLES, GAPS, TICKS, Batch
from derivtrio.recording.parquet import ParquetSink
from derivtrio.recording.reading import shown_source
from derivtrio.recording.sqlite import SqliteStore
from derivtrio.simulator import Market

START = 1_700_000_000


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return filled(tmp_path / "ticks.db", {})


def filled(path: Path, more: Batch) -> Path:
    """Return *path*, with a thousand seconds of two symbols in it, and *more*."""
    store = SqliteStore(path)
    for symbol in ("R_100", "1HZ100V"):
        ticks = Market(1).ticks(symbol, START, START + 1000)
        store.write({TICKS: [(t.symbol, t.epoch, 0, t.quote, t.ask, t.bid) for t in ticks]})
    store.write({CANDLES: [("R_100", 60, START, 1.0, 3.0, 0.5, 2.0)], **more})
    store.close()
    return path


def lines(*arguments: str) -> list[Any]:
    result = run("export", *arguments)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    said = "" if rows else f"there are no such rows in {arguments[0]}\n"
    assert (result.exit_code, result.stderr) == (0, said)
    return rows


def market(symbol: str, start: int, end: int) -> list[tuple[int, float]]:
    return [(tick.epoch, tick.quote) for tick in Market(1).ticks(symbol, start, end)]


def test_jsonl_is_the_default_and_goes_to_standard_output(db: Path) -> None:
    rows = lines(str(db), "--symbol", "R_100")
    assert {row["symbol"] for row in rows} == {"R_100"}
    assert [(r["epoch"], r["quote"]) for r in rows] == market("R_100", START, START + 1000)


def test_without_a_symbol_it_is_all_of_them(db: Path) -> None:
    assert {row["symbol"] for row in lines(str(db))} == {"R_100", "1HZ100V"}
    assert len(lines(str(db), "--symbol", "R_100", "--symbol", "1HZ100V")) == len(lines(str(db)))


@pytest.mark.parametrize(
    ("bounds", "start", "end"),
    [
        (("--from", str(START + 10), "--to", str(START + 20)), START + 10, START + 20),
        (("--from", "2023-11-14T22:20"), START + 400, START + 1000),
        (("--from", "2023-11-14T23:20+01:00"), START + 400, START + 1000),
        (("--to", "2023-11-14"), START, START + 1000),
        (("--to", "2023-11-13"), START, START - 1),
        (("--to", "2023-11-14T00:00"), START, START - 1),
    ],
    ids=str,
)
def test_a_period_has_both_its_ends(
    db: Path, bounds: tuple[str, ...], start: int, end: int
) -> None:
    rows = lines(str(db), "--symbol", "1HZ100V", *bounds)
    assert [(row["epoch"], row["quote"]) for row in rows] == market("1HZ100V", start, end)


def test_csv_has_a_header(db: Path) -> None:
    result = run("export", str(db), "--symbol", "R_100", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == ["symbol", "epoch", "n", "quote", "ask", "bid"]
    found = [(int(row["epoch"]), float(row["quote"])) for row in rows]
    assert found == market("R_100", START, START + 1000)


@pytest.mark.parametrize("to_file", [False, True])
def test_parquet(db: Path, *, to_file: bool) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    path = db.with_suffix(".parquet")
    result = run("export", str(db), "--format", "parquet", *(["--out", str(path)] * to_file))
    assert result.exit_code == 0
    assert (result.stdout_bytes == b"") == to_file
    table = pq.read_table(path if to_file else io.BytesIO(result.stdout_bytes))
    assert table.column_names == list(TICKS.names)
    assert table.num_rows == len(lines(str(db)))


def test_parquet_that_fails_writes_nothing_more() -> None:
    pytest.importorskip("pyarrow")
    sink = io.BytesIO()
    with pytest.raises(KeyboardInterrupt), ParquetSink(sink, TICKS) as parquet:
        parquet.write([("R_100", START, 0, 1.5, None, None)])
        before = sink.getvalue()
        raise KeyboardInterrupt
    assert sink.getvalue() == before
    sink.close()
    del parquet  # and nothing is written now: Python would print a traceback
    gc.collect()


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_the_format_is_that_of_the_file(db: Path, suffix: str) -> None:
    path = db.with_name(f"out.{suffix}")
    path.write_text("old")
    assert run("export", str(db), "--out", str(path)).exit_code == 0
    assert path.read_text() == run("export", str(db), "--format", suffix).stdout
    assert {each.name for each in db.parent.iterdir()} >= {f"out.{suffix}"}
    assert not list(db.parent.glob("*.tmp"))


def test_other_tables(db: Path) -> None:
    filled(db, {GAPS: [("R_100", 0, START, START + 5, "no longer kept")]})
    (candle,) = lines(str(db), "--candles", "60")
    assert (candle["open_time"], candle["close"]) == (START, 2.0)
    assert lines(str(db), "--candles", "300") == []
    (gap,) = lines(str(db), "--table", "gaps", "--symbol", "R_100")
    assert (gap["after_epoch"], gap["before_epoch"]) == (START, START + 5)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--table", "gaps", "--candles", "60"],
        ["--table", "balances", "--symbol", "R_100"],
        ["--from", "noon"],
        ["--format", "xml"],
        ["--candles", "0"],
        ["--candles", "99999999999999999999"],
        ["--from", "9" * 5000],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_2(db: Path, arguments: list[str]) -> None:
    result = run("export", str(db), *arguments)
    assert (result.exit_code, result.stdout) == (2, "")


def test_an_empty_export_says_so(db: Path) -> None:
    result = run("export", str(db), "--symbol", "r_100", "--format", "csv")
    assert (result.exit_code, result.stdout) == (0, "symbol,epoch,n,quote,ask,bid\n")
    assert only_line(result.stderr) == f"there are no such rows in {db}"


def test_a_symbol_that_is_no_text_is_one_line(db: Path) -> None:
    result = run(
        "export", str(db), "--symbol", "Z\udcfcrich"
    )  # as Python has bytes that it cannot read
    assert (result.exit_code, result.stdout) == (1, "")
    assert "surrogates not allowed" in only_line(result.stderr)


@pytest.mark.parametrize("command", [("export",), ("export", "--format", "csv"), ("plot", "R_100")])
@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("'R_100', 'noon', 0, 1.5, 1.5, 1.5", "epoch is no whole number"),
        (f"'R_100', {START}, 7, 'much', 1.5, 1.5", "quote is no number"),
    ],
)
def test_a_row_of_others_is_one_line(
    db: Path, tmp_path: Path, command: tuple[str, ...], row: str, said: str
) -> None:
    other = sqlite3.connect(db)
    other.execute(f"INSERT INTO ticks VALUES ({row})")
    other.commit()
    other.close()
    name, *more = command
    out = tmp_path / "out.png"
    result = run(name, str(db), *more, "--out", str(out))
    assert result.exit_code == 1
    assert only_line(result.stderr) == f"Error: {db} has a row of ticks whose {said}"
    assert not out.exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (".", ". is a folder, not a file"),
        ("R_100/2026-11-27.csv", "a SQLite file is read, or a database"),
        ("mysql://deriv:secret-word@there/ticks", "no store for mysql://"),
    ],
)
def test_g13_a_source_that_is_none_is_one_line(source: str, said: str) -> None:
    result = run("export", source)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in only_line(result.stderr)
    assert "secret-word" not in result.stderr


def test_g13_the_name_of_a_source_has_no_password() -> None:
    assert (
        shown_source("postgresql://deriv:secret-word@there/t?password=x") == "postgresql://there/t"
    )
    assert shown_source("what?.db") == "what?.db"


def test_a_source_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "no.db"
    result = run("export", str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    said = f"Error: {path}: unable to open database file: there is no such file"
    assert only_line(result.stderr) == said
    assert not path.exists()


def test_a_database_of_others_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    sqlite3.connect(path).close()
    result = run("export", str(path), "--out", str(tmp_path / "out.csv"))
    assert result.exit_code == 1
    assert only_line(result.stderr) == f"Error: {path}: no such table: ticks"
    assert [each.name for each in tmp_path.iterdir()] == ["other.db"]


def test_a_name_with_odd_characters(tmp_path: Path) -> None:
    path = filled(tmp_path / "what? 100%#.db", {})
    assert lines(str(path), "--to", str(START))


def test_a_file_in_a_folder_that_cannot_be_written(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    assert lines(str(db), "--to", str(START))
    assert [each.name for each in db.parent.iterdir()] == ["ticks.db"]


@pytest.mark.parametrize(
    "made", ["TABLE ticks (time, price)", "VIEW ticks AS SELECT 1 AS symbol, 2 AS epoch"]
)
def test_a_table_of_others_is_one_line_and_no_rows(tmp_path: Path, made: str) -> None:
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute(f"CREATE {made}")
    db.close()
    result = run("export", str(path))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has another table ticks: its columns are" in only_line(result.stderr)
