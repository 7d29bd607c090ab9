"""The streams that are wanted, and how each of them begins again and ends at the server.

A stream is wanted from the first consumer's entering until the last consumer's leaving. In between
it must exist on every connection; `resubscribe` sees to that. How it ends, in order:

1. Its last consumer is *detached* from the upstream.
2. The upstream is *removed* from the registry, so no later connection asks for it.
3. The router *removes* its requests, so messages that are still on their way reach nobody.
4. It is *unsubscribed*: a `forget` for each of its ids is sent to the server (`forgets`).

Streams that break connections are found out by `suspects`.
"""

import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from derivtrio.calls.call import Call
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import Disconnect
from derivtrio.errors import BrokenConnection, stream_failed
from derivtrio.policy.retry import RETRY_PAUSE
from derivtrio.streams.contracts import ContractStreams
from derivtrio.streams.forgets import Forgets
from derivtrio.streams.resubscribe import renew
from derivtrio.streams.suspects import Suspects
from derivtrio.streams.upstream import Upstream

if TYPE_CHECKING:  # it is imported when a stream waits for its market
    from derivtrio.streams.opening_times import OpeningTimes

#: How often a stream is asked for again because of what cannot be read, at most; in seconds.
_INTERVAL: Final = 30.0


@attrs.define(eq=False, repr=False)
class SharedUpstream:
    """Where consumers with equal requests meet.

    `name` is the call; `key` is what the requests have in common, None for one that is never
    shared. `holders` counts the consumers that are here, or on their way. `admitted` says whether
    the stream has one of the places that a server has for those of its kind.
    """

    name: str
    key: str | None
    upstream: Upstream | None = None
    holders: int = 0
    admitted: bool = False
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


