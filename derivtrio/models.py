"""What typed streams carry."""

import attrs


@attrs.frozen
class Tick:
    """One price of one symbol.

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
