"""Keep one connection up, one after another.

There are two levels, and this page is both of them:

- `reconnect` is a loop: connect, wait for the end, decide whether to try again, wait, again.
- `run_tasks` is the nursery of one connection. Its tasks are of no use without each other: if one
  of them finds that the connection is lost, all of them are cancelled.

The life of one connection, in order:

1. dial: URL, TCP, TLS, WebSocket handshake                -> `Opened`
2. start the reader, the writer, the heartbeat and the others
3. restore: authorize, then resubscribe, all answered      -> `Authorized`
4. let calls flow                                          -> `Ready`
5. wait until something fails                              -> `Failed` if it broke
6. decide every call that was written; reads are asked again on the next connection
7. close: a goodbye if the server listens, then the socket -> `Closed`

What ends a connection is data (`Disconnect`), not an exception, because it is expected. An
exception that leaves this page is a bug.
"""

import logging
import time
from functools import partial

import attrs
import trio

from derivtrio.calls.call import Call
from derivtrio.calls.session import Session
from derivtrio.calls.suspects import repeat_suspects
from derivtrio.connection.connection import Connection, open_connection
from derivtrio.connection.dial import Dialer
from derivtrio.connection.endpoints import closed_text
from derivtrio.errors import ClientClosed, ConnectionFailed, DerivError, ReconnectRequested
from derivtrio.events import Closed, Connecting, Failed, Opened, Ready, Waiting
from derivtrio.policy.backoff import Attempts
from derivtrio.policy.rate_limits import Urgency
from derivtrio.policy.retry import passing_text
from derivtrio.streams.registry import Registry
from derivtrio.supervision.authorization import Authorization
from derivtrio.supervision.heartbeat import beat
from derivtrio.supervision.restore import restore
from derivtrio.supervision.tasks import ask_for_limits, expire, read, write


@attrs.define(eq=False, repr=False)
class Supervisor:
    """Runs connections one after another, until there is no hope."""

    session: Session
    authorization: Authorization
    registry: Registry
    _dialer: Dialer = attrs.field(init=False)
    _opened: int = attrs.field(default=0, init=False)
    _ready_since: float | None = attrs.field(default=None, init=False)
    _been_ready: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._dialer = Dialer(self.session.settings)

    async def reconnect(self) -> ConnectionFailed:
        """Keep a connection up; return only when there is no hope, with the reason."""
        bus, settings = self.session.bus, self.session.settings
        attempts = Attempts(settings.backoff, settings.max_attempts)
        while True:
            started = time.time()
            bus.announce(Connecting(attempts.number))
            error = await self.run_connection()
            decision = attempts.ended(
                error,
                started,
                stable=self.was_stable(),
                been_ready=self._been_ready,
                blamed=self.session.on_trial is not None,
            )
            self.log_end(error, decision)
            if isinstance(decision, ConnectionFailed):
                return decision
            bus.counters.reconnects[type(error).__name__] += 1
            bus.announce(Waiting(decision, attempts.number))
            await trio.sleep(decision)

    async def run_connection(self) -> Exception:
        """Open a new connection, run it to its end, and return what ended it."""
        session, endpoint = self.session, self.authorization.endpoint
        self._ready_since = session.on_trial = None
        try:
            opening = (endpoint, self._opened + 1, session.settings, self._dialer)
            async with open_connection(*opening, label=session.label) as connection:
                session.connection = connection
                self._opened = connection.number
                session.bus.announce(Opened(connection.number))
                try:
                    await self.run_tasks(connection)
                finally:
                    self.decide_pending(connection)
        except (DerivError, OSError) as error:
            self.authorization.qualify(error)
            session.bus.announce(Failed(error))
            return error
        finally:
            self.announce_closed()
        return connection.end.error or ClientClosed("closed by this program")

    async def run_tasks(self, connection: Connection) -> None:
        """Run the tasks of *connection* until it is lost."""
        session = self.session
        with connection.scope:
            async with trio.open_nursery() as nursery:
                start, label = nursery.start_soon, session.label
                session.queue.begin(connection.number)
                start(read, connection, session, self.registry, name=f"derivtrio.reader{label}")
                start(write, connection, session, name=f"derivtrio.writer{label}")
                start(beat, connection, session, name=f"derivtrio.heartbeat{label}")
                start(expire, connection, session, name=f"derivtrio.deadlines{label}")
                connection.nursery = nursery
                if session.queue.budgets.advertised:
                    ask = partial(connection.start_soon, ask_for_limits, session)
                    session.queue.when_held_back = partial(ask, name=f"derivtrio.limits{label}")
                try:
                    self.registry.start_watching()
                    await restore(connection, session, self.registry, self.authorization)
                    self.announce_ready(connection)
                    await trio.sleep_forever()
                finally:
                    connection.nursery = None  # which must not be given tasks when it is closed

    def announce_ready(self, connection: Connection) -> None:
        """Let calls flow."""
        session = self.session
        session.queue.open_to(Urgency.RESTORATION)
        self._ready_since, self._been_ready = trio.current_time(), True
        session.bus.announce(Ready(connection.number))
        if session.queue.suspects:
            name = f"derivtrio.suspects{session.label}"
            connection.start_soon(repeat_suspects, connection, session, name=name)

    def decide_pending(self, connection: Connection) -> None:
        """Decide every call that was written to *connection* and not answered."""
        session, end = self.session, connection.end
        # From here on new calls wait for the next connection.
        session.queue.end()
        if end.error is not None:
            session.state.last_error = end.error  # a Close by the server is not `Failed`
            if end.by != "server":
                session.bus.announce(Failed(end.error))
        why = end.as_break(connection.number)
        ended = [receiver.lost(why) for receiver in session.router.clear()]
        lost = [call for call in ended if isinstance(call, Call)]
        self.registry.connection_lost(why, end, [call for call in lost if call.only_on is None])
        if self._ready_since is not None and session.on_trial is None:
            session.queue.pass_over(why)
        session.queue.put_again(lost)
        for guard in session.guards:  # after the calls inside: an unknown outcome must get out
            guard.cancel()
        session.guards.clear()

    def announce_closed(self) -> None:
        """Say how the connection ended, if there was one."""
        connection, self.session.connection = self.session.connection, None
        if connection is not None:
            self.session.count(connection)
            end = connection.end
            self.session.bus.announce(Closed(end.code, end.reason, end.was_clean, end.by))

    def log_end(self, error: Exception, decision: float | ConnectionFailed) -> None:
        """Log what ended the attempt or the connection, and what has been decided to do."""
        log, advice = self.session.bus.log, closed_text(self.authorization.endpoint, error)
        if isinstance(decision, ConnectionFailed):
            log(logging.WARNING, "%s%s", decision, f" ({advice})" if advice else "")
            return
        text = advice or passing_text(error) or self.session.trial_text
        level = logging.INFO if isinstance(error, ReconnectRequested) else logging.WARNING
        remark = f" ({text})" if text else ""
        log(level, "%s%s; trying again in %.1f s", error, remark, decision)

    def was_stable(self) -> bool:
        """Return whether the last connection was `READY` long enough to start the backoff anew."""
        since, stable_after = self._ready_since, self.session.settings.stable_after
        return since is not None and trio.current_time() - since >= stable_after
