"""The source of a subscription at the server: how its consumer comes to an upstream.

Deriv allows one stream of each kind on a connection. So consumers with equal requests meet at a
`SharedUpstream`: one at a time subscribes, or joins the upstream of the others. Detaching needs no
waiting: the last consumer has the upstream removed, and the next to come finds it over and
subscribes anew.

One thing can go wrong: the server may still count a stream that was unsubscribed a moment ago, and
answer `AlreadySubscribed`; or it has granted a request that was given up before its reply came. It
is asked again, for as long as that may last (`Registry.may_have`), and a few times in any case.
Streams of contracts share what the server sends (`contracts`).

Of proposals a server allows a few streams at a time. One more is not even asked for: its refusal
would be taken for one of the rate, and pause all prices.
"""

from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any, Final

import trio

from derivtrio.api.limits import PROPOSALS
from derivtrio.calls.call import api_call
from derivtrio.calls.request import make_call
from derivtrio.concurrency.buffer import Buffer
from derivtrio.concurrency.home import require_home
from derivtrio.errors import (
    AlreadySubscribed,
    ApiError,
    ConnectionLost,
    OutcomeUnknown,
    ResponseTimeout,
    api_error,
    stream_failed,
)
from derivtrio.policy.retry import RETRY_PAUSE
from derivtrio.streams.interfaces import Translator
from derivtrio.streams.registry import Registry, SharedUpstream
from derivtrio.streams.requests import key_of
from derivtrio.streams.subscription import BufferedConsumer
from derivtrio.streams.upstream import Upstream

#: How often a stream is asked for in any case while the answer is `AlreadySubscribed`; and how many
#: times as long the pause is between two further tries.
_TRIES: Final = 4
_LONGER_PAUSE: Final = 4


