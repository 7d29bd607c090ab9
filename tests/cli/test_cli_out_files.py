"""Files that commands write: nothing of value is replaced by them."""

import json
import os
import threading
from pathlib import Path

import pytest
from shell import only_line, run

from derivtrio.cli.out_files import replacing
from derivtrio.recording import TICKS
from derivtrio.recording.sqlite import SqliteStore


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "ticks.db"
    store = SqliteStore(path)
    store.write({TICKS: [("R_100", 1_700_000_000 + n, 0, 1.5, None, None) for n in range(900)]})
    store.close()
    return path


@pytest.mark.parametrize("name", ["ticks.db", "ticks.db-wal", "folder/../ticks.db", "link.db"])
@pytest.mark.parametrize("command", ["export", "plot", "record"])
def test_a_recording_is_never_replaced(db: Path, command: str, name: str) -> None:
    (db.parent / "folder").mkdir()
    (db.parent / "link.db").symlink_to(db)
    before, out = db.read_bytes(), str(db.parent / name)
    arguments = {
        "export": ("export", str(db), "--out", out),
        "plot": ("plot", str(db), "R_100", "--out", out),
        "record": ("record", "R_100", "--to", str(db), "--health-file", out),
    }[command]
    result = run(*arguments)
    assert result.exit_code == 2
    assert "choose another name" in result.stderr.splitlines()[-1]
    assert db.read_bytes() == before


def test_a_recording_that_is_not_there_yet_is_not_replaced_either(tmp_path: Path) -> None:
    path = str(tmp_path / "new.db")
    result = run("record", "R_100", "--to", path, "--health-file", path)
    assert result.exit_code == 2
    assert "would replace what is recorded" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "command",
    [("export", "x.db", "--out"), ("plot", "x.db", "R_100", "--out"), ("demo", "--timeline")],
)
def test_a_folder_where_nothing_can_be_written_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    result = run(*command, str(tmp_path / "out.svg"))
    assert result.exit_code == 2
    assert "nothing can be written into the folder" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "content", ["export A=1\n", "[1]", "{}", "7", "\udcff", "x" * 70_000, "[" * 60_000]
)
def test_a_health_file_replaces_no_other_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "profile"
    path.write_bytes(content.encode(errors="surrogateescape"))
    before = path.read_bytes()
    result = run("ticks", "R_100", "--health-file", str(path), "--url", "ws://127.0.0.1:1")
    assert result.exit_code == 2
    assert "is no health file" in result.stderr.splitlines()[-1]
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", ["", json.dumps({"healthy": False})])
def test_a_health_file_replaces_an_older_one(tmp_path: Path, content: str) -> None:
    path = tmp_path / "health.json"
    path.write_text(content)
    target = str(tmp_path / "no" / "such.db")
    result = run("record", "R_100", "--to", target, "--health-file", str(path))
    assert result.exit_code == 1  # it came as far as opening the store
    assert "there is no folder" in only_line(result.stderr)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("export", "x.db", "--out", ""), "names no file"),
        (("plot", "x.db", "R_100", "--out", ""), "names no file"),
        (("demo", "--timeline", ""), "names no file"),
        (("ticks", "R_100", "--health-file", ""), "names no file"),
        (("ticks", "R_100", "--health-file", os.devnull), "is no health file"),
        (("export", "x.db", "--out", "no/such/x.csv"), "there is no folder no"),
        (("plot", "x.db", "R_100", "--out", "no/such/x.png"), "there is no folder no"),
        (("demo", "--timeline", "no/such/x.html"), "there is no folder no"),
        (("ticks", "R_100", "--health-file", "no/such/x"), "there is no folder no"),
    ],
    ids=str,
)
def test_a_name_that_cannot_be_written_is_2(arguments: tuple[str, ...], why: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr.splitlines()[-1]


def test_a_pipe_is_written_not_replaced(db: Path) -> None:
    pipe, came = db.parent / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: came.append(pipe.read_bytes()))
    reader.start()
    result = run("export", str(db), "--out", str(pipe))
    reader.join()
    assert result.exit_code == 0
    assert pipe.is_fifo()
    assert came[0].count(b"\n") == 900


def test_what_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "chart.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="full"), replacing(path) as file:
        file.write(b"new")
        raise OSError(28, "full")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [
        ("chart.png", b"old")
    ]


def test_two_that_write_one_file_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "ticks.csv"
    with replacing(path) as slow:
        slow.write(b"slow " * 2000)
        with replacing(path) as quick:
            quick.write(b"quick")
        assert path.read_bytes() == b"quick"
        slow.write(b"end")
    assert path.read_bytes() == b"slow " * 2000 + b"end"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, real = tmp_path / "ticks.csv", tmp_path / "disk/ticks.csv"
    real.write_bytes(b"old")
    link.symlink_to(real)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


@pytest.mark.parametrize("command", [("export", "x.db"), ("plot", "x.db", "R_100")])
def test_a_period_that_ends_before_it_begins_is_2(command: tuple[str, ...]) -> None:
    result = run(*command, "--from", "2026-11-28", "--to", "2026-11-27")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == "Error: --to is before --from"


def test_a_dash_is_standard_output(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(db.parent)
    result = run("export", str(db), "--out", "-")
    assert (result.exit_code, result.stdout.count("\n")) == (0, 900)
    assert not Path("-").exists()
