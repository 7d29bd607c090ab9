"""Exercise 10: a last sale on the way out."""

import trio

import derivtrio


async def hold(client: derivtrio.Client, contract_id: int, patience: float) -> None:
    """Hold the contract until cancelled; then sell it, which may take *patience* seconds at most.

    The cancellation goes on afterwards. This version puts the sale where it will not be reached.
    """
    await trio.sleep_forever()
    with trio.move_on_after(patience):
        await client.sell(contract_id, 0)
