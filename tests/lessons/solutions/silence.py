import trio

import derivtrio


async def follow(client: derivtrio.Client, symbol: str, count: int, patience: float) -> list[int]:
    epochs: list[int] = []
    start = None
    while len(epochs) < count:
        async with client.ticks(symbol, start=start) as ticks:
            while len(epochs) < count:
                with trio.move_on_after(patience) as waiting:
                    epochs.append((await anext(ticks)).epoch)
                if waiting.cancelled_caught and await is_ahead(client, symbol, epochs):
                    break
        start = epochs[-1] + 1 if epochs else None
    return epochs


async def is_ahead(client: derivtrio.Client, symbol: str, epochs: list[int]) -> bool:
    reply = await client.call({"ticks_history": symbol, "end": "latest", "count": 1})
    return bool(reply["history"]["times"][-1] > (epochs or [0])[-1])
