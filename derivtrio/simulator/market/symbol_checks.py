"""What every call about a symbol has to pass: is it known, and is its market open."""

from derivtrio.simulator.market.market import Market
from derivtrio.simulator.protocol.envelope import Refusal


def require_symbol(market: Market, symbol: str) -> None:
    """Raise the `Refusal` that an unknown *symbol* gets."""
    if symbol not in market.symbols:
        raise Refusal(code="InvalidSymbol", message=f"Symbol {symbol} is invalid.")


def require_open(market: Market, symbol: str, epoch: int) -> None:
    """Raise the `Refusal` that *symbol* gets while its market is closed."""
    if not market.is_open(symbol, epoch):
        raise Refusal(code="MarketIsClosed", message="This market is presently closed.")
