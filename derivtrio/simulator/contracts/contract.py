"""A contract from its quote to its end, as data.

What a type of contract does is said by a `Kind`: one object per family, which looks at the market
and keeps nothing. All that can change about a contract is in `Contract`.
"""

from decimal import Decimal
from typing import Literal, Protocol

import attrs

from derivtrio.simulator.contracts.orders import ContractOrder, LimitOrder
from derivtrio.simulator.market.market import Market, MarketTick
from derivtrio.simulator.protocol.envelope import Message

Status = Literal["open", "sold", "won", "lost", "cancelled"]


@attrs.frozen
class Quote:
    """What *order* costs at *epoch*, when the price was *spot*, and what it is called.

    *expiry* is the epoch of its end, if that is known beforehand. *details* are the members that
    a proposal of this type has on top.
    """

    order: ContractOrder
    epoch: int
    spot: MarketTick
    ask: Decimal
    payout: Decimal
    expiry: int | None
    longcode: str
    shortcode: str
    details: Message


@attrs.frozen
class Closing:
    """How a contract ends: when, for how much, and with which last tick."""

    epoch: int
    price: Decimal
    status: Status
    tick: MarketTick


@attrs.frozen
class LimitUpdate:
    """A change of a contract's limit order, and when it was made."""

    epoch: int
    order_type: Literal["take_profit", "stop_loss"]
    amount: Decimal | None


@attrs.define(eq=False)
class Contract:
    """A contract that the account *loginid* bought on the terms of *quote*.

    The transactions are named by their ids. *closing* is how it ended, once it has.
    """

    contract_id: int
    loginid: str
    quote: Quote
    limit_order: LimitOrder
    buy_id: int
    sell_id: int | None = attrs.field(default=None, init=False)
    closing: Closing | None = attrs.field(default=None, init=False)
    updates: list[LimitUpdate] = attrs.field(factory=list, init=False)

    @property
    def order(self) -> ContractOrder:
        """What was bought."""
        return self.quote.order

    @property
    def start(self) -> int:
        """The epoch of the purchase."""
        return self.quote.epoch

    @property
    def buy_price(self) -> Decimal:
        """What was paid."""
        return self.quote.ask

    @property
    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        return self.closing is None

    @property
    def status(self) -> Status:
        """Deriv's word for how it stands."""
        return "open" if self.closing is None else self.closing.status


class ContractFamily(Protocol):
    """What a family of contracts does. Every method is a pure function of its arguments."""

    def quote(self, order: ContractOrder, market: Market, epoch: int) -> Quote:
        """Return the price of *order* at *epoch*, or raise the `Refusal`."""

    def find_closing(self, contract: Contract, market: Market, since: int) -> Closing | int:
        """Return how *contract* ends by itself after the epoch *since*.

        An epoch in place of that means: not up to then; ask again then.
        """

    def value(self, contract: Contract, market: Market, epoch: int) -> Decimal:
        """Return what the house gives for an open *contract* at *epoch*."""

    def resale_error(self, contract: Contract, market: Market, epoch: int) -> str | None:
        """Return why an open *contract* cannot be sold at *epoch*, or `None` if it can."""

    def describe(self, contract: Contract, market: Market, epoch: int) -> Message:
        """Return the members that `proposal_open_contract` has for this family only."""
