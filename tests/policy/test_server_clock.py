"""What can be known of the server's clock."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derivtrio.policy.server_clock import Lead, Moment, ServerClock, ServerTime, reading

moments = st.floats(0, 1000)
spans = st.floats(0, 10)


@given(st.floats(-1e5, 1e5), moments, spans, spans, spans)
def test_the_truth_lies_in_between(
    lead: float, asked: float, way: float, back: float, since: float
) -> None:
    """Whatever the network does."""
    epoch = int((asked + way + lead) // 1)
    answered = asked + way + back
    clock = reading(epoch, (asked, answered), (asked, answered))
    written = asked - since
    assert clock.earliest(written, written) <= written + lead <= clock.latest(written)
    assert clock.latest(written) - clock.earliest(written, written) <= 11.1 + way + back


def test_an_answer_that_took_a_while_leaves_an_interval() -> None:
    clock = reading(5000, (100, 103), (2000, 2002))
    assert clock == ServerClock(Lead(4897, 4901), Lead(2998, 3001))
    assert (clock.now(200), clock.latest(200)) == (5097, 5106)


def test_estimates_that_touch_agree() -> None:
    assert Lead(0, 1).agrees(Lead(1, 2))
    assert Lead(1, 2).agrees(Lead(0, 1))
    assert not Lead(0, 1).agrees(Lead(1.5, 2))
    assert not Lead(1.5, 2).agrees(Lead(0, 1))


def test_the_earlier_of_two_clocks_counts() -> None:
    clock = reading(5000, (100, 100), (2000, 2000))
    assert clock.earliest(90, 1990) == 4985
    assert clock.earliest(90, 1000) == 3995
    assert clock.earliest(50, 1990) == 4945
    assert clock.earliest(None, 1990) == 4985


def test_the_truth_lies_between_what_two_clocks_say() -> None:
    """One stood still, or the other was set."""
    clock = reading(5000, (100, 100), (2000, 2000))
    assert clock.bounds(90, 1990) == (4990, 4991)
    assert clock.bounds(90, 1000) == (4000, 4991)
    assert clock.bounds(50, 1990) == (4950, 4991)
    assert clock.now(110) == 5010


def test_an_estimate_stays_until_a_newer_one_disagrees() -> None:
    first = reading(5000, (100, 100), (2000, 2000))
    assert first.updated(reading(5010, (110.7, 110.8), (2010.7, 2010.8))) == first
    suspended = first.updated(reading(8000, (110, 110), (5000, 5000)))
    assert suspended == ServerClock(Lead(7890, 7891), first.over_wall)
    set_back = first.updated(reading(5010, (110, 110), (10, 10)))
    assert set_back == ServerClock(first.over_trio, Lead(5000, 5001))


@pytest.mark.parametrize(("epoch", "least"), [(1000, 1000), (4600, 4600), (4601, None)])
def test_g04_a_price_from_the_future_says_nothing_of_the_servers_time(
    epoch: int, least: int | None
) -> None:
    known = ServerTime()
    known.note_at_least(epoch, Moment(10, 1000))
    assert known.at(Moment(20, 1010)) == (None if least is None else (least, math.inf))