class ServerStream:
    """The source of a subscription at the server: subscribes its `consumer`, or has it join."""

    __slots__ = ("_request", "_shared", "consumer")

    def __init__(
        self,
        registry: Registry,
        name: str,
        request: Mapping[str, Any],
        translator: Translator | None,
        items: Buffer[Any],
    ) -> None:
        self.consumer = BufferedConsumer(registry, name, translator, items)
        self._request = request
        self._shared: SharedUpstream | None = None

    @property
    def id(self) -> str | None:
        """The first of the ids it has on the present connection."""
        upstream = self.consumer.upstream
        return None if upstream is None else next(iter(upstream.ids), None)

    @property
    def last_at(self) -> float | None:
        """When the server last sent something for it, in seconds since the epoch."""
        upstream = self.consumer.upstream
        return None if upstream is None else upstream.last_wall

    async def attach(self) -> None:
        """Subscribe and wait for the first reply, or join consumers that have."""
        registry, session = self.consumer.registry, self.consumer.registry.session
        require_home(session.home)
        name = self.consumer.name
        shared = self._shared = registry.hold(name, key_of(name, self._request))
        session.router.fast_ticks.untyped_consumers += self._takes_untyped_ticks
        async with shared.one_at_a_time():
            upstream = shared.upstream
            if upstream is None or upstream.over or not await self._joined(upstream):
                if name == "proposal":
                    await self._admit(shared)
                shared.upstream = await self._subscribed()

    def detach(self) -> None:
        """Leave the upstream; the last consumer has it removed."""
        consumer, registry = self.consumer, self.consumer.registry
        if self._shared is not None:
            require_home(registry.session.home)
        consumer.items.close()
        if self._shared is None:
            return
        registry.release(self._shared)
        registry.session.router.fast_ticks.untyped_consumers -= self._takes_untyped_ticks
        key, self._shared = self._shared.key, None
        upstream = consumer.upstream
        if upstream is not None and not upstream.detach(consumer):
            may_exist, forgets = upstream.may_exist, registry.remove(upstream)
            if may_exist:
                registry.note_given_up(key, forgets)

    async def _admit(self, shared: SharedUpstream) -> None:
        """Take one of the places that the server has for streams of proposals.

        Raises:
            RateLimited: there is none.

        """
        registry, shared.admitted = self.consumer.registry, False
        session = registry.session
        budgets, taken = session.queue.budgets, registry.count_admitted("proposal")
        if budgets.advertised and budgets.most_proposals is None and taken >= PROPOSALS:
            with suppress(ApiError, ResponseTimeout, ConnectionLost):
                await make_call(api_call({"website_status": 1}), session)
            taken = registry.count_admitted("proposal")
        if budgets.most_proposals is not None and taken >= budgets.most_proposals:
            text = (
                f"the server allows {budgets.most_proposals} streams of prices at a time, and so"
                " many are open or asked for; leave one of them first (nothing was sent)"
            )
            raise api_error({"code": "RateLimit", "message": text}, self._request)
        shared.admitted = True

    async def _subscribed(self) -> Upstream:
        """Return a new upstream, which the server has granted."""
        consumer, registry = self.consumer, self.consumer.registry
        name, contracts = consumer.name, registry.contracts
        session, let_go = registry.session, registry.session.router.note_stranger
        upstream = consumer.upstream = registry.new_upstream(
            name, self._request, registry.renew, let_go, session.bus.counters
        )
        upstream.attach(consumer)
        if name in ("buy", "proposal_open_contract"):
            upstream.sharing = contracts
        for tried in count(1):
            if name == "proposal_open_contract":
                await contracts.cleared()
            if await self._is_granted(upstream, tried):
                break
            await self._pause(1 if tried < _TRIES else _LONGER_PAUSE)
        return upstream

    async def _pause(self, times: int) -> None:
        """Wait so many pauses, and until the server has answered what is to end such a stream.

        Its `forget` may wait for the rate limit, behind those of streams that nobody asked for.
        """
        registry, waited = self.consumer.registry, 0
        registry.hurry_forgets(self._key)
        while waited < times or registry.is_forgetting(self._key):
            if registry.session.state.ending:  # then the next try says so
                return
            await trio.sleep(RETRY_PAUSE)
            waited += 1

    async def _is_granted(self, upstream: Upstream, tried: int) -> bool:
        """Ask for *upstream*; return whether it has begun, by itself or as a part of another."""
        registry, contracts = self.consumer.registry, self.consumer.registry.contracts
        call = upstream.asked = api_call(self._request, then=upstream)
        try:
            await make_call(call, registry.session)
        except (trio.Cancelled, ResponseTimeout):
            if call.written_mono is not None:
                registry.note_given_up(self._key)
            raise
        except AlreadySubscribed:
            upstream.asked = None
            if contracts.borrow(upstream):
                registry.add(upstream)
                await contracts.catch_up(upstream)
                return True
            if tried >= _TRIES and not registry.may_have(self._key):
                raise
            if upstream.is_family:
                await contracts.clear_now()
            return False
        except ApiError:
            upstream.asked = None
            raise
        except ConnectionLost as error:
            if isinstance(error, OutcomeUnknown):
                raise
            raise stream_failed(upstream.label, self._request, error.history) from error
        registry.add(upstream)
        return True

    async def _joined(self, upstream: Upstream) -> bool:
        """Join *upstream*; return whether it is still there.

        The first reply to an untyped `ticks_history` is the history, and each consumer asks for
        its own. A proposal that is being bought just now is not replayed: it is used up.
        """
        consumer, session = self.consumer, self.consumer.registry.session
        if consumer.translator is None and "ticks_history" in self._request:
            once = {name: value for name, value in self._request.items() if name != "subscribe"}
            consumer.take(await make_call(api_call(once), session))
            if upstream.over:
                return False
        consumer.upstream = upstream
        consumer.copies = consumer.translator is None or "ticks" not in self._request
        upstream.attach(consumer, replay=not session.trades.is_buying(upstream.ids))
        return True

    @property
    def _key(self) -> str | None:
        return None if self._shared is None else self._shared.key

    @property
    def _takes_untyped_ticks(self) -> bool:
        calls_with_ticks = {"ticks", "ticks_history"}
        return self.consumer.translator is None and not calls_with_ticks.isdisjoint(self._request)
