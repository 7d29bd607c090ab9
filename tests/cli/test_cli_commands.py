"""Help, usage, the version, and what the command line needs."""

import time

import pytest
from served import finished
from shell import COMMANDS, only_line, run

from derivtrio.cli.commands import cli


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"derivtrio {name}" in result.output.replace("cli", "derivtrio", 1)


def test_help_lists_every_command() -> None:
    assert set(COMMANDS) <= set(run("--help").output.split())


@pytest.mark.parametrize("name", ["ping", "call", "ticks", "watch", "top", "record", "relay"])
def test_what_connects_says_where(name: str) -> None:
    text = run(name, "--help").output
    for word in ("url", "app-id", "token", "account", "rest-url", "proxy"):
        assert f"--{word}" in text
        assert f"DERIV_{word.upper().replace('-', '_')}" in text
    assert "--verbose" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ["ping", "--url", "http://example.com"],
        ["ping", "--url", ""],
        ["ping", "--app-id", "no id"],
        ["ping", "--token", ""],
        ["ping", "--account", "DOT90004580"],
        ["ping", "--account", "no id", "--token", "demo-token"],
        ["ping", "--account", "DOT90004580", "--token", "a b"],
        ["ping", "--account", "DOT90004580", "--token", "x", "--rest-url", "ws://127.0.0.1"],
        ["ping", "--count", "0"],
        ["ping", "--interval", "nan", "--url", "ws://127.0.0.1:9"],
        ["ping", "--interval", "inf", "--url", "ws://127.0.0.1:9"],
        ["ping", "--interval", "1e400", "--url", "ws://127.0.0.1:9"],
        ["ping", "--interval", "-1", "--url", "ws://127.0.0.1:9"],
        ["call"],
        ["call", "{"],
        ["call", "[1]"],
        ["call", '"ping"'],
        ["ticks"],
        ["watch"],
        ["ticks", "R_100", "--count", "0"],
        ["ticks", "R_100", "--start", "0"],
        ["ticks", "R_100", "--start", "yesterday"],
        ["ticks", "R_100", "--start", "1700000000000"],
        ["record", "R_100"],
        ["record", "--to", "ticks.db"],
        ["record", "R_100", "--to", "mysql://there/ticks"],
        ["record", "R_100", "--to", "ticks.db", "--no-ticks"],
        ["record", "R_100", "--to", "ticks.db", "--candles", "61"],
        ["record", "R_100", "--to", "ticks.db", "--start", "2999-01-01"],
        ["record", "R_100", "--to", "ticks.db", "--start", "today"],
        ["record", "R_100", "--to", "ticks.db", "--start", "1700000000000"],
        ["record", "--account", "R_100", "--to", "ticks.db"],
        ["relay", "R_100", "--to", "redis://there/ticks", "--maxlen", "9223372036854775808"],
        ["simulate", "--port", "65536"],
        ["simulate", "--fault", "drop"],
        ["simulate", "--fault", "nothing@1"],
        ["simulate", "--tls-key", __file__],
        ["simulate", "--tls-cert", "/no/such/file"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_a_command_line_that_makes_no_sense_is_2(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: ")
    assert result.stderr.splitlines()[-1].startswith("Error: ")


@pytest.mark.parametrize("clock", [5.0, 1_600_000_000.0])
def test_a_start_is_not_refused_by_a_clock_that_is_years_behind(
    clock: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without a battery begins so, and what ends with 2 is not started again."""
    monkeypatch.setattr(time, "time", lambda: clock)
    arguments = ("ticks", "R_100", "--start", "2026-11-01", "--count", "1", "--proxy", "http://")
    result = run(*arguments)
    assert "'--proxy'" in result.stderr.splitlines()[-1]


def test_the_version() -> None:
    assert run("--version").output.split()[1][0].isdigit()


@pytest.mark.parametrize("name", ["click", "rich"])
def test_without_the_extra_one_line_says_how_to_get_it(name: str) -> None:
    code = f"import sys; sys.modules['{name}'] = None; from derivtrio.__main__ import main; main()"
    result = finished("-c", code)
    assert result.returncode == 1
    text = only_line(result.stderr)
    assert text == (
        f"The derivtrio command needs {name}: install the extra cli;"
        " in a clone of the repository, pip install '.[cli]'"
    )


def test_importing_derivtrio_imports_nothing_of_the_command_line() -> None:
    code = "import sys, derivtrio; print(*sys.modules)"
    modules = finished("-c", code).stdout.split()
    assert "derivtrio.client" in modules
    assert not {"click", "rich", "derivtrio.simulator", "derivtrio.cli"} & set(modules)


@pytest.mark.parametrize("name", ["ping", "call", "ticks", "record", "relay"])
def test_what_needs_no_simulator_does_not_import_it(name: str) -> None:
    code = "import sys; from derivtrio.cli.commands import cli; cli(standalone_mode=False)"
    result = finished("-c", f"{code}; print(*sys.modules)", name, "--help")
    modules = set(result.stdout.split())
    assert f"derivtrio.cli.{name}" in modules
    assert not {"derivtrio.simulator", "rich"} & modules


def test_ctrl_c_while_a_command_is_imported_is_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("derivtrio.cli.commands.import_module", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli(["ping"], "derivtrio")
    assert (ended.value.code, capsys.readouterr().err) == (130, "")
