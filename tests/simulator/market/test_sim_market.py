import math
import statistics
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derivtrio.simulator import Market
from derivtrio.simulator.market.hours import DAY, WEEK
from derivtrio.simulator.market.symbols import SYMBOLS

NOON_WEDNESDAY = 1_782_302_400
SATURDAY = NOON_WEDNESDAY + 3 * DAY

symbols = st.sampled_from(sorted(SYMBOLS))
epochs = st.integers(0, 4_000_000_000)
spans = st.integers(0, 2000)


@given(symbols, epochs, st.integers(0, 2**64))
def test_a_market_of_the_same_seed_is_the_same_market(symbol: str, epoch: int, seed: int) -> None:
    assert Market(seed).tick(symbol, epoch) == Market(seed).tick(symbol, epoch)


def test_another_seed_is_another_market() -> None:
    quotes = {Market(seed).tick("R_100", NOON_WEDNESDAY).quote for seed in range(10)}
    assert len(quotes) == 10


def test_symbols_move_independently_of_each_other() -> None:
    market = Market(1)
    ups = [
        [b.quote > a.quote for a, b in pairwise(market.ticks(symbol, SATURDAY, SATURDAY + 200))]
        for symbol in ("1HZ10V", "1HZ100V")
    ]
    assert ups[0] != ups[1]


@given(symbols, epochs, spans)
def test_what_was_asked_for_before_changes_nothing(symbol: str, epoch: int, span: int) -> None:
    fresh, used = Market(1), Market(1)
    used.ticks(symbol, epoch - 50_000, epoch + 50_000, 3000)
    assert used.ticks(symbol, epoch, epoch + span) == fresh.ticks(symbol, epoch, epoch + span)


@given(symbols, epochs, spans)
def test_walking_tick_by_tick_gives_the_same_as_the_window(
    symbol: str, start: int, span: int
) -> None:
    market = Market(7)
    walked, epoch = [], market.next_tick_epoch(symbol, start - 1)
    while epoch <= start + span:
        walked.append(market.tick(symbol, epoch))
        epoch = market.next_tick_epoch(symbol, epoch)
    assert market.ticks(symbol, start, start + span) == walked


@given(symbols, epochs, spans)
def test_a_window_has_its_bounds_in_it_and_nothing_outside(
    symbol: str, start: int, span: int
) -> None:
    times = [tick.epoch for tick in Market(7).ticks(symbol, start, start + span)]
    assert times == sorted(set(times))
    assert all(start <= epoch <= start + span for epoch in times)
    assert all(Market(7).is_open(symbol, epoch) for epoch in times)
    if times:
        assert [t.epoch for t in Market(7).ticks(symbol, times[0], times[-1])] == times


@given(symbols, epochs, spans, st.integers(0, 500))
def test_a_limit_keeps_the_newest(symbol: str, start: int, span: int, limit: int) -> None:
    market = Market(7)
    everything = market.ticks(symbol, start, start + span)
    newest = everything[max(0, len(everything) - limit) :]
    assert market.ticks(symbol, start, start + span, limit) == newest


@given(symbols, epochs)
def test_the_tick_of_a_moment_is_the_last_one_before_it(symbol: str, epoch: int) -> None:
    market = Market(7)
    tick = market.tick(symbol, epoch)
    assert tick.epoch <= epoch < market.next_tick_epoch(symbol, tick.epoch)
    assert market.tick(symbol, tick.epoch) == tick


@given(symbols, epochs)
def test_quotes_have_the_decimals_of_the_symbol_and_lie_between_bid_and_ask(
    symbol: str, epoch: int
) -> None:
    tick = Market(7).tick(symbol, epoch)
    decimals = SYMBOLS[symbol].decimals
    assert tick.pip_size == decimals
    assert all(price == round(price, decimals) for price in (tick.bid, tick.quote, tick.ask))
    assert 0 < tick.bid < tick.quote < tick.ask


@pytest.mark.parametrize(
    ("symbol", "decimals"),
    [("R_10", 3), ("R_50", 4), ("R_100", 2), ("1HZ100V", 2), ("stpRNG", 1), ("frxUSDJPY", 3)],
)
def test_decimals_are_those_that_were_seen(symbol: str, decimals: int) -> None:
    assert SYMBOLS[symbol].decimals == decimals


@pytest.mark.parametrize(("symbol", "period"), [("R_100", 2), ("1HZ100V", 1), ("stpRNG", 1)])
def test_synthetic_indices_tick_at_an_even_pace(symbol: str, period: int) -> None:
    times = [tick.epoch for tick in Market(1).ticks(symbol, SATURDAY, SATURDAY + 1000)]
    assert {b - a for a, b in pairwise(times)} == {period}
    assert {epoch % period for epoch in times} == {0}


