from typing import Any

import trio

import derivtrio


async def ask(
    endpoint: derivtrio.Endpoint, request: dict[str, Any], seconds: float
) -> dict[str, Any] | None:
    settings = derivtrio.Settings(max_attempts=1)
    with trio.move_on_after(seconds):
        async with derivtrio.open_client(endpoint=endpoint, settings=settings) as client:
            return await client.call(request)
    return None
