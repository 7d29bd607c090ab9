"""JSON, out and in."""

import json
from decimal import Decimal

from derivtrio.api import codec


def test_decimals_are_numbers_digit_for_digit() -> None:
    assert codec.encode({"price": Decimal("10.10")}) == '{"price":10.10}'
    assert codec.encode({"nothing": None}) == '{"nothing":null}'


def test_the_req_id_is_put_in() -> None:
    assert json.loads(codec.with_req_id('{"ping":1}', 7)) == {"ping": 1, "req_id": 7}
