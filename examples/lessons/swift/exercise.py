"""Exercise 5: what was received before the deadline is not lost, and the goodbye has a limit."""

import trio

import derivtrio


async def collect(
    endpoint: derivtrio.Endpoint,
    symbol: str,
    seconds: float,
    goodbye: float,  # noqa: ARG001
) -> list[float]:
    """Return the quotes of *symbol* that come within *seconds* of the subscription.

    Leaving takes *goodbye* seconds at most, even if the server does not answer any more. In this
    version the deadline is an error that takes everything with it, and the goodbye is forgotten.
    """
    async with derivtrio.open_client(endpoint=endpoint) as client, client.ticks(symbol) as ticks:
        with trio.fail_after(seconds):
            return [tick.quote async for tick in ticks]
