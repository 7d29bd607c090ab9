"""What a time line costs: the CPU time of ticks that come one by one, with and without it.

    python -m tests.drills.tracing

A simulator in its own process sends a thousand ticks a second over loopback. A client follows them
in turn with and without `timeline`. What is compared is this process's CPU time for a tick, the
median of several rounds, and what the difference is of a core at that rate.
"""

import argparse
import statistics
import sys
import time
from contextlib import nullcontext
from typing import Final

import trio

import derivtrio
from derivtrio.trace import timeline
from tests.drills.server import open_server

SYMBOL: Final = "1HZ100V"  # one tick a second
RATE: Final = 1000

#: How much of a core the time line may take at that rate.
MOST: Final = 0.05


async def cost(url: str, ticks: int, *, traced: bool) -> float:
    """Return the CPU time for a tick, in seconds."""
    with timeline() if traced else nullcontext():
        async with (
            derivtrio.open_client(endpoint=url) as client,
            client.ticks(SYMBOL) as stream,
        ):
            await anext(stream)
            begun = time.process_time()
            for _ in range(ticks):
                await anext(stream)
            return (time.process_time() - begun) / ticks


async def measure(rounds: int, ticks: int) -> tuple[float, float]:
    """Return the medians without and with a time line."""
    costs: dict[bool, list[float]] = {False: [], True: []}
    async with open_server(1, RATE) as port:
        url = f"ws://127.0.0.1:{port}/websockets/v3"
        for number in range(2 * rounds):
            traced = bool(number % 2)
            costs[traced].append(await cost(url, ticks, traced=traced))
    return statistics.median(costs[False]), statistics.median(costs[True])


def main() -> None:
    """Do what the command line says; the exit status is 1 if the time line costs too much."""
    parser = argparse.ArgumentParser(prog="python -m tests.drills.tracing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ticks", type=int, default=5000, help="how many in a round")
    options = parser.parse_args()
    without, traced = trio.run(measure, options.rounds, options.ticks)
    share = (traced - without) * RATE
    sys.stdout.write(
        f"a tick: {without * 1e6:.1f} µs of CPU; with a time line {traced * 1e6:.1f} µs\n"
        f"at {RATE} ticks a second the time line takes {share:.2%} of a core, at most {MOST:.0%}\n"
    )
    sys.exit(share > MOST)


if __name__ == "__main__":
    main()
