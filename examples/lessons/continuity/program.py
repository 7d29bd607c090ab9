"""Continuity without I/O: what to deliver after a reconnect is a function of three values."""

from collections.abc import Iterator, Sequence

import derivtrio
from derivtrio.simulator import open_simulator


def resume(last: int, history: Sequence[int], live: Sequence[int]) -> Iterator[int]:
    """Yield the epochs to deliver: each once, in order; *last* is the last one delivered before."""
    for epoch in (*history, *live):
        if epoch > last:
            yield epoch
            last = epoch


async def main() -> None:
    """Show the function; then a client that does so, against a market that can be computed."""
    print("overlap: ", *resume(13, history=[12, 13, 14, 15, 16], live=[15, 16, 17]))
    print("late:    ", *resume(13, history=[12, 13, 14], live=[14, 15]))
    print("nothing: ", *resume(13, history=[12, 13], live=[13]))
    async with (
        open_simulator(port=None, start=1_800_000_000, faults=["drop@10", "refuse:5@10"]) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        client.ticks("1HZ100V") as ticks,
    ):
        seen = [(await anext(ticks)) for _ in range(60)]
        market = sim.market.ticks("1HZ100V", seen[0].epoch, seen[-1].epoch)
        print("seen as in the market:", [t.quote for t in seen] == [t.quote for t in market])
        print("connections:", sim.accepted, "gaps:", len(ticks.gaps))
