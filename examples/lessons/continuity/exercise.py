"""Exercise 16: fill a hole that is longer than a page."""

from collections.abc import Callable

#: Returns the newest epochs that the server has from *start* to *end*, both included, in order; no
#: more than a page of them. It knows no I/O, so it can be a list in a test and a call in a program.
Page = Callable[[int, int], list[int]]


def fill(page: Page, after: int, before: int) -> list[int]:
    """Return every epoch between *after* and *before*, both excluded, in order, each once.

    The server may have none for a part of it, or for all of it. This version asks once.
    """
    return page(after + 1, before - 1)