@attrs.define(eq=False, repr=False)
class Registry:
    """The streams of one client, in the order in which they were first asked for.

    Attributes:
        suspects: those that may be what breaks connections.
        watch: notices those that are mute, as long as there are any (`staleness`).
        contracts: what the streams of contracts share.
        forgets: how streams are unsubscribed.
        new_upstream: makes an upstream; `derivtrio.trace` makes one that counts its messages.

    """

    session: Session
    suspects: Suspects = attrs.field(factory=Suspects, init=False)
    watch: Callable[[], Awaitable[None]] | None = attrs.field(default=None, init=False)
    new_upstream: Callable[..., Upstream] = attrs.field(default=Upstream, init=False)
    contracts: ContractStreams = attrs.field(init=False)
    forgets: Forgets = attrs.field(init=False)
    _wanted: dict[Upstream, None] = attrs.field(factory=dict, init=False)
    _shared: dict[str, SharedUpstream] = attrs.field(factory=dict, init=False)
    _is_watched: bool = attrs.field(default=False, init=False)
    #: Those that are asked for again because of what cannot be read, and whether that came again.
    _unreadable: dict[Upstream, bool] = attrs.field(factory=dict, init=False)
    #: The keys of streams that were given up, until when the server may still have each, and the
    #: `forget`s that end it.
    _given_up: dict[str, tuple[float, Sequence[Call]]] = attrs.field(factory=dict, init=False)
    _opening_times: "OpeningTimes | None" = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.forgets = Forgets(self.session)
        self.contracts = ContractStreams(self.session, self._renew, self._start)

    def __len__(self) -> int:
        return len(self._wanted)

    def __iter__(self) -> Iterator[Upstream]:
        return iter(list(self._wanted))

    def add(self, upstream: Upstream) -> None:
        """Want *upstream* on every connection from now on."""
        self._wanted[upstream] = None
        self.start_watching()
        self.suspects.began(upstream)
        if upstream.sharing is not None:
            self.contracts.add(upstream)

    def opening_times(self) -> "OpeningTimes":
        """Return when markets open; made when it is first asked for."""
        if self._opening_times is None:
            from derivtrio.streams.opening_times import OpeningTimes  # noqa: PLC0415 - rarely used

            self._opening_times = OpeningTimes(self.session)
        return self._opening_times

    def hold(self, name: str, key: str | None) -> SharedUpstream:
        """Return where consumers with this *key* meet; a new place for each one without a key."""
        shared = SharedUpstream(name, key)
        if key is not None:
            shared = self._shared.setdefault(key, shared)
        shared.holders += 1
        return shared

    def release(self, shared: SharedUpstream) -> None:
        """Undo `hold`."""
        shared.holders -= 1
        if not shared.holders and shared.key is not None:
            del self._shared[shared.key]

    def count_admitted(self, name: str) -> int:
        """Return how many streams of the call *name* there are, or are on their way."""
        return sum(
            shared.admitted and not (shared.upstream is not None and shared.upstream.over)
            for shared in self._shared.values()
            if shared.name == name
        )

    def note_given_up(self, key: str | None, forgets: Sequence[Call] = ()) -> None:
        """Note that nobody wants the stream with this *key* any more, which the server may have.

        It may still grant a request that was written, or wait for one of the *forgets*; until then
        it refuses the next request.
        """
        if key is None:
            return
        now, given_up = trio.current_time(), self._given_up
        given_up.pop(key, None)  # the newest comes last
        while given_up and not self.may_have(oldest := next(iter(given_up))):
            del given_up[oldest]
        given_up[key] = (now + self.session.settings.response_timeout, forgets)

    def may_have(self, key: str | None) -> bool:
        """Return whether the server may have a stream with this *key* that was given up."""
        until, _ = self._given_up.get(key or "", (-math.inf, ()))
        return until > trio.current_time() or self.is_forgetting(key)

    def is_forgetting(self, key: str | None) -> bool:
        """Return whether a `forget` of a stream with this *key* waits, or is not answered yet."""
        return bool(self._forgets_of(key))

    def hurry_forgets(self, key: str | None) -> None:
        """Let the `forget`s of a stream with this *key*, which somebody waits for, go first."""
        self.session.queue.hurry(self._forgets_of(key))

    def _forgets_of(self, key: str | None) -> list[Call]:
        _, forgets = self._given_up.get(key or "", (-math.inf, ()))
        return [forget for forget in forgets if not forget.decided]

    def start_watching(self) -> None:
        """Start `watch` on the present connection, if there is one, and something to watch."""
        if self._wanted and not self._is_watched and self.watch is not None:
            name = f"derivtrio.staleness{self.session.label}"
            connection = self.session.usable_connection
            self._is_watched = connection is not None and connection.start_soon(
                self._watch, self.watch, name=name
            )

    async def _watch(self, watch: Callable[[], Awaitable[None]]) -> None:
        try:
            await watch()
        finally:
            self._is_watched = False

    def renew(self, upstream: Upstream) -> None:
        """Ask again for *upstream*, which the server has ended.

        On a connection that is already lost there is nothing to do: the next one asks for it.
        """
        self.session.router.remove_receiver(upstream)  # messages still on their way are old
        if upstream.sharing is not None:
            self.contracts.forget(upstream)
        self._renew(upstream, self._unsubscribe(upstream, lives=True))

    def _renew(self, upstream: Upstream, forgets: Sequence[Call]) -> None:
        self._start(
            lambda connection: renew(upstream, forgets, connection, self.session, self.suspects)
        )

    def _start(self, task: Callable[[Connection], Awaitable[None]]) -> bool:
        """Start *task* on the present connection; return whether there is one."""
        connection, name = self.session.connection, f"derivtrio.renewal{self.session.label}"
        return connection is not None and connection.start_soon(task, connection, name=name)

    def ask_again(self, upstream: Upstream | None) -> None:
        """Ask again for a stream that has sent what cannot be read, soon, and not too often."""
        if upstream is None:
            return
        if upstream in self._unreadable or self._start(partial(self._ask_again, upstream)):
            self._unreadable[upstream] = True

    async def _ask_again(self, upstream: Upstream, _: Connection) -> None:
        try:
            while self._unreadable[upstream]:
                await trio.sleep(RETRY_PAUSE)  # its message, perhaps its first, is dealt with then
                if upstream not in self._wanted:
                    return
                self._unreadable[upstream] = False
                if upstream.ids:
                    upstream.renew()
                await trio.sleep(_INTERVAL)
        finally:
            del self._unreadable[upstream]

    def request_of(self, stream_id: str) -> Mapping[str, Any] | None:
        """Return the request of the stream that has this id; None if none has."""
        return next((each.request for each in self if stream_id in each.ids), None)

    def replace_proposal(self, proposal_id: str) -> None:
        """Ask again for the stream whose proposal is used up: the server goes silent on it."""
        for upstream in self:
            if proposal_id in upstream.ids:
                upstream.renew()

    def remove(self, upstream: Upstream) -> list[Call]:
        """Remove *upstream*, which nobody wants any more, and unsubscribe it (steps 2 to 4).

        Returns the `forget`s.
        """
        lives = not upstream.over
        existed = upstream.may_exist and (upstream.is_family or lives)
        upstream.close()
        self._wanted.pop(upstream, None)
        self.suspects.remove(upstream)
        self.session.router.remove_receiver(upstream)
        forgets = self._unsubscribe(upstream, lives=lives)
        if upstream.sharing is not None:
            self.contracts.remove(upstream, forgets, existed=existed)
        return forgets

    def _unsubscribe(self, upstream: Upstream, *, lives: bool) -> list[Call]:
        """Unsubscribe *upstream*, which *lives* at the server, or has ended or been ended there."""
        unwanted = self.session.router.unwanted
        others = list(unwanted)
        for stream_id in upstream.ids:
            self.session.router.note_unwanted(stream_id, granted=lives)
        if upstream.is_family and upstream.over:  # `ContractStreams` ends it as a whole
            unwanted[:] = others
        return self.forgets.send_unwanted()

    def connection_lost(
        self, why: BrokenConnection, end: Disconnect, calls: Sequence[Call]
    ) -> None:
        """End the streams that have broken too many connections; drop all ids of the lost one.

        The next connection may give the same ids to other streams. *calls* were not answered.
        """
        failed: list[Upstream] = []
        on_trial = self.session.on_trial
        if self._wanted:
            failed = self.suspects.connection_lost(
                why,
                on_trial,
                by_message=end.by_message,
                calls=bool(calls),
                answered=self.session.answered_mono,
            )
        if on_trial is not None and why not in on_trial.breaks:
            self.session.on_trial = None  # something else broke it: a failed attempt like any
        for upstream in failed:
            self._fail(upstream)
        for upstream in self:
            upstream.ids.clear()
            upstream.lingers = False
        self._given_up.clear()
        if self.contracts.in_use:
            self.contracts.connection_lost()

    def _fail(self, upstream: Upstream) -> None:
        """End *upstream*, which has broken too many connections, at its consumers."""
        error = stream_failed(upstream.label, upstream.request or {}, upstream.breaks)
        self.session.bus.log(logging.WARNING, "%s; everything else goes on", error)
        upstream.close(error)
        self._wanted.pop(upstream, None)
        self.suspects.remove(upstream)
