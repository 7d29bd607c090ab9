"""The test of exercise 13."""

import random
from collections import Counter
from itertools import islice

from examples.lessons.backoff.exercise import delays


def test_the_ceilings() -> None:
    ceilings = list(islice(delays(0.5, 2, 60, lambda _, high: high), 9))
    assert ceilings == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]


def test_it_is_drawn_between_zero_and_the_ceiling() -> None:
    asked: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    assert list(islice(delays(1, 3, 10, draw), 4)) == [0, 0, 0, 0]
    assert asked == [(0, 1), (0, 3), (0, 9), (0, 10)]


def test_it_goes_on_for_a_month() -> None:
    assert list(islice(delays(0.5, 2, 60, lambda _, high: high), 50_000))[-1] == 60


def test_a_thousand_clients_do_not_come_in_one_second() -> None:
    lots = random.Random(1)  # noqa: S311
    seconds: Counter[int] = Counter()
    for _ in range(1000):
        now = 0.0
        for delay in islice(delays(0.5, 2, 60, lots.uniform), 6):
            now += delay
        seconds[int(now)] += 1
    assert max(seconds.values()) < 100
