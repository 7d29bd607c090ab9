"""The limits that a server advertises in `website_status`, and the documented ones."""

from typing import Any

import pytest

from derivtrio.api.catalog import GROUPS
from derivtrio.api.limits import ADVERTISED, HOUR, LIMITS, MINUTE, advertised_in


def status(limits: Any) -> dict[str, Any]:
    return {"website_status": {"api_call_limits": limits}}


def test_each_group_is_read_by_its_name_and_windows() -> None:
    limits = {
        "max_requestes_general": {"minutely": 180, "hourly": 7200},
        "max_requests_outcome": {"minutely": 20},
        "max_requests_pricing": {},
    }
    expected = {"general": {MINUTE: 180, HOUR: 7200}, "outcome": {MINUTE: 20}, "pricing": {}}
    assert advertised_in(status(limits)) == expected
    assert set(expected) == ADVERTISED


@pytest.mark.parametrize("message", [{}, {"website_status": 1}, status(None), status([1])])
def test_g18_a_message_without_limits_has_none(message: dict[str, Any]) -> None:
    assert advertised_in(message) == {}


@pytest.mark.parametrize("most", [0, -1, True, 1.5, "80", None])
def test_g18_a_limit_that_makes_no_sense_is_left_out(most: Any) -> None:
    message = status({"max_requests_pricing": {"minutely": most, "hourly": 5}})
    assert advertised_in(message) == {"pricing": {HOUR: 5}}


def test_g18_no_limit_is_believed_that_would_fill_the_memory() -> None:
    message = status({"max_requests_pricing": {"minutely": 10**12}})
    assert advertised_in(message) == {"pricing": {MINUTE: 10**6}}


@pytest.mark.parametrize("generation", GROUPS)
def test_g08_each_group_that_a_call_counts_in_has_a_budget(generation: str) -> None:
    named = {group for groups in GROUPS[generation].values() for group in groups}
    assert named | {"general"} == set(LIMITS[generation])
