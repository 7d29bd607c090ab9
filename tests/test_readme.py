"""What the README says is so: its code runs, its files exist, its commands are those we check."""

import ast
import re
import shlex
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner
from served import Served, finished, served

import derivtrio
from derivtrio.cli.commands import cli
from derivtrio.simulator import SCOPES, Account, open_simulator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIVE_URL = "wss://api.derivws.com/trading/v1/options/ws/public"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def is_script(block: str) -> bool:
    return block.startswith("import ")


SCRIPTS = [block for block in blocks("python") if is_script(block)]
PIECES = [block for block in blocks("python") if not is_script(block)]
OVER_TCP = [block for block in PIECES if "OptionsAccount" in block]
FRAGMENTS = [block for block in PIECES if block not in OVER_TCP]
COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as running:
        yield running


def test_there_is_code() -> None:
    assert len(SCRIPTS) == 2
    assert len(FRAGMENTS) == 12
    assert len(OVER_TCP) == 1


@pytest.mark.parametrize("script", SCRIPTS, ids=["first lines", "simulator"])
def test_the_scripts_run(script: str, server: Served) -> None:
    result = finished("-c", script.replace(LIVE_URL, server.url))
    assert result.returncode == 0, result.stderr
    assert result.stdout


def test_the_first_ten_lines_are_ten() -> None:
    assert len([line for line in SCRIPTS[0].splitlines() if line.strip()]) == 10


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda text: text.splitlines()[0])
async def test_the_fragments_run(autojump_clock: Any, fragment: str) -> None:
    """They stand in a program that has a client, with an account."""
    names: dict[str, Any] = {"derivtrio": derivtrio, "time": time, "trio": trio}
    code = compile(fragment, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client,
    ):
        running = eval(code, names | {"client": client})
        if running is not None:
            await running


async def test_the_fragment_about_an_account_runs() -> None:
    (fragment,) = OVER_TCP
    account = Account("DOT90004580", Decimal(10), {"demo-token": SCOPES})
    async with open_simulator(accounts=[account]) as sim:
        there = fragment.replace('token="…"', f'token="demo-token", base="{sim.rest_url}"')
        assert there != fragment
        code = compile(there, "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        await eval(code, {"derivtrio": derivtrio})
        assert sim.accepted == 1


def test_the_linked_files_exist() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    local = [target for target in targets if "://" not in target]
    assert len(local) > 20
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_there_is_one_line_for_the_demo_and_one_for_the_tests() -> None:
    demo = [line for line in COMMANDS if line.endswith("derivtrio demo") and "venv" in line]
    tests = [line for line in COMMANDS if re.match(r"python3 -m venv .* -m pytest", line)]
    assert (len(demo), len(tests)) == (1, 1)
    assert "'.[cli]'" in demo[0]
    assert "'.[dev]'" in tests[0]


def test_ci_takes_the_test_command_from_here() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"grep -E '(.*)' README\.md", script)
    found = [line for line in README.splitlines() if re.search(pattern, line)]
    assert found == [line for line in COMMANDS if "pytest" in line]


@pytest.mark.parametrize(
    "command", [line for line in COMMANDS if line.startswith("derivtrio ")], ids=str
)
def test_the_commands_can_be_parsed(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derivtrio.cli.target.run", lambda _main: None)
    arguments = shlex.split(command)[1:]
    expected = 1 if arguments == ["demo"] else 0  # no ticks came, since nothing was performed
    assert CliRunner().invoke(cli, arguments).exit_code == expected
