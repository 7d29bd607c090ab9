"""Channels and slow consumers: four consumers of one stream, and none of them delays another."""

import trio

import derivtrio
from derivtrio import OverflowPolicy
from derivtrio.simulator import open_simulator


async def consume(client: derivtrio.Client, pause: float, overflow: OverflowPolicy) -> None:
    """Take ticks for a minute, and need *pause* seconds for each."""
    seen, ticks = 0, client.ticks("1HZ100V", buffer=5, overflow=overflow)
    try:
        async with ticks:
            with trio.move_on_after(59.5 + len(overflow) / 100):
                async for _ in ticks:
                    seen += 1
                    await trio.sleep(pause)
        print(f"{pause:5} s a tick, {overflow:12} took {seen}, lost {ticks.dropped}")
    except derivtrio.SlowConsumer as error:
        print(f"{pause:5} s a tick, {overflow:12} took {seen}; {type(error).__name__}")


async def main() -> None:
    """Let four consumers listen to the same stream, one tick a second."""
    async with (
        open_simulator(port=None, start=1_800_000_000) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(consume, client, 0, "error")
        for overflow in ("error", "drop_oldest", "latest"):
            nursery.start_soon(consume, client, 3.71, overflow)
