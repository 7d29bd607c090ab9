"""How results and messages are shown.

Results go to standard output, everything else to standard error. On a terminal, results are
formatted for people; otherwise they are JSON, one value a line, without colour codes. Control
characters in what a server has sent are removed before a person sees it.
"""

import json
import logging
import select
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click
import msgspec

from derivtrio.errors import ConnectionFailed
from derivtrio.events import (
    Authorized,
    Closed,
    Connecting,
    Event,
    Failed,
    Gap,
    Opened,
    Overflow,
    Ready,
    Throttled,
    Waiting,
)
from derivtrio.models import Tick
from derivtrio.wording import counted, one_line

#: How long a line may wait for whoever reads standard error, in milliseconds.
_MOMENT: Final = 100

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_SENTENCES: Final[Mapping[type, str]] = {
    Connecting: "connecting, attempt {0.attempt}",
    Opened: "open, connection {0.connection}",
    Authorized: "authorized as {0.loginid}",
    Ready: "ready, on connection {0.connection}",
    Failed: "failed: {0.error}",
    Closed: "closed by {0.by}, code {0.code} {0.reason}",
    Waiting: "waiting {0.delay:.1f} s before attempt {0.attempt}",
    Throttled: "holding back {0.group} for {0.delay:.1f} s",
}


def note(text: object) -> None:
    """Print *text* on standard error, as one line; drop it if that is full, or nobody reads it.

    The work is worth more than what is said about it.
    """
    with suppress(OSError):
        if _takes_a_line(sys.stderr):
            click.echo(one_line(text), err=True)


def _takes_a_line(stream: Any) -> bool:
    """Return whether *stream* takes a line in a moment.

    A pipe that nobody empties does not, nor does a terminal that was stopped with Ctrl-S: to write
    there would stop the whole program.
    """
    try:
        ready = select.poll()
        ready.register(stream.fileno(), select.POLLOUT)
        return bool(ready.poll(_MOMENT))
    except (AttributeError, OSError, ValueError):  # Windows; or it is closed, or is no file
        return True


def require_output() -> None:
    """Refuse to begin what prints its results, if standard output is closed.

    Otherwise a request is made, its reply is seen by nobody, and the status says that all is well.

    Raises:
        ClickException: it was closed at the start.

    """
    if sys.stdout is None:
        message = "standard output is closed"
        raise click.ClickException(message)


def to_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()  # None: it was closed at the start


def errors_to_terminal() -> bool:
    """Return whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def show_json(value: Mapping[str, Any]) -> None:
    """Print *value* as JSON: indented and coloured on a terminal, otherwise on one line."""
    if to_terminal():
        from rich.console import Console  # noqa: PLC0415 - slow, and only needed here

        Console(soft_wrap=True).print_json(data=value)
    else:
        click.echo(json.dumps(value))


def show_tick(tick: Tick) -> None:
    """Print *tick*: on a terminal its time (UTC), symbol and quote; otherwise a line of JSON."""
    if to_terminal():
        click.echo(f"{moment(tick.epoch)}  {tick.symbol:<10}  {quote_of(tick)}")
    else:
        click.echo(json.dumps(msgspec.structs.asdict(tick)))


def quote_of(tick: Tick) -> str:
    """Return the quote with all the decimals that its symbol has."""
    return f"{tick.quote:.{tick.pip_size}f}" if tick.pip_size else f"{tick.quote}"


def moment(epoch: int) -> str:
    """Return the date and the time of day, in UTC."""
    return f"{_EPOCH + timedelta(seconds=epoch):%Y-%m-%d %H:%M:%S}"


def clock(epoch: int) -> str:
    """Return the time of day, in UTC."""
    return moment(epoch).split()[1]


def sentence(event: Event) -> str | None:
    """Return *event* in words; None if it has no sentence here."""
    if isinstance(event, Gap):
        between = f"between {moment(event.after)} and {moment(event.before)}"
        return one_line(f"{event.stream}: nothing {between} ({event.reason})")
    if isinstance(event, Overflow):
        return one_line(f"{event.stream}: {counted(event.dropped, 'item')} dropped")
    template = _SENTENCES.get(type(event))
    return None if template is None else one_line(template.format(event))


class _Stderr:
    """A stream for `logging`; each line goes to the `sys.stderr` of that moment."""

    def write(self, text: str) -> None:
        """Write *text* as one line."""
        note(text)


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether *record* is news: the error that ends the program is printed at the end."""
    return not any(isinstance(arg, ConnectionFailed) for arg in record.args or ())


@contextmanager
def log_to_stderr(level: int, formatter: logging.Formatter | None = None) -> Iterator[None]:
    """Print the records of the logger `derivtrio` from *level* up, one line each.

    With a *formatter* also the warnings of all other loggers; logging prints these in its own way.
    """
    logger = logging.getLogger("derivtrio")
    handler = logging.StreamHandler(_Stderr())
    handler.setFormatter(formatter)
    handler.addFilter(_is_news)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    with ExitStack() as others:
        if formatter is not None:
            others.enter_context(_others_to_stderr(formatter))
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)


@contextmanager
def _others_to_stderr(formatter: logging.Formatter) -> Iterator[None]:
    """Print the warnings of the loggers of other packages, trio's for one."""
    handler = logging.StreamHandler(_Stderr())
    handler.setLevel(logging.WARNING)
    handler.setFormatter(formatter)
    handler.addFilter(lambda record: record.name.partition(".")[0] != "derivtrio")
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
