"""The broker sells contracts, buys them back, and settles them when they end.

1. Every change of an account's money is made here, by a ledger entry.
2. How a contract ends is a function of the market. So `settle` may be called late: it enters the
   epoch at which the contract ended, not the present one.
3. Contracts that end in the same second are settled in the order of their ids.
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
    LimitUpdate,
    Quote,
    Status,
)
from derivtrio.simulator.contracts.families import FAMILIES, ContractFamily
from derivtrio.simulator.contracts.money import in_words
from derivtrio.simulator.contracts.multipliers import can_cancel
from derivtrio.simulator.contracts.orders import (
    CURRENCY,
    MULTIPLIERS,
    ContractOrder,
    LimitOrder,
    insufficient,
)
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.market.symbol_checks import CLOSED
from derivtrio.simulator.protocol.envelope import Refusal

_FIRST_CONTRACT = 310_000_000_001
_FIRST_TRANSACTION = 620_000_000_001


@attrs.frozen(order=True)
class _SettlementCheck:
    """The next check of an open contract, at *epoch*.

    *result* is its closing at that epoch, or the same epoch if the search has to go on from there.
    """

    epoch: int
    contract_id: int
    version: int
    contract: Contract = attrs.field(order=False)
    result: Closing | int = attrs.field(order=False)


@attrs.define(eq=False)
class Broker:
    """The trade of all accounts in *market*, with their *ledgers* by login id."""

    market: Market
    ledgers: dict[str, AccountLedger]
    _checks: list[_SettlementCheck] = attrs.field(factory=list, init=False, repr=False)
    #: By contract id. A check of an earlier version is void: its contract was updated or closed.
    _versions: dict[int, int] = attrs.field(factory=dict, init=False, repr=False)
    _contract_ids: Iterator[int] = attrs.field(init=False, repr=False)
    _transaction_ids: Iterator[int] = attrs.field(init=False, repr=False)
    _rescheduled: trio.Event = attrs.field(factory=trio.Event, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._contract_ids = count(_FIRST_CONTRACT)
        self._transaction_ids = count(_FIRST_TRANSACTION)

    def quote(self, order: ContractOrder, epoch: int) -> Quote:
        """Return the price of *order* at *epoch*; raise the `Refusal` if it is not on offer."""
        return _family(order).quote(order, self.market, epoch)

    def value(self, contract: Contract, epoch: int) -> Decimal:
        """Return the resale price of *contract* at *epoch*, or the price that it was closed at."""
        if contract.closing is not None:
            return contract.closing.price
        return _family(contract.order).value(contract, self.market, epoch)

    def resale_error(self, contract: Contract, epoch: int) -> str | None:
        """Return why *contract* cannot be sold at *epoch*; `None` if it can be sold.

        A closed market has no price to sell at; deal cancellation needs none.
        """
        if not contract.is_open:
            return "This contract has been sold."
        if not self.market.is_open(contract.order.symbol.name, epoch):
            return CLOSED
        return _family(contract.order).resale_error(contract, self.market, epoch)

    def buy(
        self, account: Account, order: ContractOrder, epoch: int, limit: Decimal
    ) -> tuple[LedgerEntry, Contract]:
        """Sell *order* to *account* at the price of *epoch*, if that is at most *limit*.

        Raises:
            Refusal: it is not on offer, the price is above *limit*, or the balance is too small.

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

        A multiplier is bought back at any price: Deriv's server does not look at the limit there.

        Raises:
            Refusal: it cannot be sold now, or the price is below *limit*.

        """
        error = self.resale_error(contract, epoch)
        if error is not None:
            raise Refusal(code="InvalidtoSell", message=error)
        price = self.value(contract, epoch)
        if price < limit and contract.order.contract_type not in MULTIPLIERS:
            raise _price_moved(what="sell price", limit=limit, price=price)
        return self._close(contract, self._closing(contract, epoch, price, "sold"))

    def cancel(self, contract: Contract, epoch: int) -> LedgerEntry:
        """Take *contract* back for its stake, if deal cancellation is active.

        Raises:
            Refusal: it is not active, or the contract is closed.

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
        """Replace the *limit_order* of an open *contract*, and record the *changes*."""
        contract.limit_order = limit_order
        contract.updates += changes
        self._schedule_check(contract, changes[-1].epoch)

    def move(self, ledger: AccountLedger, amount: Decimal, epoch: int) -> LedgerEntry:
        """Deposit *amount*, or withdraw it if it is negative."""
        action: EntryAction = "deposit" if amount >= 0 else "withdrawal"
        return ledger.post(next(self._transaction_ids), action, amount, epoch)

    def top_up(self, ledger: AccountLedger, amount: Decimal, epoch: int) -> LedgerEntry:
        """Credit *amount* to a virtual account."""
        return ledger.post(next(self._transaction_ids), "virtual_credit", amount, epoch)

    def settle(self, epoch: int) -> Iterator[LedgerEntry]:
        """Settle the contracts that ended up to *epoch*, and yield their ledger entries in order.

        A contract that ends with nothing has an entry with the amount 0.
        """
        while (due := self.next_due()) is not None and due <= epoch:
            check = heapq.heappop(self._checks)
            if isinstance(check.result, int):
                self._schedule_check(check.contract, check.result)
            else:
                yield self._close(check.contract, check.result)

    def next_due(self) -> int | None:
        """Return the epoch of the next check; `None` if no contract is open."""
        while self._checks and self._is_void(self._checks[0]):
            heapq.heappop(self._checks)
        return self._checks[0].epoch if self._checks else None

    async def wait_rescheduled(self) -> None:
        """Wait until `next_due` may have changed."""
        await self._rescheduled.wait()

    def _schedule_check(self, contract: Contract, since: int) -> None:
        result = _family(contract.order).find_closing(contract, self.market, since)
        epoch = result if isinstance(result, int) else result.epoch
        number = contract.contract_id
        version = self._versions[number] = self._versions.get(number, 0) + 1
        heapq.heappush(self._checks, _SettlementCheck(epoch, number, version, contract, result))
        # Wake the waiting tasks; a new event is for the next change.
        self._rescheduled.set()
        self._rescheduled = trio.Event()

    def _is_void(self, check: _SettlementCheck) -> bool:
        # To remove from the middle of a heap is expensive; void checks are dropped at the top.
        return self._versions.get(check.contract_id) != check.version

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
