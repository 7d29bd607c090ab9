"""Trading in which every order ends decided.

A request that trades is written at most once. If its reply is lost, the caller gets
`OutcomeUnknown`, which knows what was asked for, and `reconcile` finds out what came of it. Nothing
is ever repeated on its own: whether an order that was not executed is still wanted, at the price
of then, is for the program to say.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeVar, cast

import attrs
import trio

from derivtrio.api.parsing import (
    UNREADABLE,
    limits_in,
    purchase_in,
    sale_in,
)
from derivtrio.api.validation import check_request
from derivtrio.calls import pages
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import make_call
from derivtrio.calls.session import Session
from derivtrio.errors import (
    ConnectionChanged,
    DerivError,
    NotExecuted,
    OutcomeUnknown,
    invalid_request,
)
from derivtrio.models import (
    Ambiguous,
    Bought,
    ClosedContract,
    Limits,
    Money,
    Outcome,
    Position,
    Proposal,
    Purchase,
    Sale,
    Sold,
    Transaction,
    Updated,
)
from derivtrio.trading.orders import (
    account_words,
    amount_of,
    contract_id_of,
    contract_words,
    loginid_for,
    period_words,
)

T = TypeVar("T")


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


#: A limit of a contract that an update leaves as it is; None removes it.
UNCHANGED: Final = Unchanged.UNCHANGED

#: How many rows of a list to ask for at a time.
_PAGE: Final = 100


@attrs.define(eq=False, repr=False)
class Trader:
    """The part of a `Client` that trades."""

    _session: Session

    async def buy(
        self,
        what: Proposal | Mapping[str, Any],
        price: Money | None = None,
        *,
        loginid: str | None = None,
        reconcile: bool = False,
    ) -> Purchase:
        """Buy a contract, once; return what was bought.

        *what* is a `Proposal`, bought by its id on the connection it came by, or the parameters of
        a contract, as `client.proposal` takes them. *price* is what it may cost at most; of a
        proposal it is by default its `ask_price`.

        Where the client acts for several accounts, *loginid* says for which; otherwise it is the
        one that the proposal was asked for, or that of the first token.

        With `reconcile` a lost reply is followed by `client.reconcile`, which may take half a
        minute; what it finds is returned or raised. To follow the contract to its end:

            purchase = await client.buy(proposal)
            async with client.open_contract(purchase.contract_id) as contract:
                async for state in contract:
                    print(state.status, state.profit)

        *Cancellation*: an order that was not written yet is never sent. One that was is then in
        doubt: `client.doubts` has it.

        Raises:
            InvalidRequest: an argument that cannot be meant; nothing was sent.
            ConnectionChanged: the proposal's connection is gone; nothing was sent.
            ApiError: the server refuses; nothing was bought.
            OutcomeUnknown: nobody knows yet whether it was bought. With `reconcile`: it cannot be
                told, and `outcome` says why; or its cause does, where the looking failed.
            NotExecuted: with `reconcile`: the reply was lost, and it was not bought.
            ClientClosed, ConnectionFailed: the client is no more; nothing was sent.

        """
        call, connection = self._order(what, price, loginid)
        return await self._trade(call, purchase_in, reconcile, connection)

    async def sell(
        self,
        contract: int | Purchase,
        price: Money = 0,
        *,
        loginid: str | None = None,
        reconcile: bool = False,
    ) -> Sale:
        """Sell an open contract, once, for *price* at least; 0 is for what the market gives.

        Otherwise it is as `buy` is.
        """
        request = {"sell": contract_id_of(contract), "price": amount_of("price", price)}
        call = self._new_call({**request, **self._account(loginid)})
        return await self._trade(call, sale_in, reconcile)

    async def cancel(
        self, contract: int | Purchase, *, loginid: str | None = None, reconcile: bool = False
    ) -> Sale:
        """Cancel a contract that was bought with deal cancellation; the stake comes back.

        Otherwise it is as `buy` is.
        """
        call = self._new_call({"cancel": contract_id_of(contract), **self._account(loginid)})
        return await self._trade(call, sale_in, reconcile)

    async def update_contract(
        self,
        contract: int | Purchase,
        *,
        take_profit: Money | Unchanged | None = UNCHANGED,
        stop_loss: Money | Unchanged | None = UNCHANGED,
        loginid: str | None = None,
        reconcile: bool = False,
    ) -> Limits:
        """Set at which profit and at which loss the contract closes by itself; None: at none.

        A limit that is not given stays as it is. Otherwise it is as `buy` is.
        """
        contract_id = contract_id_of(contract)
        limits = {"take_profit": take_profit, "stop_loss": stop_loss}
        order = {
            name: None if limit is None else amount_of(name, limit)
            for name, limit in limits.items()
            if limit is not UNCHANGED
        }
        if not order:
            text = "give take_profit, stop_loss or both"
            raise invalid_request(text)
        request = {"contract_update": 1, "contract_id": contract_id, "limit_order": order}
        call = self._new_call({**request, **self._account(loginid)})

        def read(reply: Mapping[str, Any]) -> Limits:
            return limits_in(contract_id, reply["contract_update"])

        return await self._trade(call, read, reconcile)

    async def reconcile(self, unknown: OutcomeUnknown) -> Outcome:
        """Find out what became of a trade whose reply was lost.

        Of a `buy`: `Bought`, `NotBought`, or `Ambiguous` where it cannot be told; of a `sell` or
        `cancel`: `Sold`, `NotSold` or `Ambiguous`; of a `contract_update`: `Updated`, `NotUpdated`
        or `Ambiguous`. Each says `how` that is known.

        Waits for a connection. What was executed is found at once; "not" is said only when the
        server cannot execute it any more, and that may take half a minute. It is taken for granted
        that no other program gives the same orders with the same account at the same time.

        The account that the trade was for is asked, also if the client acts for another one now.

        Of a trade that is not in `doubts`, since another client made it (before a restart, for
        example) or since thousands came after it, less can be known: what fits may belong to
        another order, and is `Ambiguous`; "not" is said when more than two minutes have passed, and
        relies on the machine's clock where the trade was made in another run.

        More often is harmless, also at the same time; and an `Ambiguous` may be cleared up when
        the other orders are.

        *Cancellation*: ends the looking; nothing is lost.

        Raises:
            InvalidRequest: *unknown* is not about a trade.
            AuthorizationRequired: the account that it was for is out of reach now.
            ApiError: the account cannot be looked into: the token lacks the scope, for example.
            ClientClosed, ConnectionFailed: the client is no more.

        """
        from derivtrio.trading.reconcile.outcome import inquire  # noqa: PLC0415 - most programs never need it

        return await inquire(unknown, self._session)

    @property
    def doubts(self) -> tuple[OutcomeUnknown, ...]:
        """The trades that are in doubt, oldest first; also those whose caller was cancelled.

        `reconcile` clears them up. The newest thousand are kept.
        """
        return self._session.trades.doubts

    async def portfolio(self, *, loginid: str | None = None) -> tuple[Position, ...]:
        """Return the open contracts of the account; *loginid* says of which, if there are several.

        Raises:
            InvalidRequest: *loginid* can be none; nothing was sent.

        """
        return tuple(await pages.portfolio(self._ask, self._account(loginid)))

    def statement(
        self,
        *,
        action_type: str | None = None,
        date_from: int | None = None,
        date_to: int | None = None,
        loginid: str | None = None,
    ) -> AsyncIterator[Transaction]:
        """Return the account's transactions, newest first, page by page as they are read.

        `action_type` is Deriv's word for one kind (`"buy"`, `"sell"`, `"deposit"`, …); `date_from`
        and `date_to` are epochs in seconds; `loginid` says of which account, if there are several.
        Each transaction comes once, and what happens while the list is read is not in it.

        Raises:
            InvalidRequest: an argument that cannot be meant; nothing was sent.

        """
        request = {"statement": 1, "description": 1, **self._account(loginid)}
        if action_type is not None:
            request["action_type"] = action_type
        request |= period_words(date_from, date_to)
        self._new_call(request)
        return pages.statement(self._ask, request, _PAGE)

    def profit_table(
        self,
        *,
        date_from: int | None = None,
        date_to: int | None = None,
        loginid: str | None = None,
    ) -> AsyncIterator[ClosedContract]:
        """Return the contracts that are over, newest first, page by page as they are read.

        Arguments and errors are those of `statement`.
        """
        period = {name: str(epoch) for name, epoch in period_words(date_from, date_to).items()}
        request = {"profit_table": 1, "description": 1, **period, **self._account(loginid)}
        self._new_call(request)
        return pages.profit_table(self._ask, request, _PAGE)

    async def _ask(self, question: Mapping[str, Any]) -> Mapping[str, Any]:
        return await make_call(api_call(question), self._session)

    def _new_call(self, request: Mapping[str, Any]) -> Call:
        """Return the call that *request* makes, checked if that is wanted."""
        call = api_call(request)
        self._check(call.name, request)
        return call

    def _check(self, name: str, request: Mapping[str, Any]) -> None:
        """Refuse *request*, which makes the call *name*, if that is wanted and due."""
        if self._session.settings.check_requests:
            check_request(name, request, self._session.generation)

    def _account(self, loginid: str | None) -> dict[str, str]:
        """Return the member of a request that says for which account it is, if any is named."""
        return account_words(loginid, self._session.generation)

    def _order(
        self, what: Proposal | Mapping[str, Any], price: Money | None, loginid: str | None
    ) -> tuple[Call, int | None]:
        """Return the call that buys, and the only connection on which it can, if there is one."""
        if isinstance(what, Proposal):
            limit = amount_of("price", what.ask_price if price is None else price)
            account = self._account(loginid_for(what, loginid))
            by_id = {"buy": what.id, "price": limit, **account}
            terms = {name: each for name, each in what.parameters.items() if name != "loginid"}
            call = api_call(by_id, only_on=what.connection, terms=terms)
            self._check_connection(what)
            return call, what.connection
        words = contract_words(what, {}, self._session.generation)
        if price is None:
            text = "price says what the contract may cost at most; give it with parameters"
            raise invalid_request(text)
        request: dict[str, Any] = {
            "buy": "1",
            "price": amount_of("price", price),
            "parameters": words,
            **self._account(loginid),
        }
        return self._new_call(request), None

    def _check_connection(self, proposal: Proposal) -> None:
        connection = self._session.usable_connection
        if connection is None or connection.number != proposal.connection:
            raise _gone(proposal.connection)

    async def _make_on(self, call: Call, connection: int | None) -> Mapping[str, Any]:
        """Make *call*, unless *connection* ends before it is written."""
        if connection is None:
            return await make_call(call, self._session)
        with trio.CancelScope() as guard:
            self._session.guards.add(guard)
            try:
                return await make_call(call, self._session)
            finally:
                self._session.guards.discard(guard)
        raise _gone(connection)

    async def _trade(
        self,
        call: Call,
        read: Callable[[Mapping[str, Any]], T],
        reconcile: bool,  # noqa: FBT001
        connection: int | None = None,
    ) -> T:
        """Make *call*, and return what *read* makes of its reply, or what is found out."""
        try:
            return self._read(call, await self._make_on(call, connection), read)
        except OutcomeUnknown as unknown:
            if not reconcile:
                raise
            in_doubt = unknown
        try:
            outcome = await self.reconcile(in_doubt)
        except DerivError as error:  # which would read as if nothing had been sent
            raise in_doubt from error
        return cast("T", _executed(in_doubt, outcome))

    def _read(
        self, call: Call, reply: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]
    ) -> T:
        """Return what *reply* confirms; a confirmation that cannot be read leaves doubt."""
        try:
            return read(reply)
        except UNREADABLE as error:
            text = f"the server's answer to {call.name} cannot be read: {error!r}"
            raise self._session.trades.doubt(call, text) from error


def _executed(unknown: OutcomeUnknown, outcome: Outcome) -> Purchase | Sale | Limits:
    """Return what was executed after all, or raise what is known instead."""
    match outcome:
        case Bought(purchase=purchase):
            return purchase
        case Sold(sale=sale):
            return sale
        case Updated(limits=limits):
            return limits
        case Ambiguous():
            unknown.outcome = outcome
            raise unknown
    text = f"not executed: {outcome.how}"
    raise NotExecuted(text, unknown.request, unknown.connection) from unknown


def _gone(connection: int | None) -> ConnectionChanged:
    text = f"connection {connection}, by which the proposal came, is gone; nothing was bought"
    return ConnectionChanged(text)
