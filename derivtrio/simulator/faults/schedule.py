"""Faults at given times, written as text or drawn at random from a seed.

`drop@10` is a drop 10 seconds after the start, `close:1001:going away@30` a Close frame with that
code and reason, `refuse:5@12` five seconds without a listener. The text before the `@` is a method
of `Faults` and its arguments.
"""

import math
import random
from collections.abc import Callable, Iterable

import attrs
import trio

from derivtrio.simulator.faults.faults import Faults
from derivtrio.simulator.protocol.call_definitions import CALLS

_Converter = Callable[[str], float | int | str]


def _require(holds: object, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _call(name: str) -> str:
    _require(name in CALLS, f"there is no call {name!r}")
    return name


def _seconds(word: str) -> float:
    seconds = float(word)
    _require(0 <= seconds < math.inf, f"{word} is not a number of seconds")
    return seconds


def _count(word: str) -> int:
    count = int(word)
    _require(count >= 1, f"{word} is too few")
    return count


def _status(word: str) -> int:
    status = int(word)
    _require(200 <= status <= 599, f"an HTTP status is from 200 to 599, not {word}")  # noqa: PLR2004
    return status


def _code(word: str) -> int:
    code = int(word)
    _require(code in _CODES, f"a close code is from {_CODES[0]} to {_CODES[-1]}, not {word}")
    return code


#: The codes that a Close frame may have.
_CODES = range(1000, 5000)

#: The arguments of each fault, and how many of them are required.
_ARGUMENTS: dict[str, tuple[tuple[_Converter, ...], int]] = {
    "refuse": ((_seconds,), 0),
    "silence": ((_count,), 0),
    "break_tls": ((_count,), 0),
    "garbage_handshake": ((_count,), 0),
    "hang_up": ((_count,), 0),
    "accept_then_close": ((_code, _count), 0),
    "reject": ((_status,), 1),
    "rest": ((_status, str, str), 1),
    "drop": ((), 0),
    "close": ((_code, str), 0),
    "close_without_fin": ((_code, str), 0),
    "freeze": ((), 0),
    "delay": ((_seconds,), 1),
    "fragmented": ((_count,), 1),
    "garbage": ((str,), 0),
    "huge": ((_count,), 1),
    "unknown": ((), 0),
    "cut": ((_count,), 1),
    "lose_before": ((_call, _count), 0),
    "lose_after": ((_call, _count), 0),
    "fail_before": ((str, _call, _count), 0),
    "fail_after": ((str, _call, _count), 0),
    "answer_late": ((_seconds, _call, _count), 1),
    "clear": ((), 0),
}

#: `random_faults` draws one of these; a lasting fault is followed by the one that ends it.
_CHOICES = (
    ("drop@0",),
    ("close:1001:going away@0",),
    ("close_without_fin@0",),
    ("freeze@0",),
    ("cut:3@0",),
    ("garbage@0",),
    ("unknown@0",),
    ("huge:100000@0",),
    ("delay:0.5@0", "delay:0@10"),
    ("refuse:5@0", "drop@0"),
    ("silence@0", "drop@0"),
    ("hang_up@0", "drop@0"),
    ("reject:503@0", "drop@0"),
    ("accept_then_close:1001@0", "drop@0"),
)

#: With `trading` it draws from these as well.
_TRADE_CHOICES = (
    ("lose_before@0",),
    ("lose_after@0",),
    ("fail_before:WrongResponse@0",),
    ("fail_after:WrongResponse@0",),
    ("fail_before:Timeout@0",),
    ("fail_after:Timeout@0",),
    ("answer_late:5@0",),
)


@attrs.frozen
class ScheduledFault:
    """The fault *name* with its *arguments*, *at* seconds after the start."""

    at: float
    name: str
    arguments: tuple[float | int | str, ...] = ()

    def __str__(self) -> str:
        """Return the text that `parse_fault` reads."""
        words = ":".join([self.name, *(str(argument) for argument in self.arguments)])
        return f"{words}@{self.at:g}"


def parse_fault(text: str) -> ScheduledFault:
    """Return the fault that *text* describes, such as `close:1001:going away@30`.

    Raises:
        ValueError: *text* is not a fault; the message says why.

    """
    try:
        return _parse(text)
    except ValueError as error:
        message = f"{text!r} is not a fault: {error}"
        raise ValueError(message) from None


def _parse(text: str) -> ScheduledFault:
    words, at_sign, moment = text.rpartition("@")
    _require(at_sign, "it has no time, like the 10 seconds of 'drop@10'")
    name, *rest = words.split(":", 1)
    _require(name in _ARGUMENTS, f"there is no {name!r}, but {', '.join(_ARGUMENTS)}")
    converters, needed = _ARGUMENTS[name]
    given = rest[0].split(":", max(0, len(converters) - 1)) if rest else []
    _require(
        needed <= len(given) <= len(converters),
        f"{name} takes {needed} to {len(converters)} arguments",
    )
    arguments = tuple(convert(word) for convert, word in zip(converters, given, strict=False))
    at = float(moment)
    _require(at >= 0, f"{moment} seconds is not after the start")
    return ScheduledFault(at, name, arguments)


def random_faults(
    seed: int, *, every: float, until: float, trading: bool = False
) -> list[ScheduledFault]:
    """Return random faults, one *every* so many seconds on average, *until* that time.

    With *trading* about half of them are faults of requests that change something.
    """
    chance = random.Random(seed)  # noqa: S311  (it must be repeatable)
    choices = _CHOICES + _TRADE_CHOICES * 2 if trading else _CHOICES
    faults: list[ScheduledFault] = []
    at = chance.expovariate(1 / every)
    while at < until:
        for text in chance.choice(choices):
            fault = parse_fault(text)
            faults.append(attrs.evolve(fault, at=round(at + fault.at, 3)))
        at += chance.expovariate(1 / every)
    return sorted(faults, key=lambda fault: fault.at)


async def play(schedule: Iterable[ScheduledFault], faults: Faults) -> None:
    """Let each fault of *schedule* happen at its time, counted from now."""
    start = trio.current_time()
    for fault in sorted(schedule, key=lambda fault: fault.at):
        await trio.sleep_until(start + fault.at)
        getattr(faults, fault.name)(*fault.arguments)
