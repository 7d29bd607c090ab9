"""What a client can do with an account: buy, sell, cancel, update, look up, list.

Every order ends decided. A request that trades is written at most once. If its reply is lost, the
caller gets `OutcomeUnknown`, which knows what was asked for, and `reconcile` finds out what became
of it. Nothing is repeated automatically: whether an order that was not executed is still wanted,
at a new price, is for the program to say.

How one trade is made is in `trade`; this module has the methods that users call.
"""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import attrs
import trio

from derivtrio.api.trades import limits_in, purchase_in, sale_in
from derivtrio.calls.request import checked_call
from derivtrio.calls.session import Session
from derivtrio.errors import OutcomeUnknown
from derivtrio.models import (
    ClosedContract,
    Limits,
    Money,
    Outcome,
    Position,
    Proposal,
    Purchase,
    Sale,
    Transaction,
)
from derivtrio.trading.orders import (
    UNCHANGED,
    Unchanged,
    account_words,
    amount_of,
    contract_id_of,
    limit_order,
)
from derivtrio.trading.trade import (
    look_up,
    make_trade,
    parameters_purchase,
    proposal_purchase,
)


@attrs.define(eq=False, repr=False)
class Trader:
    """The methods of a `Client` that trade and that list what was traded.

    `Client` inherits them. That is an exception to the style of this package, which composes: users
    call `client.buy(…)`, and a composed client would have to repeat nine signatures and their
    docstrings only to forward them. `Trader` has no state but the session, and overrides nothing.
    """

    _session: Session

    @trio.lowlevel.enable_ki_protection
    async def buy(
        self,
        what: Proposal | Mapping[str, Any],
        price: Money | None = None,
        *,
        loginid: str | None = None,
        reconcile: bool = False,
    ) -> Purchase:
        """Buy a contract, once, and return the purchase.

        *what* is a `Proposal`, which is bought by its id on the connection that it came by; or the
        parameters of a contract, as `client.proposal` takes them. *price* is the most that the
        contract may cost; for a proposal the default is its `ask_price`.

        If the client acts for several accounts, *loginid* names the one to buy for. The default is
        the account that the proposal came for, or the account of the first token.

        With `reconcile`, a lost reply is followed by `client.reconcile`, which may take minutes;
        its finding is returned or raised. To follow the contract to its end:

            purchase = await client.buy(proposal)
            async with client.open_contract(purchase.contract_id) as contract:
                async for state in contract:
                    print(state.status, state.profit)

        *Cancellation*: an order that was not written yet is never sent. One that was written is
        then in doubt, and is in `client.doubts`.

        Raises:
            InvalidRequest: an argument makes no sense, and nothing was sent; or the server says so,
                and nothing was bought.
            ConnectionChanged: the proposal's connection is gone; nothing was sent.
            ApiError: the server refuses; nothing was bought.
            AuthorizationRequired: the client has changed its account since the order was asked for,
                or is changing it; nothing was sent. Or the server refuses.
            OutcomeUnknown: it is not known whether the contract was bought. With `reconcile`: it
                cannot be found out. Then `outcome` says why, or, if the lookup failed, the cause.
            NotExecuted: with `reconcile`: the reply was lost, and the contract was not bought.
            ClientClosed, ConnectionFailed: the client has ended; nothing was sent.

        """
        if isinstance(what, Proposal):
            call = proposal_purchase(what, price, loginid, self._session)
        else:
            call = parameters_purchase(what, price, loginid, self._session)
        return await make_trade(call, purchase_in, self._session, reconcile=reconcile)

    @trio.lowlevel.enable_ki_protection
    async def sell(
        self,
        contract: int | Purchase,
        price: Money = 0,
        *,
        loginid: str | None = None,
        reconcile: bool = False,
    ) -> Sale:
        """Sell an open contract, once, for at least *price*; 0 means the market's price.

        A contract ends once. So to sell again while a sale is in doubt does no harm: the server
        refuses the second one if the first was executed. Everything else is as for `buy`.
        """
        contract_id = contract_id_of(contract)
        request = {"sell": contract_id, "price": amount_of("price", price)}
        call = checked_call({**request, **self._account(loginid)}, self._session)
        read = partial(sale_in, contract_id=contract_id)
        return await make_trade(call, read, self._session, reconcile=reconcile)

    @trio.lowlevel.enable_ki_protection
    async def cancel(
        self, contract: int | Purchase, *, loginid: str | None = None, reconcile: bool = False
    ) -> Sale:
        """Cancel a contract that was bought with deal cancellation; its stake is paid back.

        Everything else is as for `buy`.
        """
        contract_id = contract_id_of(contract)
        call = checked_call({"cancel": contract_id, **self._account(loginid)}, self._session)
        read = partial(sale_in, contract_id=contract_id)
        return await make_trade(call, read, self._session, reconcile=reconcile)

    @trio.lowlevel.enable_ki_protection
    async def update_contract(
        self,
        contract: int | Purchase,
        *,
        take_profit: Money | Unchanged | None = UNCHANGED,
        stop_loss: Money | Unchanged | None = UNCHANGED,
        loginid: str | None = None,
        reconcile: bool = False,
    ) -> Limits:
        """Set the profit and the loss at which the contract closes by itself.

        None removes a limit; a limit that is not given stays as it is. Everything else is as for
        `buy`.
        """
        contract_id = contract_id_of(contract)
        order = limit_order(take_profit, stop_loss)
        request = {"contract_update": 1, "contract_id": contract_id, "limit_order": order}
        call = checked_call({**request, **self._account(loginid)}, self._session)

        def read(reply: Mapping[str, Any]) -> Limits:
            return limits_in(contract_id, reply["contract_update"])

        return await make_trade(call, read, self._session, reconcile=reconcile)

    async def reconcile(self, unknown: OutcomeUnknown) -> Outcome:
        """Find out what became of a trade whose reply was lost.

        For a `buy` that is `Bought`, `NotBought`, or `Ambiguous` if it cannot be decided; for a
        `sell` or `cancel` it is `Sold`, `NotSold` or `Ambiguous`; for a `contract_update` it is
        `Updated`, `NotUpdated` or `Ambiguous`. Each of these says `how` it is known.

        Waits for a connection. A trade that was executed is found at once. "Not" is said only when
        the server cannot execute the trade any more, which may take half a minute; or two minutes
        and a third, if it was not the server that ended the connection. A lookup that is not
        answered is made again, as long as it takes. All this assumes that no other program gives
        the same orders for the same account at the same time.

        The account that the trade was for is asked, even if the client acts for another one now.

        Less can be known of a trade that is not in `doubts`, because another client made it (before
        a restart, for example) or because it is older than the newest thousand: a purchase that
        fits may belong to another order, so it is `Ambiguous`; "not" is said after two minutes. The
        machine's clock may have been set meanwhile, so it proves nothing. If the trade was made in
        another run and its `server_epoch` is None, two minutes are counted from this call, and any
        purchase of this kind in the account, however old, makes it `Ambiguous`.

        A price that differs proves nothing: Deriv closes a multiplier at the bid of the moment,
        whatever price the sale names. Clients of one process know of each other's trades, so that a
        new one does not take its predecessor's contract for its own.

        It can be called again, also while it runs; and what is `Ambiguous` now may be decided when
        the other orders in doubt are.

        *Cancellation*: ends the lookup; nothing is lost.

        Raises:
            InvalidRequest: *unknown* is not about a trade.
            AuthorizationRequired: the client cannot ask the trade's account now.
            ApiError: the account cannot be read: the token lacks the scope, for example.
            ConnectionLost: six connections have ended before a question about the account was
                answered. Nothing is decided; it can be asked again.
            ProtocolViolation: the server's answer cannot be read.
            ClientClosed, ConnectionFailed: the client has ended.

        """
        return await look_up(unknown, self._session)

    @property
    def doubts(self) -> tuple[OutcomeUnknown, ...]:
        """The trades in doubt, oldest first, including those whose caller was cancelled.

        `reconcile` decides them. The newest thousand are kept.
        """
        return self._session.trades.doubts

    async def portfolio(self, *, loginid: str | None = None) -> tuple[Position, ...]:
        """Return the open contracts of the account, or of *loginid* if there are several.

        Raises:
            InvalidRequest: *loginid* is not a login id; nothing was sent.
            ProtocolViolation: the server's answer cannot be read.

        And what `call` raises.

        """
        from derivtrio.trading import lists  # noqa: PLC0415 - not all need it

        return await lists.portfolio(self._session, loginid)

    def statement(
        self,
        *,
        action_type: str | None = None,
        date_from: int | None = None,
        date_to: int | None = None,
        loginid: str | None = None,
    ) -> AsyncIterator[Transaction]:
        """Return the account's transactions, newest first; pages are fetched as they are read.

        `action_type` is Deriv's word for one kind (`"buy"`, `"sell"`, `"deposit"`, …). The period
        goes from `date_from`, which is part of it, to `date_to`, which is not; both are epochs in
        seconds. (Recorded from live accounts: what happened in the very second of `date_to` is left
        out.) `loginid` names the account if there are several. Each transaction comes once, also if
        several tasks read the list; those that are made during the reading are not in it.

        Raises:
            InvalidRequest: an argument makes no sense; nothing was sent.

        The reading raises what `call` raises, and `ProtocolViolation` for an answer that cannot be
        read.

        """
        from derivtrio.trading import lists  # noqa: PLC0415 - not all need it

        return lists.statement(self._session, action_type, date_from, date_to, loginid)

    def profit_table(
        self,
        *,
        date_from: int | None = None,
        date_to: int | None = None,
        loginid: str | None = None,
    ) -> AsyncIterator[ClosedContract]:
        """Return the contracts that have ended, newest first; pages are fetched as they are read.

        Arguments and errors are those of `statement`: `date_from` belongs to the period, `date_to`
        does not.
        """
        from derivtrio.trading import lists  # noqa: PLC0415 - not all need it

        return lists.profit_table(self._session, date_from, date_to, loginid)

    def _account(self, loginid: str | None) -> dict[str, str]:
        return account_words(loginid, self._session.generation)
