"""The task that settles contracts in time, whether or not anybody is connected."""

import trio

from derivtrio.simulator.calls.notifications import settle
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.sessions.session import World


async def settle_contracts(world: World, clock: Clock) -> None:
    """Settle each contract when it ends, until cancelled."""
    while True:
        due = world.desk.next_due()
        with trio.CancelScope() as wait:
            if due is not None:
                wait.deadline = clock.deadline(due)
            await world.desk.wait_rescheduled()
        settle(world, clock.epoch())
