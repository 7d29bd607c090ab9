"""What the page about deployment says: its container's command, its limits, and process 1."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from pages import GUIDE, ROOT, read
from recording_servers import free_port
from served import Served, served

from derivtrio import Settings
from derivtrio.cli.commands import cli
from derivtrio.connection.endpoints import OPTIONS_URL, V3_URL

PAGE = read(GUIDE / "deployment.md")
(DOCKERFILE,) = PAGE.blocks("dockerfile")
UNSHARE = shutil.which("unshare") or ""


def may_be_process_1() -> bool:
    """Return whether we may make a PID namespace; in some containers even root may not."""
    if not UNSHARE:
        return False
    tried = subprocess.run([UNSHARE, "--pid", "--fork", "true"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as running:
        yield running


def instruction(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE.text, re.MULTILINE)


def container_command() -> list[str]:
    """Return what the container runs, which has no shell."""
    (entry,), (arguments,) = instruction("ENTRYPOINT"), instruction("CMD")
    command: list[str] = json.loads(entry) + json.loads(arguments)
    return command


def test_the_container_installs_what_its_command_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = re.findall(r"pip install '\.\[(.*)\]'", DOCKERFILE.text)[0].split(",")
    assert set(extras) <= set(project["optional-dependencies"])
    assert container_command()[0] in project["scripts"]
    assert f"DERIV_URL={OPTIONS_URL}" in instruction("ENV")[0]
    assert project["requires-python"] == ">=3.11"


def test_its_command_can_be_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derivtrio.cli.ending.run", lambda _main: None)
    assert CliRunner().invoke(cli, container_command()[1:]).exit_code == 0


def test_the_hosts_are_those_that_a_client_dials() -> None:
    hosts = {url.split("/")[2] for url in (OPTIONS_URL, V3_URL)}
    assert hosts == {"api.derivws.com", "ws.derivws.com"}
    for host in hosts:
        assert f"`{host}`, port 443" in PAGE.text


def test_the_numbers_are_the_defaults() -> None:
    assert "After 25 s of silence" in PAGE.text
    assert Settings().heartbeat_interval == 25
    assert "`close_timeout` at most, two seconds" in PAGE.text
    assert Settings().close_timeout == 2


@pytest.mark.skipif(
    not may_be_process_1(), reason="a PID namespace needs root, and the command unshare"
)
def test_as_process_1_it_ends_on_sigterm_and_stays_small(server: Served, tmp_path: Path) -> None:
    arguments = [
        word.replace("0.0.0.0:9090", f"127.0.0.1:{free_port()}") for word in container_command()
    ]
    command = [UNSHARE, "--pid", "--fork", "--kill-child", sys.executable, "-m", *arguments]
    environment = os.environ | {"DERIV_URL": server.url, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    ) as outer:
        try:
            first = child_of(outer.pid, tmp_path / "ticks.db")
            status = Path(f"/proc/{first}/status").read_text(encoding="ascii")
            os.kill(first, signal.SIGTERM)
            assert outer.wait(30) == 143
        finally:
            outer.kill()
    assert re.search(r"^NSpid:\t\d+\t1$", status, re.MULTILINE)
    assert int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) < 128 * 1024


def child_of(pid: int, store: Path) -> int:
    """Return the child of *pid*, once it has made its store."""
    deadline = time.monotonic() + 60
    while not store.exists():
        assert time.monotonic() < deadline, "it made no store"
        time.sleep(0.05)
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(children[0])
