"""From the first attempt to the end: who cancels what, and in which order.

Three scopes matter. The *body* is the user's block. The *crew* is everything of ours, shielded from
the cancellation of what lies outside, so that it serves the body until the body has left. The
outside is none of our business.

- The body leaves, however: the writer finishes what it has begun, the link says goodbye, the crew
  is cancelled, and all that is then undecided is decided.
- The client fails for good: the body is cancelled first, so that its tasks see a cancellation, and
  not each its own copy of the error; then everything else is decided.
"""

from typing import Final

import attrs
import trio

from derivtrio.calls.status import State
from derivtrio.connection.disconnect import NORMAL, Disconnect
from derivtrio.errors import ClientClosed, ConnectionFailed, DerivError
from derivtrio.policy.retry import is_fatal
from derivtrio.supervision.supervisor import Supervisor

_MAX_REASON: Final = 123
_OWN_CODES: Final = range(3000, 5000)


@attrs.define(eq=False)
class Lifetime:
    """The beginning and the end of one client.

    Attributes:
        body: cancelled when the client fails for good.
        entered: whether the user's block has begun.

    """

    supervisor: Supervisor
    body: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    entered: bool = attrs.field(default=False, init=False)
    _crew: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _failure: ConnectionFailed | None = attrs.field(default=None, init=False)
    _ended: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def serve(self) -> None:
        """Supervise until told to stop or beyond hope; then leave nothing undecided."""
        try:
            with self._crew:
                self._failure = await self.supervisor.reconnect()
                self.body.cancel()
        finally:
            self._decide_the_rest()

    def stop(self) -> None:
        """End `serve` without ceremony; `close` has had its time."""
        self._crew.cancel()

    async def close(self, code: int, reason: str) -> None:
        """Close with *code* and *reason*, and wait for the end, which is bounded.

        *Cancellation*: ends the waiting; the closing goes on.

        Raises:
            ValueError: a Close frame cannot say that.

        """
        _check_farewell(code, reason)
        session = self.supervisor.session
        connection = session.connection
        if not session.bus.ending:
            session.bus.enter(State.CLOSING)
            session.queue.close(self.refusal)
            try:
                if connection is not None:
                    connection.close_by = trio.current_time() + session.settings.close_timeout
                    with trio.move_on_at(connection.close_by):
                        await connection.flushed()
            finally:
                if connection is not None:
                    connection.lose(Disconnect("us", code, reason))
                self._crew.cancel()
        await self._ended.wait()

    def refusal(self) -> DerivError:
        """Return a new error that says why nothing can be asked of this client any more."""
        if self._failure is None:
            return ClientClosed("the client is closed")
        failure = ConnectionFailed(str(self._failure), self._failure.attempts)
        failure.__cause__ = self._failure.__cause__
        return failure

    def raise_failure(self) -> None:
        """Raise what the client failed with, if it did; before the block began, the cause."""
        if self._failure is None:
            return
        cause = self._failure.__cause__
        if not self.entered and isinstance(cause, Exception) and is_fatal(cause):
            raise cause
        raise self._failure

    def add_context(self, error: BaseException) -> None:
        """Hang the client's failure, if any, behind *error*, which the block has raised."""
        if self._failure is None or isinstance(error, ConnectionFailed | trio.Cancelled):
            return
        last = error
        while last.__context__ is not None:
            last = last.__context__
        last.__context__ = self._failure

    def _decide_the_rest(self) -> None:
        session = self.supervisor.session
        session.bus.enter(State.CLOSED if self._failure is None else State.FAILED)
        session.queue.close(self.refusal)
        for upstream in self.supervisor.registry:
            upstream.close(None if self._failure is None else self.refusal())
        session.bus.end()
        self._ended.set()


def _check_farewell(code: int, reason: str) -> None:
    if code != NORMAL and code not in _OWN_CODES:
        text = f"a close code is {NORMAL}, or from 3000 to 4999, not {code!r}"
        raise ValueError(text)
    if not isinstance(reason, str) or len(reason.encode()) > _MAX_REASON:
        text = f"a close reason is a str of at most {_MAX_REASON} bytes in UTF-8"
        raise ValueError(text)
