"""Make a new connection what the old one was: authorized, and with all its streams.

Nothing survives a socket: no authorization, no subscription. So before a connection is announced as
ready, each is asked for, and each is answered.
"""

import trio

from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import NORMAL, Disconnect
from derivtrio.errors import DerivError, RestoreTimeout
from derivtrio.policy.rate_limits import Urgency
from derivtrio.streams.registry import Registry
from derivtrio.streams.resubscribe import resubscribe, unhurried
from derivtrio.supervision.authorization import Authorization


async def restore(
    connection: Connection, session: Session, registry: Registry, authorization: Authorization
) -> None:
    """Authorize and resubscribe; lose *connection* if that fails or takes too long.

    *Cancellation*: comes when the connection is lost; this does not return then.
    """
    limit = session.settings.restore_timeout
    with trio.move_on_after(limit) as patience:

        async def admitted(name: str) -> None:
            with unhurried(patience):  # authorization is urgent: nothing can be sold before it
                await session.queue.admitted(name, Urgency.TRADE)

        try:
            await authorization.prove(connection, session, admitted)
            session.queue.open_to(Urgency.TRADE)
            await resubscribe(registry, connection, session, patience)
        except (DerivError, OSError) as error:
            connection.lose(Disconnect("us", NORMAL, error=error))
    if patience.cancelled_caught:
        text = f"authorization and resubscription took longer than {limit:g} s"
        connection.lose(Disconnect("us", NORMAL, error=RestoreTimeout(text)))
    await trio.lowlevel.checkpoint_if_cancelled()
