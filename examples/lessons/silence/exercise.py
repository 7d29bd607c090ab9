"""Exercise 11: follow a stream that may fall silent."""

import derivtrio


async def follow(
    client: derivtrio.Client,
    symbol: str,
    count: int,
    patience: float,  # noqa: ARG001
) -> list[int]:
    """Return the epochs of the next *count* ticks of *symbol*, without a hole.

    If nothing comes for *patience* seconds, look whether the server has more, and if so ask for the
    stream again, from where it stopped. This version trusts that a connection which is alive has
    streams which are.
    """
    epochs: list[int] = []
    async with client.ticks(symbol) as ticks:
        async for tick in ticks:
            epochs.append(tick.epoch)
            if len(epochs) == count:
                break
    return epochs
