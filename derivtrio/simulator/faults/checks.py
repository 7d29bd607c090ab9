"""The checks of the arguments of faults, and the words that some arguments are.

Every function returns its argument, or raises a `ValueError` that says what would be right. So a
schedule is checked before anything runs, with the same words as a call by hand.
"""

import math
import re
from typing import Final, Literal

from derivtrio.simulator.market.symbols import SYMBOLS
from derivtrio.simulator.protocol.call_definitions import CALLS
from derivtrio.wording import wrong_port

#: How often a fault happens: a number of times, or until `clear`.
Times = int | Literal["for_ever"]
#: The same for `mute`, which can also last as long as the present connections.
MuteTimes = int | Literal["connection", "for_ever"]

FOR_EVER: Final = "for_ever"
CONNECTION: Final = "connection"

#: The kinds of streams, by their names in `forget_all`.
KINDS: Final = (
    "balance",
    "candles",
    "proposal",
    "proposal_open_contract",
    "ticks",
    "transaction",
    "website_status",
)
#: All streams; and the two ways to stream on without an answer to any request.
STREAMS: Final = "streams"
CALLS_ONLY: Final = ("calls", "calls_except_ping")

#: The codes that a Close frame may have.
_CODES: Final = range(1000, 5000)
#: RFC 6455, 7.4.1: no code, no Close, no TLS.
_IN_NO_FRAME: Final = (1005, 1006, 1015)
#: In bytes: a control frame has 125, of which the code takes 2.
_LONGEST_REASON: Final = 123
_STATUSES: Final = range(200, 600)
_STREAM_ID: Final = re.compile(r"[\w-]{32,128}")
_HEADER: Final = re.compile(r"[!#$%&'*+.^`|~\w-]+: ?[^\r\n\0]*")


def require(holds: object, message: str) -> None:
    """Raise a `ValueError` with *message* unless something *holds*."""
    if not holds:
        raise ValueError(message)


def known_call(name: str) -> str:
    """Return *name*, the name of a call that the simulator answers."""
    require(name in CALLS, f"there is no call {name!r}")
    return name


def call_or_symbol(name: str) -> str:
    """Return *name*, the name of a call or of a symbol."""
    require(name in CALLS or name in SYMBOLS, f"there is no call or symbol {name!r}")
    return name


def stream_name(name: str) -> str:
    """Return *name*, what `mute` can be told to make mute."""
    words = (*CALLS_ONLY, STREAMS, *KINDS)
    known = name in words or name in SYMBOLS or name.isdecimal() or _STREAM_ID.fullmatch(name)
    others = f"a symbol, a contract id, the id of a subscription, {', '.join(words)}"
    require(known, f"{name!r} cannot be mute, but {others}")
    return name


def seconds(value: float) -> float:
    """Return *value*, a number of seconds."""
    require(0 <= value < math.inf, f"{value:g} is not a number of seconds")
    return value


def positive_seconds(value: float) -> float:
    """Return *value*, a number of seconds above 0."""
    require(0 < value < math.inf, f"{value:g} is not a number of seconds above 0")
    return value


def finite(value: float) -> float:
    """Return *value*, a number."""
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    require(numeric and math.isfinite(value), f"{value!r} is not a number")
    return value


def port(value: int) -> int:
    """Return *value*, a TCP port, or 0 for any."""
    wrong = wrong_port(value)
    require(not wrong, wrong)
    return value


def count(value: int) -> int:
    """Return *value*, a number of things, at least 1."""
    require(value >= 1, f"{value} is too few")
    return value


def size(value: int) -> int:
    """Return *value*, a number of bytes."""
    require(value >= 0, f"{value} is not a number of bytes")
    return value


def times(value: Times) -> Times:
    """Return *value*, a number of times or `for_ever`."""
    if isinstance(value, int):
        return count(value)
    require(value == FOR_EVER, f"{value!r} is neither a number of times nor 'for_ever'")
    return value


def mute_times(value: MuteTimes) -> MuteTimes:
    """Return *value*, a number of times, `connection` or `for_ever`."""
    if isinstance(value, int):
        return count(value)
    known = value in (CONNECTION, FOR_EVER)
    require(known, f"{value!r} is neither a number of times, nor 'connection', nor 'for_ever'")
    return value


def status(value: int) -> int:
    """Return *value*, an HTTP status other than 1xx."""
    require(value in _STATUSES, f"an HTTP status is from 200 to 599, not {value}")
    return value


def close_code(value: int) -> int:
    """Return *value*, a code that a Close frame may have."""
    require(value in _CODES, f"a close code is from {_CODES[0]} to {_CODES[-1]}, not {value}")
    require(value not in _IN_NO_FRAME, f"{value} stands for an end without such a frame")
    return value


def close_reason(text: str) -> str:
    """Return *text*, which a Close frame has room for."""
    length = len(text.encode())
    why = f"a reason has {_LONGEST_REASON} bytes at most, not {length}"
    require(length <= _LONGEST_REASON, why)
    return text


def header(line: str) -> str:
    """Return *line*, an HTTP header."""
    require(_HEADER.fullmatch(line), f"an HTTP header is like 'Retry-After: 30', not {line!r}")
    return line
