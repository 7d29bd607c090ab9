"""Make a new connection what the old one was: authorized, and with all its streams.

Nothing survives a socket: no authorization, no subscription. So before a connection is announced as
ready, each is asked for, and each is answered. How long that takes does not matter as long as the
server gives one answer after another.
"""

import logging
from typing import Final

import trio

from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import NORMAL, Disconnect
from derivtrio.errors import ClientClosed, DerivError, RestoreTimeout
from derivtrio.policy.rate_limits import Urgency
from derivtrio.policy.throttling import Stopwatch
from derivtrio.streams.registry import Registry
from derivtrio.streams.resubscribe import promote, resubscribe
from derivtrio.streams.suspects import Suspects
from derivtrio.supervision.authorization import Authorization
from derivtrio.wording import counted, listed

_EARLY: Final = "to what restores the connection"

#: How often a restoration that takes long logs what calls wait for, in seconds.
_WAITING_TOLD: Final = 2.0


async def restore(
    connection: Connection, session: Session, registry: Registry, authorization: Authorization
) -> None:
    """Authorize and resubscribe; lose *connection* if that fails or an answer does not come.

    *Cancellation*: comes when the connection is lost; this does not return then.
    """
    patience = Patience(session.settings.restore_timeout, session.queue.held_back)
    suspects = registry.suspects
    suspects.on_answer = patience.answered
    async with trio.open_nursery() as nursery:
        late, label = (connection, session, suspects, patience), session.label
        nursery.start_soon(_lose_if_late, *late, name=f"derivtrio.restore-timeout{label}")
        nursery.start_soon(_tell_what_waits, session, name=f"derivtrio.waiting{label}")
        try:
            await authorization.prove(connection, session)
            session.queue.open_to(Urgency.TRADE)
            patience.begin()
            nursery.start_soon(promote, session, name=f"derivtrio.promotion{label}")
            await resubscribe(registry, connection, session, suspects)
        except ClientClosed:
            await trio.sleep_forever()  # the client says goodbye, and then cancels this
        except (DerivError, OSError) as error:
            connection.lose(Disconnect("us", NORMAL, error=error))
        # Restored or lost: the tasks that watched are not needed any more.
        nursery.cancel_scope.cancel()
    # `lose` cancels a scope further out; without a wait the caller would go on unaware of it.
    await trio.lowlevel.checkpoint_if_cancelled()


class Patience:
    """How long the next answer may take. Waiting for budgets does not count.

    Attributes:
        limit: how long that is, in seconds.
        answers: how many requests for streams have been answered.

    """

    def __init__(self, limit: float, held_back: Stopwatch) -> None:
        self.limit, self.answers = limit, 0
        self._held_back = held_back
        self.begin()

    def begin(self) -> None:
        """Begin to wait for the next answer."""
        self._since = trio.current_time()
        self._held_before = self._held_back.read(self._since)

    def answered(self) -> None:
        """Note the answer to a request for a stream, and wait for the next one."""
        self.answers += 1
        self.begin()

    @property
    def deadline(self) -> float:
        """When the next answer must be there, on trio's clock; waiting for budgets may move it."""
        held_back = self._held_back.read(trio.current_time()) - self._held_before
        return self._since + self.limit + held_back


async def _is_patient(connection: Connection, patience: Patience) -> bool:
    """Return whether there is time left, when all that has come has been taken."""
    if trio.current_time() >= patience.deadline:
        await connection.catch_up()
    return trio.current_time() < patience.deadline


@trio.lowlevel.enable_ki_protection
async def _lose_if_late(
    connection: Connection, session: Session, suspects: Suspects, patience: Patience
) -> None:
    """Lose *connection* when no answer has come for `restore_timeout`.

    When half of it is over, user calls go on, if the server has answered anything at all.
    """
    while await _is_patient(connection, patience):
        now, deadline = trio.current_time(), patience.deadline
        halfway = deadline - patience.limit / 2
        if now >= halfway and patience.answers:
            session.queue.open_to(Urgency.RESTORATION)
        await trio.sleep_until(halfway if now < halfway else deadline)  # both may move meanwhile
    unanswered = listed(suspects.unanswered)
    text = f"no answer for {patience.limit:g} s " + (f"to {unanswered}" if unanswered else _EARLY)
    connection.lose(Disconnect("us", NORMAL, error=RestoreTimeout(text)))


@trio.lowlevel.enable_ki_protection
async def _tell_what_waits(session: Session) -> None:
    """Log now and then, at DEBUG, what calls wait for, as long as some do."""
    while True:
        await trio.sleep(_WAITING_TOLD)
        waiting, why = len(session.queue) - session.queue.restoring, session.waiting_for
        if waiting and why is not None:
            calls = counted(waiting, "call", "waits")
            session.bus.log(logging.DEBUG, "%s for %s", calls, why)
