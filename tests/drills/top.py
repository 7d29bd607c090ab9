"""What `derivtrio top` costs: the CPU time of its view beyond that of the client.

    python -m tests.drills.top

A simulator in its own process sends ten ticks a second over loopback. A client follows them for
some seconds on a terminal that nobody looks at, in turn with and without the view of `top` and
what that measures. What is compared is this process's CPU time.
"""

import argparse
import fcntl
import os
import pty
import statistics
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from derivtrio.cli.target import Target, target_for
from derivtrio.cli.top import show
from tests.drills.server import open_server

SYMBOL: Final = "1HZ100V"  # one tick a second
RATE: Final = 10

#: Of the terminal: lines and columns.
SIZE: Final = (40, 120)

#: How much of a core the view may take.
MOST: Final = 0.02

#: How long nothing is measured at first, in seconds.
_WARM: Final = 3


@contextmanager
def terminal() -> Iterator[None]:
    """Make standard output a terminal during the block; what comes there is thrown away."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    kept = os.dup(1)
    os.dup2(theirs, 1)
    reader = threading.Thread(target=_read, args=(ours,), daemon=True)
    reader.start()
    try:
        yield
    finally:
        os.dup2(kept, 1)
        for descriptor in (kept, theirs):
            os.close(descriptor)
        reader.join(1)
        os.close(ours)


def _read(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:
        return


async def alone(target: Target) -> None:
    """Follow the ticks, and show nothing."""
    async with target.open() as client, client.ticks(SYMBOL) as stream:
        async for _ in stream:
            pass


async def cost(target: Target, seconds: float, *, viewed: bool) -> float:
    """Return the CPU time of a second."""
    async with trio.open_nursery() as nursery:
        if viewed:
            nursery.start_soon(show, target, (SYMBOL,), None)
        else:
            nursery.start_soon(alone, target)
        await trio.sleep(_WARM)
        begun = time.process_time()
        await trio.sleep(seconds)
        used = time.process_time() - begun
        nursery.cancel_scope.cancel()
    return used / seconds


async def measure(rounds: int, seconds: float) -> tuple[float, float]:
    """Return the medians without and with the view."""
    costs: dict[bool, list[float]] = {False: [], True: []}
    async with open_server(1, RATE) as port:
        target = target_for(f"ws://127.0.0.1:{port}/websockets/v3", "1089", None)
        for number in range(2 * rounds):
            viewed = bool(number % 2)
            costs[viewed].append(await cost(target, seconds, viewed=viewed))
    return statistics.median(costs[False]), statistics.median(costs[True])


def main() -> None:
    """Do what the command line says; the exit status is 1 if the view costs too much."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.top", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="how long each takes")
    options = parser.parse_args()
    with terminal():
        without, viewed = trio.run(measure, options.rounds, options.seconds)
    sys.stdout.write(
        f"the client takes {without:.2%} of a core, with the view of top {viewed:.2%}\n"
        f"the view takes {viewed - without:.2%} of a core, at most {MOST:.0%}\n"
    )
    sys.exit(viewed - without > MOST)


if __name__ == "__main__":
    main()
