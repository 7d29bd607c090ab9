"""Have python-deriv-api visit the simulator, and hold what it saw against what was there."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import trio

from derivtrio.simulator import Simulator, open_simulator
from tests.benchmarks.environments import CannotInstall, interpreter

DEMO = "VRTC1000001"
PACKAGES = ("python-deriv-api==0.1.6",)
ENVIRONMENTS = Path(tempfile.gettempdir(), "derivtrio-benchmarks")


async def visited() -> list[str]:
    """Return what is wrong with the visit, in words."""
    python = interpreter(PACKAGES, ENVIRONMENTS)
    driver = str(Path(__file__).with_name("client.py"))
    async with open_simulator(seed=1) as sim:
        place = sim.url.partition("/websockets")[0]
        with trio.fail_after(90):
            done = await trio.run_process([python, driver, place], capture_stdout=True)
        return list(judged(json.loads(done.stdout), sim))


def judged(seen: dict[str, Any], sim: Simulator) -> list[str]:
    """Return in what *seen* differs from what the simulator has."""
    ledger = sim.ledger(DEMO)
    ticks = [sim.market.tick("R_100", tick["epoch"]).quote for tick in seen["ticks"]]
    sold = [contract for contract in seen["contracts"] if contract["is_sold"]]
    comparisons = {
        "ping": (seen["ping"], "pong"),
        "loginid": (seen["loginid"], DEMO),
        "a listed symbol": ("1HZ100V" in seen["symbols"], True),
        "ticks": ([tick["quote"] for tick in seen["ticks"]], ticks),
        "contracts": (
            [contract["contract_id"] for contract in sold],
            [contract.contract_id for contract in ledger.contracts.values()],
        ),
        "balance": (seen["balance"], float(ledger.account.balance)),
        "statement": (
            sorted(seen["statement"]),
            sorted(transaction.transaction_id for transaction in ledger.transactions),
        ),
        "portfolio": (seen["portfolio"], []),
    }
    return [
        f"{name}: it saw {theirs!r}, and there was {ours!r}"
        for name, (theirs, ours) in comparisons.items()
        if theirs != ours
    ]


def main() -> None:
    """Visit, and say how it went."""
    try:
        faults = trio.run(visited)
    except CannotInstall as error:
        sys.stdout.write(f"skipped: {PACKAGES[0]} cannot be installed: {error}\n")
        return
    sys.stdout.write("\n".join(faults or ["PASSED"]) + "\n")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
