"""How errors, logs and reports put things: values, numbers with their nouns, long lists."""

import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

#: How many characters of a value, and how many names of a list, are shown.
_LONGEST: Final = 60
_MOST: Final = 5

#: From here up, a number is not written out: Python limits how long its text may be.
_HUGE: Final[int] = 10**20

#: The highest number of a TCP port.
LAST_PORT: Final = 65_535

_PLURALS: Final = {"is": "are", "was": "were"}


def shown(value: Any) -> str:
    """Return how an error shows *value*: in a line, however large or deep it is."""
    if isinstance(value, int) and abs(value) >= _HUGE:
        return "a number of more than 20 digits"
    if value is not None and not isinstance(value, bool | int | float | Decimal | str):
        return f"a {type(value).__name__}"
    if len(repr(value)) <= _LONGEST:
        return repr(value)
    # Not even the beginning: a text this long may be a token in the wrong place.
    kind = "text" if isinstance(value, str) else "number"
    return f"a {kind} of {len(str(value))} characters"


def wrong_port(value: Any) -> str:
    """Return why nothing can listen on port *value*; an empty text if it can. 0 means any port."""
    if type(value) is int and 0 <= value <= LAST_PORT:
        return ""
    return f"a port is a whole number from 0 to {LAST_PORT}, not {shown(value)}"


def printable(text: str) -> str:
    """Return *text* with a space for what would break a line, or move a terminal's cursor."""
    if text.isprintable():
        return text
    from unicodedata import category  # noqa: PLC0415 - few need it

    kept = (each.isprintable() or category(each) == "Zs" for each in text)  # Zs: kinds of space
    return "".join(each if keep else " " for each, keep in zip(text, kept, strict=True))


def one_line(text: object) -> str:
    """Return *text* as one line, with no more than one space between two words."""
    return " ".join(printable(str(text)).split())


def counted(number: int, noun: str, verb: str = "") -> str:
    """Return how many of what, for people: *noun* and *verb* are in the singular.

    So `counted(2, "row", "waits")` is "2 rows wait".
    """
    if number == 1:
        return f"1 {noun} {verb}".rstrip()
    return f"{number:,} {noun}s {_PLURALS.get(verb, verb.removesuffix('s'))}".rstrip()


def listed(names: Sequence[str]) -> str:
    """Return the first of *names*, and how many more there are."""
    more = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")


class TolerantLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger whose handlers and filters may raise.

    The task that logs would end of it, and the client with the task. So it is told on standard
    error, as `logging` does with the errors of its own handlers.
    """

    def log(self, level: int, msg: object, *args: object, **fields: Any) -> None:
        """Log *msg*, with what `logging.Logger.log` takes besides."""
        fields["stacklevel"] = fields.get("stacklevel", 1) + 1
        try:
            self.logger.log(level, msg, *args, **fields)
        except Exception:  # noqa: BLE001 - whatever a handler does
            logging.NullHandler().handleError(logging.makeLogRecord({"msg": msg, "args": args}))
