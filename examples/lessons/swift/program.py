"""Receive for ever; whoever wants it to end puts a deadline around it."""

import trio

import derivtrio
from derivtrio import Closed, Event, MessageReceived, Subscription


async def receive(events: Subscription[Event]) -> None:
    """Print what comes, until the connection ends: this function knows of no clock."""
    async for event in events:
        match event:
            case MessageReceived(data=data):
                print("[message]", "text:" if isinstance(data, str) else "data:", data)
            case Closed(code=code, by=by):
                print(f"[close] {code}, by: {by}")
                return
            case _:
                pass


async def talk(url: str) -> None:
    """Ask once, and listen for one second."""
    settings = derivtrio.Settings(max_attempts=1, stable_after=0)
    async with (
        derivtrio.open_client(endpoint=url, settings=settings) as client,
        client.events(traffic=True) as events,
    ):
        await client.send('{"ping": 1}')
        with trio.move_on_after(1) as listening:
            await receive(events)
        if listening.cancelled_caught:
            await client.aclose(1000, "time is up")
            await receive(events)
