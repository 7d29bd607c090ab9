"""The task that settles contracts in time, also when no client is connected."""

import trio

from derivtrio.simulator.calls.notifications import settle_and_notify
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.sessions.session import Backend


async def settle_contracts(backend: Backend, clock: Clock) -> None:
    """Settle each contract when it ends.

    *Cancellation*: the only way to end it.
    """
    while True:
        due = backend.broker.next_due()
        with trio.CancelScope() as wait:
            if due is not None:
                wait.deadline = clock.deadline(due)
            await backend.broker.wait_rescheduled()
        settle_and_notify(backend, clock.epoch())
