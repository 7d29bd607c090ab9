"""Silence is not health: a heartbeat finds a dead connection, and only that."""

import trio

import derivtrio
from derivtrio.simulator import open_simulator

FAULTS = ["freeze@20.5", "mute:1HZ100V@100.5"]
NEWEST = {"ticks_history": "1HZ100V", "end": "latest", "count": 1}


async def main() -> None:
    """Follow a stream past a frozen connection and a mute stream; notice the second ourselves."""
    settings = derivtrio.Settings(heartbeat_interval=5, heartbeat_timeout=5)
    async with (
        open_simulator(port=None, start=1_800_000_000, faults=FAULTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
        client.ticks("1HZ100V") as ticks,
    ):
        last, patience, connection = 0, trio.CancelScope(), 1
        while not patience.cancelled_caught:
            with trio.move_on_after(15.2) as patience:
                last = (await anext(ticks)).epoch
            if client.status.connection != connection:
                connection = client.status.connection or 0
                print(f"{trio.current_time():5.1f} s  a new connection; {client.status.last_error}")
        ahead = (await client.call(NEWEST))["history"]["times"][0] - last
        print(f"{trio.current_time():5.1f} s  no tick for 15 s; the server has {ahead} more")
