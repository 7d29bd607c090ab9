import heapq
from collections.abc import Generator
from itertools import count

import attrs

Task = Generator[float, None, None]


@attrs.define(eq=False)
class Loop:
    now: float = 0
    _due: list[tuple[float, int, Task]] = attrs.field(factory=list, init=False)
    _number: "count[int]" = attrs.field(factory=count, init=False)

    def start(self, task: Task) -> None:
        self._wake(task, self.now)

    def cancel(self, task: Task) -> None:
        self._due = [entry for entry in self._due if entry[2] is not task]
        heapq.heapify(self._due)
        task.close()

    def run(self) -> None:
        while self._due:
            self.now, _, task = heapq.heappop(self._due)
            seconds = next(task, None)
            if seconds is not None:
                self._wake(task, self.now + seconds)

    def _wake(self, task: Task, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._number), task))
