"""Stopwatches and scales of one process."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Final

#: The variable that says which process the load server is.
SERVER: Final = "DERIVTRIO_LOAD_SERVER"


@dataclass
class Spent:
    """Seconds that a block took: on the clock, of this process's CPU, and of the server's."""

    wall: float = 0.0
    cpu: float = 0.0
    server: float = 0.0

    @property
    def busy(self) -> dict[str, float]:
        """For how much of the time the server was busy, as a figure."""
        return {"server": self.server / self.wall}


@contextmanager
def stopwatch() -> Iterator[Spent]:
    """Measure the block."""
    gc.collect()
    spent = Spent()
    server, wall, cpu = _server_time(), perf_counter(), process_time()
    try:
        yield spent
    finally:
        spent.wall, spent.cpu = perf_counter() - wall, process_time() - cpu
        spent.server = _server_time() - server


def _server_time() -> float:
    """Return the server's CPU time in seconds; 0 where it is not said as Linux does."""
    file = Path("/proc", os.environ.get(SERVER, "none"), "schedstat")
    try:
        return int(file.read_text(encoding="ascii").split()[0]) / 1e9
    except OSError:
        return 0.0


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
