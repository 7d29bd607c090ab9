"""Say "open" when it is true: opened, authorized and ready are three different things."""

import os

import derivtrio
from derivtrio import Authorized, Closed, Failed, Opened, Ready

TOKEN = os.getenv("DERIV_TOKEN", "demo-token")


async def talk(url: str) -> None:
    """Say what is so at each step, and ask only when calls flow."""
    settings = derivtrio.Settings(wait_ready=False, restore_timeout=5)
    async with (
        derivtrio.open_client(endpoint=url, token=TOKEN, settings=settings) as client,
        client.events() as events,
    ):
        async for event in events:
            match event:
                case Opened():
                    print("[opened] there is a WebSocket")
                case Authorized(loginid=loginid):
                    print(f"[authorized] the server knows us as {loginid}")
                case Ready():
                    print("[ready] calls flow:", (await client.call({"ping": 1}))["ping"])
                    break
                case Failed(error=why) | Closed(code=why):
                    print("[not ready]", why)
                    break
                case _:
                    pass
