"""G17: which stream ends its connection a moment after it was granted, and when none does."""

import math
import random

import pytest

from derivtrio.policy.early_ends import CONTROL, EARLY, ENOUGH, EarlyEnds


def test_g17_what_is_common_to_enough_early_ends_is_a_candidate() -> None:
    ends: EarlyEnds[str] = EarlyEnds()
    for granted in ["abc", "bcd", "cba", "bc", "xcb"][: ENOUGH - 1]:
        assert ends.ended_early(granted) == []
    assert ends.candidates == []
    ends.ended_early("bcdx")
    assert ends.candidates == ["b", "c"]


def test_g17_an_end_with_nothing_in_common_begins_anew() -> None:
    ends: EarlyEnds[str] = EarlyEnds()
    for _ in range(ENOUGH):
        ends.ended_early("ab")
    ends.ended_early("xy")
    assert ends.candidates == []
    for _ in range(ENOUGH - 1):
        ends.ended_early("xyz")
    assert ends.candidates == ["x", "y"]


def test_g17_another_end_ends_the_experiment_and_says_whom_it_was_about() -> None:
    ends: EarlyEnds[str] = EarlyEnds()
    for _ in range(ENOUGH):
        ends.ended_early("ab")
    assert ends.ended_otherwise() == ["a", "b"]
    assert ends.candidates == ends.ended_otherwise() == []


def test_g17_only_one_that_was_alone_has_broken_the_connection() -> None:
    ends: EarlyEnds[str] = EarlyEnds()
    for _ in range(ENOUGH):
        assert ends.ended_early("ab") == []
    assert ends.ended_early("b") == []
    assert ends.ended_early("bx") == ["b"]
    assert ends.ended_early("x") == []
    assert ends.candidates == []


def test_g17_what_is_gone_is_no_candidate() -> None:
    ends: EarlyEnds[str] = EarlyEnds()
    for _ in range(ENOUGH):
        ends.ended_early("ab")
    ends.remove("c")
    ends.remove("a")
    assert ends.candidates == ["b"]


@pytest.mark.parametrize("mean", [1.0, 5.0, 9.0, 17.0, 60.0])
def test_g17_a_bad_network_ends_no_stream(mean: float) -> None:
    """Each connection of a client with one stream breaks at a random time."""
    chance, breaks, most = random.Random(1), 0, 0
    ends: EarlyEnds[str] = EarlyEnds()
    for _ in range(30_000):
        life = chance.expovariate(1 / mean)
        granted_after = CONTROL if ends.candidates else 0
        if granted_after < life < granted_after + EARLY:
            breaks += len(ends.ended_early("x"))
            most = max(most, breaks)
        else:
            ends.ended_otherwise()
            breaks = 0
    assert most < 3


def test_g17_how_seldom_a_bad_network_misleads_the_rules() -> None:
    """What the module says of it: once in a million connections, at the worst."""

    def chance(mean: float) -> float:
        early = 1 - math.exp(-EARLY / mean)
        lives = math.exp(-CONTROL / mean)
        return early**ENOUGH * (lives * early) ** 3

    worst = max(range(1, 100), key=chance)
    assert worst == 9
    assert chance(worst) < 1e-6
