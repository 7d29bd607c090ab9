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
from derivtrio.simulator.accounts.ledger import AccountLedger, EntryAction, LedgerEntry
from derivtrio.simulator.contracts.contract import (
    Closing,
    Contract,
    ContractFamily,
    LimitUpdate,
    Quote,
    Status,
)
from derivtrio.simulator.contracts.families import FAMILIES
from derivtrio.simulator.contracts.money import in_words
from derivtrio.simulator.contracts.multipliers import can_cancel
from derivtrio.simulator.contracts.orders import CURRENCY, ContractOrder, LimitOrder, insufficient
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.protocol.envelope import Refusal

_FIRST_CONTRACT = 310_000_000_001
_FIRST_TRANSACTION = 620_000_000_001


@attrs.frozen(order=True)
class _SettlementCheck:
    """When to look at a contract again; *finding* is what is known already."""

    epoch: int
    contract_id: int
    version: int
    contract: Contract = attrs.field(order=False)
    finding: Closing | int = attrs.field(order=False)


@attrs.define(eq=False)
class Broker:
    """The trade of all accounts in *market*; *ledgers* are their books, by login id."""

    market: Market
    ledgers: dict[str, AccountLedger]
    _checks: list[_SettlementCheck] = attrs.field(factory=list, init=False, repr=False)
    #: The turn of each open contract: dates of an earlier turn are void.
    _versions: dict[int, int] = attrs.field(factory=dict, init=False, repr=False)
    _contract_ids: Iterator[int] = attrs.field(init=False, repr=False)
    _transaction_ids: Iterator[int] = attrs.field(init=False, repr=False)
    _rescheduled: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._contract_ids = count(_FIRST_CONTRACT)
        self._transaction_ids = count(_FIRST_TRANSACTION)

    def quote(self, order: ContractOrder, epoch: int) -> Quote:
        """Return the price of *order* at *epoch*, or raise the `Refusal`."""
        return _family(order).quote(order, self.market, epoch)

    def value(self, contract: Contract, epoch: int) -> Decimal:
        """Return what *contract* is worth at *epoch*, or was sold for."""
        if contract.closing is not None:
            return contract.closing.price
        return _family(contract.order).value(contract, self.market, epoch)

    def resale_error(self, contract: Contract, epoch: int) -> str | None:
        """Return why *contract* cannot be sold at *epoch*, or `None` if it can."""
        if not contract.is_open:
            return "This contract has been sold."
        return _family(contract.order).resale_error(contract, self.market, epoch)

    def buy(
        self, account: Account, order: ContractOrder, epoch: int, limit: Decimal
    ) -> tuple[LedgerEntry, Contract]:
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
        contract = Contract(number, account.loginid, quote, order.limit_order, buy_id)
        ledger.contracts[number] = contract
        self._schedule_check(contract, epoch)
        return ledger.post(buy_id, "buy", -quote.ask, epoch, contract), contract

    def sell(self, contract: Contract, epoch: int, limit: Decimal) -> LedgerEntry:
        """Buy *contract* back at the price of *epoch*, if that is at least *limit*.

        Raises:
            Refusal: it is not bought back.

        """
        fault = self.resale_error(contract, epoch)
        if fault is not None:
            raise Refusal(code="InvalidtoSell", message=fault)
        price = self.value(contract, epoch)
        if price < limit:
            raise _price_moved(what="sell price", limit=limit, price=price)
        return self._close(contract, self._closing(contract, epoch, price, "sold"))

    def cancel(self, contract: Contract, epoch: int) -> LedgerEntry:
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

    def update(
        self, contract: Contract, limit_order: LimitOrder, changes: list[LimitUpdate]
    ) -> None:
        """Give the open *contract* new *limits*, and remember the *changes*."""
        contract.limit_order = limit_order
        contract.updates += changes
        self._schedule_check(contract, changes[-1].epoch)

    def move(self, ledger: AccountLedger, amount: Decimal, epoch: int) -> LedgerEntry:
        """Pay *amount* into an account, or out of it if negative, as a cashier would."""
        action: EntryAction = "deposit" if amount >= 0 else "withdrawal"
        return ledger.post(next(self._transaction_ids), action, amount, epoch)

    def top_up(self, ledger: AccountLedger, amount: Decimal, epoch: int) -> LedgerEntry:
        """Give *amount* to a virtual account."""
        return ledger.post(next(self._transaction_ids), "virtual_credit", amount, epoch)

    def settle(self, epoch: int) -> Iterator[LedgerEntry]:
        """Settle what has ended up to *epoch*, and yield the payments, in order.

        A contract that ends with nothing has a payment of nothing.
        """
        while (due := self.next_due()) is not None and due <= epoch:
            check = heapq.heappop(self._checks)
            if isinstance(check.finding, int):
                self._schedule_check(check.contract, check.finding)
            else:
                yield self._close(check.contract, check.finding)

    def next_due(self) -> int | None:
        """Return the epoch at which there may be something to settle, if there is any."""
        while (
            self._checks
            and self._versions.get(self._checks[0].contract_id) != self._checks[0].version
        ):
            heapq.heappop(self._checks)
        return self._checks[0].epoch if self._checks else None

    async def wait_rescheduled(self) -> None:
        """Wait until `next_due` may have changed."""
        await self._rescheduled.wait()

    def _schedule_check(self, contract: Contract, since: int) -> None:
        finding = _family(contract.order).find_closing(contract, self.market, since)
        epoch = finding if isinstance(finding, int) else finding.epoch
        version = self._versions[contract.contract_id] = (
            self._versions.get(contract.contract_id, 0) + 1
        )
        heapq.heappush(
            self._checks, _SettlementCheck(epoch, contract.contract_id, version, contract, finding)
        )
        self._rescheduled.set()
        self._rescheduled = trio.Event()

    def _closing(self, contract: Contract, epoch: int, price: Decimal, status: Status) -> Closing:
        tick = self.market.tick(contract.order.symbol.name, epoch)
        return Closing(epoch, price, status, tick)

    def _close(self, contract: Contract, closing: Closing) -> LedgerEntry:
        contract.closing, contract.sell_id = closing, next(self._transaction_ids)
        del self._versions[contract.contract_id]
        ledger = self.ledgers[contract.loginid]
        return ledger.post(contract.sell_id, "sell", closing.price, closing.epoch, contract)


def _family(order: ContractOrder) -> ContractFamily:
    return FAMILIES[order.contract_type]


def _price_moved(*, what: str, limit: Decimal, price: Decimal) -> Refusal:
    text = (
        "The underlying market has moved too much since you priced the contract."
        f" The contract {what} has changed from {in_words(CURRENCY, limit)}"
        f" to {in_words(CURRENCY, price)}."
    )
    return Refusal(code="PriceMoved", message=text)
