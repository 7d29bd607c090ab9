"""Make a new connection what the old one was: authorized, and with all its streams.

Nothing survives a socket: no authorization, no subscription. So before a connection is announced as
ready, each is asked for, and each is answered.
"""

import trio

from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import NORMAL, Disconnect
from derivtrio.errors import ClientClosed, DerivError, RestoreTimeout
from derivtrio.policy.rate_limits import Urgency
from derivtrio.streams.registry import Registry
from derivtrio.streams.resubscribe import promote, resubscribe
from derivtrio.supervision.authorization import Authorization


async def restore(
    connection: Connection, session: Session, registry: Registry, authorization: Authorization
) -> None:
    """Authorize and resubscribe; lose *connection* if that fails or takes too long.

    *Cancellation*: comes when the connection is lost; this does not return then.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_lose_if_late, connection, session, name="derivtrio.restore-timeout")
        try:
            await authorization.prove(connection, session)
            session.queue.open_to(Urgency.TRADE)
            nursery.start_soon(promote, session, name="derivtrio.promotion")
            await resubscribe(registry, connection, session)
        except ClientClosed:
            await trio.sleep_forever()  # the client says goodbye, and then cancels this
        except (DerivError, OSError) as error:
            connection.lose(Disconnect("us", NORMAL, error=error))
        nursery.cancel_scope.cancel()
    await trio.lowlevel.checkpoint_if_cancelled()


async def _lose_if_late(connection: Connection, session: Session) -> None:
    """Lose *connection* after `restore_timeout`, in which waiting for budgets does not count."""
    limit, held_back = session.settings.restore_timeout, session.queue.held_back
    end = trio.current_time() + limit
    late = False
    while not late:
        await trio.sleep_until(end + held_back.read(trio.current_time()))
        await connection.catch_up()
        now = trio.current_time()
        late = now >= end + held_back.read(now)  # meanwhile the deadline may have moved
    text = f"authorization and resubscription took longer than {limit:g} s"
    connection.lose(Disconnect("us", NORMAL, error=RestoreTimeout(text)))
