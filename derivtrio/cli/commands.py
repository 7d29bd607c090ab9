"""The group of all commands. Each command lives in the module that has its name."""

from importlib import import_module
from typing import Final

import click

#: The commands: each is the function with this name in the module with this name.
_NAMES: Final = (
    "call",
    "demo",
    "export",
    "ping",
    "plot",
    "record",
    "relay",
    "simulate",
    "ticks",
    "top",
    "watch",
)


class Commands(click.Group):
    """A group that imports a command when it is used.

    The simulator takes as long to import as all the rest, and only `demo` and `simulate` need it.
    Click wants a subclass for this.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return list(_NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return one command; None if there is no such command."""
        if cmd_name not in _NAMES:
            return None
        command: click.Command = getattr(import_module(f"derivtrio.cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="derivtrio", message="%(prog)s %(version)s")
def cli() -> None:
    """Talk to Deriv's WebSocket API, or to a simulated one.

    Commands that need a server connect to --url. Results go to standard output: as JSON
    if that is not a terminal. Everything else goes to standard error.
    """
