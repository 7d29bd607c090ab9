"""The calls about prices: `ticks` and `ticks_history`."""

from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any

import attrs

from derivtrio.simulator.calls.history_window import HistoryWindow, window_of
from derivtrio.simulator.market.market import Market, MarketCandle, MarketTick
from derivtrio.simulator.market.symbol_checks import require_open, require_symbol
from derivtrio.simulator.protocol.envelope import Message, Refusal, error_reply, reply
from derivtrio.simulator.sessions.session import ServerSession
from derivtrio.simulator.sessions.streams import ActiveStream, Render, StreamKey

_DEFAULT_GRANULARITY = 60


def ticks(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `ticks`: one stream per symbol, each with its own first message or error.

    v3 always subscribes, even if the request does not ask for it. The schema allows an empty list;
    Deriv's answer to it has not been recorded.
    """
    wanted = request["ticks"]
    symbols = [wanted] if isinstance(wanted, str) else wanted
    if not symbols:
        raise Refusal(code="NoSymbolProvided", message="No symbol provided.")
    return [_first_tick(session, request, symbol, epoch) for symbol in symbols]


def ticks_history(session: ServerSession, request: Message, epoch: int) -> Iterator[Message | None]:
    """Answer `ticks_history` with ticks or candles, and open a stream if the request subscribes.

    The stream is added first, so that a second one is refused; its ticks begin after the history.
    """
    market, name = session.backend.market, request["ticks_history"]
    require_symbol(market, name)
    symbol = market.symbols[name]
    window = window_of(request, symbol.hours, epoch)
    candles = request.get("style") == "candles"
    stream = _reserve(session, request, epoch) if "subscribe" in request else None
    if candles:
        payload: Any = yield from _candles(market, request, window)
    else:
        payload = _history(market, name, window)
    if stream is not None:
        render = _ohlc_renderer(market, request, epoch) if candles else tick_payload
        session.streams.follow(stream, name, render, epoch)
    msg_type = "candles" if candles else "history"
    envelope = reply(request, msg_type, subscription=stream.id if stream else None)
    yield envelope | {msg_type: payload, "pip_size": symbol.decimals}


def _first_tick(session: ServerSession, request: Message, symbol: str, epoch: int) -> Message:
    market = session.backend.market
    try:
        require_symbol(market, symbol)
        require_open(market, symbol, epoch)
        stream = session.streams.add(("ticks", symbol), request)
    except Refusal as refused:
        return error_reply(request, "tick", refused)
    session.streams.follow(stream, symbol, tick_payload, epoch)
    return stream.message(*tick_payload(market.tick(symbol, epoch)))


def _reserve(session: ServerSession, request: Message, epoch: int) -> ActiveStream:
    symbol = request["ticks_history"]
    require_open(session.backend.market, symbol, epoch)
    is_candles = request.get("style") == "candles"
    key: StreamKey = ("candles", symbol, _granularity(request)) if is_candles else ("ticks", symbol)
    return session.streams.add(key, request)


def _ohlc_renderer(market: Market, request: Message, epoch: int) -> Render:
    granularity = _granularity(request)
    present = market.candles(request["ticks_history"], granularity, epoch, epoch)
    return _FormingCandle(granularity, present[-1] if present else None, market, epoch).update


def _granularity(request: Message) -> int:
    granularity: int = request.get("granularity", _DEFAULT_GRANULARITY)
    return granularity


def _history(market: Market, symbol: str, window: HistoryWindow) -> Message:
    found = market.ticks(symbol, window.start, window.end, window.count)
    return {"prices": [tick.quote for tick in found], "times": [tick.epoch for tick in found]}


def _candles(
    market: Market, request: Message, window: HistoryWindow
) -> Generator[None, None, list[Message]]:
    """Return the candles of *window*, and yield after each."""
    found: list[Message] = []
    bounds = window.start, window.end
    backwards = market.candles_back(request["ticks_history"], _granularity(request), *bounds)
    for candle in islice(backwards, window.count):
        found.append(_candle_payload(candle))
        yield
    return found[::-1]


def _candle_payload(candle: MarketCandle) -> Message:
    return {
        "epoch": candle.open_time,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
    }


def tick_payload(tick: MarketTick) -> tuple[str, Message]:
    """Return the `msg_type` of a live *tick*, and its payload without an id."""
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
    """The candle that the ticks after the epoch *last* belong to.

    It also has the ticks that a late reply passes over: the market's candle is the same for all.
    """

    granularity: int
    candle: MarketCandle | None
    market: Market
    last: int

    def update(self, tick: MarketTick) -> tuple[str, Message]:
        """Add *tick* and return the `ohlc` message, whose prices are strings with all decimals."""
        skipped = tick.epoch not in (self.last, self.market.next_tick_epoch(tick.symbol, self.last))
        candle = self.candle = self._whole(tick) if skipped else self._with(tick)
        self.last = tick.epoch
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

    def _whole(self, tick: MarketTick) -> MarketCandle:
        return self.market.candles(tick.symbol, self.granularity, tick.epoch, tick.epoch)[-1]

    def _with(self, tick: MarketTick) -> MarketCandle:
        quote, before = tick.quote, self.candle
        open_time = tick.epoch - tick.epoch % self.granularity
        if before is None or before.open_time != open_time:
            times = open_time, tick.epoch
            return MarketCandle(tick.symbol, self.granularity, *times, quote, quote, quote, quote)
        high, low = max(before.high, quote), min(before.low, quote)
        return attrs.evolve(before, epoch=tick.epoch, high=high, low=low, close=quote)
