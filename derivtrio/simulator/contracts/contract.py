"""A contract as data, from its quote to its closing.

`Contract` has all the state. What a contract does is in its family (see `families`), which has no
state.
"""

from decimal import Decimal
from typing import Literal

import attrs

from derivtrio.simulator.contracts.orders import ContractOrder, LimitOrder
from derivtrio.simulator.market.market import MarketTick
from derivtrio.simulator.protocol.envelope import Message

Status = Literal["open", "sold", "won", "lost", "cancelled"]


@attrs.frozen
class Quote:
    """The price of *order* at *epoch*, when the market was at *spot*, and its names.

    *ask* is the price, commission and insurance included. *expiry* is the epoch of the end, if it
    is known beforehand. *details* are the further members of a proposal of this type.
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
    """How a contract ends: when, at which price, and with which last tick."""

    epoch: int
    price: Decimal
    status: Status
    tick: MarketTick


@attrs.frozen
class LimitUpdate:
    """A change of one limit of a contract, made at *epoch*."""

    epoch: int
    order_type: Literal["take_profit", "stop_loss"]
    amount: Decimal | None


@attrs.define(eq=False)
class Contract:
    """A contract that the account *loginid* bought at the price of *quote*.

    *buy_id* and *sell_id* are the ids of its ledger entries. *closing* is `None` while it is open.
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
        """The order that it was bought with."""
        return self.quote.order

    @property
    def start(self) -> int:
        """The epoch of the purchase."""
        return self.quote.epoch

    @property
    def buy_price(self) -> Decimal:
        """The price that was paid."""
        return self.quote.ask

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed yet."""
        return self.closing is None

    @property
    def status(self) -> Status:
        """Deriv's word for its state."""
        return "open" if self.closing is None else self.closing.status
