"""A worker of several that share the ticks of a stream in Redis; any of them may be killed.

`derivtrio relay R_100 --to redis://127.0.0.1:6379/ticks` fills the stream. Start this program three
times, each with a name of its own:

    python redis_workers.py first

Redis gives each entry to one worker of the group, and remembers it until the worker acknowledges
it. What a dead worker has left is claimed by another after `PATIENCE`. So each tick is worked on at
least once; a worker that dies between its work and the acknowledgement is why it may be twice.
"""

import contextlib
import os
import sys
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import coredis
import trio
from coredis.exceptions import StreamDuplicateConsumerGroupError

import derivtrio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coredis.response.types import StreamEntry

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/ticks")
GROUP = "workers"
PATIENCE = 2000  # milliseconds


async def work(members: dict[str, str]) -> None:
    """Do what is to be done with one tick, or with a gap."""
    if "gap" in members:
        print("gap", members["after"], members["before"], flush=True)
    else:
        print(members["symbol"], members["epoch"], members["quote"], flush=True)
    await trio.sleep(0.01)


async def main(name: str) -> None:
    """Work as *name* until a signal comes."""
    server = urlsplit(URL)
    stream = server.path.removeprefix("/")
    redis = coredis.Redis(host=server.hostname, port=server.port or 6379, decode_responses=True)
    async with redis:
        with contextlib.suppress(StreamDuplicateConsumerGroupError):  # another worker was first
            await redis.xgroup_create(stream, GROUP, identifier="0", mkstream=True)
        while True:
            _, entries, *_ = await redis.xautoclaim(stream, GROUP, name, PATIENCE, "0", count=100)
            if not entries:
                found = await redis.xreadgroup(GROUP, name, {stream: ">"}, count=10, block=500)
                entries = (found or {}).get(stream, ())
            for entry in cast("Sequence[StreamEntry]", entries):
                await work({str(name): str(value) for name, value in entry.field_values.items()})
                await redis.xack(stream, GROUP, [entry.identifier])


derivtrio.run(main, sys.argv[1] if len(sys.argv) > 1 else f"worker-{os.getpid()}")
