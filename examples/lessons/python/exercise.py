"""Exercise 2: ask once, with a limit, and hide nothing."""

from typing import Any

import trio

import derivtrio


async def ask(
    endpoint: derivtrio.Endpoint, request: dict[str, Any], seconds: float
) -> dict[str, Any] | None:
    """Return the reply, or None if there is none within *seconds*.

    Whatever else goes wrong comes out as it is, and after the call nothing is left: no task, no
    socket. This version limits only a part of the work, and its `except` catches too much.
    """
    try:
        settings = derivtrio.Settings(max_attempts=1)
        async with derivtrio.open_client(endpoint=endpoint, settings=settings) as client:
            with trio.move_on_after(seconds):
                return await client.call(request)
    except BaseException as error:  # noqa: BLE001  (this is a fault to be found)
        print(f"[error] {error}")
    return None
