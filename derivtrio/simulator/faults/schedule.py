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

from derivtrio.simulator.faults import checks
from derivtrio.simulator.faults.checks import MuteTimes, Times, require
from derivtrio.simulator.faults.faults import Faults
from derivtrio.simulator.faults.malformations import malformation
from derivtrio.simulator.faults.request_faults import late_subscription, poisoned

_Converter = Callable[[str], float | int | str]


def _seconds(word: str) -> float:
    return checks.seconds(float(word))


def _positive_seconds(word: str) -> float:
    return checks.positive_seconds(float(word))


def _count(word: str) -> int:
    return checks.count(int(word))


def _size(word: str) -> int:
    return checks.size(int(word))


def _status(word: str) -> int:
    return checks.status(int(word))


def _code(word: str) -> int:
    return checks.close_code(int(word))


def _times(word: str) -> Times:
    return checks.times(int(word) if word.isdecimal() else word)  # type: ignore[arg-type]


def _mute_times(word: str) -> MuteTimes:
    return checks.mute_times(int(word) if word.isdecimal() else word)  # type: ignore[arg-type]


#: The arguments of each fault, and how many of them are required.
_ARGUMENTS: dict[str, tuple[tuple[_Converter, ...], int]] = {
    "refuse": ((_seconds,), 0),
    "silence": ((_count,), 0),
    "break_tls": ((_count,), 0),
    "garbage_handshake": ((_count,), 0),
    "hang_up": ((_count,), 0),
    "accept_then_close": ((_code, _count), 0),
    "reject": ((_status, _size, _count, checks.header), 1),
    "rest": ((_status, str, str), 1),
    "drop": ((), 0),
    "close": ((_code, checks.close_reason), 0),
    "close_without_fin": ((_code, checks.close_reason), 0),
    "freeze": ((), 0),
    "delay": ((_seconds,), 1),
    "fragmented": ((_count,), 1),
    "garbage": ((str,), 0),
    "huge": ((_count,), 1),
    "unknown": ((), 0),
    "cut": ((_size,), 1),
    "mute": ((checks.stream_name, _mute_times), 0),
    "backend_dead": ((_positive_seconds, _times), 0),
    "id_storm": ((_count, _count), 0),
    "lose_before": ((checks.known_call, _count), 0),
    "lose_after": ((checks.known_call, _count), 0),
    "fail_before": ((str, checks.known_call, _count), 0),
    "fail_after": ((str, checks.known_call, _count), 0),
    "answer_late": ((_seconds, checks.known_call, _count), 1),
    "poison": ((checks.call_or_symbol, str, _times, int), 1),
    "late_subscription": ((_positive_seconds, str, _count, str), 1),
    "malform": ((checks.known_call, str, str), 3),
    "clear": ((), 0),
}

#: What is wrong with arguments that are right one by one.
_TOGETHER: dict[str, Callable[..., object]] = {
    "poison": lambda what, how="close", _times=1, number=None: poisoned(what, how, number),
    "late_subscription": lambda wait, what="", _times=1, between="lost": late_subscription(
        wait, what, between
    ),
    "malform": malformation,
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

#: With `hostile` it draws from these as well.
_HOSTILE_CHOICES = (
    ("mute:ticks@0",),
    ("mute:candles:2@0",),
    ("mute:streams:connection@0",),
    ("mute:calls@0",),
    ("mute:calls_except_ping@0",),
    ("backend_dead@0",),
    ("id_storm:1000@0",),
    ("malform:ticks:tick.quote:NaN@0",),
    ("malform:time:time:[]@0",),
    ("late_subscription:5@0", "drop@0"),
    ("late_subscription:3::1:before@0", "drop@0"),
    ("poison:1HZ100V:close:2@0", "drop@0"),
    ("poison:R_100:drop:3@0", "drop@0"),
    ("poison:ticks_history:silent:1@0", "drop@0"),
    ("poison:1HZ100V:huge:1@0", "drop@0"),
    ("reject:503:1000000:1:Retry-After: 20@0", "drop@0"),
    ("reject:302:0:1:Location: https://portal.invalid/@0", "drop@0"),
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
        return f"{words}@{self.at:.12g}"


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
    require(at_sign, "it has no time, like the 10 seconds of 'drop@10'")
    name, *rest = words.split(":", 1)
    require(name in _ARGUMENTS, f"there is no {name!r}, but {', '.join(_ARGUMENTS)}")
    converters, needed = _ARGUMENTS[name]
    given = rest[0].split(":", max(0, len(converters) - 1)) if rest else []
    require(
        needed <= len(given) <= len(converters),
        f"{name} takes {needed} to {len(converters)} arguments",
    )
    arguments = tuple(convert(word) for convert, word in zip(converters, given, strict=False))
    _TOGETHER.get(name, _nothing)(*arguments)
    at = float(moment)
    require(0 <= at < math.inf, f"{moment} seconds is not after the start")
    return ScheduledFault(at, name, arguments)


def _nothing(*_arguments: object) -> None:
    """Find nothing wrong."""


def random_faults(
    seed: int, *, every: float, until: float, trading: bool = False, hostile: bool = False
) -> list[ScheduledFault]:
    """Return random faults, one *every* so many seconds on average, *until* that time.

    With *trading* about half of them are faults of requests that change something. With *hostile*
    there are mute streams, dead backends, poison, late and malformed messages among them.
    """
    chance = random.Random(seed)  # noqa: S311  (it must be repeatable)
    choices = _CHOICES + _TRADE_CHOICES * 2 * trading + _HOSTILE_CHOICES * hostile
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
