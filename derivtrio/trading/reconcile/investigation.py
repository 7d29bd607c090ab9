"""An investigation into a trade whose reply was lost: whom to ask, until when, on which clock.

That something was executed shows in the account at once, or nearly so. That it was *not* executed
is harder to know: the request may still be under way. It cannot be any more when its connection is
gone, or when the server has answered a later request on the same connection; then the server itself
has 15 seconds to get an answer from its backend, after which it gives up (`Mojo::WebSocketProxy`,
the framework that serves v3). So an investigation goes on until that time and a margin have passed,
and looks once more after it, before anybody may say "no".

Of a trade that is not in this client's book, since another client made it or since it was made too
long ago, nothing is known of the connection but this: the server closes one on which nothing
reaches it for two minutes. So after that time, too, the request cannot be under way any more.

The account is asked that the trade was for, which need not be the one that the client acts for now.
"""

import math
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
import trio

from derivtrio.api.parsing import UNREADABLE
from derivtrio.calls import pages
from derivtrio.calls.call import Call
from derivtrio.calls.doubts import TradeLog
from derivtrio.calls.pages import Listing
from derivtrio.calls.request import request_until_answered
from derivtrio.calls.session import Session
from derivtrio.errors import (
    AuthorizationRequired,
    OutcomeUnknown,
    ProtocolViolation,
    unreadable,
)
from derivtrio.models import OpenContract, Outcome, Transaction
from derivtrio.policy.rate_limits import Urgency
from derivtrio.policy.server_clock import ServerClock, reading
from derivtrio.streams.snapshots import contract_in
from derivtrio.trading.reconcile.matching import Order

_CONTRACT: Final = "contract"

#: So long the server waits for its backend, in seconds.
_BACKEND: Final = 15

#: And so long the account's lists may lag behind.
_MARGIN: Final = 5

#: From when on, after the last moment at which a request can have reached the server, it is
#: certain that it is not executed any more, in seconds.
CERTAIN_AFTER: Final = _BACKEND + _MARGIN

#: For how long the server keeps a connection on which nothing reaches it, in seconds.
_SILENCE: Final = 120

#: How many rows of a list to ask for at a time.
PAGE: Final = 500


