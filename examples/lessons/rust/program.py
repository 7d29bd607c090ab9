"""A clean close takes two; until the other side has answered, "closed cleanly" is a hope."""

from typing import Any

import derivtrio
from derivtrio import Closed


async def ask(client: derivtrio.Client) -> dict[str, Any] | derivtrio.DerivError:
    """Return the reply, or the error, as a value: the type says that both can happen."""
    try:
        return await client.call({"ping": 1})
    except derivtrio.DerivError as error:
        return error


async def talk(url: str) -> None:
    """Ask, look at the result, close, and wait for the other half of the close."""
    settings = derivtrio.Settings(max_attempts=1, stable_after=0)
    async with (
        derivtrio.open_client(endpoint=url, settings=settings) as client,
        client.events() as events,
    ):
        match await ask(client):
            case derivtrio.DerivError() as error:
                print("[error]", error)
            case reply:
                print("[message]", reply["ping"])
        await client.aclose()
        async for event in events:
            if isinstance(event, Closed):
                print("[close]", "clean" if event.was_clean else "not clean", event.code)
