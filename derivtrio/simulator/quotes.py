"""The calls that bring prices: `ticks` and `ticks_history`."""

import attrs

from derivtrio.simulator.envelope import Message, Refusal, refusal, reply
from derivtrio.simulator.history import Window, window_of
from derivtrio.simulator.market import Candle, Market, Tick
from derivtrio.simulator.session import Session
from derivtrio.simulator.subscriptions import Stream

_DEFAULT_GRANULARITY = 60


def ticks(session: Session, request: Message, epoch: int) -> list[Message]:
    """Answer `ticks`: one stream per symbol, each with its own first message or refusal.

    v3 always subscribes, whether or not the request says so.
    """
    wanted = request["ticks"]
    symbols = [wanted] if isinstance(wanted, str) else wanted
    return [_first_tick(session, request, symbol, epoch) for symbol in symbols]


def ticks_history(session: Session, request: Message, epoch: int) -> list[Message]:
    """Answer `ticks_history` with ticks or candles, and keep the stream if asked to."""
    market, name = session.world.market, request["ticks_history"]
    require_symbol(market, name)
    symbol = market.symbols[name]
    window = window_of(request, symbol.hours, epoch)
    candles = request.get("style") == "candles"
    stream_id = None
    if "subscribe" in request:
        _require_open(market, name, epoch)
        follow = _follow_candles if candles else _follow_ticks
        stream_id = follow(session, request, name, epoch).id
    msg_type = "candles" if candles else "history"
    payload = _candles(market, request, window) if candles else _history(market, name, window)
    envelope = reply(request, msg_type, subscription=stream_id)
    return [envelope | {msg_type: payload, "pip_size": symbol.decimals}]


def require_symbol(market: Market, symbol: str) -> None:
    """Raise the `Refusal` that an unknown *symbol* gets."""
    if symbol not in market.symbols:
        raise Refusal(code="InvalidSymbol", message=f"Symbol {symbol} is invalid.")


def _require_open(market: Market, symbol: str, epoch: int) -> None:
    if not market.is_open(symbol, epoch):
        raise Refusal(code="MarketIsClosed", message="This market is presently closed.")


def _first_tick(session: Session, request: Message, symbol: str, epoch: int) -> Message:
    market = session.world.market
    try:
        require_symbol(market, symbol)
        _require_open(market, symbol, epoch)
        stream = _follow_ticks(session, request, symbol, epoch)
    except Refusal as refused:
        return refusal(request, "tick", refused)
    return stream.message(*_tick_payload(market.tick(symbol, epoch)))


def _follow_ticks(session: Session, request: Message, symbol: str, epoch: int) -> Stream:
    stream = session.subscriptions.add(("ticks", symbol), request)
    session.subscriptions.follow(stream, symbol, _tick_payload, epoch)
    return stream


def _follow_candles(session: Session, request: Message, symbol: str, epoch: int) -> Stream:
    granularity = _granularity(request)
    stream = session.subscriptions.add(("candles", symbol, granularity), request)
    present = session.world.market.candles(symbol, granularity, epoch, epoch)
    forming = _FormingCandle(granularity, present[-1] if present else None)
    session.subscriptions.follow(stream, symbol, forming.update, epoch)
    return stream


def _granularity(request: Message) -> int:
    granularity: int = request.get("granularity", _DEFAULT_GRANULARITY)
    return granularity


def _history(market: Market, symbol: str, window: Window) -> Message:
    found = market.ticks(symbol, window.start, window.end, window.count)
    return {"prices": [tick.quote for tick in found], "times": [tick.epoch for tick in found]}


def _candles(market: Market, request: Message, window: Window) -> list[Message]:
    found = market.candles(
        request["ticks_history"],
        _granularity(request),
        window.start,
        window.end,
        window.count,
    )
    return [
        {
            "epoch": candle.open_time,
            "open": candle.open,
            "high": candle.high,
            "low": candle.low,
            "close": candle.close,
        }
        for candle in found
    ]


def _tick_payload(tick: Tick) -> tuple[str, Message]:
    return "tick", {
        "ask": tick.ask,
        "bid": tick.bid,
        "epoch": tick.epoch,
        "pip_size": tick.pip_size,
        "quote": tick.quote,
        "symbol": tick.symbol,
    }


@attrs.define
class _FormingCandle:
    """The candle of a stream that its next ticks go into."""

    granularity: int
    candle: Candle | None

    def update(self, tick: Tick) -> tuple[str, Message]:
        """Count *tick* and return the `ohlc` message: prices are padded strings there."""
        candle = self.candle = self._with(tick)
        prices = {
            "open": candle.open,
            "high": candle.high,
            "low": candle.low,
            "close": candle.close,
        }
        return "ohlc", {
            "epoch": candle.epoch,
            "granularity": candle.granularity,
            "open_time": candle.open_time,
            "symbol": candle.symbol,
            **{name: f"{price:.{tick.pip_size}f}" for name, price in prices.items()},
        }

    def _with(self, tick: Tick) -> Candle:
        quote, before = tick.quote, self.candle
        open_time = tick.epoch - tick.epoch % self.granularity
        if before is None or before.open_time != open_time:
            times = open_time, tick.epoch
            return Candle(tick.symbol, self.granularity, *times, quote, quote, quote, quote)
        high, low = max(before.high, quote), min(before.low, quote)
        return attrs.evolve(before, epoch=tick.epoch, high=high, low=low, close=quote)
