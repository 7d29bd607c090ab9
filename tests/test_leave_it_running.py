"""The guide's page about a recorder that is left running: its commands, and its unit."""

import json
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pages import GUIDE, read
from recording_servers import free_port
from recording_servers import redis as run_redis
from served import Served, finished, served, started

PAGE = read(GUIDE / "leave-it-running.md")
COMMANDS = PAGE.commands()
command = PAGE.command


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=30) as reply:
            return bool(json.load(reply)["healthy"])
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return False


def carried_out(arguments: list[str], url: str, done: Callable[[], object]) -> None:
    """Carry out a command until *done*, and end it with SIGTERM."""
    with started(*arguments, DERIV_URL=url) as process:
        end = time.monotonic() + 60
        while not done():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.1)
        process.terminate()
        process.communicate()
        assert process.returncode == 143


def with_port(begin: str) -> tuple[list[str], int]:
    """Return the command that begins so, with a free port for its health page."""
    arguments, port = command(begin), free_port()
    place = arguments.index("--health") + 1
    assert arguments[place].startswith("127.0.0.1:909")
    arguments[place] = f"127.0.0.1:{port}"
    return arguments, port


def test_every_command_is_carried_out_below() -> None:
    assert len(COMMANDS) == 9


def test_the_installation_is_what_the_project_declares() -> None:
    """Carrying it out needs a network; the extras are looked up instead."""
    import tomllib  # noqa: PLC0415

    project = tomllib.loads((GUIDE.parents[1] / "pyproject.toml").read_text())["project"]
    assert COMMANDS[0] == "python3 -m venv .venv && .venv/bin/pip install '.[cli,metrics]'"
    assert {"cli", "metrics"} <= set(project["optional-dependencies"])
    assert COMMANDS[1].startswith("export DERIV_URL=wss://")


def test_ping(server: Served) -> None:
    result = finished(*command("derivtrio ping"), DERIV_URL=server.url)
    assert (result.returncode, result.stdout.count("\n")) == (0, 4)


def test_record_then_restart_with_a_health_page_then_export(server: Served) -> None:
    first = command("derivtrio record R_100 1HZ100V --to ticks.db --health")
    plain = first[: first.index("--health")]
    assert ["-m", *shlex.split(COMMANDS[3])] == plain
    carried_out(plain, server.url, lambda: rows("R_100"))
    kept = rows("R_100")
    arguments, port = with_port("derivtrio record R_100 1HZ100V --to ticks.db --health")
    carried_out(arguments, server.url, lambda: healthy(port) and rows("R_100") > kept + 10)
    assert json.loads(Path("health.json").read_text())["state"] in ("connecting", "ready")
    exported = finished(*command("derivtrio export ticks.db --symbol"))
    assert exported.stdout.startswith("symbol,epoch,")
    gaps = finished(*command("derivtrio export ticks.db --table gaps"))
    said = "there are no such rows in ticks.db\n"
    assert (gaps.returncode, gaps.stdout, gaps.stderr) == (0, "", said)


def rows(symbol: str) -> int:
    if not Path("ticks.db").exists():
        return 0
    result = finished("-m", "derivtrio", "export", "ticks.db", "--symbol", symbol)
    return result.stdout.count("\n")


def test_ticks(server: Served) -> None:
    arguments, port = with_port("derivtrio ticks R_100")
    carried_out(arguments, server.url, lambda: healthy(port))


def test_relay(server: Served) -> None:
    pytest.importorskip("coredis", reason="the extra redis")
    arguments, port = with_port("derivtrio relay R_100")
    with run_redis() as redis:
        place = arguments.index("--to") + 1
        arguments[place] = arguments[place].replace("127.0.0.1:6379", f"127.0.0.1:{redis.port}")
        carried_out(arguments, server.url, lambda: healthy(port))


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    (block,) = PAGE.blocks("ini")
    text = block.text.replace("/opt/derivtrio/.venv/bin/derivtrio", sys.executable)
    assert text != block.text
    unit = tmp_path / "derivtrio-record.service"
    unit.write_text(text)
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    about_ours = [line for line in told.stderr.splitlines() if "derivtrio-record" in line]
    assert (told.returncode, about_ours) == (0, []), told.stderr
