"""Everything in the chaos tests that reaches behind the public names, in one place.

1. trio has no public way to seed its scheduler. Its own plugin for Hypothesis sets the same two
   names (`trio._core._run._hypothesis_plugin_setup`), and says that they are for tests.
2. The grammar of the simulator's faults is read, so that a new fault is drawn without a change.
3. The tables of a client are counted by walking its objects, whatever they are called.
4. `quick_clock` is a `trio.testing.MockClock` without a rate, so that reading it costs little: a
   run does that a hundred times for each second that it simulates. trio lets nobody derive from it.
5. One symbol of the simulator is slowed down, for plans with hours in which little happens.
"""

import math
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import attrs
import trio
import trio.testing
from trio._core import _run

from derivtrio import Client
from derivtrio.simulator import Market
from derivtrio.simulator.faults import schedule
from derivtrio.simulator.market.price_path import PricePath

_TABLES: Final = (dict, list, set, deque, WeakKeyDictionary)

_FOR_EVER: Final = 1e9

#: Tables that have a limit of their own, and so many entries at most.
BOUNDED: Final = {
    "TradeLog._known": 10_000,
    "TradeLog._in_doubt": 1000,
    "AccountTrades.known": 1000,
    "AccountTrades.doubts": 1000,
    "Router._unsubscribed": 11_024,
    "Window._ends": 20_000,  # an hour of requests
}

#: Data without tables: what was received or announced, and what never changes.
_LEAVES: Final = ("derivtrio.models", "derivtrio.errors", "derivtrio.events", "derivtrio.settings")


def seed_scheduler(seed: int) -> None:
    """Make the order in which trio runs its tasks a function of *seed*."""
    setattr(_run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)  # noqa: B010 - it is Final, for mypy
    _run._r.seed(seed)  # noqa: SLF001 - see the module


def quick_clock() -> trio.testing.MockClock:
    """Return a clock that jumps to the next deadline when all tasks wait."""
    clock: Any = trio.testing.MockClock(autojump_threshold=0)
    clock.now = 0.0

    def jump() -> None:
        deadline = _run.GLOBAL_RUN_CONTEXT.runner.deadlines.next_deadline()
        if clock.now < deadline < math.inf:
            clock.now = deadline

    clock.current_time = lambda: clock.now
    clock.deadline_to_sleep_time = lambda deadline: 0.0 if deadline <= clock.now else _FOR_EVER
    clock._autojump = jump  # noqa: SLF001 - see the module
    mock: trio.testing.MockClock = clock
    return mock


def slow_down(market: Market, name: str, period: int) -> None:
    """Let the symbol *name* have a tick only every *period* seconds."""
    symbol = attrs.evolve(market.symbols[name], period=period)
    market.symbols[name] = symbol  # type: ignore[index]  # it is a dict
    market._paths[name] = PricePath(symbol, market.seed)  # noqa: SLF001 - see the module


def fault_grammar() -> Mapping[str, tuple[tuple[str, ...], int]]:
    """Return the names of the faults, with the kinds of their arguments and how many are needed."""
    return {
        name: (tuple(each.__name__.strip("_") for each in converters), needed)
        for name, (converters, needed) in schedule._ARGUMENTS.items()  # noqa: SLF001 - see the module
    }


def table_sizes(client: Client) -> Counter[str]:
    """Return how many entries the client's tables have, by class and attribute."""
    sizes: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[Any] = [client]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or not _has_tables(each):
            continue
        seen.add(id(each))
        for name, value in _attributes(each):
            _count(f"{type(each).__name__}.{name}", value, sizes, waiting)
    return sizes


def _count(path: str, value: Any, sizes: Counter[str], waiting: list[Any]) -> None:
    if isinstance(value, _TABLES):
        sizes[path] += len(value)
        inner = [*value, *value.values()] if hasattr(value, "values") else list(value)
        waiting += inner
    elif isinstance(value, trio.MemorySendChannel | trio.MemoryReceiveChannel):
        sizes[path] += value.statistics().current_buffer_used
    else:
        waiting.append(value)


def _has_tables(each: Any) -> bool:
    module = type(each).__module__
    return module.startswith("derivtrio.") and not module.startswith(
        (*_LEAVES, "derivtrio.simulator")
    )


def _attributes(each: Any) -> Iterator[tuple[str, Any]]:
    names = {name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())}
    for name in sorted(names | set(getattr(each, "__dict__", ()))):
        if not name.startswith("__") and hasattr(each, name):
            yield name, getattr(each, name)
