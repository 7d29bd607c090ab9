"""Keep one connection up, one after another.

A supervisor in the sense of Erlang's: it starts the crew of a link, waits until something fails,
tidies up, decides whether to try again, and when. Inside a link the strategy is one for all, since
reader, writer and heartbeat are of no use without each other. Between links it is a new one for
an old one, never the same socket again, and the intensity is the backoff's.

The life of one link, in order; `run_link` and `staff` below are this list as code:

1. dial: URL, TCP, TLS, WebSocket handshake              -> `Opened`
2. start the reader, the heartbeat, the timekeeper, and the writer, which has nothing to write yet
3. restore: authorize, then resubscribe, all answered    -> `Authorized`
4. let the writer have what waits: calls flow            -> `Ready`
5. wait until something fails
6. decide every call that was written; those that only read are asked again later
7. say goodbye if anybody listens, and close the socket  -> `Failed` if it broke, `Closed`

What ends a link is data (`link.Loss`), not an exception, for it is expected. An exception that
gets out of here is a bug, and is let out.
"""

import logging
import time

import attrs
import trio

from derivtrio.authorization import Authorization
from derivtrio.backoff import Series
from derivtrio.calls import Call, api_call
from derivtrio.crew import (
    Desk,
    ask_for_limits,
    beat,
    expire,
    forget_again,
    forget_unwanted,
    make,
    read,
    write,
)
from derivtrio.endpoints import Generation, generation_of
from derivtrio.errors import ClientClosed, ConnectionFailed, DerivError
from derivtrio.events import Closed, Connecting, Failed, Opened, Ready, Waiting
from derivtrio.ledger import Ledger
from derivtrio.link import Link, open_link
from derivtrio.pacing import Urgency
from derivtrio.restore import renew, restore
from derivtrio.upstream import Upstream
from derivtrio.verdict import RETRY_PAUSE

logger = logging.getLogger("derivtrio")


