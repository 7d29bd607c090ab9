"""How errors, logs and reports put things."""

from decimal import Decimal
from typing import Any

import pytest

from derivtrio.wording import counted, listed, shown


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2, ("row",), "2 rows"),
        (12_345, ("row",), "12,345 rows"),
        (1, ("row", "waits"), "1 row waits"),
        (2, ("row", "waits"), "2 rows wait"),
        (1, ("stream", "is"), "1 stream is"),
        (0, ("item", "was"), "0 items were"),
    ],
)
def test_a_count_agrees_with_its_noun(number: int, words: tuple[str, ...], text: str) -> None:
    assert counted(number, *words) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (True, "True"),
        (-5, "-5"),
        (0.25, "0.25"),
        (Decimal("1.50"), "Decimal('1.50')"),
        ("R_100", "'R_100'"),
        ([1] * 100, "a list"),
        ("s3cret" * 20, "a text of 120 characters"),
        (Decimal("1" * 100), "a number of 100 characters"),
        (10**5000, "a number of more than 20 digits"),
        (-(10**20), "a number of more than 20 digits"),
    ],
    ids=lambda value: str(type(value)),
)
def test_a_value_is_shown_in_a_line(value: Any, text: str) -> None:
    assert shown(value) == text


def test_of_a_long_list_the_first_names_are_shown() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdef")) == "a, b, c, d, e and 1 more"
