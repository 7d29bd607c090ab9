"""How equal requests come to share one upstream.

Deriv allows one stream of each kind on a connection. So those who want the same meet at a `Share`,
and one at a time opens the upstream or joins it. Leaving needs no waiting: whoever is the last
to leave has it forgotten, and the next to come finds it over and opens a new one.

The one thing that can go wrong is haste: the server may still count a stream that was given up a
moment ago, and answer `AlreadySubscribed`. It is asked again, a few times, half a second apart.
That of all open contracts cannot always be given up by its id; then first all those of contracts
are.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from derivtrio.calls import api_call
from derivtrio.crew import make
from derivtrio.errors import AlreadySubscribed
from derivtrio.supervisor import Supervisor
from derivtrio.upstream import Consumer, Upstream
from derivtrio.verdict import RETRY_PAUSE

_TRIES: Final = 4


@attrs.define(eq=False)
class Share:
    """Where equal requests meet. `holders` counts those who are here, or on their way.

    A thousand streams are a thousand of these, so the lock is here only while it is needed.
    """

    upstream: Upstream | None = None
    holders: int = 0
    _lock: trio.Lock | None = attrs.field(default=None, init=False)

    @asynccontextmanager
    async def one_at_a_time(self) -> AsyncGenerator[None]:
        """Let one after another open the upstream or join it."""
        lock = self._lock = self._lock or trio.Lock()
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():  # nobody was waiting for it
                self._lock = None


@attrs.define(eq=False)
class Shares:
    """The shares of one client, by what the requests have in common."""

    _by_key: dict[str, Share] = attrs.field(factory=dict, init=False)

    def hold(self, key: str | None) -> Share:
        """Return the share for *key*; a new one, for oneself alone, where that is None."""
        share = Share() if key is None else self._by_key.setdefault(key, Share())
        share.holders += 1
        return share

    def release(self, key: str | None, share: Share) -> None:
        """Hold *share* no more."""
        share.holders -= 1
        if not share.holders and key is not None:
            del self._by_key[key]


@attrs.define(eq=False)
class ServerStream:
    """The source of a subscription at the server: one consumer's part in an upstream."""

    _supervisor: Supervisor
    _shares: Shares
    _key: str | None
    _request: Mapping[str, Any]
    _consumer: Consumer
    _share: Share | None = attrs.field(default=None, init=False)
    _upstream: Upstream | None = attrs.field(default=None, init=False)

    @property
    def id(self) -> str | None:
        """The first of the ids it has on the present connection."""
        return None if self._upstream is None else next(iter(self._upstream.ids), None)

    async def open(self) -> None:
        """Open the upstream and wait for its first reply, or join it."""
        self._supervisor.desk.require_home()
        self._share = self._shares.hold(self._key)
        self._supervisor.desk.router.express.plain += self._wants_plain_ticks
        async with self._share.one_at_a_time():
            upstream = self._share.upstream
            if upstream is None or upstream.over:
                await self._begin(self._share)
            else:
                await self._join(self._share, upstream)

    def close(self) -> None:
        """Leave; the last one has the stream forgotten."""
        self._consumer.mailbox.close()
        if self._share is None:
            return
        self._shares.release(self._key, self._share)
        self._supervisor.desk.router.express.plain -= self._wants_plain_ticks
        self._share = None
        if self._upstream is not None and not self._upstream.detach(self._consumer):
            self._supervisor.drop(self._upstream)

    @property
    def _wants_plain_ticks(self) -> bool:
        calls_with_ticks = {"ticks", "ticks_history"}
        return self._consumer.line is None and not calls_with_ticks.isdisjoint(self._request)

    async def _begin(self, share: Share) -> None:
        upstream = self._upstream = Upstream(
            self._consumer.name, self._request, self._supervisor.renew
        )
        upstream.attach(self._consumer)
        for tries_left in reversed(range(_TRIES)):
            try:
                await make(api_call(self._request, then=upstream), self._supervisor.desk)
                break
            except AlreadySubscribed:
                if not tries_left:
                    raise
                if upstream.is_family:
                    await self._supervisor.clear_contracts()
            await trio.sleep(RETRY_PAUSE)
        share.upstream = upstream
        self._supervisor.ledger.add(upstream)

    async def _join(self, share: Share, upstream: Upstream) -> None:
        if self._consumer.line is None and "ticks_history" in self._request:  # its reply is history
            once = {name: value for name, value in self._request.items() if name != "subscribe"}
            self._consumer.take(await make(api_call(once), self._supervisor.desk))
            if upstream.over:
                await self._begin(share)
                return
        self._upstream = upstream
        spoken_for = self._supervisor.desk.book.is_buying(upstream.ids)
        upstream.attach(self._consumer, replay=not spoken_for)
