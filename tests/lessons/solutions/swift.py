import trio

import derivtrio


async def collect(
    endpoint: derivtrio.Endpoint, symbol: str, seconds: float, goodbye: float
) -> list[float]:
    quotes: list[float] = []
    settings = derivtrio.Settings(close_timeout=goodbye)
    async with (
        derivtrio.open_client(endpoint=endpoint, settings=settings) as client,
        client.ticks(symbol) as ticks,
    ):
        with trio.move_on_after(seconds):
            async for tick in ticks:
                quotes.append(tick.quote)  # noqa: PERF401  (a list that is kept when cut short)
    return quotes
