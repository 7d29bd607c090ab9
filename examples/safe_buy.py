"""Buy one contract, and know for certain what came of it.

The connection may break at any moment, also between the order and its answer. An order is never
sent twice: when its answer is lost, the account is asked what became of it. `derivtrio simulate`
has a server to try this with; it takes the token `demo-token`.
"""

import os

import trio

import derivtrio

URL = os.environ.get("DERIV_URL", "ws://127.0.0.1:8765/websockets/v3?app_id=1089")
TOKEN = os.environ.get("DERIV_TOKEN", "demo-token")

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
            print(f"it cannot be told, look at {candidates}: {how}")
        case _:
            print(f"not bought: {outcome.how}")
    return None


async def main() -> None:
    """Buy, and follow the contract to its end, across as many connections as that takes."""
    async with derivtrio.open_client(endpoint=URL, token=TOKEN) as client:
        purchase = await buy(client)
        if purchase is None:
            return
        async with client.open_contract(purchase.contract_id) as contract:
            async for state in contract:
                print(f"{state.status}: {state.profit}")


trio.run(main)
