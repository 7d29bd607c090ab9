"""How much history is asked for at a time. `test_continuity` fills holes with it."""

import pytest

from derivtrio.policy.fetch_window import MAX_ROWS, FetchWindow


@pytest.mark.parametrize("granularity", [0, 1, 60])
def test_at_first_a_window_has_a_row_a_unit_less_than_a_full_reply(granularity: int) -> None:
    window = FetchWindow(granularity)
    assert (window.length, window.unit) == ((MAX_ROWS - 1) * window.unit, granularity or 1)


def test_a_full_reply_halves_the_window_of_ticks_down_to_a_second() -> None:
    window, lengths = FetchWindow(0), []
    while window.reply_full(cut_off=False):
        lengths.append(window.length)
    assert lengths[:3] == [2499, 1249, 624]
    assert lengths[-1] == 1


def test_a_full_reply_of_candles_is_whole_unless_it_begins_too_late() -> None:
    window = FetchWindow(60)
    usual = window.length
    window.filled(0, usual, anything=False)
    assert not window.reply_full(cut_off=False)
    assert window.reply_full(cut_off=True)
    assert window.length == usual
    assert not window.reply_full(cut_off=True)


def test_a_window_in_which_nothing_is_doubles_until_something_comes() -> None:
    window = FetchWindow(0)
    for _ in range(3):
        window.filled(0, window.length, anything=False)
    assert window.length == 8 * (MAX_ROWS - 1)
    window.filled(1, window.length, anything=True)
    assert window.length == MAX_ROWS - 1


def test_where_ticks_are_rare_a_window_grows_to_nine_tenths_of_a_full_reply() -> None:
    window = FetchWindow(0)
    window.filled(3000, window.length, anything=True)
    assert window.length == 4999 * 4500 // 3000
    window.filled(1, window.length, anything=True)
    assert window.length == 2 * (4999 * 4500 // 3000)
    candles = FetchWindow(60)
    candles.filled(3000, candles.length, anything=True)
    assert candles.length == 60 * 4999


def test_g05_a_row_that_is_lacking_shows_the_limit_of_another_server() -> None:
    window = FetchWindow(0)
    assert window.known_row_lacking(1000)
    assert window.length == 900
    window.explained(kept=True)
    assert (window.length, window.most_rows) == (900, 1000)
    window.filled(900, 900, anything=True)
    assert window.length == 900


def test_g05_or_that_it_is_no_longer_kept() -> None:
    window = FetchWindow(0)
    assert window.known_row_lacking(3000)
    assert window.known_row_lacking(500)
    assert not window.known_row_lacking(0)
    window.explained(kept=False)
    assert (window.length, window.most_rows) == (4999, MAX_ROWS)
    assert window.known_row_lacking(3000)
    window.lost()
    assert (window.length, window.most_rows) == (2 * 4999, MAX_ROWS)


def test_an_interruption_halves_what_fits_into_a_reply() -> None:
    window = FetchWindow(0)
    window.filled(0, window.length, anything=False)
    window.interrupted()
    assert window.length == 2499


def test_the_shortest_window_is_not_made_shorter() -> None:
    window = FetchWindow(0)
    while window.known_row_lacking(5):
        pass
    assert window.length == 1
    window = FetchWindow(60)
    for _ in range(20):
        window.interrupted()
    assert window.length == 60
    assert not window.known_row_lacking(5)
