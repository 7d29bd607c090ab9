"""Which rows of the picture the program's own tasks have. No drawing in here.

Each task stands below the one that has the nursery it runs in. Tasks of one name have as few rows
as they need without overlapping. A nursery is a frame around the rows of its tasks.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import attrs

from derivtrio.trace.outages import seconds
from derivtrio.trace.picture import Bar, Frame, Row, Section
from derivtrio.trace.recording import NurserySpan, Recording, TaskSpan

#: How many rows tasks of one name have at most, and all tasks; what does not fit overlaps.
_MOST_SAME: Final = 4
_MOST_ROWS: Final = 150


def program_section(recording: Recording, length: float) -> Section:
    """Return the section of the program's own tasks, in a picture that is so long."""
    tree = _TaskTree(length)
    roots: list[TaskSpan] = []
    for task in recording.tasks:
        if task.client is None:
            below = roots if task.parent is None else tree.children[task.parent.number]
            below.append(task)
    for root in roots:
        tree.add(root)
    tree.section.frames += tree.frames(recording.nurseries)
    return tree.section


def task_bar(task: TaskSpan, length: float) -> Bar:
    """Return the life of *task*, in a picture that is so long."""
    ended = length if task.ended is None else task.ended
    end = "still runs" if task.ended is None else f"ended after {seconds(ended - task.began)}"
    return Bar("task", task.began, ended, task.name, f"task {task.name}, {end}")


@attrs.define(eq=False, repr=False)
class _TaskTree:
    """The tasks that have rows so far.

    Attributes:
        children: the tasks below each task, by its number.
        section: the rows.

    """

    _length: float
    children: dict[int, list[TaskSpan]] = attrs.field(factory=lambda: defaultdict(list), init=False)
    section: Section = attrs.field(factory=lambda: Section("program"), init=False)
    #: The rows that the tasks of each nursery have, by its number.
    _rows_of: dict[int, set[int]] = attrs.field(factory=lambda: defaultdict(set), init=False)

    def add(self, root: TaskSpan) -> None:
        """Give *root* a row, and the tasks below it rows below that."""
        first = len(self.section.rows)
        self._place([root])
        for row in self.section.rows[first:]:
            row.bars.sort(key=lambda bar: bar.began)

    def frames(self, nurseries: Iterable[NurserySpan]) -> list[Frame]:
        """Return a frame around the rows of each nursery."""
        return [
            _frame(nursery, self._rows_of[nursery.number], self._length)
            for nursery in nurseries
            if nursery.number in self._rows_of
        ]

    def _place(self, same: list[TaskSpan]) -> None:
        """Give tasks of one name rows, then their children."""
        rows, first, ends = self.section.rows, len(self.section.rows), list[float]()
        for task in same:
            free = next((place for place, end in enumerate(ends) if end <= task.began), None)
            if free is None and len(ends) < _MOST_SAME and len(rows) < _MOST_ROWS:
                free = len(ends)
                rows.append(Row(task.name, "tasks", indent=task.depth))
                ends.append(0.0)
            if not ends:
                return
            place = len(ends) - 1 if free is None else free
            bar = task_bar(task, self._length)
            ends[place] = max(ends[place], bar.ended)
            rows[first + place].bars.append(bar)
            if task.nursery is not None:
                self._rows_of[task.nursery.number].add(first + place)
        below: dict[str, list[TaskSpan]] = defaultdict(list)
        for task in same:
            for child in self.children[task.number]:
                below[child.name].append(child)
        for group in below.values():
            self._place(group)


def _frame(nursery: NurserySpan, rows: Iterable[int], length: float) -> Frame:
    ended = length if nursery.ended is None else nursery.ended
    text = f"a nursery: it ended after its last task, {seconds(ended - nursery.began)} later"
    return Frame("nursery", min(rows), max(rows), nursery.began, ended, "", text)
