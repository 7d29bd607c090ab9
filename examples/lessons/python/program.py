"""A block is a lifetime: after it there is no socket, no task and no question left open."""

import trio

import derivtrio


async def talk(url: str) -> None:
    """Ask once, and wait for at most five seconds; what goes wrong is the caller's to know."""
    settings = derivtrio.Settings(max_attempts=1)
    with trio.move_on_after(5) as patience:
        async with derivtrio.open_client(endpoint=url, settings=settings) as client:
            print("[open]")
            reply = await client.call({"ping": 1})
            print("[message]", reply["ping"])
        print("[close] the block is over:", client.status.state.value)
    if patience.cancelled_caught:
        print("[late] no answer within 5 s")
        raise SystemExit(1)
