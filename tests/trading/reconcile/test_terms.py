"""The terms of orders, compared by what they mean."""

from decimal import Decimal
from typing import Any

import pytest

from derivtrio.trading.reconcile.terms import essence, is_less, minutes, number, same_amount


def test_amounts_are_compared_by_what_they_are_worth() -> None:
    assert same_amount(0.1, Decimal("0.10"))
    assert not same_amount(0.1, Decimal("0.11"))
    assert same_amount(None, None)
    assert not same_amount(None, 0)


def test_binary_noise_is_no_difference() -> None:
    assert same_amount(0.1 + 0.2, Decimal("0.3"))
    assert not is_less(10.0, 10.000000000000002)
    assert not same_amount(0.00012345, 0.00012346), "a satoshi is a difference"
    assert number(float("inf")) == "Infinity"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"amount": 10}, {"amount": Decimal("10.00")}),
        ({"symbol": "R_100"}, {"underlying_symbol": "R_100"}),
        ({"duration": 2, "duration_unit": "m"}, {"duration": 120, "duration_unit": "s"}),
        ({"barrier": "+0.10"}, {"barrier": "+0.1"}),
        ({"cancellation": "1h"}, {"cancellation": "60m"}),
        ({"amount": 10, "loginid": "CR1"}, {"amount": 10, "take_profit": None}),
    ],
)
def test_the_same_contract_asked_for_in_two_ways_is_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert essence(one) == essence(other)


def test_a_barrier_with_a_sign_is_another_than_one_without() -> None:
    assert essence({"barrier": "+1.5"}) != essence({"barrier": "1.5"})


def test_what_is_no_number_is_not_less() -> None:
    assert is_less("9.5", 10)
    assert not is_less("cheap", 10)
    assert number("cheap") == "cheap"
    assert (minutes("60m"), minutes("1h"), minutes(None)) == (60, 60, 0)
