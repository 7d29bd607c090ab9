"""Rehearse a disaster: a program of yours, the simulator, and a frozen connection.

No network is needed, and no time passes: on trio's virtual clock an hour takes a moment. In a test
suite this function would be a test.
"""

import trio
import trio.testing

import derivtrio
from derivtrio.simulator import open_simulator


async def highest(client: derivtrio.Client, symbol: str, count: int) -> float:
    """Return the highest of the next *count* quotes: the program under test."""
    quotes: list[float] = []
    async with client.ticks(symbol) as ticks:
        async for tick in ticks:
            quotes.append(tick.quote)
            if len(quotes) == count:
                break
    return max(quotes)


async def main() -> None:
    """Run `highest` while the connection freezes, and later the server goes away for a minute."""
    disasters = ["freeze@100", "refuse:60@1000", "drop@1000"]
    async with (
        open_simulator(seed=7, port=None, faults=disasters) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        result = await highest(client, "1HZ100V", count=3600)
        print(f"highest: {result}, after {trio.current_time() - START:.0f} s")
        print(f"connections: {sim.accepted}, and how the lost ones ended:")
        for record in sim.history:
            print(f"  {record.ending.cause}")


clock = trio.testing.MockClock(autojump_threshold=0)
START = clock.current_time()
trio.run(main, clock=clock)
