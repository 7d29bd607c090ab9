import trio

import derivtrio


async def hold(client: derivtrio.Client, contract_id: int, patience: float) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.move_on_after(patience, shield=True):
            await client.sell(contract_id, 0)
