"""Exercise 9: an event loop by hand, in forty lines; afterwards delete it and use trio.

A task is a generator. It yields how many seconds it wants to sleep: each `yield` is a checkpoint,
where other tasks run, and where it can be cancelled. Nobody really sleeps: `now` is the loop's own
clock, and it jumps to the next thing that is due.
"""

from collections.abc import Generator

import attrs

Task = Generator[float, None, None]


@attrs.define(eq=False)
class Loop:
    """Runs tasks in the order of their times.

    Of those that are due at the same time it runs the one first that went to sleep first.

    Attributes:
        now: the loop's clock, in seconds.

    """

    now: float = 0
    _tasks: list[Task] = attrs.field(factory=list, init=False)

    def start(self, task: Task) -> None:
        """Have *task* run, from `now` on."""
        self._tasks.append(task)

    def cancel(self, task: Task) -> None:
        """End *task* at the checkpoint where it is: its `finally` runs, and it never wakes."""

    def run(self) -> None:
        """Run until no task is left. A task may start and cancel others."""
        for task in self._tasks:  # one after another: a program, and no loop
            for seconds in task:
                self.now += seconds