def test_forex_ticks_unevenly() -> None:
    ticks = Market(1).ticks("frxEURUSD", NOON_WEDNESDAY, NOON_WEDNESDAY + 1000)
    gaps = [b.epoch - a.epoch for a, b in pairwise(ticks)]
    assert set(gaps) == {1, 2, 3, 4, 5}
    assert statistics.mean(gaps) == pytest.approx(3, rel=0.05)


def test_forex_rests_at_the_weekend() -> None:
    market = Market(1)
    assert market.is_open("frxEURUSD", NOON_WEDNESDAY)
    assert not market.is_open("frxEURUSD", SATURDAY)
    assert market.is_open("R_100", SATURDAY)
    assert market.ticks("frxEURUSD", SATURDAY, SATURDAY + DAY) == []
    last, following = (
        market.tick("frxEURUSD", SATURDAY),
        market.next_tick_epoch("frxEURUSD", SATURDAY),
    )
    assert time.strftime("%a %H:%M", time.gmtime(last.epoch)) == "Fri 20:54"
    assert time.strftime("%a %H:%M", time.gmtime(following)) == "Mon 00:00"
    week = [t.epoch for t in market.ticks("frxEURUSD", SATURDAY - WEEK, SATURDAY)]
    assert week == [
        t.epoch for t in market.ticks("frxEURUSD", SATURDAY - WEEK, SATURDAY, len(week))
    ]


@given(epochs)
def test_a_step_index_moves_by_exactly_one_step(epoch: int) -> None:
    ticks = Market(7).ticks("stpRNG", epoch, epoch + 600)
    steps = {round(b.quote - a.quote, 6) for a, b in pairwise(ticks)}
    assert steps == {-0.1, 0.1}


@pytest.mark.parametrize("symbol", ["R_10", "R_50", "1HZ75V", "1HZ100V", "frxEURUSD"])
def test_volatility_is_what_the_name_says(symbol: str) -> None:
    ticks = Market(3).ticks(symbol, NOON_WEDNESDAY, NOON_WEDNESDAY + DAY // 4)
    changes = [math.log(b.quote / a.quote) for a, b in pairwise(ticks)]
    per_year = math.sqrt(365 * DAY / SYMBOLS[symbol].period)
    assert statistics.pstdev(changes) * per_year == pytest.approx(
        SYMBOLS[symbol].volatility, rel=0.05
    )


@pytest.mark.parametrize(("symbol", "sign"), [("BOOM1000", 1), ("CRASH1000", -1)])
def test_boom_and_crash_spike_one_way_about_once_in_a_thousand_ticks(
    symbol: str, sign: int
) -> None:
    ticks = Market(3).ticks(symbol, SATURDAY, SATURDAY + 50_000)
    changes = [sign * math.log(b.quote / a.quote) for a, b in pairwise(ticks)]
    spikes = [change for change in changes if abs(change) > 0.003]
    assert all(spike > 0 for spike in spikes)
    assert 25 < len(spikes) < 90


def test_daily_reset_indices_start_each_day_at_their_level() -> None:
    midnight = SATURDAY - SATURDAY % DAY
    for symbol in ("RDBULL", "RDBEAR"):
        assert Market(5).tick(symbol, midnight).quote == 1000


@given(
    symbols,
    epochs,
    st.sampled_from([60, 300, 3600]),
    st.integers(0, 7200),
)
def test_candles_sum_up_the_ticks(symbol: str, start: int, granularity: int, span: int) -> None:
    market, end = Market(7), start + span
    candles = market.candles(symbol, granularity, start, end)
    ticks = market.ticks(symbol, start - start % granularity, end)
    by_candle: dict[int, list[float]] = {}
    for tick in ticks:
        by_candle.setdefault(tick.epoch - tick.epoch % granularity, []).append(tick.quote)
    assert {c.open_time: (c.open, c.high, c.low, c.close) for c in candles} == {
        open_time: (quotes[0], max(quotes), min(quotes), quotes[-1])
        for open_time, quotes in by_candle.items()
    }
    assert [c.open_time for c in candles] == sorted(by_candle)


def test_candles_can_be_limited_to_the_newest() -> None:
    market = Market(7)
    everything = market.candles("R_100", 60, SATURDAY, SATURDAY + 3600)
    assert market.candles("R_100", 60, SATURDAY, SATURDAY + 3600, 5) == everything[-5:]


def test_an_unknown_symbol_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Market(1).tick("XYZ", SATURDAY)
