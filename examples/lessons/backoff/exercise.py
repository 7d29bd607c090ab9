"""Exercise 13: the waits between attempts."""

from collections.abc import Callable, Iterator


def delays(
    first: float,
    factor: float,
    cap: float,
    draw: Callable[[float, float], float],  # noqa: ARG001
) -> Iterator[float]:
    """Yield how long to wait before each attempt, in seconds, for ever.

    Each wait is drawn between 0 and a ceiling; `draw(low, high)` draws. The ceiling begins with
    *first* and is multiplied by *factor* each time, up to *cap*. This version draws nothing, and
    breaks down after a weekend.
    """
    attempt = 0
    while True:
        yield min(cap, first * factor**attempt)
        attempt += 1
