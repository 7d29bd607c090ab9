"""Values and prices of the server, read into models: exactly, or not at all."""

from decimal import Decimal
from typing import Any

import pytest

from derivtrio.api.parsing import UNREADABLE, exact, money, tick_in


def test_an_amount_is_as_exact_as_the_wire_has_it() -> None:
    assert exact("10.50") == Decimal("10.50")
    assert type(exact(10.5)) is float
    assert money(None) is None
    for odd in (True, "", "1_0x", None):
        with pytest.raises(UNREADABLE):
            exact(odd)


@pytest.mark.parametrize("size", [-1, 21, 2**62, 2.5, None, "two", True])
def test_g18_a_price_has_up_to_twenty_decimals(size: Any) -> None:
    payload = {"symbol": "R_100", "epoch": 5, "quote": 1.5}
    assert tick_in(payload, "R_100").pip_size == 0
    assert tick_in({**payload, "pip_size": 20}, "R_100").pip_size == 20
    with pytest.raises(UNREADABLE):
        tick_in({**payload, "pip_size": size}, "R_100")
