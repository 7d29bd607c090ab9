"""How `derivtrio top` looks: sections, and the two columns below them."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import attrs
import trio
from rich.console import Group, RenderableType
from rich.text import Text

from derivtrio import Client
from derivtrio.calls.status import State
from derivtrio.cli.charts import Column, chart
from derivtrio.cli.followed import FollowedSymbol
from derivtrio.cli.live_view import Monitor, event_lines, heading, lasting, state_line
from derivtrio.cli.watch_view import WIDE, quotes
from derivtrio.policy.rate_limits import BudgetUse
from derivtrio.trace.recording import Recording, TaskSpan

#: How many seconds the charts of the rates show, and of how many the figures are the mean.
_SECONDS: Final = 60
_RECENT: Final = 5

#: The shortest that the two columns at the end may be, and how wide the left one is.
_LEAST_LINES: Final = 4
_LEFT: Final = 0.55

#: A terminal must be so high for a line for each rate limit.
_HIGH: Final = 30

#: A lower one has no empty lines.
_TIGHT: Final = 20

#: What stands in front of the charts of the rates.
_BESIDE_RATES: Final = 42

#: How wide the bar of a budget is.
_BAR: Final = 12

_PERIODS: Final = {1.0: "s", 60.0: "min", 3600.0: "h"}


@attrs.define(eq=False)
class Rates:
    """Messages and bytes of the last minute, second by second: received, then sent."""

    _client: Client
    totals: tuple[int, int, int, int] = attrs.field(default=(0, 0, 0, 0), init=False)
    seconds: deque[tuple[float, float, float, float]] = attrs.field(
        factory=lambda: deque(maxlen=_SECONDS), init=False
    )

    async def measure(self) -> None:
        """Count, second by second."""
        at = trio.current_time()
        self._read()
        while True:
            before = self.totals
            await trio.sleep_until(at + 1)
            passed, at = trio.current_time() - at, trio.current_time()
            self._read()
            a, b, c, d = (
                (now - then) / passed for now, then in zip(self.totals, before, strict=True)
            )
            self.seconds.append((a, b, c, d))

    def _read(self) -> None:
        seen = self._client.metrics
        self.totals = (
            *(seen.messages_received, seen.bytes_received),
            *(seen.messages_sent, seen.bytes_sent),
        )


@attrs.define(eq=False)
class TopView:
    """All that can be said of a client, for a terminal."""

    rows: Sequence[FollowedSymbol]
    monitor: Monitor
    rates: Rates
    recording: Recording
    where: str

    def drawn(self, width: int, height: int) -> RenderableType:
        """Return the view for a terminal of this size."""
        client, gap = self.monitor.client, [""] if height >= _TIGHT else []
        lines: list[RenderableType] = [
            heading("top", self.where, width),
            *gap,
            self._state(),
            *self._traffic(min(_SECONDS, width - _BESIDE_RATES)),
            calls_line(client),
            *gap,
        ]
        budgets = list(budget_lines(client.budgets, short=height < _HIGH))
        used = len(lines) + len(budgets) + len(gap) + 1
        if self.rows:
            least = _LEAST_LINES if gap else 1
            room = max(2, min(len(self.rows), height - used - least - 1 - len(gap)))
            lines += [quotes(self.rows, self.monitor.clock.now, width, room, most=1), *gap]
            used += room + 1 + len(gap)
        lines += [*budgets, *gap]
        room = max(1, height - used)
        events = event_lines(self.monitor.events, room)
        if width < WIDE:
            return Group(*lines, Text(" last events", "dim"), *events)
        tree = list(task_lines(self.recording, room))
        return Group(*lines, *two_columns(events, tree, width))

    def _state(self) -> Text:
        line = state_line(self.monitor.client, self.monitor.pings)
        if self.monitor.client.status.state is not State.READY:
            return line
        return line.append(" ").append_text(
            chart([(each, "cyan") for each in self.monitor.pings], zero=True)
        )

    def _traffic(self, room: int) -> Iterator[Text]:
        for place, name in ((0, "received"), (2, "sent")):
            counts = [each[place] for each in self.rates.seconds]
            messages, size = _mean(counts), _mean([each[place + 1] for each in self.rates.seconds])
            line = Text(f" {name:<9}{messages:7.1f} messages/s{kilobytes(size):>10}/s  ")
            columns: list[Column] = [(None, "")] * (_SECONDS - len(counts))
            columns += [(count, "green" if count else "dim") for count in counts]
            yield line.append_text(chart(columns[-room:], zero=True)) if room > 0 else line


def _mean(values: Sequence[float]) -> float:
    """Return the mean of the last values."""
    last = values[-_RECENT:]
    return sum(last) / max(1, len(last))


def calls_line(client: Client) -> Text:
    """Return what became of calls, and what went wrong."""
    status, metrics = client.status, client.metrics
    ends = " · ".join(f"{count} {end}" for end, count in metrics.calls.items() if count)
    line = Text(f" calls    {status.pending:7d} pending", no_wrap=True, overflow="ellipsis")
    if status.pending and status.waiting_for:
        line.append(f", waiting for {status.waiting_for}", "yellow")
    line.append(f" · {ends}" if ends else "")
    troubles = {
        "reconnects": max(0, metrics.connections - 1),
        "gaps": metrics.gaps,
        "mute streams": metrics.stale_streams,
        "dropped": metrics.dropped_items,
    }
    for name, count in troubles.items():
        if count or name == "reconnects":
            line.append(f" · {name} {count}", "red" if count else "")
    return line


def budget_lines(budgets: Iterable[BudgetUse], *, short: bool = False) -> Iterator[Text]:
    """Return a line for each group, or one if it is to be *short*: how much of it is used."""
    groups: dict[str, list[BudgetUse]] = {}
    for use in budgets:
        groups.setdefault(use.group, []).append(use)
    if short:
        first = [uses[0] for uses in groups.values()]
        said = " · ".join(f"{each.group} {each.used}/{each.limit}" for each in first)
        yield Text.assemble((" rate limits  ", "dim"), said, no_wrap=True, overflow="ellipsis")
        return
    yield Text(" rate limits", "dim")
    for name, uses in groups.items():
        line = Text(f" {name:<9}", no_wrap=True)
        for use in uses:
            share = use.used / use.limit
            filled = min(_BAR, round(share * _BAR + 0.49))
            line.append(f"{use.used:>7} of {use.limit:<6}/ {_PERIODS.get(use.period, '?'):<4}")
            line.append("█" * filled, "red" if share > 0.8 else "green")  # noqa: PLR2004
            line.append("░" * (_BAR - filled) + "  ", "dim")
        if uses[0].paused_for:
            line.append(f"pauses for {lasting(uses[0].paused_for)}", "red")
        yield line


def task_lines(recording: Recording, most: int) -> Iterator[Text]:
    """Return the tree of the tasks that run now, each below the one that has its nursery."""
    children: dict[TaskSpan | None, list[TaskSpan]] = {}
    for task in recording.tasks:
        if task.ended is None:
            children.setdefault(task.parent, []).append(task)
    lines = list(_branch(children, None, ""))
    yield from lines[:most] if len(lines) <= most else lines[: most - 1]
    if len(lines) > most:
        yield Text(f"… {len(lines) - most + 1} more", "dim")


def _branch(
    children: dict[TaskSpan | None, list[TaskSpan]], parent: TaskSpan | None, indent: str
) -> Iterator[Text]:
    below = children.get(parent, [])
    for number, task in enumerate(below):
        last = number == len(below) - 1
        twig = "" if parent is None else "└ " if last else "├ "
        yield Text.assemble(
            (indent + twig, "dim"), task.name.removeprefix("derivtrio."), no_wrap=True
        )
        deeper = "" if parent is None else "  " if last else "│ "
        yield from _branch(children, task, indent + deeper)


def two_columns(events: Sequence[Text], tasks: Sequence[Text], width: int) -> Iterator[Text]:
    """Return the events beside the tasks."""
    left = int(width * _LEFT)
    yield Text(f"{' last events':<{left}}tasks", "dim", no_wrap=True)
    for number in range(max(len(events), len(tasks))):
        line = events[number].copy() if number < len(events) else Text()
        line.truncate(left - 2, overflow="ellipsis", pad=True)
        line.no_wrap = True
        yield line.append("  ").append_text(tasks[number] if number < len(tasks) else Text())


def kilobytes(size: float) -> str:
    """Return a number of bytes for people."""
    if size < 1000:  # noqa: PLR2004 - from here on in kB
        return f"{size:.0f} B"
    return f"{size / 1000:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004
