"""The streams that are wanted, and how each of them begins again and ends at the server.

A stream is wanted from the first consumer's entering until the last consumer's leaving. In between
it must exist on every connection; `resubscribe` sees to that. How it ends, in order:

1. The last consumer leaves and is *detached* from the upstream.
2. The upstream is *removed* from the registry, so no later connection asks for it.
3. The router *removes* its requests, so messages that are still on their way reach nobody.
4. The server is told to forget its ids: it is *unsubscribed*. Nobody waits for the answer.
5. If the server cannot forget an id now, it is told again after a pause, a few times.

The router finds ids, too, that nobody wants: of a stream whose caller went away before the reply.
They take the same way from step 4.
"""

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

import attrs
import trio

from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import make_call, slow_down
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.errors import ApiError, OutcomeUnknown, RateLimited
from derivtrio.policy.retry import RETRY_PAUSE, is_passing
from derivtrio.streams.resubscribe import renew
from derivtrio.streams.upstream import SharedUpstream, Upstream

#: The longest pause between two attempts to `forget` a stream, in seconds.
_LONGEST_PAUSE: Final = 30.0

#: How often a refused `forget` is retried.
_MOST_REFUSALS: Final = 8


@attrs.define(eq=False)
class Registry:
    """The streams of one client, in the order in which they were first asked for."""

    session: Session
    _wanted: dict[Upstream, None] = attrs.field(factory=dict, init=False)
    _shared: dict[str, SharedUpstream] = attrs.field(factory=dict, init=False)
    _renewals: trio.Nursery | None = attrs.field(default=None, init=False)
    _refused: dict[str, int] = attrs.field(factory=dict, init=False)
    _refused_one: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __len__(self) -> int:
        return len(self._wanted)

    def __iter__(self) -> Iterator[Upstream]:
        return iter(list(self._wanted))

    def add(self, upstream: Upstream) -> None:
        """Want *upstream* on every connection from now on."""
        self._wanted[upstream] = None

    def hold(self, key: str | None) -> SharedUpstream:
        """Return where equal requests meet; a new one for each caller where *key* is None."""
        shared = SharedUpstream() if key is None else self._shared.setdefault(key, SharedUpstream())
        shared.holders += 1
        return shared

    def release(self, key: str | None, shared: SharedUpstream) -> None:
        """Hold *shared* no more."""
        shared.holders -= 1
        if not shared.holders and key is not None:
            del self._shared[key]

    async def run(self, connection: Connection) -> None:
        """Renew streams on *connection*, and tell it again what it could not forget."""
        async with trio.open_nursery() as nursery:
            self._renewals = nursery
            await self._retry_refused_forgets(connection)

    def renew(self, upstream: Upstream) -> None:
        """Ask again for *upstream*, which the server has ended.

        On a connection that is already lost there is nothing to do: the next one asks for it.
        """
        self.session.router.remove_receiver(upstream)  # what is still on its way is old
        forgets = self._unsubscribe_ids(upstream)
        connection, nursery = self.session.usable_connection, self._renewals
        if connection is not None and nursery is not None:
            task = partial(renew, upstream, forgets, connection, self.session)
            nursery.start_soon(task, name="derivtrio.renewal")

    def replace_proposal(self, proposal_id: str) -> None:
        """Ask again for the stream whose proposal is used up: the server goes silent on it."""
        for upstream in self:
            if proposal_id in upstream.ids:
                upstream.renew()

    async def clear_contracts(self) -> None:
        """End all streams of contracts; return when those that are wanted are there again.

        The stream of all open contracts may have no id, so nothing less can end it.
        """
        await make_call(api_call({"forget_all": "proposal_open_contract"}), self.session)
        wanted = [each for each in self if "proposal_open_contract" in (each.request or {})]
        for upstream in wanted:
            if upstream.ids or upstream.is_family:
                upstream.renew()
        single = [upstream for upstream in wanted if not upstream.is_family]
        while not all(each.ids or each.over for each in single):  # noqa: ASYNC110 - this is rare
            await trio.sleep(RETRY_PAUSE)

    def unsubscribe(self, upstream: Upstream) -> None:
        """End *upstream* for good, here and at the server."""
        upstream.close()
        self._wanted.pop(upstream, None)
        self.session.router.remove_receiver(upstream)
        self._unsubscribe_ids(upstream)

    def unsubscribe_unwanted(self) -> list[Call]:
        """Tell the server which streams nobody wants; return the calls that do so."""
        unwanted, connection = self.session.router.unwanted, self.session.connection
        if not unwanted or connection is None:
            return []
        refusals = dict.fromkeys(unwanted, 0)
        unwanted.clear()
        return self._forget(refusals, connection)

    def connection_lost(self) -> None:
        """Drop all ids of the lost connection: the next one may give them to other streams."""
        for upstream in self:
            upstream.ids.clear()
        self._refused.clear()

    def _unsubscribe_ids(self, upstream: Upstream) -> list[Call]:
        for stream_id in upstream.ids:
            self.session.router.note_unwanted(stream_id)
        return self.unsubscribe_unwanted()

    def _forget(self, refusals: Mapping[str, int], connection: Connection) -> list[Call]:
        """Send a `forget` for each id; *refusals* counts how often the server has refused it."""
        calls = []
        for stream_id, times in refusals.items():
            call = api_call({"forget": stream_id}, only_on=connection.number)
            call.on_error = partial(self._note_refusal, call, times)
            calls.append(call)
        self.session.queue.put_first(calls)
        return calls

    def _note_refusal(self, call: Call, times: int, error: Exception) -> None:
        if isinstance(error, RateLimited):
            slow_down(call, error, self.session)
        refusal = error.__cause__ if isinstance(error, OutcomeUnknown) else error
        if isinstance(refusal, ApiError) and is_passing(refusal) and times < _MOST_REFUSALS:
            self._refused[call.request["forget"]] = times + 1
            self._refused_one.set()

    async def _retry_refused_forgets(self, connection: Connection) -> None:
        """Tell the server again, after a pause, what it could not forget.

        Otherwise it would send that stream as long as the connection lives, and refuse the same
        stream to a later consumer. The pause doubles from one refusal to the next.
        """
        self._refused.clear()
        pause, last = RETRY_PAUSE, -math.inf
        while True:
            while not self._refused:
                self._refused_one = trio.Event()
                await self._refused_one.wait()
            now = trio.current_time()
            recent = now < last + 2 * _LONGEST_PAUSE
            pause, last = min(2 * pause, _LONGEST_PAUSE) if recent else RETRY_PAUSE, now
            await trio.sleep(pause)
            refusals, self._refused = self._refused, {}
            self._forget(refusals, connection)
