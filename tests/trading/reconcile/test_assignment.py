"""Rows that are assigned to orders: compared with all assignments there are; and many at once."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derivtrio.models import Purchase
from derivtrio.trading.reconcile import matching
from derivtrio.trading.reconcile.assignment import Assignment
from derivtrio.trading.reconcile.matching import Order, decide

PARAMETERS = {"contract_type": "CALL", "symbol": "R_100", "basis": "stake", "amount": 10}


def all_of_the_largest(fitting: list[list[int]]) -> list[tuple[int | None, ...]]:
    """Return, of all assignments, those with most pairs: the row of each order."""
    tried = product(*([None, *rows] for rows in fitting))
    valid = [
        t for t in tried if len(given := [row for row in t if row is not None]) == len({*given})
    ]
    most = max(sum(row is not None for row in each) for each in valid)
    return [each for each in valid if sum(row is not None for row in each) == most]


@given(
    st.lists(st.lists(st.integers(0, 4), unique=True, max_size=5), min_size=1, max_size=5),
)
def test_what_holds_in_every_assignment_is_told_from_one(fitting: list[list[int]]) -> None:
    largest, assignment = all_of_the_largest(fitting), Assignment(fitting)
    assert tuple(map(assignment.row_of.get, range(len(fitting)))) in largest
    replaceable = assignment.replaceable()
    for order in range(len(fitting)):
        rows = {each[order] for each in largest}
        assert (order in replaceable) is (None in rows)
        assert set(assignment.possible(order, replaceable)) == rows - {None}


def test_a_long_chain_of_orders_that_give_way_to_each_other_can_be_followed() -> None:
    many = 5000
    assignment = Assignment([*([i, i + 1] for i in range(many)), [0]])
    assert assignment.row_of[many] == 0
    assert assignment.row_of[0] == 1
    assert assignment.replaceable() == set()
    assert assignment.possible(0, ()) == [1]


def test_g18_hundreds_of_equal_orders_keep_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each purchase is compared with what they all ask for once, not with each of them."""
    compared = 0
    compare: Any = matching.rest_of

    def counted(*arguments: Any) -> Any:
        nonlocal compared
        compared += 1
        return compare(*arguments)

    monkeypatch.setattr(matching, "rest_of", counted)
    many = 200
    orders = [Order(dict(PARAMETERS), 10, 900, 1100) for _ in range(many)]
    rows = [
        Purchase(i, i, 10, 20, None, 1000, "CALL_R_100_20_1000_5T_S0P_0", "") for i in range(many)
    ]
    finding = decide(orders[0], orders[1:], rows)
    assert finding.purchase == rows[0]
    assert len(finding.shares) == many - 1
    assert compared <= 2 * many
