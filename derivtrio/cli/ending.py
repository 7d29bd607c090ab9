"""How commands end.

| what happened | standard error | exit status |
|---|---|---|
| it worked | nothing | 0 |
| an API error, no connection, a port in use | one line | 1 |
| the command line makes no sense | usage, and one line | 2 |
| Ctrl-C, SIGTERM, SIGHUP | nothing | 130, 143, 129 |
| the reader of standard output has gone | nothing | 141, as for SIGPIPE |
"""

import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import click

from derivtrio import (
    AuthorizationRequired,
    ConnectionFailed,
    DerivError,
    HandshakeRejected,
    LinkError,
    run,
)
from derivtrio.cli.output import log_to_stderr
from derivtrio.cli.target import Target
from derivtrio.wording import one_line

#: The exit statuses of a shell for a program that SIGINT, or SIGPIPE, has ended.
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

_V3_HINT: Final = (
    "the default is the v3 API, which public reports say is being switched off;"
    " --url wss://api.derivws.com/trading/v1/options/ws/public has public data"
)

_ACCESS_HINT: Final = "give a token in DERIV_TOKEN; the Options API wants --account ID, too"


def perform(
    main: Callable[[], Awaitable[None]],
    target: Target | None = None,
    *,
    level: int = logging.CRITICAL,
) -> None:
    """Run *main*; if it fails, end the program as the table above says.

    With a *target*, the client's log goes to standard error; otherwise what is logged from *level*
    up.
    """
    failure: BaseException | None = None
    formatter = None
    if target is not None:
        level, formatter = target.log_level, target.formatter
    with log_to_stderr(level, formatter):
        try:
            run(main)
        # A command with a nursery raises a group. Any other exception is a bug: let Python show it.
        except* (KeyboardInterrupt, DerivError, OSError) as group:
            failure = first_of(group)
    if failure is not None:
        end_with(failure, target)


def first_of(error: BaseException) -> BaseException:
    """Return the first error in nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def end_with(failure: BaseException, target: Target | None) -> None:
    """End the program because of *failure*, with the status and the line for it."""
    if isinstance(failure, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    if isinstance(failure, OSError):
        discard_output()
    if isinstance(failure, BrokenPipeError):
        sys.exit(BROKEN_PIPE)
    text = text_of(failure)
    if target is not None:
        text = told_where(failure, text, target)
    if target and target.log_format == "json":
        target.note(logging.ERROR, text)
        sys.exit(1)
    raise click.ClickException(text)


def told_where(failure: BaseException, text: str, target: Target) -> str:
    """Return *text* with what it does not say: which server refused, and what it wants."""
    if isinstance(failure, HandshakeRejected):
        text = f"{target.shown} refuses the connection: {text}"
    if isinstance(failure, AuthorizationRequired) and target.token is None:
        text = f"{text} ({_ACCESS_HINT})"
    if isinstance(failure, ConnectionFailed | LinkError) and not target.chosen:
        text = f"{text} ({_V3_HINT})"
    return text


def text_of(failure: BaseException) -> str:
    """Return *failure* as one line; of the operating system's errors the file and the words."""
    if isinstance(failure, OSError) and failure.strerror:
        where = f"{failure.filename}: " if failure.filename else ""
        return one_line(f"{where}{failure.strerror}")
    return one_line(failure)


def discard_output() -> None:
    """Drop the output that cannot be written; otherwise Python fails to write it at its exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
