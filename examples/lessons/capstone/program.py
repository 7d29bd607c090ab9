"""A bot: it buys, holds and sells, and whatever happens it leaves no contract behind."""

import trio

import derivtrio
from derivtrio.simulator import DEMO_TOKEN, open_simulator
from examples.lessons.contracts import CONTRACT

FAULTS = ["lose_after:buy@100", "freeze@200", "lose_after:sell@300", "refuse:30@400", "drop@400"]


async def sell(client: derivtrio.Client, purchase: derivtrio.Purchase) -> None:
    """Sell, also on the way out, and also if the reply is lost; take three minutes at most."""
    with trio.move_on_after(180, shield=True):
        while True:
            try:
                sale = await client.sell(purchase, reconcile=True)
                return print(f"{trio.current_time():5.0f} s  sold for {sale.sold_for}")
            except derivtrio.NotExecuted:
                pass  # it is known that nothing was sold, so it can be asked again


async def trade(client: derivtrio.Client) -> None:
    """Buy, hold for half a minute, sell; again and again."""
    while True:
        try:
            purchase = await client.buy(CONTRACT, 10, reconcile=True)
        except derivtrio.NotExecuted:
            continue
        print(f"{trio.current_time():5.0f} s  bought {purchase.contract_id}")
        try:
            await trio.sleep(30)
        finally:
            await sell(client, purchase)


async def main() -> None:
    """Run the bot for eight minutes full of disasters; then look at the books."""
    async with open_simulator(port=None, start=1_800_000_000, faults=FAULTS) as sim:
        with trio.move_on_after(480):
            async with derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client:
                await trade(client)
        actions = [each.action for each in sim.ledger("VRTC1000001").transactions]
        print(f"bought {actions.count('buy')}, sold {actions.count('sell')},", end=" ")
        print(f"on {sim.accepted} connections")
