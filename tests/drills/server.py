"""A simulator in its own process, at many times the speed of the real clock.

`python -m tests.drills.server SEED RATE` prints its port, and serves until its input ends.
"""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trio
import trio.testing

from derivtrio.simulator import open_simulator

_ROOT: Final = str(Path(__file__).parents[2])
_PATIENCE: Final = 10

#: The client pings by the real clock, which is slow for this server: it must not look idle.
_IDLE: Final = 10_000


async def serve(seed: int) -> None:
    """Serve until the standard input ends."""
    async with open_simulator(seed, idle_timeout=_IDLE) as sim:
        sys.stdout.write(f"{urlsplit(sim.url).port}\n")
        sys.stdout.flush()
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
            async for _ in stdin:
                pass


@asynccontextmanager
async def open_server(seed: int, rate: float) -> AsyncGenerator[int]:
    """Run the server during the block; yield its port."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", "tests.drills.server", str(seed), str(rate)],
        stdin=-1,
        stdout=-1,
        env={**os.environ, "PYTHONPATH": _ROOT},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with process.stdin, process.stdout:
            yield int(await process.stdout.receive_some())
    finally:
        with trio.move_on_after(_PATIENCE, shield=True):
            await process.wait()
        if process.returncode is None:
            process.kill()


if __name__ == "__main__":
    trio.run(serve, int(sys.argv[1]), clock=trio.testing.MockClock(rate=float(sys.argv[2])))
