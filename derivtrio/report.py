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
from typing import Any

import click
from rich.console import Console

from derivtrio.events import (
    Authorized,
    Closed,
    Connecting,
    Event,
    Failed,
    Gap,
    Overflow,
    Ready,
    Throttled,
    Waiting,
)

#: The members of a wire tick that are shown; its `id` means nothing to others.
_TICK_FIELDS = ("symbol", "epoch", "quote", "ask", "bid", "pip_size")


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
    match event:
        case Connecting(attempt=attempt):
            return f"connecting, attempt {attempt}"
        case Authorized(loginid=loginid):
            return f"authorized as {loginid}"
        case Ready(connection=connection):
            return f"ready, on connection {connection}"
        case Failed(error=error):
            return f"failed: {error}"
        case Waiting(delay=delay, attempt=attempt):
            return f"waiting {delay:.1f} s before attempt {attempt}"
        case Closed(code=code, reason=reason, by=by):
            return f"closed by {_who(by)}, code {code} {reason}".rstrip()
        case _:
            return _rarer(event)


def _rarer(event: Event) -> str | None:
    match event:
        case Gap(stream=stream, after=after, before=before, reason=reason):
            return f"{stream}: nothing between {clock(after)} and {clock(before)} ({reason})"
        case Throttled(group=group, delay=delay):
            return f"holding back {group} for {delay:.1f} s"
        case Overflow(stream=stream, dropped=dropped):
            return f"{stream}: {dropped} items were dropped"
        case _:
            return None


def _who(by: str) -> str:
    return {"us": "this program", "heartbeat": "the heartbeat"}.get(by, f"the {by}")


class _Stderr:
    """A stream for `logging` whose every write is one line of standard error, wherever it is now."""

    def write(self, text: str) -> None:
        note(text)


@contextmanager
def log_to_stderr(level: int) -> Iterator[None]:
    """Print what the logger `derivtrio` says from *level* up, a line per record."""
    logger = logging.getLogger("derivtrio")
    handler = logging.StreamHandler(_Stderr())
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
