"""The streams of contracts: the server has one for each contract, whoever asks for it.

`proposal_open_contract` without a `contract_id` follows all open contracts: one request, many
streams, here called a *family*. Three facts about Deriv:

1. A connection has one stream of each contract. Who asks for another is answered
   `AlreadySubscribed`, whether the first came with a family, a purchase, or a request of its own.
2. A family leaves out the contracts that have a stream already.
3. A family has a parent, which opens a stream for each new contract, and whose id is not told. So
   only `forget_all` ends a family, and that ends all streams of contracts.

So what the server sends about a contract is shared:

- An upstream of one contract that the server refuses for the first reason *borrows*: it asks for
  the contract's state once, and overhears the stream that exists.
- A family overhears the streams of single contracts, except those that purchases opened.
- When a stream ends at the server on which others depend, they are asked for again.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import attrs
import trio

from derivtrio.api.parsing import ident_in
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import make_call, slow_down
from derivtrio.calls.routing import stream_id_of
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.errors import ClientClosed, DerivError, RateLimited
from derivtrio.policy.newest import shorten
from derivtrio.policy.retry import RETRY_PAUSE
from derivtrio.streams.upstream import MOST_CONTRACTS, Upstream

_CALL: Final = "proposal_open_contract"

#: How many ended streams are remembered.
_REMEMBERED: Final = 4096

#: The pauses between attempts to `forget_all`, in seconds.
_PAUSES: Final = [RETRY_PAUSE * 2**n for n in range(7)]


@attrs.define(eq=False, repr=False)
class ContractStreams:
    """The upstreams of contracts that are wanted, and what they share.

    `renew` has an upstream asked for again, after some forgets; `start` starts a task on the
    present connection, and returns whether there is one. It is `in_use` if anything is known of the
    present connection.
    """

    session: Session
    _renew: Callable[[Upstream, Sequence[Call]], None]
    _start: Callable[[Callable[[Connection], Awaitable[None]]], bool]
    in_use: bool = attrs.field(default=False, init=False)
    _wanted: dict[Upstream, None] = attrs.field(factory=dict, init=False)
    #: The contracts that each family has streams of, on the present connection.
    _carried: dict[Upstream, dict[int, None]] = attrs.field(factory=dict, init=False)
    _borrowing: set[Upstream] = attrs.field(factory=set, init=False)
    #: The streams that `forget_all` has ended on this connection, the newest last.
    _ended: dict[str, None] = attrs.field(factory=dict, init=False)
    _clearing: int = attrs.field(default=0, init=False)
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _cleared: trio.Event = attrs.field(factory=trio.Event, init=False)

    def add(self, upstream: Upstream) -> None:
        """Share what *upstream* brings from now on.

        If its reply came together with the answer to a `forget_all`, that has ended it already.
        """
        self.in_use = True
        self._wanted[upstream] = None
        if not self._ended.keys().isdisjoint(upstream.ids):
            self._begin_again(upstream)

    def remove(self, upstream: Upstream, forgets: Sequence[Call], *, existed: bool) -> None:
        """Ask again for what depended on *upstream*, which nobody wants any more.

        *existed* says that it may have a stream of its own at the server, which *forgets* end.
        """
        self._wanted.pop(upstream, None)
        self.forget(upstream)
        if not existed:
            return
        if upstream.is_family or any(each.is_family for each in self._of_account(upstream)):
            self.clear()
            return
        for other in self._of_account(upstream):
            if other in self._borrowing and _contract_of(other) == _contract_of(upstream):
                self.forget(other)
                self._renew(other, forgets)

    def forget(self, upstream: Upstream) -> None:
        """Forget what is known of *upstream* on this connection: it has ended there."""
        self._carried.pop(upstream, None)
        self._borrowing.discard(upstream)

    def connection_lost(self) -> None:
        """Forget all that was known of the lost connection."""
        self._carried.clear()
        self._borrowing.clear()
        self._ended.clear()
        self.in_use = bool(self._wanted)

    def share(self, upstream: Upstream, message: Mapping[str, Any]) -> None:
        """Let the others overhear *message* of *upstream* that are concerned.

        If it is a late reply, whose stream has been ended since, the stream is asked for again.
        """
        if stream_id_of(message) in self._ended:
            self._begin_again(upstream)
            return
        payload = message.get(_CALL)
        contract_id = ident_in(payload.get("contract_id")) if isinstance(payload, dict) else None
        if contract_id is None:
            return
        if upstream.is_family:
            carried = self._carried.setdefault(upstream, {})
            carried[contract_id] = None
            shorten(carried, MOST_CONTRACTS)
        for other in list(self._of_account(upstream)):
            if other.is_family:
                # What a purchase opened is left out: the family's parent sends that contract, too
                # (fact 3).
                if upstream.name == _CALL and not upstream.is_family:
                    other.overhear(dict(message))
            elif other in self._borrowing and _contract_of(other) == contract_id:
                other.overhear(dict(message))

    def borrow(self, upstream: Upstream) -> bool:
        """Have *upstream* live on another stream of its contract; return whether there is one.

        That of all open contracts has it also if it was asked for and has not been answered yet.
        """
        contract_id = _contract_of(upstream)
        if contract_id is None or not any(
            contract_id in self._carried.get(each, ())
            or (each.ids and _contract_of(each) == contract_id)
            or (each.is_family and each.asked is not None and each.may_exist)
            for each in self._of_account(upstream)
        ):
            return False
        self._borrowing.add(upstream)
        return True

    def borrow_again(self, upstream: Upstream) -> bool:
        """Borrow for an upstream that is resumed, and have it catch up when there is time.

        While streams are being cleared, the server may refuse it because of one of those. Then it
        is asked for again after that, as all are that borrow.
        """
        if self._clearing:
            self._borrowing.add(upstream)
            return True
        return self.borrow(upstream) and self._start(partial(self._catch_up_later, upstream))

    async def catch_up(self, upstream: Upstream) -> None:
        """Ask for the state of the contract, once."""
        request = {**(upstream.request or {})}
        request.pop("subscribe", None)
        upstream.overhear(await make_call(api_call(request), self.session))

    async def _catch_up_later(self, upstream: Upstream, _: Connection) -> None:
        with suppress(DerivError):  # then the next message of the contract has to do
            await self.catch_up(upstream)

    def clear(self) -> None:
        """End all streams of contracts at the server, and ask again for those that are wanted."""
        self._clearing += 1
        self.in_use = True
        if not self._start(self._clear):
            self._clearing -= 1

    async def cleared(self) -> None:
        """Wait while streams are being cleared: a new one might be ended with the old ones."""
        while self._clearing:
            await self._cleared.wait()

    async def clear_now(self) -> None:
        """Do what `clear` does; return when the server has granted the wanted ones again."""
        self.clear()
        await self.cleared()
        while any(self._is_due(each) for each in self._wanted):  # noqa: ASYNC110 - this is rare
            await trio.sleep(RETRY_PAUSE)

    def _is_due(self, upstream: Upstream) -> bool:
        has_stream = upstream.ids or upstream in self._borrowing or upstream.over
        return not (has_stream or upstream.is_family)

    async def _clear(self, connection: Connection) -> None:
        try:
            async with self._one_at_a_time:
                # A family that had streams is ended, too, if only its parent was left.
                families = [each for each in self._wanted if each.is_family and each.ids]
                ended = await self._forget_all(connection)
                self._note_ended(ended)
                for each in list(self._wanted):
                    is_ended = not ended.isdisjoint(each.ids)
                    if is_ended or each in self._borrowing or each in families:
                        self._begin_again(each)
        finally:
            self._clearing -= 1
            if not self._clearing:
                self._cleared.set()
                self._cleared = trio.Event()

    def _begin_again(self, upstream: Upstream) -> None:
        """Have *upstream*, which `forget_all` has ended, asked for again."""
        upstream.ids.clear()
        upstream.renew()

    def _note_ended(self, ids: frozenset[str]) -> None:
        self._ended |= dict.fromkeys(ids)
        shorten(self._ended, _REMEMBERED)

    async def _forget_all(self, connection: Connection) -> frozenset[str]:
        """Return the ids of the streams that the server has ended; none if it does not do so."""
        for pause in _PAUSES:
            call = api_call({"forget_all": _CALL}, only_on=connection.number)
            try:
                ids = (await make_call(call, self.session)).get("forget_all")
                ids = ids if isinstance(ids, list) else ()
                return frozenset(each for each in ids if isinstance(each, str))
            except ClientClosed:
                break
            except RateLimited as error:
                slow_down(call, error, self.session)
            except DerivError:
                pass  # if the connection is lost, this task is cancelled with it
            await trio.sleep(pause)
        return frozenset()

    def _of_account(self, upstream: Upstream) -> Iterator[Upstream]:
        """Iterate over the other wanted upstreams of the same account."""
        account = self._account_of(upstream)
        for each in self._wanted:
            if each is not upstream and not each.over and self._account_of(each) == account:
                yield each

    def _account_of(self, upstream: Upstream) -> Any:
        return (upstream.request or {}).get("loginid") or self.session.trades.whose()


def _contract_of(upstream: Upstream) -> int | None:
    return ident_in((upstream.request or {}).get("contract_id"))
