"""Shutdown has an order: the nursery waits for its reader, and the client outlives both."""

import trio

import derivtrio
from derivtrio import Event, MessageReceived, Subscription


async def read(events: Subscription[Event]) -> None:
    """Be the goroutine; it needs no `done`, for the nursery knows when it has ended."""
    async for event in events:
        if isinstance(event, MessageReceived):
            print("[message]", event.data)


async def talk(url: str) -> None:
    """Run a reader beside this task until Ctrl-C; say what is left first, and what last."""
    settings = derivtrio.Settings(max_attempts=1)
    async with derivtrio.open_client(endpoint=url, settings=settings) as client:
        try:
            async with client.events(traffic=True) as events, trio.open_nursery() as nursery:
                nursery.start_soon(read, events)
                await client.send('{"ping": 1}')
        finally:
            print("[reader] gone; the client is", client.status.state.value)
