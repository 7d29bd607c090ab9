"""The families of contracts: what each of them can do, and which types belong to it."""

from decimal import Decimal
from typing import Protocol

from derivtrio.simulator.contracts.accumulators import AccumulatorFamily
from derivtrio.simulator.contracts.binaries import BinaryFamily
from derivtrio.simulator.contracts.contract import Closing, Contract, Quote
from derivtrio.simulator.contracts.multipliers import MultiplierFamily
from derivtrio.simulator.contracts.orders import (
    ACCUMULATORS,
    DIGITS,
    MULTIPLIERS,
    RISE_FALL,
    ContractOrder,
)
from derivtrio.simulator.market.market import Market
from derivtrio.simulator.protocol.envelope import Message


class ContractFamily(Protocol):
    """The behaviour of a family of contracts. Every method is a pure function."""

    def quote(self, order: ContractOrder, market: Market, epoch: int) -> Quote:
        """Return the price of *order* at *epoch*; raise the `Refusal` if it is not on offer."""

    def find_closing(self, contract: Contract, market: Market, since: int) -> Closing | int:
        """Return how *contract* is closed by the market after the epoch *since*.

        An epoch instead of a `Closing` means that the contract is still open then: ask again at
        that time. A family uses it to bound how far it looks ahead.
        """

    def value(self, contract: Contract, market: Market, epoch: int) -> Decimal:
        """Return the resale price of an open *contract* at *epoch*."""

    def resale_error(self, contract: Contract, market: Market, epoch: int) -> str | None:
        """Return why an open *contract* cannot be sold at *epoch*; `None` if it can be sold."""

    def describe(self, contract: Contract, market: Market, epoch: int) -> Message:
        """Return the members of `proposal_open_contract` that only this family has."""


#: The family of each contract type.
FAMILIES: dict[str, ContractFamily] = {
    **dict.fromkeys(RISE_FALL + DIGITS, BinaryFamily()),
    **dict.fromkeys(MULTIPLIERS, MultiplierFamily()),
    **dict.fromkeys(ACCUMULATORS, AccumulatorFamily()),
}
