"""What the documentation says is so: its code runs, its files exist, its commands are right.

Of every page: README.md and those of the guide.
"""

import ast
import importlib.util
import re
import shlex
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import attrs
import click
import pytest
import trio
from click.testing import CliRunner
from pages import CODE, GUIDE, LIVE_URL, PAGES, Block, Page, read
from served import Served, finished, served

import derivtrio
from derivtrio.cli.commands import cli
from derivtrio.simulator import (
    SCOPES,
    Account,
    Faults,
    Limits,
    Quota,
    open_simulator,
    parse_fault,
)

PROGRAMS = [block for block in CODE if block.is_program]
OVER_TCP = [block for block in CODE if block.needs_rest and not block.is_program]
FRAGMENTS = [block for block in CODE if not block.is_program and not block.needs_rest]
COMMANDS = [command for page in PAGES for command in page.commands()]

#: What trading.md describes first, and other fragments buy.
CONTRACT = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 5,
    "duration_unit": "t",
}

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as running:
        yield running


def compiled(block: Block, text: str) -> Any:
    """Return the code of *text*; a traceback names the line on the page."""
    above = "\n" * (block.line - 1)
    return compile(above + text, block.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_there_is_code() -> None:
    assert (len(PROGRAMS), len(FRAGMENTS), len(OVER_TCP)) == (11, 39, 1)
    assert {block.page for block in FRAGMENTS} >= {
        f"examples/guide/{name}.md"
        for name in ("accounts", "calls", "errors", "limits", "settings", "simulator", "streams")
    }


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
def test_the_programs_run(program: Block, server: Served) -> None:
    result = finished("-c", program.text.replace(LIVE_URL, server.url))
    assert result.returncode == 0, result.stderr
    assert result.stdout


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=str)
async def test_the_fragments_run(
    autojump_clock: Any, fragment: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand in a program that has a client, with an account."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"derivtrio": derivtrio, "time": time, "trio": trio}
    names["contract"] = {**CONTRACT}
    code = compiled(fragment, fragment.text)
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client,
    ):
        running = eval(code, names | {"client": client, "sim": sim})
        if running is not None:
            await running


async def test_the_fragment_about_an_account_runs() -> None:
    (fragment,) = OVER_TCP
    account = Account("DOT90004580", Decimal(10), {"demo-token": SCOPES})
    async with open_simulator(accounts=[account]) as sim:
        there = fragment.text.replace('token="…"', f'token="demo-token", base="{sim.rest_url}"')
        assert there != fragment.text
        await eval(compiled(fragment, there), {"derivtrio": derivtrio})
        assert sim.accepted == 1


@every_page
def test_the_linked_files_exist(page: Page) -> None:
    assert page.links()
    assert [target for target in page.links() if not (page.folder / target).exists()] == []


def test_the_guide_leads_to_all_its_pages() -> None:
    index = read(GUIDE / "README.md")
    assert {path.name for path in GUIDE.glob("*.md")} <= {"README.md", *index.links()}


@every_page
def test_nothing_says_what_is_not_so_or_not_plain(page: Page) -> None:
    check_words(page.text)


@pytest.mark.parametrize("path", sorted(GUIDE.parent.glob("*.py")), ids=lambda path: path.name)
def test_nor_does_any_example(path: Path) -> None:
    check_words(path.read_text(encoding="utf-8"))


def check_words(text: str) -> None:
    words = " ".join(text.split())
    assert "pip install derivtrio" not in words  # it is not published
    assert 'pip install "derivtrio[' not in words
    assert "pip install 'derivtrio[" not in words
    assert "can be none" not in words.lower()


def test_installing_is_from_a_clone() -> None:
    lines = [line for page in PAGES for line in page.text.splitlines()]
    targets = [target for line in lines for target in re.findall(r"pip install ([^`]*)", line)]
    assert targets
    for target in targets:
        assert re.match(r"(-q )?(-e )?('\.\[[a-z,]+\]'|\.)( &&|$)", target), target


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_is_of_a_kind_that_is_checked(command: str) -> None:
    module = re.match(r"python -m ([\w.]+)", command)
    if module:
        assert importlib.util.find_spec(module[1]) is not None
    else:
        assert re.match(r"derivtrio |python3 -m venv |export DERIV_|mkdir -p |git ", command)


