"""How equal requests come to share one upstream.

Deriv allows one stream of each kind on a connection. So those who want the same meet at a
`SharedUpstream`, and one at a time opens the upstream or joins it. Leaving needs no waiting:
whoever is the last to leave has it forgotten, and the next to come finds it over and opens a new
one.

The one thing that can go wrong is haste: the server may still count a stream that was given up a
moment ago, and answer `AlreadySubscribed`. It is asked again, a few times, half a second apart.
That of all open contracts cannot always be given up by its id; then first all those of contracts
are.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from derivtrio.calls.call import api_call
from derivtrio.calls.request import make_call
from derivtrio.calls.session import Session
from derivtrio.errors import AlreadySubscribed
from derivtrio.policy.retry import RETRY_PAUSE
from derivtrio.streams.registry import Registry
from derivtrio.streams.upstream import Consumer, SharedUpstream, Upstream

_TRIES: Final = 4


@attrs.define(eq=False)
class ServerStream:
    """The source of a subscription at the server: one consumer's part in an upstream."""

    _session: Session
    _registry: Registry
    _key: str | None
    _request: Mapping[str, Any]
    _consumer: Consumer
    _share: SharedUpstream | None = attrs.field(default=None, init=False)
    _upstream: Upstream | None = attrs.field(default=None, init=False)

    @property
    def id(self) -> str | None:
        """The first of the ids it has on the present connection."""
        return None if self._upstream is None else next(iter(self._upstream.ids), None)

    async def open(self) -> None:
        """Open the upstream and wait for its first reply, or join it."""
        self._session.require_home()
        self._share = self._registry.hold(self._key)
        self._session.router.fast_ticks.untyped_consumers += self._wants_plain_ticks
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
        self._registry.release(self._key, self._share)
        self._session.router.fast_ticks.untyped_consumers -= self._wants_plain_ticks
        self._share = None
        if self._upstream is not None and not self._upstream.detach(self._consumer):
            self._registry.unsubscribe(self._upstream)

    @property
    def _wants_plain_ticks(self) -> bool:
        calls_with_ticks = {"ticks", "ticks_history"}
        return self._consumer.line is None and not calls_with_ticks.isdisjoint(self._request)

    async def _begin(self, share: SharedUpstream) -> None:
        upstream = self._upstream = Upstream(
            self._consumer.name, self._request, self._registry.renew
        )
        upstream.attach(self._consumer)
        for tries_left in reversed(range(_TRIES)):
            try:
                await make_call(api_call(self._request, then=upstream), self._session)
                break
            except AlreadySubscribed:
                if not tries_left:
                    raise
                if upstream.is_family:
                    await self._registry.clear_contracts()
            await trio.sleep(RETRY_PAUSE)
        share.upstream = upstream
        self._registry.add(upstream)

    async def _join(self, share: SharedUpstream, upstream: Upstream) -> None:
        if self._consumer.line is None and "ticks_history" in self._request:  # its reply is history
            once = {name: value for name, value in self._request.items() if name != "subscribe"}
            self._consumer.take(await make_call(api_call(once), self._session))
            if upstream.over:
                await self._begin(share)
                return
        self._upstream = upstream
        spoken_for = self._session.trades.is_buying(upstream.ids)
        upstream.attach(self._consumer, replay=not spoken_for)
