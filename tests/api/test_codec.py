"""JSON, out and in."""

import json
from decimal import Decimal

import pytest

from derivtrio.api import codec


def test_decimals_are_numbers_digit_for_digit() -> None:
    assert codec.encode({"price": Decimal("10.10")}) == '{"price":10.10}'
    assert codec.encode({"nothing": None}) == '{"nothing":null}'


class Symbol(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another text"


class Price(float):
    def __repr__(self) -> str:
        return f"Price({float(self)})"


class Count(int):
    pass


def test_a_value_of_a_subclass_is_written_as_what_it_is() -> None:
    message = {"ticks": [Symbol("R_100")], "price": Price(10.5), "count": Count(5)}
    assert codec.encode(message) == '{"ticks":["R_100"],"price":10.5,"count":5}'
    assert codec.sorted_text(message) == '{"count":5,"price":10.5,"ticks":["R_100"]}'
    with pytest.raises(ValueError, match="JSON"):
        codec.encode({"price": Price("nan")})


def test_the_req_id_is_put_in() -> None:
    assert json.loads(codec.with_req_id('{"ping":1}', 7)) == {"ping": 1, "req_id": 7}
