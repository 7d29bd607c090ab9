"""Calls that end decided: one that reads and one that buys, at three moments of a loss."""

from typing import Any

import derivtrio
from derivtrio.simulator import DEMO_TOKEN, Simulator, open_simulator
from examples.lessons.contracts import CONTRACT

REQUESTS: dict[str, dict[str, Any]] = {
    "time": {"time": 1},
    "buy": {"buy": "1", "price": 10, "parameters": CONTRACT},
}


async def attempt(sim: Simulator, name: str) -> str:
    """Make the call *name* on a new client, and say what became of it."""
    async with derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client:
        try:
            await client.call(REQUESTS[name])
        except derivtrio.DerivError as error:
            return type(error).__name__
        return "answered"


async def main() -> None:
    """Lose the connection before and after the request is executed; look what really happened."""
    for name in REQUESTS:
        for moment in ("never", "before", "after"):
            async with open_simulator(port=None) as sim:
                if moment != "never":
                    getattr(sim.faults, f"lose_{moment}")(name)
                ending = await attempt(sim, name)
                bought = len(sim.ledger("VRTC1000001").transactions)
                print(f"{name:5} lost {moment:7} -> {ending:15} really bought: {bought}")
