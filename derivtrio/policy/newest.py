"""What is kept of something that may grow for ever: the newest of it."""

from typing import Any


def shorten(kept: dict[Any, Any], most: int) -> None:
    """Keep no more than the newest *most* entries."""
    while len(kept) > most:
        del kept[next(iter(kept))]
