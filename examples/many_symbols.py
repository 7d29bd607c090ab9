"""One client, many subscriptions, each in a task of its own. Ctrl-C ends it.

The nursery belongs to the program. If one task fails, the other tasks are cancelled, all
subscriptions are forgotten, and the connection is closed, in this order. Then the error comes out.
"""

import os

import trio

import derivtrio

URL = os.environ.get("DERIV_URL", "wss://api.derivws.com/trading/v1/options/ws/public")
SYMBOLS = ("R_10", "R_25", "R_50", "R_75", "R_100")


async def follow(client: derivtrio.Client, symbol: str) -> None:
    """Print every tick of *symbol*.

    `overflow="latest"` says that only the newest price matters: if this task lags by more than
    `buffer` ticks, all but the newest are dropped, and `ticks.dropped` counts them.
    """
    async with client.ticks(symbol, buffer=60, overflow="latest") as ticks:
        async for tick in ticks:
            print(f"{symbol:<6} {tick.quote:>12.{tick.pip_size}f}", flush=True)


async def main() -> None:
    """Follow all symbols at once."""
    async with (
        derivtrio.open_client(endpoint=URL) as client,
        trio.open_nursery() as nursery,
    ):
        for symbol in SYMBOLS:
            nursery.start_soon(follow, client, symbol, name=symbol)


derivtrio.run(main)
