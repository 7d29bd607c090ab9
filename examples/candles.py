"""The candles of the last ten minutes and those to come, each once, in its final form.

The past runs into the present without a seam, and so does the time before an outage into the time
after it: what is missing is fetched. What the server no longer has is printed as a gap.
"""

import os
import time

import derivtrio

URL = os.environ.get("DERIV_URL", "wss://api.derivws.com/trading/v1/options/ws/public")


async def main() -> None:
    """Print a line per minute. Ctrl-C ends it."""
    start = int(time.time()) - 600
    shown = 0
    async with (
        derivtrio.open_client(endpoint=URL) as client,
        client.candles("R_100", 60, start=start, closed_only=True) as candles,
    ):
        async for candle in candles:
            for gap in candles.gaps_after(shown):
                print(f"nothing from {gap.after} to {gap.before}: {gap.reason}", flush=True)
            shown = candles.gap_count
            at = time.strftime("%H:%M", time.localtime(candle.open_time))
            print(at, candle.open, candle.high, candle.low, candle.close, flush=True)


derivtrio.run(main)
