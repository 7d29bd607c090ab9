"""Who keeps this alive? The block does, and everybody can see where it ends."""

import derivtrio
from derivtrio import Closed, MessageReceived


async def talk(url: str) -> None:
    """Send a text that is no JSON, see the answer, ask properly, and leave."""
    settings = derivtrio.Settings(max_attempts=1, stable_after=0)
    async with (
        derivtrio.open_client(endpoint=url, settings=settings) as client,
        client.events(traffic=True) as events,
    ):
        await client.send("{ ping => 1 }")
        async for event in events:
            if isinstance(event, MessageReceived):
                print("[message]", event.data)
                print("[message]", (await client.call({"ping": 1}))["ping"])
                break
            if isinstance(event, Closed):
                print("[closed]", event.code)
                break
        print("[inside] the client is", client.status.state.value)
    print("[after] the client is", client.status.state.value)
