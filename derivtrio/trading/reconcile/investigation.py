"""One trade in doubt, and the account that is asked about it.

The account is the one that the trade was for. The client may act for another one by now, or for
several.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from derivtrio.api.parsing import UNREADABLE
from derivtrio.api.trades import contract_in
from derivtrio.calls import pages
from derivtrio.calls.call import Call
from derivtrio.calls.doubts import TradeLog
from derivtrio.calls.pages import Listing
from derivtrio.calls.request import request_until_answered
from derivtrio.calls.session import Session
from derivtrio.errors import AuthorizationRequired, OutcomeUnknown, unreadable
from derivtrio.models import ClosedContract, OpenContract, Outcome, Transaction
from derivtrio.policy.rate_limits import Urgency
from derivtrio.trading.reconcile.matching import Order
from derivtrio.trading.reconcile.timing import Timing

_CONTRACT: Final = "contract"

#: How many rows of a list to ask for at a time.
PAGE: Final = 500


@attrs.define(eq=False, repr=False)
class Investigation:
    """What is known about one trade in doubt, and the ways to learn more.

    Attributes:
        unknown: what the trade ended with.
        trade: the name of the call.
        call: the call that made it; None if that is not known any more.
        timing: until when the trade may still be executed.

    """

    unknown: OutcomeUnknown
    trade: str
    call: Call | None
    timing: Timing
    _session: Session

    @property
    def trades(self) -> TradeLog:
        """The client's trades."""
        return self._session.trades

    @property
    def knows_account(self) -> bool:
        """Whether the account that is asked is certainly the one that the trade was for."""
        return self.unknown.loginid is not None or self.trades.whose() is None

    @property
    def contract_id(self) -> int:
        """The contract to sell, cancel or update. A purchase in doubt has none."""
        request = self.unknown.request
        name = next(n for n in ("contract_id", "sell", "cancel") if n in request)
        contract_id: int = request[name]
        return contract_id

    async def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the reply of the trade's account to a request that only reads.

        This takes as long as it takes: outages are waited for.

        Raises:
            AuthorizationRequired: the client cannot ask the account now.
            ApiError: the account cannot be read.

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
        """Check that the account can be asked, unless it is the one that the client acts for.

        Raises:
            AuthorizationRequired: the client cannot ask the account now.
            ApiError: the account cannot be read.

        """
        loginid = self.unknown.loginid
        if loginid in (None, self.trades.whose()):
            return
        if self._session.generation == "v3":
            # A server that ignored the `loginid` would answer for another account. See whose it is.
            balance = (await self.ask({"balance": 1})).get("balance")
            if isinstance(balance, Mapping) and balance.get("loginid") == loginid:
                return
        raise _out_of_reach(str(loginid))

    async def contract(self) -> OpenContract | None:
        """Return the contract that the trade is about; None if the account does not have it."""
        request = {"proposal_open_contract": 1, "contract_id": self.contract_id}
        payload = (await self.ask(request)).get("proposal_open_contract")
        try:
            contract = contract_in(payload) if payload else None
            if contract is not None and contract.contract_id != self.contract_id:
                text = f"it is about contract {contract.contract_id}, not {self.contract_id}"
                raise ValueError(text)
        except UNREADABLE as error:
            raise unreadable(_CONTRACT, error) from error
        return contract

    def statement(self, action: str, since_epoch: float) -> Listing[Transaction]:
        """Return the rows of one kind in the statement, from *since_epoch* on, newest first."""
        request = {
            "statement": 1,
            "action_type": action,
            "description": 1,
            "date_from": _date_from(since_epoch),
        }
        return pages.statement(self.ask, request, PAGE)

    def profit_table(self, since_epoch: float) -> Listing[ClosedContract]:
        """Return the contracts that were bought from *since_epoch* on and are over."""
        since = str(_date_from(since_epoch))
        request = {"profit_table": 1, "description": 1, "date_from": since}
        return pages.profit_table(self.ask, request, PAGE)

    def order(self) -> Order:
        """Return what the trade asked for, and when it may have been executed."""
        if self.call is not None:
            return self.order_of(self.call)
        unknown = self.unknown
        parameters = unknown.parameters or unknown.request.get("parameters")
        return self._order(parameters, unknown.request.get("price"), None)

    def order_of(self, call: Call) -> Order:
        """Return the same of another call, which was written."""
        return self._order(call.terms, call.request.get("price"), call)

    def rivals(self, *names: str) -> list[Call]:
        """Return the other calls with these names, for this account, whose outcome is not known."""
        mine, others = self.unknown.loginid, self.trades.rivals_of(self.call, names)
        return [each for each in others if mine is None or each.loginid in (None, mine)]

    def caveat(self, rivals: Iterable[Call] = ()) -> str | None:
        """Return why a match may belong to a trade that is not known here; None if it may not."""
        if self.call is None:
            return "this client has no record of the order, nor of others that may have led to that"
        calls = (self.call, *rivals)
        if any(each.name == "buy" and each.terms is None for each in calls):
            return "what an order in doubt was to buy is not known: only the id of a proposal is"
        if self.call.name == "buy" and self.trades.has_bulk_buy(self.call.written_mono or 0):
            return "a purchase for several accounts is in doubt, too"
        written_mono = [each.written_mono for each in calls]
        if any(when is not None and self.trades.is_evicted(when) for when in written_mono):
            return "too many trades of that time are in doubt"
        return None

    def orders_of_others(self) -> list[Order]:
        """Return what other clients of this process have in doubt, and may have led to a match.

        An order that was written long before the one in question is not one of these: whatever it
        led to is too old to be taken for this one's.
        """
        if self.call is None:
            return []
        return [
            Order(each.parameters, each.price, -math.inf, math.inf)
            for each in self.trades.others.doubts(self.call)
            if self.timing.is_near(each, self.call)
        ]

    def _order(self, parameters: Any, price: Any, call: Call | None) -> Order:
        bounds = self.timing.bounds_epoch(call)
        terms = parameters if isinstance(parameters, Mapping) else None
        return Order(terms, price, bounds.earliest, bounds.latest, bounds.written)

    def resolve(self, call: Call | None, unknown: OutcomeUnknown, outcome: Outcome) -> None:
        """Note the outcome of a trade. A reply that comes later adds nothing, and is dropped."""
        self.trades.resolve(unknown, outcome)
        if call is not None:
            self._session.router.remove(call.req_id)


def _date_from(since_epoch: float) -> int:
    return max(0, math.floor(since_epoch)) if math.isfinite(since_epoch) else 0


def _out_of_reach(loginid: str) -> AuthorizationRequired:
    text = (
        f"the trade was for the account {loginid}, which this client cannot ask now:"
        " authorize it for that account, and reconcile again"
    )
    return AuthorizationRequired("AuthorizationRequired", text)
