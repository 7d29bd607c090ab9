"""How long until the next attempt, and which one is the last."""

import itertools

from derivtrio import Backoff, ConnectionFailed, HandshakeRejected
from derivtrio.policy.backoff import Attempts, delays


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    highest = delays(Backoff(first=0.5, factor=2, cap=60), draw=lambda _, high: high)
    assert list(itertools.islice(highest, 9)) == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    lowest = delays(Backoff(first=60, cap=60), draw=lambda low, high: low + high)
    assert next(lowest) == 60


def test_g11_the_jitter_is_full() -> None:
    waits = list(itertools.islice(delays(Backoff(first=60, cap=60)), 2000))
    assert 0 <= min(waits) < 1
    assert 59 < max(waits) <= 60
    assert 28 < sum(waits) / len(waits) < 32


def test_g11_retry_after_does_not_bring_all_clients_back_in_one_moment() -> None:
    refused = HandshakeRejected(503, headers={"Retry-After": "30"})
    waits = [Attempts(Backoff(first=60, cap=60), None).ended(refused, 0.0) for _ in range(1000)]
    spread = sorted(wait for wait in waits if isinstance(wait, float))
    assert 30 <= spread[0] < 35
    assert 85 < spread[-1] <= 90
    assert 55 < sum(spread) / 1000 < 65


def test_a_series_gives_up_after_its_attempts_and_remembers_the_newest_hundred() -> None:
    series = Attempts(Backoff(), 150)
    for number in range(1, 150):
        delay = series.ended(OSError(str(number)), float(number))
        assert isinstance(delay, float)
    verdict = series.ended(OSError("last"), 150.0)
    assert isinstance(verdict, ConnectionFailed)
    assert [attempt.number for attempt in verdict.attempts] == list(range(51, 151))
    assert verdict.attempts[-1].started == 150


def test_the_end_of_a_stable_connection_is_no_failed_attempt() -> None:
    series = Attempts(Backoff(), max_attempts=1)
    assert isinstance(series.ended(OSError(), 0.0, stable=True), float)
    assert series.number == 1
    verdict = series.ended(OSError(), 0.0)
    assert isinstance(verdict, ConnectionFailed)
    assert [attempt.number for attempt in verdict.attempts] == [1]


def test_giving_up_says_why_and_after_how_much() -> None:
    """One exception carries the cause and the history of attempts."""
    (error, later), started = (OSError("first"), OSError("second")), 5.0
    series = Attempts(Backoff(first=0.001, cap=0.001), max_attempts=2)
    delay = series.ended(error, started)
    verdict = series.ended(later, 6.0)
    assert isinstance(verdict, ConnectionFailed)
    assert str(verdict).startswith("gave up after 2 attempts: second")
    assert verdict.__cause__ is later
    first, second = verdict.attempts
    assert (first.number, first.started, first.error, first.delay) == (1, started, error, delay)
    assert (second.number, second.started, second.error) == (2, 6.0, later)
    alone = Attempts(Backoff(), max_attempts=1).ended(error, started)
    assert str(alone).startswith("gave up after 1 attempt: first")


def test_g10_a_fatal_error_gives_up_at_once_unless_a_connection_was_ready() -> None:
    refused = HandshakeRejected(404)
    verdict = Attempts(Backoff(), None).ended(refused, 0.0)
    assert isinstance(verdict, ConnectionFailed)
    assert str(verdict).startswith("trying again cannot help: HTTP 404")
    assert isinstance(Attempts(Backoff(), None).ended(refused, 0.0, been_ready=True), float)


def test_g17_a_connection_that_one_request_ended_is_no_failed_attempt() -> None:
    series = Attempts(Backoff(first=1, factor=100, cap=100), max_attempts=1)
    for _ in range(20):
        delay = series.ended(OSError(), 0.0, blamed=True)
        assert isinstance(delay, float)
        assert delay <= 1
    assert series.number == 1
    assert isinstance(series.ended(HandshakeRejected(404), 0.0, blamed=True), ConnectionFailed)
