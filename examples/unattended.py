"""A program to leave running: a log, decided calls, and a proper end on Ctrl-C and SIGTERM.

Lost connections are replaced for ever, and each failed attempt is a WARNING in the log. What no
retry can mend (a wrong token, a closed account) ends the program with the cause.
"""

import logging
import os

import trio

import derivtrio

URL = os.environ.get("DERIV_URL", "wss://api.derivws.com/trading/v1/options/ws/public")

logger = logging.getLogger("unattended")


async def work(client: derivtrio.Client) -> None:
    """Ask for the server's time every minute.

    `call` waits through an outage. This one only reads, so after an outage it is simply asked
    again. One that changes something would end in `OutcomeUnknown` if it may have been executed.
    """
    while True:
        with trio.move_on_after(30) as patience:
            reply = await client.call({"time": 1})
            logger.info("the server's clock says %d", reply["time"])
        if patience.cancelled_caught:
            logger.warning("no answer for half a minute; status: %s", client.status)
        await trio.sleep(60)


async def farewell(client: derivtrio.Client) -> None:
    """Do what must be done at the end, such as selling; at most for five seconds."""
    with trio.move_on_after(5, shield=True):
        await client.call({"ping": 1})
        logger.info("said goodbye")


async def main() -> None:
    """Work until a signal comes; the connection still serves the `finally`."""
    async with derivtrio.open_client(endpoint=URL) as client:
        try:
            await work(client)
        finally:
            await farewell(client)


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
derivtrio.run(main)
