from collections.abc import Callable, Iterator


def delays(
    first: float, factor: float, cap: float, draw: Callable[[float, float], float]
) -> Iterator[float]:
    ceiling = min(first, cap)
    while True:
        yield draw(0, ceiling)
        ceiling = min(cap, ceiling * factor)
