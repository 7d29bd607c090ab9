"""Stopwatches and scales of one process."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time


@dataclass
class Spent:
    """Seconds that a block took: on the clock, and of this process's CPU."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Spent]:
    """Measure the block."""
    gc.collect()
    spent = Spent()
    wall, cpu = perf_counter(), process_time()
    try:
        yield spent
    finally:
        spent.wall, spent.cpu = perf_counter() - wall, process_time() - cpu


def memory() -> int:
    """Return how many bytes of real memory this process holds.

    Raises:
        OSError: the platform does not say it where Linux does.

    """
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def middle_and_tail(times: list[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile of *times*."""
    return median(times), quantiles(times, n=100)[98]
