"""The simulator serves Deriv's own client as Deriv would. See `foreign`."""

import copy
import os
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.benchmarks.environments import CannotInstall, interpreter, is_ready
from tests.foreign.rehearsal import ENVS, PACKAGES, DriverFailed, Verdict, rehearse


@pytest.fixture(scope="module")
def python() -> str:
    """Return a Python that has the client; skip if it is not installed and may not be."""
    if not is_ready(PACKAGES, ENVS) and not os.environ.get("DERIVTRIO_FOREIGN"):
        pytest.skip("not installed: run `python -m tests.foreign`, or set DERIVTRIO_FOREIGN=1")
    try:
        return interpreter(PACKAGES, ENVS)
    except CannotInstall as error:
        pytest.skip(f"`python -m tests.foreign` cannot install it: {error}")


@pytest.fixture(scope="module")
def verdict(python: str) -> Verdict:
    return rehearse(python)


def test_derivs_own_client_sees_what_really_happens(verdict: Verdict) -> None:
    assert verdict.complaints == []
    assert verdict.judge.seen["library"] == "0.1.6"
    assert verdict.summary().endswith("PASSED")


def test_a_client_that_breaks_off_is_told_in_its_own_words() -> None:
    with pytest.raises(DriverFailed, match="deriv_api"):
        rehearse(interpreter((), ENVS))


# What the judge must find


def last(seen: Any, stream: str) -> Any:
    return seen["streams"][stream][-1]["proposal_open_contract"]


FALSEHOODS: dict[str, Callable[[Any], object]] = {
    "the ticks:": lambda seen: seen["streams"]["ticks"].pop(1),
    "the ticks after forget": lambda seen: seen["messages"].append(seen["streams"]["ticks"][0]),
    "the history": lambda seen: seen["replies"]["ticks_history"]["history"]["prices"].reverse(),
    "the end of contract": lambda seen: last(seen, "contract").update(status="open"),
    "the end of purchase": lambda seen: last(seen, "purchase").update(sell_price=1.25),
    "the statement": lambda seen: seen["replies"]["statement"]["statement"]["transactions"].pop(),
    "the transactions": lambda seen: seen["streams"]["transactions"].pop(),
    "the balances": lambda seen: seen["streams"]["balance"].pop(),
    "the refusals": lambda seen: seen["replies"]["no login"].update(code="Other"),
    "the library complains": lambda seen: seen["complaints"].append("APIError"),
}


@pytest.mark.parametrize("complaint", FALSEHOODS)
def test_the_judge_notices_what_is_false(verdict: Verdict, complaint: str) -> None:
    seen = copy.deepcopy(verdict.judge.seen)
    FALSEHOODS[complaint](seen)
    found = attrs.evolve(verdict.judge, seen=seen).complaints()
    assert any(each.startswith(complaint) for each in found), found
