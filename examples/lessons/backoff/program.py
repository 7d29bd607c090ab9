"""Backoff, and a thousand clients: they come back to a server that was away for ten seconds."""

import random
from collections import Counter
from collections.abc import Callable

CLIENTS, OUTAGE, SHOWN = 1000, 10, 12
Draw = Callable[[float], float]


def returns(draw: Draw) -> Counter[int]:
    """Return how many clients come back in each second, if each waits `draw(ceiling)`."""
    found: Counter[int] = Counter()
    for _ in range(CLIENTS):
        now, ceiling = 0.0, 0.5
        while now < OUTAGE:
            now += draw(ceiling)
            ceiling = min(ceiling * 2, 60)
        found[int(now)] += 1
    return found


async def main() -> None:
    """Plot them as text: without jitter, and with full jitter."""
    full: Draw = lambda ceiling: random.uniform(0, ceiling)  # noqa: E731, S311
    for name, found in (("no jitter", returns(lambda x: x)), ("full jitter", returns(full))):
        print(f"{name}: at most {max(found.values())} in one second")
        for second in range(OUTAGE, OUTAGE + SHOWN):
            print(f"{second:4} s {found[second]:5} {'#' * (found[second] // 10)}".rstrip())
