"""Who ended it? Four causes, told apart; `remote`, a boolean, has room for two."""

import derivtrio
from derivtrio import Closed, MessageReceived, Waiting

CAUSES = {
    "us": "this program said goodbye",
    "server": "the server sent a Close frame",
    "network": "the bytes stopped without a Close frame: server or network, nobody can tell",
    "heartbeat": "the server said nothing for too long, and we gave up on it",
}


async def talk(url: str) -> None:
    """Ask once, hang up after the answer, and say who ended the connection."""
    settings = derivtrio.Settings(
        max_attempts=1, stable_after=0, heartbeat_interval=0.5, heartbeat_timeout=0.5
    )
    async with (
        derivtrio.open_client(endpoint=url, settings=settings) as client,
        client.events(traffic=True) as events,
    ):
        await client.send('{"ping": 1}')
        async for event in events:
            if isinstance(event, MessageReceived):
                print("[message]", type(event.data).__name__, len(event.data))
                await client.aclose()
            elif isinstance(event, Closed):
                print(f"[close] {event.code}: {CAUSES[event.by]}")
            elif isinstance(event, Waiting):
                break