@attrs.define(eq=False)
class Supervisor:
    """Runs links one after another, for as long as there is hope.

    Attributes:
        link: the present one, from the end of its handshake to the end of its goodbye.
        generation: the generation of the API that is spoken.
        guards: scopes that are not to outlive the present connection (`same_connection`).

    """

    authorization: Authorization
    desk: Desk
    ledger: Ledger[Upstream] = attrs.field(factory=Ledger)
    generation: Generation = attrs.field(init=False)
    link: Link | None = attrs.field(default=None, init=False)
    guards: set[trio.CancelScope] = attrs.field(factory=set, init=False)
    _links: int = attrs.field(default=0, init=False)
    _crew: trio.Nursery | None = attrs.field(default=None, init=False)
    _ready_since: float | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.generation = generation_of(self.authorization.endpoint)
        self.desk.book.used = self._replace_proposal

    async def supervise(self) -> ConnectionFailed:
        """Keep a connection up; return, with the reason, only when there is no hope."""
        journal, settings = self.desk.journal, self.desk.settings
        series = Series(settings.backoff, settings.max_attempts)
        while True:
            started = time.time()
            journal.announce(Connecting(series.number))
            error = await self.run_link()
            decision = series.ended(error, started, stable=self.was_stable())
            if isinstance(decision, ConnectionFailed):
                logger.warning("%s", decision)
                return decision
            logger.warning("%s; trying again in %.1f s", error, decision)
            journal.announce(Waiting(decision, series.number))
            await trio.sleep(decision)

    async def run_link(self) -> Exception:
        """Live through one link, and return why it is no more."""
        self._ready_since = None
        endpoint = self.authorization.endpoint
        try:
            async with open_link(endpoint, self._links + 1, self.desk.settings) as link:
                self.link = link
                self._links = link.number
                self.desk.journal.announce(Opened(link.number))
                try:
                    await self.staff(link)
                finally:
                    self.settle(link)
        except (DerivError, OSError) as error:
            self.authorization.qualify(error)
            self.desk.journal.announce(Failed(error))
            return error
        finally:
            self.bury()
        return link.end.error or ClientClosed("closed by this program")

    async def staff(self, link: Link) -> None:
        """Run the crew of *link* until it is lost."""
        with link.scope:
            async with trio.open_nursery() as crew:
                self._crew = crew
                crew.start_soon(read, link, self.desk, name="derivtrio.reader")
                crew.start_soon(beat, link, self.desk, name="derivtrio.heartbeat")
                crew.start_soon(expire, self.desk, name="derivtrio.timekeeper")
                crew.start_soon(forget_again, link, self.desk, name="derivtrio.forgetting")
                self.desk.outbox.begin(link.number)
                crew.start_soon(write, link, self.desk, name="derivtrio.writer")
                if self.desk.outbox.budgets.advertised:
                    crew.start_soon(ask_for_limits, self.desk, name="derivtrio.limits")
                await restore(link, self.desk, self.ledger, self.authorization)
                self.desk.outbox.open_to(Urgency.RESTORATION)
                self._ready_since = trio.current_time()
                self.desk.journal.announce(Ready(link.number))

    def settle(self, link: Link) -> None:
        """Decide everything that was written to *link* and not answered."""
        self.desk.outbox.hand = None
        if link.end.error is not None and link.end.by != "server":
            self.desk.journal.announce(Failed(link.end.error))
        why = link.end.described(link.number)
        ended = [receiver.lost(why) for receiver in self.desk.router.clear()]
        for upstream in self.ledger:
            upstream.ids.clear()  # also of one that is over: another may have its id the next time
        self.desk.outbox.put_first([call for call in ended if isinstance(call, Call)])
        for guard in self.guards:  # after the calls inside: an unknown outcome must get out
            guard.cancel()
        self.guards.clear()

    def bury(self) -> None:
        """Say how the link ended, if there was one."""
        link, self.link = self.link, None
        if link is None:
            return
        end = link.end
        self.desk.journal.announce(Closed(end.code, end.reason, end.was_clean, end.by))

    def was_stable(self) -> bool:
        """Return whether the last link stayed `READY` long enough to start the backoff anew."""
        since = self._ready_since
        return since is not None and (
            trio.current_time() - since >= self.desk.settings.stable_after
        )

    def renew(self, upstream: Upstream) -> None:
        """Have *upstream*, which the server has ended, asked for again.

        On a connection that is lost already it is left to the next.
        """
        self.desk.router.drop(upstream)  # what is still on its way is of the old one
        forgets = self._forget(upstream)
        link, crew = self.link, self._crew
        if link is not None and link.loss is None and crew is not None:
            crew.start_soon(renew, upstream, forgets, link, self.desk, name="derivtrio.renewal")

    def _replace_proposal(self, proposal_id: str) -> None:
        """Have the stream asked for again whose proposal is used up: the server is silent of it."""
        for upstream in self.ledger:
            if proposal_id in upstream.ids:
                upstream.renew()

    async def clear_contracts(self) -> None:
        """End all streams of contracts; return when those that are wanted are there again.

        One that nobody can name is in the way: that of all open contracts may have no id.
        """
        await make(api_call({"forget_all": "proposal_open_contract"}), self.desk)
        wanted = [u for u in self.ledger if "proposal_open_contract" in (u.request or {})]
        for upstream in wanted:
            if upstream.ids or upstream.is_family:
                upstream.renew()
        single = [upstream for upstream in wanted if not upstream.is_family]
        while not all(each.ids or each.over for each in single):  # noqa: ASYNC110 - this is rare
            await trio.sleep(RETRY_PAUSE)

    def drop(self, upstream: Upstream) -> None:
        """Want *upstream* no more, and have the server told so."""
        upstream.close()
        self.ledger.remove(upstream)
        self.desk.router.drop(upstream)
        self._forget(upstream)

    def _forget(self, upstream: Upstream) -> list[Call]:
        for stream_id in upstream.ids:
            self.desk.router.give_up(stream_id)
        return [] if self.link is None else forget_unwanted(self.link, self.desk)
