"""`derivtrio record`."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from served import Served, finished, started
from shell import only_line, run

COMMAND = ("-m", "derivtrio", "record")


def query(path: Path, text: str) -> list[Any]:
    db = sqlite3.connect(path)
    try:
        return db.execute(text).fetchall()
    finally:
        db.close()


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def count(path: Path, table: str) -> int:
    try:
        return int(query(path, f"SELECT count(*) FROM {table}")[0][0])
    except sqlite3.OperationalError:
        return 0


def recorded(server: Served, path: Path, *arguments: str, done: Callable[[], object]) -> str:
    """Record until *done*, end it with SIGTERM; return what it said."""
    with started(*COMMAND, *arguments, "--to", str(path), DERIV_URL=server.url) as process:
        wait_until(lambda: done() or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    assert (process.returncode, out) == (143, ""), err
    return err


def test_record_keeps_ticks_and_candles_and_goes_on_where_it_ended(
    server: Served, tmp_path: Path
) -> None:
    path = tmp_path / "ticks.db"
    start = str(int(time.time()) - 900)
    common = ("R_100", "1HZ100V", "--candles", "60", "--start", start)
    recorded(server, path, *common, done=lambda: count(path, "ticks") > 1000)
    kept = count(path, "ticks")
    server.do(server.sim.faults.drop)
    err = recorded(server, path, *common, done=lambda: count(path, "ticks") > kept + 100)
    assert "1HZ100V: going on after the row of" in err
    for symbol in ("R_100", "1HZ100V"):
        rows = query(path, f"SELECT epoch, quote FROM ticks WHERE symbol = '{symbol}'")
        due = server.sim.market.ticks(symbol, rows[0][0], rows[-1][0])
        assert rows == [(tick.epoch, tick.quote) for tick in due]
        assert rows[0][0] - int(start) in (0, 1)
    assert count(path, "candles") >= 28
    assert count(path, "gaps") == 0


def test_account_adds_the_account(server: Served, tmp_path: Path) -> None:
    path = tmp_path / "account.db"
    arguments = ("--account", "--token", "demo-token")
    recorded(server, path, *arguments, done=lambda: count(path, "balances"))
    assert query(path, "SELECT loginid, balance, currency FROM balances") == [
        ("VRTC1000001", 10_000.0, "USD")
    ]
    assert count(path, "ticks") == 0


def test_an_unknown_symbol_ends_record_with_1(server: Served, tmp_path: Path) -> None:
    result = run("record", "NO_SUCH", "--to", str(tmp_path / "x.db"), "--url", server.url)
    assert result.exit_code == 1
    assert "InvalidSymbol" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("symbols", [(), ("R_100",)])
def test_an_account_needs_a_token(server: Served, tmp_path: Path, symbols: tuple[str, ...]) -> None:
    target = ("--to", str(tmp_path / "x.db"), "--url", server.url)
    result = run("record", *symbols, "--account", *target)
    assert result.exit_code == 1
    assert "AuthorizationRequired" in result.stderr.splitlines()[-1]


def test_a_target_that_cannot_be_opened_is_one_line(server: Served, tmp_path: Path) -> None:
    target = str(tmp_path / "no" / "such.db")
    result = run("record", "R_100", "--to", target, "--url", server.url)
    assert result.exit_code == 1
    said = f"unable to open database file: there is no folder {tmp_path / 'no'}"
    assert only_line(result.stderr) == f"Error: {target}: {said}"


def test_a_read_only_file_is_one_line(server: Served, tmp_path: Path) -> None:
    path = tmp_path / "ticks.db"
    recorded(server, path, "R_100", done=lambda: count(path, "ticks"))
    path.chmod(0o400)
    tmp_path.chmod(0o500)
    if os.access(path, os.W_OK):
        pytest.skip("this user may write to any file")
    result = finished(*COMMAND, "R_100", "--to", str(path), "--url", server.url)
    assert result.returncode == 1
    assert "readonly" in only_line(result.stderr)


@pytest.mark.parametrize(
    ("target", "package", "extra"),
    [("postgresql://u:secret-word@there/x", "psycopg", "postgres")],
)
def test_without_an_extra_one_line_says_how_to_get_it(
    target: str, package: str, extra: str
) -> None:
    code = f"import sys; sys.modules['{package}'] = None; from derivtrio.__main__ import main; "
    result = finished("-c", code + "main()", "record", "R_100", "--to", target, "--url", "ws://x")
    assert result.returncode == 1
    text = only_line(result.stderr)
    assert text.endswith(
        f"needs {package}: install the extra {extra};"
        f" in a clone of the repository, pip install '.[{extra}]'"
    )
    assert "secret-word" not in text
