"""The scenarios: what each is called, what it does, over what, and which figures it yields.

Everybody's Deriv is wss, so the main scenarios run over TLS; those whose names end in `-ws` do the
same without it.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.benchmarks import acts
from tests.benchmarks.acts import Act


@dataclass(frozen=True)
class Figure:
    """A figure to report: its name, its unit, and whether more of it is better."""

    name: str
    unit: str
    more: bool = False


@dataclass(frozen=True)
class Scenario:
    """One thing to do, with what size and over what.

    `size` is how much there is to do in a full run. `sharing` says that the client must tell the
    messages of several requests apart, `ticks` that it is about them, `ours` that it is about
    derivtrio alone.
    """

    title: str
    act: Act
    size: int
    figures: tuple[Figure, ...]
    scheme: str = "wss"
    sharing: bool = False
    ticks: bool = False
    ours: bool = False


_TICKS: Final = (Figure("per_s", "ticks a second", more=True), Figure("cpu_us", "µs of CPU a tick"))
_LONE_TICK: Final = (Figure("cpu_us", "µs of CPU a tick"), Figure("wall_us", "µs a tick"))
_LONE_CALL: Final = (Figure("median_us", "µs, median"), Figure("p99_us", "µs, p99"))
_CALLS: Final = (Figure("cpu_us", "µs of CPU a call"), Figure("per_s", "calls a second", more=True))


def _burst(scheme: str) -> Scenario:
    title = f"ticks in a burst, {scheme}"
    return Scenario(title, acts.burst, 200_000, _TICKS, scheme, ticks=True)


def _lone_tick(scheme: str) -> Scenario:
    title = f"ticks one by one, each asked for when the one before has been taken, {scheme}"
    return Scenario(title, acts.lone_ticks, 10_000, _LONE_TICK, scheme, ticks=True)


def _lone_call(scheme: str) -> Scenario:
    return Scenario(f"one call after another, {scheme}", acts.lone_calls, 4000, _LONE_CALL, scheme)


def _callers(scheme: str) -> Scenario:
    title = f"a hundred callers at a time, {scheme}"
    return Scenario(title, acts.callers, 20_000, _CALLS, scheme, sharing=True)


def _streams(number: int, scheme: str) -> Scenario:
    title = f"a burst over {number} subscriptions, each with its consumer, {scheme}"
    act = partial(acts.burst, streams=number)
    return Scenario(title, act, 100_000, _TICKS, scheme, sharing=True, ticks=True)


def _pending(number: int) -> Scenario:
    title = f"{number} calls at a time, each in a task of its own, wss"
    act = partial(acts.pending, at_once=number)
    return Scenario(title, act, 20_000, _CALLS, sharing=True)


SCENARIOS: Final = {
    "burst-wss": _burst("wss"),
    "lone-tick-wss": _lone_tick("wss"),
    "lone-call-wss": _lone_call("wss"),
    "callers-wss": _callers("wss"),
    "pending-1000": _pending(1000),
    "pending-10000": _pending(10_000),
    **{f"streams-{number}": _streams(number, "wss") for number in (1, 10, 100, 1000)},
    "memory-streams": Scenario(
        "1000 subscriptions, wss",
        acts.stream_memory,
        1000,
        (Figure("kb", "kB each"),),
        sharing=True,
        ticks=True,
    ),
    "memory-idle": Scenario(
        "an idle client, beyond the imports, wss", acts.idle_memory, 40, (Figure("kb", "kB"),)
    ),
    "history": Scenario(
        "5000 ticks of history, wss",
        acts.history,
        50,
        (Figure("cpu_ms", "ms of CPU"), Figure("wall_ms", "ms")),
    ),
    "import": Scenario(
        "the import, as a multiple of that of trio and trio_websocket",
        acts.imports,
        21,
        (Figure("times", "times"),),
        ours=True,
    ),
    "burst-ws": _burst("ws"),
    "lone-tick-ws": _lone_tick("ws"),
    "lone-call-ws": _lone_call("ws"),
    "callers-ws": _callers("ws"),
    "streams-1000-ws": _streams(1000, "ws"),
}
