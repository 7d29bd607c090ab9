"""The calls that list the symbols and their trading times."""

import datetime as dt

from derivtrio.simulator.market.hours import ALWAYS, DAY
from derivtrio.simulator.market.symbols import Symbol
from derivtrio.simulator.protocol.envelope import Message, invalid, reply
from derivtrio.simulator.sessions.session import ServerSession

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CLOSED = "--"


def active_symbols(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `active_symbols`; `full` adds the last spot."""
    market = session.backend.market
    listed = [
        _listing(symbol, order, is_open=market.is_open(symbol.name, epoch))
        for order, symbol in enumerate(market.symbols.values(), 1)
    ]
    if request["active_symbols"] == "full":
        for entry in listed:
            tick = market.tick(entry["symbol"], epoch)
            entry |= {"spot": tick.quote, "spot_time": str(tick.epoch)}
    return [reply(request, "active_symbols") | {"active_symbols": listed}]


def trading_times(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `trading_times` for one day: markets, their submarkets, their symbols."""
    midnight = _midnight(request["trading_times"], epoch)
    markets: dict[str, dict[str, list[Message]]] = {}
    for symbol in session.backend.market.symbols.values():
        submarkets = markets.setdefault(symbol.group.market[1], {})
        submarkets.setdefault(symbol.group.submarket[1], []).append(_times(symbol, midnight))
    listed = [
        {
            "name": market,
            "submarkets": [{"name": name, "symbols": symbols} for name, symbols in parts.items()],
        }
        for market, parts in markets.items()
    ]
    return [reply(request, "trading_times") | {"trading_times": {"markets": listed}}]


def _listing(symbol: Symbol, order: int, *, is_open: bool) -> Message:
    group = symbol.group
    return {
        "allow_forward_starting": int(is_open),
        "display_name": symbol.display_name,
        "display_order": order,
        "exchange_is_open": int(is_open),
        "is_trading_suspended": 0,
        "market": group.market[0],
        "market_display_name": group.market[1],
        "pip": round(10**-symbol.decimals, symbol.decimals),
        "subgroup": group.subgroup[0],
        "subgroup_display_name": group.subgroup[1],
        "submarket": group.submarket[0],
        "submarket_display_name": group.submarket[1],
        "symbol": symbol.name,
        "symbol_type": group.symbol_type,
    }


def _midnight(day: str, epoch: int) -> int:
    if day == "today":
        return epoch - epoch % DAY
    try:
        date = dt.date(*(int(part) for part in day.split("-")))
    except ValueError:
        raise invalid({"trading_times": "Invalid date."}) from None
    return (date - dt.date(1970, 1, 1)).days * DAY


def _times(symbol: Symbol, midnight: int) -> Message:
    """Return the opening times of *symbol* on the day that begins at *midnight*."""
    windows = list(symbol.hours.windows(midnight, midnight + DAY - 1))
    opens = [_clock_time(first) for first, _ in windows] or [_CLOSED]
    closes = [_clock_time(last) for _, last in windows] or [_CLOSED]
    return {
        "events": []
        if symbol.hours == ALWAYS
        else [{"dates": "Fridays", "descrip": "Closes early (at 20:55)"}],
        "name": symbol.display_name,
        "symbol": symbol.name,
        "times": {"open": opens, "close": closes, "settlement": closes[-1]},
        "trading_days": _trading_days(symbol),
    }


def _clock_time(epoch: int) -> str:
    return str(dt.timedelta(seconds=epoch % DAY)).zfill(8)


def _trading_days(symbol: Symbol) -> list[str]:
    return [day for number, day in enumerate(_WEEKDAYS) if number * DAY < symbol.hours.span]
