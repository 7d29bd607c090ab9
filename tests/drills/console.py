"""Runs a drill on the virtual clock, from the command line."""

import logging
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn, Protocol, TypeVar

import trio
import trio.testing

P = TypeVar("P")


class Finished(Protocol):
    """A drill that has ended."""

    @property
    def passed(self) -> bool:
        """Whether nothing went wrong."""
        ...


D = TypeVar("D", bound=Finished)


def perform(
    run: Callable[[P, Callable[[str], None]], Awaitable[D]], plan: P, summary: Callable[[D], str]
) -> NoReturn:
    """Run the drill as planned, print its summary, and exit with 1 if it failed."""
    logging.getLogger("derivtrio").setLevel(logging.CRITICAL)
    clock, begin = trio.testing.MockClock(autojump_threshold=0), time.perf_counter()
    drill = trio.run(run, plan, _say, clock=clock)
    _say(summary(drill))
    _say(f"in {time.perf_counter() - begin:.0f} s")
    sys.exit(not drill.passed)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