@attrs.define(eq=False)
class Investigation:
    """What is known about one trade in doubt, and the ways to learn more.

    Attributes:
        unknown: what the trade ended with.
        trade: the name of the call.
        call: the call that made it; None if that is not known any more.

    """

    unknown: OutcomeUnknown
    trade: str
    call: Call | None
    _session: Session
    _clock: ServerClock = attrs.field(init=False)
    _read_on: dict[Call | None, float] = attrs.field(factory=dict, init=False)

    @property
    def trades(self) -> TradeLog:
        """The client's trades."""
        return self._session.trades

    @property
    def knows_account(self) -> bool:
        """Whether it is the account that the trade was for which is asked."""
        return self.unknown.loginid is not None or self._session.trades.whose() is None

    @property
    def contract_id(self) -> int:
        """The contract that the trade is about, unless it is a purchase."""
        request = self.unknown.request
        name = next(n for n in ("contract_id", "sell", "cancel") if n in request)
        return int(request[name])

    async def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer to a request that only reads, however long it takes.

        Raises:
            AuthorizationRequired: the account is out of reach.
            ApiError: it cannot be looked into.

        """
        loginid = self.unknown.loginid
        if loginid is not None and self._session.generation == "v3":
            request = {**request, "loginid": loginid}
        try:
            return await request_until_answered(request, self._session, Urgency.TRADE)
        except AuthorizationRequired as error:
            if loginid is None:
                raise
            raise _out_of_reach(loginid) from error

    async def reach_account(self) -> None:
        """Make sure that the account can be asked, if it is not the one the client acts for now.

        Raises:
            AuthorizationRequired: it is out of reach.
            ApiError: it cannot be looked into.

        """
        loginid = self.unknown.loginid
        if loginid in (None, self._session.trades.whose()):
            return
        if self._session.generation == "v3":
            balance = (await self.ask({"balance": 1})).get("balance")
            if isinstance(balance, Mapping) and balance.get("loginid") == loginid:
                return
        raise _out_of_reach(str(loginid))

    async def contract(self) -> OpenContract | None:
        """Return the contract that the trade is about; None if the account has none such."""
        request = {"proposal_open_contract": 1, "contract_id": self.contract_id}
        payload = (await self.ask(request)).get("proposal_open_contract")
        try:
            return contract_in(payload) if payload else None
        except UNREADABLE as error:
            raise unreadable(_CONTRACT, error) from error

    def reserve(self, rivals: Iterable[Call] = ()) -> str | None:
        """Return why what fits these may belong to another trade; None if it may not."""
        if self.call is None:
            return "this client has no record of the order, nor of others that may have led to that"
        written = [each.written_mono for each in (self.call, *rivals)]
        if any(when is not None and self.trades.is_evicted(when) for when in written):
            return "too many trades of that time are in doubt"
        return None

    def rivals(self, *names: str) -> list[Call]:
        """Return the other calls of these names, on this account, whose outcome is not known."""
        mine, others = self.unknown.loginid, self.trades.rivals_of(self.call, names)
        return [each for each in others if mine is None or each.loginid in (None, mine)]

    def statement(self, action: str, since: float) -> Listing[Transaction]:
        """Return what the statement has of one kind, since an epoch of the server."""
        request = {
            "statement": 1,
            "action_type": action,
            "description": 1,
            "date_from": max(0, math.floor(since)),
        }
        return pages.statement(self.ask, request, PAGE)

    async def read_clock(self) -> None:
        """Ask what the server's clock shows."""
        asked, wall = trio.current_time(), time.time()
        request, session = {"time": 1}, self._session
        epoch = (await request_until_answered(request, session, Urgency.TRADE)).get("time")
        if not isinstance(epoch, int):
            text = f"the server's time is a number, not {epoch!r}"
            raise ProtocolViolation(text)
        answered = trio.current_time()
        self._clock = self.trades.set_clock(reading(epoch, (asked, answered), (wall, time.time())))
        self._read_on[self.call] = answered
        if self.call is None:
            self._read_on[None] = max(answered, answered + _SILENCE - self._age())

    def _age(self) -> float:
        """Return how long ago the trade was written, at the least."""
        unknown = self.unknown
        if unknown.written_on is not None:
            return trio.current_time() - unknown.written_on
        return max(0.0, time.time() - unknown.written_at)

    async def wait(self, pause: float) -> None:
        """Wait for *pause* seconds, or less: until something changes, or all is certain."""
        now, end = trio.current_time(), self.end_of(self.call)
        with trio.move_on_at(end if now < end < now + pause else now + pause):
            if self.call is not None and math.isinf(self.call.closed_mono):
                await self.call.wait_closed()
            else:
                await trio.sleep_forever()

    def end_of(self, call: Call | None) -> float:
        """Return from when on *call* cannot be executed any more, on trio's clock."""
        closed_mono = math.inf if call is None else call.closed_mono
        return min(closed_mono, self._read_on.get(call, math.inf)) + CERTAIN_AFTER

    def quiet_after(self, call: Call | None) -> float:
        """Return from when on *call* will not say itself what became of it, on trio's clock.

        While its caller waits for the answer, it may; what it then says cannot be taken back.
        """
        if call is not None and self.trades.is_under_way(call):
            return math.inf
        return self.end_of(call)

    def close(self, call: Call | None, unknown: OutcomeUnknown, outcome: Outcome) -> None:
        """Note what has been found out about a trade; what the server may yet say adds nothing."""
        self.trades.resolve(unknown, outcome)
        if call is not None:
            self._session.router.remove(call.req_id)

    def note_read(self, call: Call, asked: float) -> None:
        """Note that the server has answered what was asked at *asked*, on trio's clock.

        So it has read what was written before on the same connection, or that one is gone.
        """
        if call.written_mono is not None and call.written_mono < asked:
            self._read_on.setdefault(call, trio.current_time())

    def order(self) -> Order:
        """Return what was asked for, and when it may have been executed."""
        if self.call is not None:
            return self.order_of(self.call)
        unknown = self.unknown
        parameters = unknown.parameters or unknown.request.get("parameters")
        earliest = self._clock.earliest(unknown.written_on, unknown.written_at)
        latest = self._clock.latest(self.end_of(None))
        return Order(parameters, unknown.request.get("price"), earliest, latest)

    def order_of(self, call: Call) -> Order:
        """Return the same of another call, which was written."""
        earliest = self._clock.earliest(call.written_mono, call.written_wall)
        latest = self._clock.latest(self.end_of(call))
        return Order(call.terms, call.request.get("price"), earliest, latest)


def _out_of_reach(loginid: str) -> AuthorizationRequired:
    text = (
        f"the trade was for the account {loginid}, which this client cannot ask now:"
        " authorize it for that account, and reconcile again"
    )
    return AuthorizationRequired("AuthorizationRequired", text)
