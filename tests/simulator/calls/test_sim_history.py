"""`ticks_history`, without any I/O."""

from typing import Any

import pytest
from asking import answers
from wire_peer import START

from derivtrio.simulator import Market
from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.sessions.session import Backend, ServerSession

MARKET = Market(1)
SATURDAY_NOON = START - START % DAY + 4 * DAY + DAY // 2


def history(symbol: str, epoch: int = START, **fields: Any) -> dict[str, Any]:
    session = ServerSession(Backend(1, MARKET, {}), number=1)
    (message,) = answers(session, {"ticks_history": symbol, "end": "latest"} | fields, epoch)
    return message


def times(symbol: str, epoch: int = START, **fields: Any) -> list[int]:
    found: list[int] = history(symbol, epoch, **fields)["history"]["times"]
    return found


def test_history_gives_a_thousand_ticks_up_to_now() -> None:
    message = history("R_100")
    ticks = MARKET.ticks("R_100", START - 1998, START)
    assert message["history"] == {
        "prices": [tick.quote for tick in ticks],
        "times": [tick.epoch for tick in ticks],
    }
    assert len(ticks) == 1000
    assert (message["msg_type"], message["pip_size"]) == ("history", 2)
    assert "subscription" not in message


def test_the_newest_rows_of_a_window_are_given() -> None:
    assert times("R_100", start=START - 100, end=str(START - 50), count=3) == [
        START - 54,
        START - 52,
        START - 50,
    ]


def test_both_bounds_belong_to_the_window() -> None:
    assert times("R_100", start=START - 4, end=str(START - 2)) == [START - 4, START - 2]


@pytest.mark.parametrize("count", [5000, 5001, 20000])
def test_more_than_5000_are_silently_5000(count: int) -> None:
    assert len(times("1HZ100V", count=count)) == 5000


def test_ticks_begin_a_day_before_the_end_unless_told_otherwise() -> None:
    early = START - 28 * DAY
    rows = times("frxEURUSD", end=str(early), count=5000)
    assert len(rows) == 5000
    assert early - DAY <= rows[0] < rows[-1] <= early
    assert times("frxEURUSD", SATURDAY_NOON + DAY, count=5000) == []


def test_an_end_in_the_future_is_now() -> None:
    assert times("R_100", end=str(START + 1000), count=1) == [START]


def test_an_end_before_what_is_kept_silently_gives_the_latest() -> None:
    too_old = START - 366 * DAY
    assert times("R_100", start=too_old - 10, end=str(too_old), count=2) == [START - 2, START]


def test_a_start_before_what_is_kept_is_moved_up() -> None:
    oldest = START - 365 * DAY
    assert times("R_100", start=oldest - 100, end=str(oldest + 4)) == [
        oldest,
        oldest + 2,
        oldest + 4,
    ]


def test_a_start_after_the_end_is_refused() -> None:
    error = history("R_100", start=START, end=str(START - 2))["error"]
    assert error["code"] == "InvalidStartEnd"


def test_a_closed_market_has_a_history_but_no_stream() -> None:
    rows = times("frxEURUSD", SATURDAY_NOON, start=SATURDAY_NOON - DAY, count=2)
    assert rows == [tick.epoch for tick in MARKET.ticks("frxEURUSD", 0, SATURDAY_NOON, 2)]
    refused = history("frxEURUSD", SATURDAY_NOON, subscribe=1)
    assert refused["error"]["code"] == "MarketIsClosed"
    (tick,) = answers(
        ServerSession(Backend(1, MARKET, {}), 1), {"ticks": "frxEURUSD"}, SATURDAY_NOON
    )
    assert (tick["msg_type"], tick["error"]["code"]) == ("tick", "MarketIsClosed")


def test_a_window_in_closed_hours_can_be_moved_to_open_ones() -> None:
    window = {"start": SATURDAY_NOON - 60, "end": str(SATURDAY_NOON)}
    assert times("frxEURUSD", SATURDAY_NOON, **window) == []
    rows = times("frxEURUSD", SATURDAY_NOON, adjust_start_time=1, **window)
    last = MARKET.tick("frxEURUSD", SATURDAY_NOON).epoch
    assert rows[-1] == last
    assert last - 60 <= rows[0] <= last - 50


def test_candles_are_numbers_and_the_last_is_still_forming() -> None:
    message = history("R_100", style="candles", count=2)
    whole, forming = MARKET.candles("R_100", 60, START - 60, START)
    assert message["msg_type"] == "candles"
    assert message["candles"] == [
        {
            "epoch": candle.open_time,
            "open": candle.open,
            "high": candle.high,
            "low": candle.low,
            "close": candle.close,
        }
        for candle in (whole, forming)
    ]
    assert whole.epoch == whole.open_time + 58
    assert forming.epoch == START


def test_candles_with_count_and_granularity_reach_back_further_than_a_day() -> None:
    wanted: dict[str, Any] = {"style": "candles", "granularity": 3600, "count": 48}
    assert len(history("R_100", **wanted)["candles"]) == 48
    del wanted["count"]
    assert len(history("R_100", **wanted)["candles"]) == 25


def test_a_subscription_continues_where_the_history_ends() -> None:
    session = ServerSession(Backend(1, MARKET, {}), number=1)
    request = {"ticks_history": "R_100", "end": "latest", "count": 3, "subscribe": 1, "req_id": 4}
    (snapshot,) = answers(session, request, START + 1)
    live = list(session.streams.due_messages(START + 7))
    epochs = [*snapshot["history"]["times"], *(message["tick"]["epoch"] for message in live)]
    assert epochs == list(range(START - 4, START + 7, 2))
    for message in live:
        assert message["msg_type"] == "tick"
        assert message["req_id"] == 4
        assert message["echo_req"] == request
        assert message["subscription"] == snapshot["subscription"]
        assert message["tick"]["id"] == snapshot["subscription"]["id"]


def test_live_candles_are_padded_strings_that_grow_into_what_history_says() -> None:
    session = ServerSession(Backend(1, MARKET, {}), number=1)
    request = {"ticks_history": "R_10", "end": "latest", "style": "candles", "subscribe": 1}
    (snapshot,) = answers(session, request, START)
    live = [message["ohlc"] for message in session.streams.due_messages(START + 200)]
    assert [ohlc["epoch"] for ohlc in live] == list(range(START + 2, START + 201, 2))
    for ohlc in live:
        (candle,) = MARKET.candles("R_10", 60, ohlc["epoch"], ohlc["epoch"])
        assert ohlc == {
            "close": f"{candle.close:.3f}",
            "epoch": candle.epoch,
            "granularity": 60,
            "high": f"{candle.high:.3f}",
            "id": snapshot["subscription"]["id"],
            "low": f"{candle.low:.3f}",
            "open": f"{candle.open:.3f}",
            "open_time": candle.open_time,
            "symbol": "R_10",
        }
