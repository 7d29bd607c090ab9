"""For tests of whole programs: a simulator that runs beside the test, and programs beside both.

The simulator runs in a thread of its own, at many times the speed of the real clock, so that nobody
waits a second for a tick.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import trio
import trio.testing

from derivtrio.simulator import Simulator, open_simulator

_RATE = 25

#: How long a program may take that has hung, in seconds. Nothing waits so long otherwise.
_HUNG = 120


@attrs.frozen
class Served:
    url: str
    sim: Simulator
    _token: trio.lowlevel.TrioToken

    def do(self, deed: Callable[[], object]) -> None:
        """Do *deed* where the simulator runs."""
        trio.from_thread.run_sync(deed, trio_token=self._token)


@contextmanager
def served() -> Iterator[Served]:
    started = threading.Event()
    running: list[Served] = []
    scope = trio.CancelScope()

    async def serve() -> None:
        with scope:
            async with open_simulator() as sim:
                running.append(Served(sim.url, sim, trio.lowlevel.current_trio_token()))
                started.set()
                await trio.sleep_forever()

    clock = trio.testing.MockClock(rate=_RATE)
    thread = threading.Thread(target=lambda: trio.run(serve, clock=clock))
    thread.start()
    assert started.wait(_HUNG)
    try:
        yield running[0]
    finally:
        running[0].do(scope.cancel)
        thread.join()


def environment(**changes: str) -> dict[str, str]:
    """Return an environment in which no variable of ours is set but *changes*."""
    ours = ("DERIV_", "NO_COLOR", "FORCE_COLOR", "PYTHONWARNINGS", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **changes}


@contextmanager
def started(*arguments: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python with *arguments* beside the block."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watchdog = threading.Timer(_HUNG, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def finished(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python with *arguments* to its end."""
    with started(*arguments, **variables) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line of its standard output."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def lines_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Return the lines of its standard output up to the one that has *words*."""
    found = [line(process)]
    while words not in found[-1]:
        assert found[-1] or process.poll() is None, (found, process.communicate())
        found.append(line(process))
    return found
