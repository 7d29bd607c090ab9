"""What typed streams carry."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs
import msgspec


class Tick(msgspec.Struct, frozen=True, gc=False):
    """One price of one symbol.

    It is a msgspec Struct because there are so many of them: one is made in a ninth of the time
    that a frozen attrs class takes, and out of its JSON in two thirds.

    `epoch` is in whole seconds; with `symbol` it identifies the tick. `pip_size` is the number of
    decimals to show. `ask` and `bid` are None where the tick comes from history, which has none.
    """

    symbol: str
    epoch: int
    quote: float
    ask: float | None = None
    bid: float | None = None
    pip_size: int = 0


@attrs.frozen
class Candle:
    """The prices of one symbol in the `granularity` seconds from `open_time` on.

    `epoch` is that of the newest tick in it, where that is known; a candle from history has its
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


#: An amount as exact as the wire has it: a number, or a Decimal where Deriv sends a string.
Money = float | Decimal


@attrs.frozen
class Balance:
    """What an account holds, in its `currency`."""

    loginid: str
    balance: Money
    currency: str


@attrs.frozen
class OpenContract:
    """A contract at one moment of its life.

    Prices that are not known yet, or not any more, are None. `status` is Deriv's word: `"open"`,
    `"sold"`, `"won"`, `"lost"`, `"cancelled"`. Times are epochs in seconds. `raw` is the payload as
    it came, with everything that has no name here.
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
    purchase_time: int | None
    date_expiry: int | None
    shortcode: str
    longcode: str
    raw: Mapping[str, Any] = attrs.field(repr=False)
