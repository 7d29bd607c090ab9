"""A program to leave running: it has a log, and it ends in order on Ctrl-C and SIGTERM.

Lost connections are replaced for ever, and each failed attempt is a WARNING in the log. An error
that no retry can repair (a wrong token, a closed account) ends the program.
"""

import logging
import os

import trio

import derivtrio

URL = os.environ.get("DERIV_URL", "wss://api.derivws.com/trading/v1/options/ws/public")

logger = logging.getLogger("unattended")


async def work(client: derivtrio.Client) -> None:
    """Ask for the server's time every minute.

    `call` waits until an outage is over. This call only reads, so it is sent again afterwards. A
    call that changes something would raise `OutcomeUnknown` if it may have been executed.
    """
    while True:
        with trio.move_on_after(30) as patience:
            reply = await client.call({"time": 1})
            logger.info("the server's clock says %d", reply["time"])
        if patience.cancelled_caught:
            logger.warning("no answer for half a minute; status: %s", client.status)
        await trio.sleep(60)


async def farewell(client: derivtrio.Client) -> None:
    """Do what must be done at the end, such as selling; take at most five seconds."""
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
