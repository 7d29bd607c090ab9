"""Buy one contract, and know for certain what came of it.

The connection may break at any moment, also between the order and its answer. An order is never
sent twice: when its answer is lost, the account is asked what became of it. Here it happens at a
simulator, on trio's virtual clock; with a real account only `main` would change.
"""

import trio
import trio.testing

import derivtrio
from derivtrio.simulator import open_simulator

RISE = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 5,
    "duration_unit": "t",
}


async def buy(client: derivtrio.Client) -> derivtrio.Purchase | None:
    """Buy at the present price; return None if that was not possible."""
    async with client.proposal(RISE) as prices:
        proposal = await anext(prices)
        try:
            return await client.buy(proposal)
        except (derivtrio.ApiError, derivtrio.ConnectionChanged) as error:
            print(f"not bought: {error}")
            return None
        except derivtrio.OutcomeUnknown as unknown:
            print(f"in doubt: {unknown}")
            outcome = await client.reconcile(unknown)
    match outcome:
        case derivtrio.Bought(purchase, how):
            print(f"bought: {how}")
            return purchase
        case derivtrio.Ambiguous(candidates, how):
            print(f"cannot be decided, look at {candidates}: {how}")
        case _:
            print(f"not bought: {outcome.how}")
    return None


async def main() -> None:
    """Buy, and follow the contract to its end, across as many connections as that takes."""
    async with (
        open_simulator(seed=3, port=None, faults=["lose_after:buy@0"]) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client,  # noqa: S106
    ):
        purchase = await buy(client)
        if purchase is None:
            return
        async with client.open_contract(purchase.contract_id) as contract:
            async for state in contract:
                print(f"{state.status}: {state.profit}")


trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
