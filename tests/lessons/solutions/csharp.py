import trio

import derivtrio


async def first_above(
    client: derivtrio.Client, symbol: str, level: float, seconds: float
) -> float | None:
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
