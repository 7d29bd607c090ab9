"""The ledger of an account: every change of its money, and every contract that it bought.

A balance changes by a ledger entry only. So at any time it equals the opening balance plus the
amounts of all entries, to the cent.
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
    """One change of a balance, at *epoch*; a payment by the account has a negative *amount*."""

    transaction_id: int
    loginid: str
    action: EntryAction
    amount: Decimal
    balance_after: Decimal
    epoch: int
    contract: Contract | None = None


@attrs.define(eq=False)
class AccountLedger:
    """The entries of *account*, oldest first, and its *contracts* by id.

    Deriv calls an entry a transaction.
    """

    account: Account
    opening_balance: Decimal = attrs.field(init=False)
    transactions: list[LedgerEntry] = attrs.field(factory=list, init=False)
    contracts: dict[int, Contract] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.opening_balance = self.account.balance

    @property
    def open_contracts(self) -> list[Contract]:
        """The contracts that are not closed, oldest first."""
        return [contract for contract in self.contracts.values() if contract.is_open]

    def post(
        self,
        transaction_id: int,
        action: EntryAction,
        amount: Decimal,
        epoch: int,
        contract: Contract | None = None,
    ) -> LedgerEntry:
        """Change the balance by *amount*, and return the entry."""
        self.account.balance += amount
        balance, loginid = self.account.balance, self.account.loginid
        entry = LedgerEntry(transaction_id, loginid, action, amount, balance, epoch, contract)
        self.transactions.append(entry)
        return entry

    def newest_first(self) -> Iterator[LedgerEntry]:
        """Yield the entries, newest first."""
        return reversed(self.transactions)
