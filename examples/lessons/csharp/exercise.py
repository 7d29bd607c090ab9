"""Exercise 4: one limit for a call and a stream together."""

import trio

import derivtrio


async def first_above(
    client: derivtrio.Client, symbol: str, level: float, seconds: float
) -> float | None:
    """Return the first quote of *symbol* above *level*, from the last ten of its history on.

    Return None if there is none within *seconds*, which count for everything this function does.
    This version hands the limit to one call, as one hands over a token, and forgets the other.
    """
    with trio.move_on_after(seconds):
        reply = await client.call({"ticks_history": symbol, "end": "latest", "count": 10})
        for quote in reply["history"]["prices"]:
            if quote > level:
                return float(quote)
    async with client.ticks(symbol) as ticks:
        async for tick in ticks:
            if tick.quote > level:
                return tick.quote
    return None
