import derivtrio


async def clean_up(client: derivtrio.Client) -> int:
    sold = 0
    for position in await client.portfolio():
        try:
            await client.sell(position.contract_id, reconcile=True)
            sold += 1
        except (derivtrio.ApiError, derivtrio.ConnectionLost):
            continue  # the next start will find it again
    return sold
