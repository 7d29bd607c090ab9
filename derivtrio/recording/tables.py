"""The tables that a store keeps, as data, and how models become their rows.

| table | a row is identified by | a row that comes again |
|---|---|---|
| `ticks` | symbol, epoch, order within the second | is the same, and is ignored |
| `candles` | symbol, granularity, opening time | is the same, and is ignored |
| `gaps` | symbol, granularity (0 for ticks), the epoch it begins after | replaces the old one |
| `transactions` | login id, transaction id | is the same, and is ignored |
| `balances` | login id, when it came (this machine's clock) | replaces the old one |
| `contracts` | login id, contract id | replaces the old one |

So to write a row twice does no harm. That is why nothing is doubled when a recorder is killed
between writing a row and knowing that it was written: after its restart it begins with the newest
second that the store has.

A row is a tuple in the order of the columns. Epochs are in seconds. Amounts and prices are floats.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from derivtrio.events import Gap
from derivtrio.models import Balance, Candle, Money, OpenContract, Transaction

Value = str | int | float | None
#: A row of a table, in the order of its columns.
Row = tuple[Value, ...]


@attrs.frozen(eq=False)
class Table:
    """A table.

    Attributes:
        name: its name.
        columns: the columns and their types: `str`, `int` or `float`.
        key: how many of the first columns identify a row.
        time: the column that says to which day a row belongs.
        until: the column that says until when it lasts, if it is more than a moment.
        ordered: whether the rows of a symbol come in the order of their keys.
        replaces: whether a row replaces an older one with the same key.

    """

    name: str
    columns: Mapping[str, type]
    key: int
    time: str
    ordered: bool = False
    replaces: bool = False
    until: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(self.columns)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the columns that identify a row."""
        return self.names[: self.key]

    def next_key(self, known: Sequence[object]) -> str:
        """Return the name of the key's column that follows those that are *known*."""
        return self.names[len(known)]


#: What a store is given to keep, all of it or nothing.
Batch = Mapping[Table, Sequence[Row]]

#: Ticks; `n` is the order within the second.
TICKS: Final = Table(
    "ticks",
    {"symbol": str, "epoch": int, "n": int, "quote": float, "ask": float, "bid": float},
    key=3,
    time="epoch",
    ordered=True,
)

#: Closed candles; `granularity` is their length in seconds.
CANDLES: Final = Table(
    "candles",
    {
        "symbol": str,
        "granularity": int,
        "open_time": int,
        **dict.fromkeys(("open", "high", "low", "close"), float),
    },
    key=3,
    time="open_time",
    ordered=True,
)

#: What the server no longer had: nothing between two epochs.
GAPS: Final = Table(
    "gaps",
    {"symbol": str, "granularity": int, "after_epoch": int, "before_epoch": int, "reason": str},
    key=3,
    time="after_epoch",
    replaces=True,
    until="before_epoch",
)

#: Each change of an account's balance.
TRANSACTIONS: Final = Table(
    "transactions",
    {
        "loginid": str,
        "transaction_id": int,
        "transaction_time": int,
        "action": str,
        "amount": float,
        "balance_after": float,
        "contract_id": int,
        "reference_id": int,
        "symbol": str,
        "payout": float,
        "shortcode": str,
        "longcode": str,
    },
    key=2,
    time="transaction_time",
)

#: What an account held, by when it came (this machine's clock).
BALANCES: Final = Table(
    "balances",
    {"loginid": str, "epoch": int, "balance": float, "currency": str},
    key=2,
    time="epoch",
    replaces=True,
)

#: The newest status of each contract of an account.
CONTRACTS: Final = Table(
    "contracts",
    {
        "loginid": str,
        "contract_id": int,
        "symbol": str,
        "contract_type": str,
        "status": str,
        "currency": str,
        **dict.fromkeys(("buy_price", "payout", "sell_price", "profit"), float),
        **dict.fromkeys(("entry_spot", "exit_spot"), float),
        "barrier": str,
        **dict.fromkeys(("purchase_time", "date_expiry", "sell_time"), int),
        "shortcode": str,
        "longcode": str,
    },
    key=2,
    time="purchase_time",
    replaces=True,
)

#: All tables.
TABLES: Final = (TICKS, CANDLES, GAPS, TRANSACTIONS, BALANCES, CONTRACTS)


@attrs.frozen
class Selection:
    """Which rows to read.

    Attributes:
        table: from which table.
        symbols: of which symbols; none of them means all.
        granularity: of which length, for candles and gaps; None means any.
        start, end: from which epoch to which, both included; None means no bound. What lasts,
            as a gap does, is selected if a part of it lies between them.

    """

    table: Table
    symbols: tuple[str, ...] = ()
    granularity: int | None = None
    start: int | None = None
    end: int | None = None

    @property
    def conditions(self) -> list[tuple[str, str, object]]:
        """What holds for its rows: columns, operators and values. A symbol is one of several."""
        time = self.table.time
        begin = (self.table.until or time, ">=", self.start)
        bounds = [("granularity", "=", self.granularity), begin]
        return [each for each in (*bounds, (time, "<=", self.end)) if each[2] is not None]


def candle_row(candle: Candle) -> Row:
    """Return the row of a candle that has closed."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    return (candle.symbol, candle.granularity, candle.open_time, *prices)


def gap_row(gap: Gap, granularity: int) -> Row:
    """Return the row of a gap in ticks (*granularity* 0) or candles."""
    return (gap.stream, granularity, gap.after, gap.before, gap.reason)


def transaction_row(loginid: str, transaction: Transaction) -> Row:
    """Return the row of a transaction."""
    return (
        loginid,
        transaction.transaction_id,
        transaction.transaction_time,
        transaction.action,
        _amount(transaction.amount),
        _amount(transaction.balance_after),
        transaction.contract_id,
        transaction.reference_id,
        transaction.symbol,
        _amount(transaction.payout),
        transaction.shortcode,
        transaction.longcode,
    )


def balance_row(balance: Balance, epoch: int) -> Row:
    """Return the row of a balance that came at *epoch*."""
    return (balance.loginid, epoch, _amount(balance.balance), balance.currency)


def contract_row(loginid: str, contract: OpenContract) -> Row:
    """Return the row of a contract as it is now."""
    return (
        loginid,
        contract.contract_id,
        contract.symbol,
        contract.contract_type,
        contract.status,
        contract.currency,
        _amount(contract.buy_price),
        _amount(contract.payout),
        _amount(contract.sell_price),
        _amount(contract.profit),
        _amount(contract.entry_spot),
        _amount(contract.exit_spot),
        contract.barrier,
        contract.purchase_time,
        contract.date_expiry,
        contract.sell_time,
        contract.shortcode,
        contract.longcode,
    )


def _amount(money: Money | None) -> float | None:
    return None if money is None else float(money)
