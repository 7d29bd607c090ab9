"""What typed streams carry, and what trading comes to.

These are msgspec Structs, frozen: `msgspec.structs` has their `asdict` and `replace`. To define one
takes a thirtieth of the time that a frozen attrs class takes, for which every program would wait
when it starts; to make one, of which there are many, a ninth. They can be in sets, and be keys:
objects in them, such as `raw`, do not count for the hash.
"""

from collections.abc import Mapping
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Annotated, Any, Final

import msgspec

#: The last epoch that Deriv's schemas have room for, and the most decimals that a price can have.
LAST_EPOCH: Final = 9_999_999_999
MOST_DECIMALS: Final = 20

#: Sums of amounts are exact, whatever precision and traps the program has set for its own.
EXACTLY: Final = Context(prec=100, traps=[InvalidOperation, DivisionByZero, Overflow])


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One price of one symbol.

    `epoch` is in whole seconds; with `symbol` it identifies the tick. `pip_size` is the number of
    decimals to show. `ask` and `bid` are None where the tick comes from history, which has none.
    """

    symbol: str
    #: The bounds are checked where a tick is decoded without `api.parsing` (`calls.fast_ticks`).
    epoch: Annotated[int, msgspec.Meta(ge=0, le=LAST_EPOCH)]
    quote: float
    ask: float | None = None
    bid: float | None = None
    pip_size: Annotated[int, msgspec.Meta(ge=0, le=MOST_DECIMALS)] = 0


class Candle(msgspec.Struct, frozen=True):
    """The prices of one symbol in the `granularity` seconds from `open_time` on.

    `epoch` is when its newest tick came, where that is known; a candle from history has its
    `open_time` there. `closed` says that no more ticks belong to it.
    """

    symbol: str
    granularity: int
    open_time: int
    epoch: int
    open: float
    high: float
    low: float
    close: float
    closed: bool


#: Members that are too long to show.
_LONG = ("parameters", "raw")


def _shown(model: msgspec.Struct) -> str:
    names = [name for name in model.__struct_fields__ if name not in _LONG]
    members = ", ".join(f"{name}={getattr(model, name)!r}" for name in names)
    return f"{type(model).__name__}({members})"


#: Members that are objects, which have no hash.
_OBJECTS = ("limit_order", *_LONG)


def _hashed(model: msgspec.Struct) -> int:
    names = [name for name in model.__struct_fields__ if name not in _OBJECTS]
    return hash((type(model), *[getattr(model, name) for name in names]))


#: An amount as exact as the wire has it: a number, or a Decimal where Deriv sends a string.
Money = float | Decimal


class Balance(msgspec.Struct, frozen=True):
    """What an account holds, in its `currency`; that is "" as long as none was chosen."""

    loginid: str
    balance: Money
    currency: str


class OpenContract(msgspec.Struct, frozen=True):
    """A contract at one moment of its life.

    Prices that are not known yet, or not any more, are None. `status` is Deriv's word: `"open"`,
    `"sold"`, `"won"`, `"lost"`, `"cancelled"`. Times are epochs in seconds.

    `entry_spot` and `exit_spot` are the prices that the contract was judged by (`entry_tick` and
    `exit_tick` on v3). `barrier` is Deriv's text, for it may be relative, such as `"+0.30"`.
    `limit_order` has the limits of a multiplier or accumulator as they came: `take_profit`,
    `stop_loss`, `stop_out`. `raw` is the payload as it came, with everything that has no name here.
    """

    contract_id: int
    contract_type: str
    symbol: str
    status: str | None
    is_expired: bool
    is_sold: bool
    currency: str
    buy_price: Money | None
    bid_price: Money | None
    sell_price: Money | None
    payout: Money | None
    profit: Money | None
    current_spot: Money | None
    entry_spot: Money | None
    exit_spot: Money | None
    barrier: str | None
    purchase_time: int | None
    date_expiry: int | None
    sell_time: int | None
    is_valid_to_sell: bool
    limit_order: Mapping[str, Any] | None
    shortcode: str
    longcode: str
    raw: Mapping[str, Any]

    __repr__ = _shown
    __hash__ = _hashed


class Proposal(msgspec.Struct, frozen=True):
    """What a contract would cost now; good for one purchase, on the connection it came by.

    Attributes:
        id: what it is bought by.
        ask_price: what it costs.
        payout: what it may pay; None where that is open.
        spot: the price of the underlying, at the epoch `spot_time`.
        parameters: what was asked for.
        connection: the number of the connection on which `id` means something.
        raw: the payload as it came.

    """

    id: str
    ask_price: Money
    payout: Money | None
    spot: Money | None
    spot_time: int | None
    longcode: str
    parameters: Mapping[str, Any]
    connection: int | None
    raw: Mapping[str, Any]

    __repr__ = _shown
    __hash__ = _hashed


class Purchase(msgspec.Struct, frozen=True):
    """A contract that was bought.

    `purchase_time` is an epoch in seconds. `balance_after` is None where the purchase was found
    out by `reconcile` from a list that does not have it; so is `payout` where that is open.
    """

    contract_id: int
    transaction_id: int
    buy_price: Money
    payout: Money | None
    balance_after: Money | None
    purchase_time: int
    shortcode: str
    longcode: str


class Sale(msgspec.Struct, frozen=True):
    """A contract that was sold, or cancelled; `reference_id` is the transaction that bought it.

    Where the sale was found out by `reconcile`, what could not be found is None.
    """

    contract_id: int
    transaction_id: int | None
    reference_id: int | None
    sold_for: Money | None
    balance_after: Money | None


class Limits(msgspec.Struct, frozen=True):
    """The limits of a contract after an update, as amounts of profit and of loss; None: no limit.

    Both are what was asked for: a stop loss that Deriv shows as -3 is a loss of 3.

    `raw` is the payload as it came.
    """

    contract_id: int
    take_profit: Money | None
    stop_loss: Money | None
    raw: Mapping[str, Any]

    __repr__ = _shown
    __hash__ = _hashed


class Position(msgspec.Struct, frozen=True):
    """An open contract in the portfolio. Times are epochs in seconds."""

    contract_id: int
    transaction_id: int
    contract_type: str
    symbol: str
    currency: str
    buy_price: Money
    payout: Money | None
    purchase_time: int
    expiry_time: int | None
    shortcode: str
    longcode: str
    raw: Mapping[str, Any]

    __repr__ = _shown
    __hash__ = _hashed


class Transaction(msgspec.Struct, frozen=True):
    """A change of the account's balance: a line of the statement.

    `action` is Deriv's word: `"buy"`, `"sell"` (also for a contract that was settled), `"deposit"`,
    … `amount` is negative where the balance went down. `reference_id` is, for a sale, the
    transaction that bought the contract. `symbol` is "" where no contract is concerned, or where
    Deriv names it neither in a member nor in the shortcode. `transaction_time` is an epoch in
    seconds.
    """

    transaction_id: int
    action: str
    amount: Money
    balance_after: Money | None
    transaction_time: int
    contract_id: int | None
    reference_id: int | None
    symbol: str
    payout: Money | None
    shortcode: str
    longcode: str
    raw: Mapping[str, Any]

    __repr__ = _shown
    __hash__ = _hashed


class ClosedContract(msgspec.Struct, frozen=True):
    """A contract that is over, in the profit table. Times are epochs in seconds.

    `contract_id` is None where Deriv does not name the contract (its schemas allow that);
    `transaction_id` is the transaction that bought it, and is always there.
    """

    contract_id: int | None
    transaction_id: int
    symbol: str
    buy_price: Money
    sell_price: Money
    payout: Money | None
    purchase_time: int
    sell_time: int | None
    shortcode: str
    longcode: str
    raw: Mapping[str, Any]

    __repr__ = _shown
    __hash__ = _hashed

    @property
    def profit(self) -> Decimal:
        """What it brought; negative for a loss. Always an exact `Decimal`, and so is a sum of them.

        (As floats, 19.53 - 10 is 9.530000000000001.)
        """
        return EXACTLY.subtract(Decimal(str(self.sell_price)), Decimal(str(self.buy_price)))


class Bought(msgspec.Struct, frozen=True):
    """The purchase in question was made. `how` says how that is known."""

    purchase: Purchase
    how: str


class NotBought(msgspec.Struct, frozen=True):
    """The purchase in question was not made, and will not be. `how` says how that is known."""

    how: str


class Sold(msgspec.Struct, frozen=True):
    """The contract was sold, or cancelled, as asked. `how` says how that is known."""

    sale: Sale
    how: str


class NotSold(msgspec.Struct, frozen=True):
    """The contract was not sold by the request in question, and will not be. `how` says why."""

    how: str


class Updated(msgspec.Struct, frozen=True):
    """The contract has the limits that were asked for. `how` says how that is known."""

    limits: Limits
    how: str


class NotUpdated(msgspec.Struct, frozen=True):
    """The contract has other limits than were asked for, and the request cannot change it now.

    `how` says how that is known.
    """

    how: str


class Ambiguous(msgspec.Struct, frozen=True):
    """It is not certain. `candidates` are the purchases that may be the one in question.

    The reasons may be: several equal orders were in doubt at a time, and fewer were executed;
    several requests in doubt can have ended the same contract; the order was made by another client
    or too long ago, so it is not in this client's log of trades; or another program trades with the
    same account.
    """

    candidates: tuple[Purchase, ...]
    how: str


#: What `reconcile` finds out.
Outcome = Bought | NotBought | Sold | NotSold | Updated | NotUpdated | Ambiguous
