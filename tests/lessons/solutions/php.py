from typing import Literal

import trio

import derivtrio

Readiness = Literal["nothing", "opened", "ready"]


async def readiness(client: derivtrio.Client, seconds: float) -> Readiness:
    with trio.move_on_after(seconds):
        await client.wait_ready()
        return "ready"
    return "nothing" if client.status.connection is None else "opened"
