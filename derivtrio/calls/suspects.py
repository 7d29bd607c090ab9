"""Ask alone what may break connections: a request that the server cannot handle.

A request that was written and not answered when its connection broke is a suspect. While it is
asked for alone, on a connection that is proven to work, it shows which it is: the connection breaks
again, and the request has done it; or the answer comes. A request that has broken `MAX_BREAKS`
connections is not made any more.

Reads that are suspects wait in `queue`; `repeat_suspects` asks for one after another. Streams have
rules of their own (`streams.suspects`), and share the proof, `works_still`.
"""

from typing import Final

import trio

from derivtrio.calls.call import MAX_BREAKS, api_call
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.errors import ApiError, DerivError
from derivtrio.policy.rate_limits import Urgency
from derivtrio.policy.retry import RETRY_PAUSE

#: How long a connection must have lived before a suspect has its last chance, in seconds. So it is
#: not blamed for a network that breaks every connection.
_CALM: Final = 3.0

#: How often it is looked whether the call on trial is decided, in seconds.
_LOOK: Final = 0.05


async def repeat_suspects(connection: Connection, session: Session) -> None:
    """Ask each suspect of the queue alone: one at a time, on a connection that is proven to work.

    Whichever breaks this connection, too, is then known, and all others are answered.
    """
    since, suspects, proven = trio.current_time(), session.queue.suspects, False
    while suspects:
        call = min(suspects, key=session.queue.room_at)  # who waits for a budget holds up no other
        last_chance = len(call.breaks) >= MAX_BREAKS - 1
        if last_chance or not proven:
            proven = await works_still(connection, session, since, last_chance=last_chance)
        if not (proven and call in suspects):  # the caller may have gone away meanwhile
            continue
        session.on_trial = call
        suspects.remove(call)
        session.queue.put_first([call])
        while not (call.decided or call.abandoned):  # noqa: ASYNC110 - this is rare
            await trio.sleep(_LOOK)
        session.on_trial = None


async def works_still(
    connection: Connection, session: Session, since: float, *, last_chance: bool
) -> bool:
    """Return whether a ping is answered; before a *last_chance*, wait until well after *since*.

    If *connection* breaks during that, it is not for what is asked for next.
    """
    if last_chance:
        await trio.sleep_until(since + min(_CALM, session.settings.restore_timeout / 2))
    ping = api_call({"ping": 1}, only_on=connection.number, restores=True, urgency=Urgency.TRADE)
    session.queue.put_last([ping])
    try:
        await ping.wait()
    except ApiError:  # an answer, too
        return True
    except DerivError:
        await trio.sleep(RETRY_PAUSE)
        return False
    return True
