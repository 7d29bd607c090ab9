"""The group of all commands. Each command lives in the module that has its name."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import click

from derivtrio.cli.ending import end_with
from derivtrio.cli.output import require_output

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


@contextmanager
def printing() -> Iterator[None]:
    """End the program as `ending` says if click cannot print a help, or the version.

    Click itself takes a closed standard output for success, and has a traceback for a full one.
    """
    try:
        yield
    except click.exceptions.Exit:  # so click ends when it has printed that
        require_output()
        raise
    except (OSError, KeyboardInterrupt) as error:  # Ctrl-C while a command is imported
        end_with(error, None)


class Commands(click.Group):
    """A group that imports a command when it is used, and prints with care.

    The simulator takes as long to import as all the rest, and only `demo` and `simulate` need it.
    Click wants a subclass for this.
    """

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Read the command line up to a command's name; this prints the group's help."""
        with printing():
            return super().make_context(*arguments, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; this prints its help."""
        with printing():
            return super().invoke(ctx)

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
