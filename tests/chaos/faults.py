"""Which faults are drawn, with which arguments, and what has to follow them.

The names and the kinds of their arguments come from the simulator's grammar. A fault that is new
there is drawn here as soon as its kinds of arguments are known (`_ARGUMENTS`), or with the texts
that are kept for it (`_TEXTS`). Those that the client is known not to bear are held back (`known`).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Final

from derivtrio.simulator import ScheduledFault, parse_fault
from tests.chaos import inside, known
from tests.chaos.schedule import Step

#: The calls whose requests are made to fail.
CALLS: Final = tuple(
    "buy sell ticks ticks_history proposal proposal_open_contract balance transaction forget"
    " statement portfolio profit_table time ping contract_update".split()
)

#: Errors of a backend that fails: they say nothing about the account.
CODES: Final = ("WrongResponse", "Timeout", "RateLimit")

#: Members of a reply, and what stands there instead.
_VALUES: Final = ("tick.quote:NaN", "tick.epoch:[]", "time:{}", "req_id:null", "msg_type:7")

#: Symbols that only some consumers follow, so that the others can show that they go on.
POISONED: Final = ("1HZ75V", "1HZ25V")

#: Statuses that never mean a refusal for good.
_STATUSES: Final = (429, 500, 502, 503, 504, 520)

_ARGUMENTS: Final[Mapping[str, Callable[[Random], str]]] = {
    "seconds": lambda chance: f"{min(600.0, chance.lognormvariate(1, 1.3)):.3f}",
    "count": lambda chance: str(chance.randint(1, 3)),
    "positive_seconds": lambda chance: f"{0.1 + min(60.0, chance.lognormvariate(1, 1)):.3f}",
    "times": lambda chance: str(chance.randint(1, 2)),
    "known_call": lambda chance: chance.choice(CALLS),
    "code": lambda chance: str(chance.choice((1000, 1001, 1011, 1012, 1013, 4000))),
    "status": lambda chance: str(chance.choice(_STATUSES)),
    "close_reason": lambda chance: chance.choice(("", "x", "going away")),
    "str": lambda chance: chance.choice(("", "x", "going away")),
    "symbol": lambda chance: chance.choice(("R_100", "R_50", "1HZ100V")),
    "kind": lambda chance: chance.choice(("ticks", "candles", "calls")),
}

_POISONS: Final = ("close", "drop", "crash", "silent", "huge")

#: Faults whose arguments have a meaning that their kinds do not tell.
_TEXTS: Final[Mapping[str, Callable[[Random], str]]] = {
    "cut": lambda chance: f"cut:{chance.randint(1, 400)}",
    "huge": lambda chance: f"huge:{chance.choice((1000, 100_000, 1_500_000))}",
    "fragmented": lambda chance: f"fragmented:{chance.randint(20, 400)}",
    "garbage": lambda chance: "garbage" if chance.random() < 0.5 else "garbage:{]",
    "reject": lambda chance: f"reject:{chance.choice(_STATUSES)}",
    "rest": lambda chance: f"rest:{chance.choice((429, 500, 503))}",
    "fail_before": lambda chance: f"fail_before:{chance.choice(CODES)}:{chance.choice(CALLS)}",
    # A server that limits a request has not executed it.
    "fail_after": lambda chance: f"fail_after:{chance.choice(CODES[:2])}:{chance.choice(CALLS)}",
    "mute": lambda chance: f"mute:{chance.choice(('R_100', 'ticks', 'candles', 'calls'))}",
    "poison": lambda chance: f"poison:{chance.choice(POISONED)}:{chance.choice(_POISONS)}",
    "id_storm": lambda chance: f"id_storm:{chance.randint(10, 2000)}:{chance.randint(10, 500)}",
    "late_subscription": lambda chance: (
        f"late_subscription:{chance.uniform(0.5, 15):.3f}:{chance.choice(('R_100', 'R_50'))}"
        f":1:{chance.choice(('lost', 'before', 'after'))}"
    ),
    "malform": lambda chance: (
        f"malform:{chance.choice(('ticks', 'time'))}:{chance.choice(_VALUES)}"
    ),
}

#: Faults that only befall the next attempt: something has to make one necessary.
_NEED_A_DROP: Final = frozenset(
    "refuse silence break_tls garbage_handshake hang_up accept_then_close reject rest".split()
)

#: Faults that last, with what ends them.
_LASTING: Final[Mapping[str, str]] = {
    "delay": "delay:{latency}",
    "fragmented": "fragmented:9999999",
}

_HANDSHAKE: Final = 0.3


def names(*, rest: bool) -> list[str]:
    """Return the faults that can be drawn; with *rest*, also those of the REST call."""
    return [name for name in inside.fault_grammar() if name != "rest" or rest]


def draw(
    chance: Random, at: float, latency: float, recent: Sequence[str] | None, *, rest: bool
) -> list[Step]:
    """Return a random fault at this time, with what belongs to it.

    *recent* are the texts of those before it; None: nothing is held back.
    """
    while True:
        text = _text(chance, chance.choice(names(rest=rest)))
        if recent is None or not known.is_held_back(text, recent):
            return list(_with_consequences(chance, text, at, latency))


def struck(step: Step) -> ScheduledFault:
    """Return the fault that *step* is."""
    return parse_fault(":".join((step.name, *step.words)) + "@0")


def is_fault(step: Step) -> bool:
    """Return whether *step* is a fault, not an action."""
    return step.name in inside.fault_grammar()


def _text(chance: Random, name: str) -> str:
    if name in _TEXTS:
        return _TEXTS[name](chance)
    kinds, needed = inside.fault_grammar()[name]
    given = kinds[: chance.randint(needed, len(kinds))]
    return ":".join([name, *(_ARGUMENTS[kind](chance) for kind in given)])


def _with_consequences(chance: Random, text: str, at: float, latency: float) -> Iterator[Step]:
    name, *words = text.split(":")
    yield Step(at, name, tuple(words), _checkpoints(chance))
    if name in _NEED_A_DROP:
        yield Step(at, "drop")
    if name in _LASTING or name == "clear":
        undo = _LASTING.get(name, "delay:{latency}").format(latency=latency).split(":")
        pause = 0.0 if name == "clear" else chance.uniform(1, 60)
        yield Step(round(at + pause, 3), undo[0], tuple(undo[1:]))
    if name == "refuse" and not words:
        yield Step(round(at + math.exp(chance.uniform(0, 6)), 3), "refuse", ("0",))


def _checkpoints(chance: Random) -> int:
    return chance.randint(0, 60) if chance.random() < _HANDSHAKE else 0
