from collections.abc import Callable

Page = Callable[[int, int], list[int]]


def fill(page: Page, after: int, before: int) -> list[int]:
    found: list[int] = []
    while after + 1 < before and (rows := page(after + 1, before - 1)):
        found = rows + found
        before = rows[0]
    return found
