"""A simulator in its own process, at many times the speed of the real clock.

`python -m tests.drills.server SEED RATE [HOST [PEM]]` prints its port, and serves until its input
ends; with TLS, if it gets a file with a key and a certificate.
"""

import os
import ssl
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import trio
import trio.testing

from derivtrio.simulator import open_simulator
from tests.proxy import HOST

_ROOT: Final = str(Path(__file__).parents[2])
_COMMAND: Final = (sys.executable, "-P", "-m", "tests.drills.server")
_PATIENCE: Final = 10

#: The client pings by the real clock, which is slow for this server: it must not look idle.
_IDLE: Final = 10_000


async def serve(seed: int, host: str = HOST, pem: str = "") -> None:
    """Serve until the standard input ends."""
    context = None
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
    async with open_simulator(seed, host=host, ssl_context=context, idle_timeout=_IDLE) as sim:
        sys.stdout.write(f"{urlsplit(sim.url).port}\n")
        sys.stdout.flush()
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stdin:
            async for _ in stdin:
                pass


@asynccontextmanager
async def open_server(
    seed: int, rate: float, host: str = HOST, *, pem: str = "", inside: Sequence[str] = ()
) -> AsyncGenerator[int]:
    """Run the server during the block; yield its port. *inside* comes before its command line."""
    process = await trio.lowlevel.open_process(
        [*inside, *_COMMAND, str(seed), str(rate), host, *([pem] if pem else ())],
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
    seed, rate, *rest = sys.argv[1:]
    trio.run(serve, int(seed), *rest, clock=trio.testing.MockClock(rate=float(rate)))
