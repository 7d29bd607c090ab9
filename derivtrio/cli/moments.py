"""Times on the command line: an epoch in seconds, or a date or time as ISO 8601 has it, in UTC."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click

from derivtrio.models import LAST_EPOCH
from derivtrio.wording import shown

F = TypeVar("F", bound=Callable[..., Any])

_DAY: Final = 86_400

#: The longest candle that can be asked for, in seconds: a year.
LONGEST_CANDLE: Final = 31_622_400

#: No clock that is right is before this: 2026.
_PUBLISHED: Final = 1_767_225_600

#: Python has no integer of more than 4300 digits.
_MOST_DIGITS: Final = 4000


def epoch_of(text: str) -> int:
    """Return the epoch, in seconds, that *text* means; a time without a zone is in UTC.

    Raises:
        ValueError: it means none.

    """
    if text.isascii() and text.isdecimal() and len(text) < _MOST_DIGITS:
        epoch = int(text)
    else:
        try:
            then = datetime.fromisoformat(text)
        except ValueError:
            message = (
                f"{shown(text)} is neither an epoch in seconds nor a date such as 2026-11-27T06:00"
            )
            raise ValueError(message) from None
        epoch = int((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp())
    if not 0 < epoch <= LAST_EPOCH:
        message = f"{shown(text)} is no time since 1970 in seconds"
        raise ValueError(message)
    return epoch


def read_moment(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> int | None:
    """Return the epoch of an option."""
    try:
        return None if text is None else epoch_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def read_end(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """Return the epoch of an option that is an end; a date alone means the end of its day."""
    epoch = read_moment(context, parameter, text)
    is_date = text is not None and re.fullmatch(r"\d{4}-\d\d-\d\d", text)
    return epoch + _DAY - 1 if epoch is not None and is_date else epoch


def read_past_moment(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> int | None:
    """Return the epoch of an option; refuse one in the future.

    A machine without a battery begins in 1970, and a service that is refused here, as a wrong
    command line, is not started again. So a clock that is years behind is not believed.
    """
    epoch, now = read_moment(context, parameter, text), time.time()
    if epoch is not None and epoch > now > _PUBLISHED:
        message = "that is in the future; it is counted in seconds, in UTC"
        raise click.BadParameter(message)
    return epoch


def require_period(start: int | None, end: int | None) -> None:
    """Raise a UsageError if the *end* is before the *start*: nothing is in such a period."""
    if start is not None and end is not None and end < start:
        message = "--to is before --from"
        raise click.UsageError(message)


def in_period(command: F) -> F:
    """Give *command* the options `--from` and `--to`: the epochs `start` and `end`, or None."""
    begin = click.option(
        "--from",
        "start",
        metavar="TIME",
        callback=read_moment,
        help="The first epoch, or a date or time in UTC.  [default: the beginning]",
    )
    end = click.option(
        "--to",
        "end",
        metavar="TIME",
        callback=read_end,
        help="The last epoch; a date means all of its day.  [default: the end]",
    )
    return begin(end(command))
