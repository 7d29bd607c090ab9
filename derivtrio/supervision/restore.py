"""Make a new connection what the old one was: authorized, and with all its streams.

Nothing survives a socket: no authorization, no subscription. So before a connection is announced as
ready, each is asked for, and each is answered.
"""

import logging
from typing import Final

import trio

from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import NORMAL, Disconnect
from derivtrio.errors import ClientClosed, DerivError, RestoreTimeout
from derivtrio.policy.rate_limits import Urgency
from derivtrio.streams.registry import Registry
from derivtrio.streams.resubscribe import promote, resubscribe
from derivtrio.supervision.authorization import Authorization

#: After so many seconds of restoration, and as often again, it is logged what calls wait for.
_WAITING_TOLD: Final = 2.0


async def restore(
    connection: Connection, session: Session, registry: Registry, authorization: Authorization
) -> None:
    """Authorize and resubscribe; lose *connection* if that fails or takes too long.

    *Cancellation*: comes when the connection is lost; this does not return then.
    """
    async with trio.open_nursery() as nursery:
        name = f"derivtrio.restore-timeout{session.label}"
        nursery.start_soon(_lose_if_late, connection, session, name=name)
        nursery.start_soon(_tell_what_waits, session, name=f"derivtrio.waiting{session.label}")
        try:
            await authorization.prove(connection, session)
            session.queue.open_to(Urgency.TRADE)
            nursery.start_soon(promote, session, name=f"derivtrio.promotion{session.label}")
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
    while (now := trio.current_time()) < (deadline := end + held_back.read(now)):  # noqa: ASYNC110
        await trio.sleep(deadline - now)  # meanwhile the deadline may move
    text = f"authorization and resubscription took longer than {limit:g} s"
    connection.lose(Disconnect("us", NORMAL, error=RestoreTimeout(text)))


async def _tell_what_waits(session: Session) -> None:
    """Log now and then, at DEBUG, what calls wait for, as long as some do."""
    while True:
        await trio.sleep(_WAITING_TOLD)
        if waiting := len(session.queue) - session.queue.restoring:
            text = "%d calls wait for %s"
            session.bus.log(logging.DEBUG, text, waiting, session.waiting_for)
