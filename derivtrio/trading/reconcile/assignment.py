"""Assign rows to orders: at most one row to each order, to as many orders as possible. No I/O.

This is a maximum bipartite matching. There may be several, and the questions are about all of them:
which orders get a row in each, and which rows an order gets in one of them. Both are answered from
any one of them, by following what could be swapped. So the effort grows with the number of pairs
that fit, and hundreds of equal orders keep no other task waiting.

Orders and rows are numbers here, counted from 0.
"""

from collections import deque
from collections.abc import Collection, Sequence

import attrs


@attrs.define(eq=False, repr=False)
class Assignment:
    """One such assignment. Equal orders get their rows in their sequence.

    Attributes:
        fitting: the rows that fit each order.
        row_of: the row of each order that got one.

    """

    fitting: Sequence[Sequence[int]]
    row_of: dict[int, int] = attrs.field(factory=dict, init=False)
    _owner: dict[int, int] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        for order in range(len(self.fitting)):
            self._serve(order)

    def replaceable(self) -> set[int]:
        """Return the orders that get no row in this assignment, or in another one."""
        reached = {order for order in range(len(self.fitting)) if order not in self.row_of}
        queue = deque(reached)
        while queue:
            owners = {self._owner[row] for row in self.fitting[queue.popleft()]}
            queue += owners - reached
            reached |= owners
        return reached

    def possible(self, order: int, replaceable: Collection[int]) -> list[int]:
        """Return the rows that *order* gets in this assignment, or in another one."""
        if order in replaceable:
            return list(self.fitting[order])
        fits: dict[int, list[int]] = {}
        for each, rows in enumerate(self.fitting):
            for row in rows:
                fits.setdefault(row, []).append(each)
        # The rows that can be set free: by nobody, by *order*, or by who then gets such a row.
        free = {row for row in fits if row not in self._owner} | {self.row_of[order]}
        queue = deque(free)
        while queue:
            givers = fits[queue.popleft()]
            more = {self.row_of[each] for each in givers if each in self.row_of} - free
            free |= more
            queue += more
        return [row for row in self.fitting[order] if row in free]

    def _serve(self, order: int) -> None:
        """Give *order* a row, if need be by giving others another one."""
        asked_by: dict[int, int] = {}
        queue = deque([order])
        while queue:
            asking = queue.popleft()
            rows = [row for row in self.fitting[asking] if row not in asked_by]
            asked_by |= dict.fromkeys(rows, asking)
            if (free := next((row for row in rows if row not in self._owner), None)) is not None:
                self._give(free, asked_by)
                return
            queue += [self._owner[row] for row in rows]

    def _give(self, row: int, asked_by: dict[int, int]) -> None:
        next_row: int | None = row
        while next_row is not None:
            order = asked_by[next_row]
            given_up = self.row_of.get(order)
            self.row_of[order], self._owner[next_row] = next_row, order
            next_row = given_up
