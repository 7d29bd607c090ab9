"""See what happens to the connection, from the first attempt to the goodbye.

Start it, break the network or restart the simulator, and watch. Ctrl-C ends it.
"""

import os
from datetime import datetime

import derivtrio

URL = os.environ.get("DERIV_URL", "wss://api.derivws.com/trading/v1/options/ws/public")

# With `wait_ready=False` the block begins at once, before there is a connection. The heartbeat is
# faster than by default, so that you need not wait half a minute to see it work.
SETTINGS = derivtrio.Settings(wait_ready=False, heartbeat_interval=2, heartbeat_timeout=2)


async def main() -> None:
    """Print every event in words of our own, or as it is."""
    async with (
        derivtrio.open_client(endpoint=URL, settings=SETTINGS) as client,
        client.events() as events,
    ):
        async for event in events:
            at = datetime.fromtimestamp(event.time).astimezone().strftime("%H:%M:%S")
            match event:
                case derivtrio.Ready(connection=number):
                    print(at, f"connection {number} is ready", flush=True)
                case derivtrio.Closed(code=code, by=by):
                    print(at, f"the connection was ended by: {by}, code {code}", flush=True)
                case derivtrio.Waiting(delay=delay):
                    print(at, f"trying again in {delay:.1f} s", flush=True)
                case _:
                    print(at, event, flush=True)


derivtrio.run(main)
