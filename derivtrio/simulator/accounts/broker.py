"""The dealing desk: it sells contracts, buys them back, and settles them when their time has come.

Every change of an account's money is made here. Settling is late at times, but never wrong: how a
contract ends is a function of the market, so that `settle` may be called whenever somebody wants
to know, and writes down the epoch at which it truly ended. Contracts that end within the same
second are settled in the order of their numbers.
"""

import heapq
from collections.abc import Iterator
from decimal import Decimal
from itertools import count

import attrs
import trio

from derivtrio.simulator.accounts.account import Account
from derivtrio.simulator.accounts.ledger import Action, Ledger, Transaction
from derivtrio.simulator.contracts.contract import Closing, Contract, Kind, Quote, Status, Update
from derivtrio.simulator.contracts.families import KINDS
from derivtrio.simulator.contracts.money import in_words
from derivtrio.simulator.contracts.multipliers import can_cancel
from derivtrio.simulator.contracts.orders import CURRENCY, Limits, Order, insufficient
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.protocol.envelope import Refusal

_FIRST_CONTRACT = 310_000_000_001
_FIRST_TRANSACTION = 620_000_000_001


@attrs.frozen(order=True)
class _Date:
    """When to look at a contract again; *outlook* is what is known already."""

    epoch: int
    contract_id: int
    turn: int
    contract: Contract = attrs.field(order=False)
    outlook: Closing | int = attrs.field(order=False)


