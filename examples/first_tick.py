"""Connect, subscribe, print one tick, leave."""

import os

import derivtrio

URL = os.environ.get("DERIV_URL", "wss://api.derivws.com/trading/v1/options/ws/public")


async def main() -> None:
    """Leaving the block forgets the subscription and closes the connection with a goodbye."""
    async with (
        derivtrio.open_client(endpoint=URL) as client,
        client.ticks("R_100") as ticks,
    ):
        async for tick in ticks:
            print(tick.symbol, tick.quote)
            break


derivtrio.run(main)
