"""The simulator's rate limits: sliding windows, counted for each consumer."""

from collections.abc import Iterable
from contextlib import suppress

import pytest

from derivtrio.simulator import Limits, Quota
from derivtrio.simulator.protocol.envelope import Refusal
from derivtrio.simulator.sessions.rate_limits import ConsumerScope, RateLimiter


def granted(budgets: RateLimiter, name: str, times: Iterable[float], connection: int = 1) -> int:
    """Return how many requests are not refused."""
    count = 0
    for time in times:
        budgets.now = lambda time=time: time  # type: ignore[misc]
        with suppress(Refusal):
            budgets.charge(name, connection, "VRTC1")
            count += 1
    return count


@pytest.mark.parametrize(
    ("name", "minutely"),
    [("time", 220), ("statement", 30), ("proposal_open_contract", 80), ("proposal", 30)],
)
def test_a_minute_slides(name: str, minutely: int) -> None:
    budgets = RateLimiter(Limits())
    assert granted(budgets, name, [0.0] * 10 + [30.0] * 300) == minutely
    assert budgets.refused == {name: 310 - minutely}
    assert granted(budgets, name, [59.9]) == 0
    assert granted(budgets, name, [60.0] * 300) == 10


def test_an_hour_slides_and_what_was_refused_does_not_count() -> None:
    budgets = RateLimiter(Limits(general=Quota(minutely=10, hourly=50)))
    assert granted(budgets, "time", [60.0 * n // 20 for n in range(1200)]) == 50
    assert granted(budgets, "time", [6100.0]) == 1


def test_a_call_in_two_services_counts_in_both() -> None:
    budgets = RateLimiter(Limits())
    assert granted(budgets, "proposal", [0.0] * 30) == 30
    assert granted(budgets, "portfolio", [0.0]) == 0
    assert granted(budgets, "proposal_open_contract", [0.0] * 80) == 50


def test_the_options_api_has_a_table_of_its_own() -> None:
    budgets = RateLimiter(Limits())
    for name, minutely in [("buy", 360), ("statement", 100), ("profit_table", 30), ("time", 220)]:
        for _ in range(minutely):
            budgets.charge(name, 1, "DOT1", options=True)
        with pytest.raises(Refusal):
            budgets.charge(name, 1, "DOT1", options=True)


def test_ten_pings_a_second() -> None:
    budgets = RateLimiter(Limits())
    assert granted(budgets, "ping", [0.0] * 20) == 10
    assert granted(budgets, "ping", [1.0] * 20) == 10


@pytest.mark.parametrize(("scope", "more"), [("connection", 220), ("account", 0), ("everyone", 0)])
def test_the_scope_says_who_is_one_consumer(scope: ConsumerScope, more: int) -> None:
    budgets = RateLimiter(Limits(scope=scope))
    assert granted(budgets, "time", [0.0] * 300, connection=1) == 220
    assert granted(budgets, "time", [0.0] * 300, connection=2) == more


def test_the_refusal_is_worded_as_derivs() -> None:
    budgets = RateLimiter(Limits(pings=1))
    budgets.charge("ping", 1, None)
    with pytest.raises(Refusal) as caught:
        budgets.charge("ping", 1, None)
    assert caught.value.code == "RateLimit"
    assert caught.value.message == "You have reached the rate limit for ping."


def test_nothing_is_kept_of_consumers_who_have_gone() -> None:
    budgets = RateLimiter(Limits())
    for connection in range(1000):
        assert granted(budgets, "time", [100.0 * connection], connection) == 1
    assert len(budgets.hits) < 100


def test_what_is_advertised_is_what_holds_unless_it_is_hidden() -> None:
    few = Quota(5, 50)
    general = RateLimiter(Limits(general=few)).advertised()["max_requestes_general"]
    assert (general["minutely"], general["hourly"]) == (5, 50)
    general = RateLimiter(Limits(general=few, hidden=True)).advertised()["max_requestes_general"]
    assert (general["minutely"], general["hourly"]) == (220, 14400)
    assert granted(RateLimiter(Limits(general=few, hidden=True)), "time", [0.0] * 9) == 5


def test_without_limits_nothing_is_refused() -> None:
    assert granted(RateLimiter(), "statement", [0.0] * 1000) == 1000
    assert RateLimiter().advertised() == RateLimiter(Limits()).advertised()
