"""The command line as a test runs it, inside its own process."""

from typing import Any

from click.testing import CliRunner, Result

from derivtrio.cli.commands import cli
from derivtrio.simulator import demo_account

COMMANDS = (
    *("demo", "ping", "call", "ticks", "watch", "top", "record", "export", "plot", "relay"),
    "simulate",
)
DEMO = demo_account().loginid


def run(*arguments: str, **more: Any) -> Result:
    result = CliRunner().invoke(cli, list(arguments), **more)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def only_line(text: str) -> str:
    assert text.count("\n") == 1, text
    return text.rstrip("\n")
