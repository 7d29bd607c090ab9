"""The checks of every call about a symbol: it is known, and its market is open."""

from derivtrio.simulator.market.market import Market
from derivtrio.simulator.protocol.envelope import Refusal

CLOSED = "This market is presently closed."


def require_symbol(market: Market, symbol: str) -> None:
    """Raise the `Refusal` unless the market has *symbol*."""
    if symbol not in market.symbols:
        raise Refusal(code="InvalidSymbol", message=f"Symbol {symbol} is invalid.")


def require_open(market: Market, symbol: str, epoch: int) -> None:
    """Raise the `Refusal` unless the market of *symbol* is open at *epoch*."""
    if not market.is_open(symbol, epoch):
        raise Refusal(code="MarketIsClosed", message=CLOSED)
