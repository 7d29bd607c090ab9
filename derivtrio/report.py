"""What the command line says, and how: one line per message, plain when nobody looks.

Standard output has results, standard error has everything else. On a terminal results are for
people; piped they are JSON, one value per line, and free of colour codes. What a server has sent is
stripped of control characters before a person sees it.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.console import Console

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

#: The members of a wire tick that are shown; its `id` means nothing to others.
_TICK_FIELDS = ("symbol", "epoch", "quote", "ask", "bid", "pip_size")


_SENTENCES: Final[Mapping[type, str]] = {
    Connecting: "connecting, attempt {0.attempt}",
    Opened: "open, connection {0.connection}",
    Authorized: "authorized as {0.loginid}",
    Ready: "ready, on connection {0.connection}",
    Failed: "failed: {0.error}",
    Closed: "closed by {0.by}, code {0.code} {0.reason}",
    Waiting: "waiting {0.delay:.1f} s before attempt {0.attempt}",
    Gap: "{0.stream}: nothing between {0.after} and {0.before} ({0.reason})",
    Throttled: "holding back {0.group} for {0.delay:.1f} s",
    Overflow: "{0.stream}: {0.dropped} items dropped",
}


def one_line(text: object) -> str:
    """Return *text* as one printable line."""
    printable = "".join(c if c.isprintable() else " " for c in str(text))
    return " ".join(printable.split())


def note(text: object) -> None:
    """Say *text* on standard error."""
    click.echo(one_line(text), err=True)


def to_terminal() -> bool:
    """Return whether a person reads standard output."""
    return sys.stdout.isatty()


def show_json(value: Mapping[str, Any]) -> None:
    """Print *value* as JSON: indented and coloured on a terminal, else on one line."""
    if to_terminal():
        Console(soft_wrap=True).print_json(data=value)
    else:
        click.echo(json.dumps(value))


def show_tick(tick: Mapping[str, Any]) -> None:
    """Print a wire *tick*: time (UTC), symbol and quote on a terminal, else a JSON line."""
    if to_terminal():
        click.echo(f"{clock(tick['epoch'])}  {one_line(tick['symbol']):<10}  {quote_of(tick)}")
    else:
        click.echo(json.dumps({field: tick.get(field) for field in _TICK_FIELDS}))


def quote_of(tick: Mapping[str, Any]) -> str:
    """Return the quote with all the decimals that its symbol has."""
    quote, decimals = tick["quote"], tick.get("pip_size")
    if isinstance(decimals, int) and isinstance(quote, int | float):
        return f"{quote:.{decimals}f}"
    return one_line(quote)


def clock(epoch: float) -> str:
    """Return the time of day, in UTC."""
    return datetime.fromtimestamp(epoch, UTC).strftime("%H:%M:%S")


def sentence(event: Event) -> str | None:
    """Return what *event* means in words, or None for what a person need not know."""
    template = _SENTENCES.get(type(event))
    return None if template is None else one_line(template.format(event))


class _Stderr:
    """A stream for `logging` that writes lines to what is standard error at the time."""

    def write(self, text: str) -> None:
        """Write *text* as one line."""
        note(text)


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether *record* says what will not also be said by the error that ends the program."""
    return not any(isinstance(arg, ConnectionFailed) for arg in record.args or ())


@contextmanager
def log_to_stderr(level: int) -> Iterator[None]:
    """Print what the logger `derivtrio` says from *level* up, a line per record."""
    logger = logging.getLogger("derivtrio")
    handler = logging.StreamHandler(_Stderr())
    handler.addFilter(_is_news)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
