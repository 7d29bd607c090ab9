"""No loop to be seen: trio runs it, and a signal is a cancellation, not a flag."""

import trio

import derivtrio


async def talk(url: str) -> None:
    """Ask, then do nothing until Ctrl-C; the connection is kept, and closed properly."""
    settings = derivtrio.Settings(
        max_attempts=1, headers={"Origin": "https://lesson.example"}, subprotocols=("json",)
    )
    async with derivtrio.open_client(endpoint=url, settings=settings) as client:
        print("[open]")
        try:
            reply = await client.call({"ping": 1})
            print("[message]", reply["ping"])
            await trio.sleep_forever()
        finally:
            print("[leaving] the client is", client.status.state.value)
