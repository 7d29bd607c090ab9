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


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"\ud800", "\ufffd"),
        (r"\udc00", "\ufffd"),
        (r"a\uD800\uDC00\ud83d\ude00", "a\U00010000\U0001f600"),
        (r"\ude00\ud83d", "\ufffd\ufffd"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\ud800\u0041\n\"\\", '\ufffdA\n"\\'),
        (r"\ud800\\ud800\\\udc00", "\ufffd\\ud800\\\ufffd"),
        ("\\ud800é€", "\ufffdé€"),
    ],
)
def test_half_of_a_surrogate_pair_is_no_character(text: str, read: str) -> None:
    for data in (f'{{"{text}":"{text}"}}', f'{{"{text}":"{text}"}}'.encode()):
        assert codec.decode_with_halves(data) == {read: read}


@pytest.mark.parametrize(
    "data",
    [b'{"a":"\\ud800', b'{"a":"\\ud8"}', b'{"a":"\\ud800\xff"}', b'"\\ud800"}', b"\\ud800", b""],
)
def test_what_is_not_json_is_not_mended(data: bytes) -> None:
    with pytest.raises(codec.UNDECODABLE):
        codec.decode_with_halves(data)
