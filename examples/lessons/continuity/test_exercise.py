"""The test of exercise 16."""

import pytest

from examples.lessons.continuity.exercise import fill


class Server:
    """A server with a history, and pages of so many rows."""

    def __init__(self, epochs: list[int], size: int) -> None:
        """Have these *epochs*; answer with *size* of them at most."""
        self.epochs = epochs
        self.size = size
        self.asked = 0

    def page(self, start: int, end: int) -> list[int]:
        """Return the newest epochs from *start* to *end*."""
        self.asked += 1
        assert start <= end, "nobody asks for an empty hole"
        assert self.asked < 1000, "this never ends"
        return [epoch for epoch in self.epochs if start <= epoch <= end][-self.size :]


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
@pytest.mark.parametrize(("after", "before"), [(0, 1), (0, 2), (10, 60), (5, 500), (90, 2000)])
@pytest.mark.parametrize(
    "epochs",
    [list(range(1, 700)), list(range(1, 700, 3)), [*range(1, 50), *range(400, 600)], []],
    ids=["every second", "every third", "a gap", "none"],
)
def test_it_is_complete(size: int, after: int, before: int, epochs: list[int]) -> None:
    server = Server(epochs, size)
    expected = [epoch for epoch in epochs if after < epoch < before]
    assert fill(server.page, after, before) == expected
    assert server.asked <= len(expected) // size + 2
