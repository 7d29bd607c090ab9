"""A client's beginning and end: who cancels what, and in which order.

There are two scopes. The *body* is the user's block. The *tasks* are ours. A cancellation from
outside reaches the body, and not the tasks: they are shielded, and serve the body until it has
left.

1. The body leaves, normally or not. The writer finishes what it has begun, the connection says
   goodbye, and the tasks are cancelled. Then every undecided call and stream is decided.
2. Or the client fails for good. Then the body is cancelled first, so that its tasks see one
   cancellation instead of many copies of the error. Then everything is decided.
"""

import logging
from typing import Final

import attrs
import trio

from derivtrio.calls.doubts import order_text
from derivtrio.calls.session import Session
from derivtrio.calls.status import Command
from derivtrio.concurrency.background import patience
from derivtrio.connection.disconnect import NORMAL, Disconnect
from derivtrio.errors import ClientClosed, ConnectionFailed, DerivError
from derivtrio.policy.retry import is_fatal
from derivtrio.supervision.supervisor import Supervisor
from derivtrio.wording import shown

#: What a Close may say: RFC 6455, sections 5.5.1 and 7.4.2.
_MAX_REASON: Final = 123
_OWN_CODES: Final = range(3000, 5000)

#: How many trades in doubt are told one by one.
_MOST_TOLD: Final = 20


@attrs.define(eq=False, repr=False)
class Lifetime:
    """The beginning and the end of one client.

    Attributes:
        body: cancelled when the client fails for good.
        tasks: `serve` must run inside it; `stop` cancels it.
        entered: whether the user's block has begun.

    """

    supervisor: Supervisor
    body: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    tasks: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    entered: bool = attrs.field(default=False, init=False)
    _failure: ConnectionFailed | None = attrs.field(default=None, init=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def serve(self) -> None:
        """Keep a connection up until `stop` or until there is no hope; then decide everything."""
        try:
            self._failure = await self.supervisor.reconnect()
            # Rule 2: the block is cancelled before its calls are decided.
            self.body.cancel()
        finally:
            try:
                self._decide_the_rest()
            finally:
                self._ended.set()  # whoever closes the client waits for it, under a shield

    def stop(self) -> None:
        """End `serve` at once; `close` has had its time."""
        self.tasks.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Close with *code* and *reason*; wait for the end, `Settings.close_timeout` at most.

        *Cancellation*: ends the waiting; the closing goes on.

        Raises:
            ValueError: a Close frame cannot have this code or reason.

        """
        _check_close(code, reason)
        session = self.supervisor.session
        connection = session.connection
        if not session.state.ending:
            session.state.obey(Command.CLOSE)
            session.queue.close(self.refusal)
            try:
                if connection is not None:
                    connection.close_by = trio.current_time() + session.settings.close_timeout
                    async with patience(connection.close_by, connection.catch_up):
                        await connection.flushed()
            finally:
                if connection is not None:
                    connection.lose(Disconnect("us", code, reason))
                self.tasks.cancel()
        await self._ended.wait()

    def refusal(self) -> DerivError:
        """Return a new error that says why this client takes no calls any more."""
        if self._failure is None:
            return ClientClosed("the client is closed")
        failure = ConnectionFailed(str(self._failure), self._failure.attempts)
        failure.__cause__ = self._failure.__cause__
        return failure

    def raise_failure(self) -> None:
        """Raise the client's failure, if any; if the block never began, a fatal cause as it is."""
        if self._failure is None:
            return
        cause = self._failure.__cause__
        if not self.entered and isinstance(cause, Exception) and is_fatal(cause):
            raise cause
        raise self._failure

    def add_context(self, error: BaseException) -> None:
        """Set the client's failure, if any, as the context of *error*, which the block raised."""
        if self._failure is None or isinstance(error, ConnectionFailed | trio.Cancelled):
            return
        last = error
        # At the end of the chain, behind what the user's own code has put there.
        while last.__context__ is not None:
            last = last.__context__
        last.__context__ = self._failure

    def _decide_the_rest(self) -> None:
        session = self.supervisor.session
        session.state.obey(Command.END if self._failure is None else Command.GIVE_UP)
        session.queue.close(self.refusal)
        _tell_doubts(session)
        for upstream in self.supervisor.registry:
            upstream.close(None if self._failure is None else self.refusal())
        session.bus.end()


def _tell_doubts(session: Session) -> None:
    """Log which trades are in doubt when the client ends: another one can find out."""
    calls = session.trades.calls_in_doubt
    for call in calls[-_MOST_TOLD:]:
        session.bus.log(logging.WARNING, "still in doubt at the end: %s", order_text(call))
    if (more := len(calls) - _MOST_TOLD) > 0:
        session.bus.log(logging.WARNING, "and %d older trades", more)


def _check_close(code: int, reason: str) -> None:
    if not isinstance(code, int) or (code != NORMAL and code not in _OWN_CODES):
        text = f"a close code is {NORMAL}, or from 3000 to 4999, not {shown(code)}"
        raise ValueError(text)
    if not isinstance(reason, str) or len(reason.encode()) > _MAX_REASON:
        text = f"a close reason is a str of at most {_MAX_REASON} bytes in UTF-8"
        raise ValueError(text)