@pytest.mark.parametrize(
    "command", [line for line in COMMANDS if line.startswith("derivtrio ")], ids=str
)
def test_the_commands_can_be_parsed(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derivtrio.cli.ending.run", lambda _main: None)
    monkeypatch.setattr("derivtrio.cli.screen.to_terminal", lambda: True)  # some need one
    monkeypatch.setenv("TERM", "xterm")
    arguments = shlex.split(command)[1:]
    expected = 1 if arguments[0] == "demo" else 0  # no ticks came, since nothing was performed
    assert CliRunner().invoke(cli, arguments).exit_code == expected


def test_each_option_of_a_command_is_told() -> None:
    text = "".join(page.text for page in map(read, sorted(GUIDE.glob("*.md"))))
    told = set(re.findall(r"(?<![\w-])--[a-z-]+", text))
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        for option in command.params:
            words = {word for word in (*option.opts, *option.secondary_opts) if word[:2] == "--"}
            assert not words or words & told, f"the guide does not tell of {words} of {name}"


def rows(name: str) -> list[list[str]]:
    """Return the cells of all tables on a page of the guide."""
    lines = [line for line in read(GUIDE / name).text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_settings_are_all_there_with_their_defaults() -> None:
    defaults = derivtrio.Settings(fast=True)  # the plain way is an option of pytest
    told = {name.strip("`"): default.strip("`") for name, default, *_ in rows("settings.md")}
    fields = [field.name for field in attrs.fields(derivtrio.Settings)]
    untold, gone = set(fields) - set(told), set(list(told)[1:]) - set(fields)  # after the heading
    assert not untold, f"settings.md has no row for {untold}"
    assert not gone, f"settings.md has a row for {gone}, which is no setting"
    assert list(told)[1:] == fields, "settings.md has the rows in another order than Settings"
    for name in fields:
        value = getattr(defaults, name)
        assert told[name] == (repr(value) if value != derivtrio.Backoff() else _BACKOFF), name


_BACKOFF = "Backoff(first=0.5, factor=2, cap=60)"


def test_the_limits_are_those_that_the_simulator_has() -> None:
    advertised = Limits()
    told = [row for row in rows("limits.md") if row[0] in ("v3", "Options API")]
    assert len(told) == 7
    for _, group, _, minute, hour in told:
        assert getattr(advertised, group) == Quota(int(minute), int(hour))


def test_the_errors_and_events_are_all_there() -> None:
    def kinds(root: type) -> set[type]:
        return {root}.union(*(kinds(kind) for kind in root.__subclasses__()))

    words = set(re.findall(r"`(?:derivtrio\.)?(\w+)`", read(GUIDE / "errors.md").text))
    public = {kind for kind in kinds(derivtrio.DerivError) if kind.__name__ in derivtrio.__all__}
    named = public | set(get_args(derivtrio.Event))
    untold = {kind.__name__ for kind in named} - words
    assert not untold, f"errors.md does not tell of {untold}"


def test_what_a_client_and_a_stream_can_do_is_told() -> None:
    text = "".join(page.text for page in map(read, sorted(GUIDE.glob("*.md"))))
    told = set(re.findall(r"[`.](\w+)\b", text))
    for kind in (derivtrio.Client, derivtrio.Subscription):
        public = {name for name in dir(kind) if not name.startswith("_")}
        assert not public - told, f"the guide does not tell of these of {kind.__name__}"


def test_the_faults_are_all_there_and_can_be_scheduled() -> None:
    text = read(GUIDE / "simulator.md").text
    faults = [parse_fault(words) for words in re.findall(r"`([a-z_]+[^`\n]*@\d+)`", text)]
    doable = {name for name in vars(Faults) if not name.startswith("_")}
    internal = {
        "refusing",
        "next_handshake_fault",
        "next_rest_refusal",
        "wait_accepting",
        "on_refuse",
    }
    state = {field.name for field in attrs.fields(Faults)}
    assert {fault.name for fault in faults} == doable - internal - state
