"""Four callbacks become one loop: what happens next is what stands in the next line."""

import derivtrio
from derivtrio import Closed, Failed, MessageReceived, Opened, Waiting


async def talk(url: str) -> None:
    """Ask once, print what happens, and stop where the client would try again."""
    settings = derivtrio.Settings(wait_ready=False)
    async with (
        derivtrio.open_client(endpoint=url, settings=settings) as client,
        client.events(traffic=True) as events,
    ):
        async for event in events:
            match event:
                case Opened():
                    print("[open]")
                    await client.send('{"ping": 1}')
                case MessageReceived(data=data):
                    print("[message]", data)
                    await client.aclose()
                case Closed(code=code, reason=reason, was_clean=clean, by=by):
                    print(f"[close] {code} {reason!r}, clean: {clean}, by: {by}")
                case Failed(error=error):
                    print("[error]", error)
                case Waiting():
                    break
                case _:
                    pass
