"""The streams that are wanted, and how each of them begins again and ends at the server.

A stream is wanted from the first consumer's entering until the last consumer's leaving. In between
it must exist on every connection; `resubscribe` sees to that. How it ends, in order:

1. Its last consumer is *detached* from the upstream.
2. The upstream is *removed* from the registry, so no later connection asks for it.
3. The router *removes* its requests, so messages that are still on their way reach nobody.
4. It is *unsubscribed*: a `forget` for each of its ids is sent to the server. Nobody waits for the
   answer.
5. If the server refuses a `forget` in passing, it is sent again after a pause, a few times.

The router also finds streams that nobody wants, because a caller went away before the reply. They
begin at step 4.
"""

import math
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager
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
from derivtrio.streams.upstream import Upstream

#: The longest pause between two attempts to `forget` a stream, in seconds.
_LONGEST_PAUSE: Final = 30.0

#: How often a refused `forget` is retried.
_MOST_REFUSALS: Final = 8


@attrs.define(eq=False)
class SharedUpstream:
    """Where consumers with equal requests meet.

    `key` is what the requests have in common; None for one that is never shared. `holders` counts
    the consumers that are here, or on their way.
    """

    key: str | None
    upstream: Upstream | None = None
    holders: int = 0
    _lock: trio.Lock | None = attrs.field(default=None, init=False)

    @asynccontextmanager
    async def one_at_a_time(self) -> AsyncGenerator[None]:
        """Let one consumer after another subscribe or join."""
        # A thousand streams are a thousand of these, so the lock exists only while it is needed.
        lock = self._lock = self._lock or trio.Lock()
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():  # nobody was waiting for it
                self._lock = None


@attrs.define(eq=False)
class Registry:
    """The streams of one client, in the order in which they were first asked for."""

    session: Session
    _wanted: dict[Upstream, None] = attrs.field(factory=dict, init=False)
    _shared: dict[str, SharedUpstream] = attrs.field(factory=dict, init=False)
    _renewals: trio.Nursery | None = attrs.field(default=None, init=False)
    _refused: dict[str, int] = attrs.field(factory=dict, init=False)
    _refused_one: trio.Event = attrs.field(factory=trio.Event, init=False)
    _added: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __len__(self) -> int:
        return len(self._wanted)

    def __iter__(self) -> Iterator[Upstream]:
        return iter(list(self._wanted))

    def add(self, upstream: Upstream) -> None:
        """Want *upstream* on every connection from now on."""
        self._wanted[upstream] = None
        self._added.set()

    async def wait_for_streams(self) -> None:
        """Wait while there is no stream."""
        while not self._wanted:
            self._added = trio.Event()
            await self._added.wait()

    def hold(self, key: str | None) -> SharedUpstream:
        """Return where consumers with this *key* meet; a new place for each one without a key."""
        shared = SharedUpstream(key)
        if key is not None:
            shared = self._shared.setdefault(key, shared)
        shared.holders += 1
        return shared

    def release(self, shared: SharedUpstream) -> None:
        """Undo `hold`."""
        shared.holders -= 1
        if not shared.holders and shared.key is not None:
            del self._shared[shared.key]

    async def run(self, connection: Connection) -> None:
        """Renew streams on *connection*, and send it again each `forget` that it has refused."""
        async with trio.open_nursery() as nursery:
            self._renewals = nursery
            await self._repeat_refused_forgets(connection)

    def renew(self, upstream: Upstream) -> None:
        """Ask again for *upstream*, which the server has ended.

        On a connection that is already lost there is nothing to do: the next one asks for it.
        """
        self.session.router.remove_receiver(upstream)  # messages still on their way are old
        forgets = self._unsubscribe(upstream)
        connection, nursery = self.session.usable_connection, self._renewals
        if connection is not None and nursery is not None:
            task = partial(renew, upstream, forgets, connection, self.session)
            nursery.start_soon(task, name=f"derivtrio.renewal{self.session.label}")

    def replace_proposal(self, proposal_id: str) -> None:
        """Ask again for the stream whose proposal is used up: the server goes silent on it."""
        for upstream in self:
            if proposal_id in upstream.ids:
                upstream.renew()

    async def clear_contracts(self) -> None:
        """End all streams of contracts; return when the server has granted the wanted ones again.

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

    def remove(self, upstream: Upstream) -> None:
        """Remove *upstream*, which nobody wants any more, and unsubscribe it (steps 2 to 4)."""
        upstream.close()
        self._wanted.pop(upstream, None)
        self.session.router.remove_receiver(upstream)
        self._unsubscribe(upstream)

    def _unsubscribe(self, upstream: Upstream) -> list[Call]:
        for stream_id in upstream.ids:
            self.session.router.note_unwanted(stream_id)
        return self.unsubscribe_unwanted()

    def unsubscribe_unwanted(self) -> list[Call]:
        """Unsubscribe all that the router has noted as unwanted; return the calls that do so."""
        unwanted, connection = self.session.router.unwanted, self.session.connection
        if not unwanted or connection is None:
            return []
        refusals = dict.fromkeys(unwanted, 0)
        unwanted.clear()
        return self._send_forgets(refusals, connection)

    def _send_forgets(self, refusals: Mapping[str, int], connection: Connection) -> list[Call]:
        """Send a `forget` for each id; *refusals* counts how often the server has refused it."""
        calls = []
        for stream_id, times in refusals.items():
            call = api_call({"forget": stream_id}, only_on=connection.number)
            call.on_error = partial(self._note_refusal, call, times)
            calls.append(call)
        self.session.queue.put_first(calls)
        return calls

    def _note_refusal(self, call: Call, times: int, error: Exception) -> None:
        """Note that a `forget` has failed, if it is worth sending again."""
        if isinstance(error, RateLimited):
            slow_down(call, error, self.session)
        refusal = error.__cause__ if isinstance(error, OutcomeUnknown) else error
        if isinstance(refusal, ApiError) and is_passing(refusal) and times < _MOST_REFUSALS:
            self._refused[call.request["forget"]] = times + 1
            self._refused_one.set()

    async def _repeat_refused_forgets(self, connection: Connection) -> None:
        """Send again, after a pause, each `forget` that the server has refused.

        Otherwise the server would send that stream as long as the connection lives, and refuse the
        same stream to a later consumer. The pause doubles from one refusal to the next.
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
            self._send_forgets(refusals, connection)

    def connection_lost(self) -> None:
        """Drop all ids of the lost connection: the next one may give them to other streams."""
        for upstream in self:
            upstream.ids.clear()
        self._refused.clear()