@attrs.define(eq=False)
class Desk:
    """The trade of all accounts in *market*; *ledgers* are their books, by login id."""

    market: Market
    ledgers: dict[str, Ledger]
    _diary: list[_Date] = attrs.field(factory=list, init=False, repr=False)
    #: The turn of each open contract: dates of an earlier turn are void.
    _turns: dict[int, int] = attrs.field(factory=dict, init=False, repr=False)
    _contract_ids: Iterator[int] = attrs.field(init=False, repr=False)
    _transaction_ids: Iterator[int] = attrs.field(init=False, repr=False)
    _rescheduled: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._contract_ids = count(_FIRST_CONTRACT)
        self._transaction_ids = count(_FIRST_TRANSACTION)

    def quote(self, order: Order, epoch: int) -> Quote:
        """Return the price of *order* at *epoch*, or raise the `Refusal`."""
        return _kind(order).quote(order, self.market, epoch)

    def value(self, contract: Contract, epoch: int) -> Decimal:
        """Return what *contract* is worth at *epoch*, or was sold for."""
        if contract.closing is not None:
            return contract.closing.price
        return _kind(contract.order).value(contract, self.market, epoch)

    def resale_fault(self, contract: Contract, epoch: int) -> str | None:
        """Return why *contract* cannot be sold at *epoch*, or `None` if it can."""
        if not contract.is_open:
            return "This contract has been sold."
        return _kind(contract.order).resale_fault(contract, self.market, epoch)

    def buy(
        self, account: Account, order: Order, epoch: int, limit: Decimal
    ) -> tuple[Transaction, Contract]:
        """Sell *order* to *account* at the price of *epoch*, if that is at most *limit*.

        Raises:
            Refusal: it is not sold.

        """
        ledger, quote = self.ledgers[account.loginid], self.quote(order, epoch)
        if quote.ask > limit:
            raise _price_moved(what="price", limit=limit, price=quote.ask)
        if quote.ask > account.balance:
            raise insufficient(account.balance, quote.ask)
        number, buy_id = next(self._contract_ids), next(self._transaction_ids)
        contract = Contract(number, account.loginid, quote, order.limits, buy_id)
        ledger.contracts[number] = contract
        self._look_ahead(contract, epoch)
        return ledger.post(buy_id, "buy", -quote.ask, epoch, contract), contract

    def sell(self, contract: Contract, epoch: int, limit: Decimal) -> Transaction:
        """Buy *contract* back at the price of *epoch*, if that is at least *limit*.

        Raises:
            Refusal: it is not bought back.

        """
        fault = self.resale_fault(contract, epoch)
        if fault is not None:
            raise Refusal(code="InvalidtoSell", message=fault)
        price = self.value(contract, epoch)
        if price < limit:
            raise _price_moved(what="sell price", limit=limit, price=price)
        return self._close(contract, self._closing(contract, epoch, price, "sold"))

    def cancel(self, contract: Contract, epoch: int) -> Transaction:
        """Take *contract* back for its stake, if it is insured.

        Raises:
            Refusal: it is not.

        """
        if not contract.is_open:
            raise Refusal(code="ContractAlreadySold", message="This contract has been sold.")
        if not can_cancel(contract, epoch):
            text = "Deal cancellation is not available for this contract."
            raise Refusal(code="CannotCancelContract", message=text)
        stake = contract.order.amount
        return self._close(contract, self._closing(contract, epoch, stake, "cancelled"))

    def update(self, contract: Contract, limits: Limits, changes: list[Update]) -> None:
        """Give the open *contract* new *limits*, and remember the *changes*."""
        contract.limits = limits
        contract.updates += changes
        self._look_ahead(contract, changes[-1].epoch)

    def move(self, ledger: Ledger, amount: Decimal, epoch: int) -> Transaction:
        """Pay *amount* into an account, or out of it if negative, as a cashier would."""
        action: Action = "deposit" if amount >= 0 else "withdrawal"
        return ledger.post(next(self._transaction_ids), action, amount, epoch)

    def top_up(self, ledger: Ledger, amount: Decimal, epoch: int) -> Transaction:
        """Give *amount* to a virtual account."""
        return ledger.post(next(self._transaction_ids), "virtual_credit", amount, epoch)

    def settle(self, epoch: int) -> Iterator[Transaction]:
        """Settle what has ended up to *epoch*, and yield the payments, in order.

        A contract that ends with nothing has a payment of nothing.
        """
        while (due := self.next_due()) is not None and due <= epoch:
            date = heapq.heappop(self._diary)
            if isinstance(date.outlook, int):
                self._look_ahead(date.contract, date.outlook)
            else:
                yield self._close(date.contract, date.outlook)

    def next_due(self) -> int | None:
        """Return the epoch at which there may be something to settle, if there is any."""
        while self._diary and self._turns.get(self._diary[0].contract_id) != self._diary[0].turn:
            heapq.heappop(self._diary)
        return self._diary[0].epoch if self._diary else None

    async def wait_rescheduled(self) -> None:
        """Wait until `next_due` may have changed."""
        await self._rescheduled.wait()

    def _look_ahead(self, contract: Contract, since: int) -> None:
        outlook = _kind(contract.order).outlook(contract, self.market, since)
        epoch = outlook if isinstance(outlook, int) else outlook.epoch
        turn = self._turns[contract.contract_id] = self._turns.get(contract.contract_id, 0) + 1
        heapq.heappush(self._diary, _Date(epoch, contract.contract_id, turn, contract, outlook))
        self._rescheduled.set()
        self._rescheduled = trio.Event()

    def _closing(self, contract: Contract, epoch: int, price: Decimal, status: Status) -> Closing:
        tick = self.market.tick(contract.order.symbol.name, epoch)
        return Closing(epoch, price, status, tick)

    def _close(self, contract: Contract, closing: Closing) -> Transaction:
        contract.closing, contract.sell_id = closing, next(self._transaction_ids)
        del self._turns[contract.contract_id]
        ledger = self.ledgers[contract.loginid]
        return ledger.post(contract.sell_id, "sell", closing.price, closing.epoch, contract)


def _kind(order: Order) -> Kind:
    return KINDS[order.contract_type]


def _price_moved(*, what: str, limit: Decimal, price: Decimal) -> Refusal:
    text = (
        "The underlying market has moved too much since you priced the contract."
        f" The contract {what} has changed from {in_words(CURRENCY, limit)}"
        f" to {in_words(CURRENCY, price)}."
    )
    return Refusal(code="PriceMoved", message=text)
