"""The books of an account: every change of its money, and every contract it ever bought.

A balance changes by a transaction and in no other way, so that at any time it is the opening
balance plus the amounts of all transactions, to the cent.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import attrs

from derivtrio.simulator.accounts.account import Account
from derivtrio.simulator.contracts.contract import Contract

EntryAction = Literal["buy", "sell", "deposit", "withdrawal", "virtual_credit"]


@attrs.frozen(eq=False)
class LedgerEntry:
    """One change of a balance, at *epoch*. What was paid by the account is a negative *amount*."""

    transaction_id: int
    loginid: str
    action: EntryAction
    amount: Decimal
    balance_after: Decimal
    epoch: int
    contract: Contract | None = None


@attrs.define(eq=False)
class AccountLedger:
    """The *transactions* of *account*, oldest first, and its *contracts* by id."""

    account: Account
    opening_balance: Decimal = attrs.field(init=False)
    transactions: list[LedgerEntry] = attrs.field(factory=list, init=False)
    contracts: dict[int, Contract] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.opening_balance = self.account.balance

    @property
    def open_contracts(self) -> list[Contract]:
        """The contracts that have not ended, oldest first."""
        return [contract for contract in self.contracts.values() if contract.is_open]

    def post(
        self,
        transaction_id: int,
        action: EntryAction,
        amount: Decimal,
        epoch: int,
        contract: Contract | None = None,
    ) -> LedgerEntry:
        """Change the balance by *amount* and write it down."""
        self.account.balance += amount
        balance, loginid = self.account.balance, self.account.loginid
        entry = LedgerEntry(transaction_id, loginid, action, amount, balance, epoch, contract)
        self.transactions.append(entry)
        return entry

    def newest_first(self) -> Iterator[LedgerEntry]:
        """Yield the transactions in the order of a statement."""
        return reversed(self.transactions)
