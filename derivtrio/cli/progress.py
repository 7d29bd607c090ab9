"""How far long work is: what is fetched from the past, before a stream is in the present.

On a terminal there is a bar; otherwise the log has a line a minute. Both are fed by the client's
`Filling` events, which come with each answer of the server's history. Holes that one answer fills
show nothing.
"""

import functools
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from derivtrio import Client, DerivError, Event, Filling, Subscription
from derivtrio.cli.output import moment
from derivtrio.concurrency.background import running
from derivtrio.logs import TolerantLogger
from derivtrio.wording import counted

_log: Final = TolerantLogger(logging.getLogger("derivtrio.cli"))

#: How often the log has a line, in seconds.
INTERVAL: Final = 60.0

_HOUR: Final = 3600


@attrs.define
class Backlog:
    """What is being fetched from the past, all streams together; times are in seconds.

    A hole that was filled counts until all are: the share never falls because one is done.
    """

    _holes: dict[tuple[str, int], Filling] = attrs.field(factory=dict, init=False)

    def note(self, event: Filling) -> None:
        """Note how far a hole is filled."""
        if self.is_done:
            self._holes.clear()
        self._holes[event.stream, event.granularity] = event

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to fetch."""
        return all(hole.reached >= hole.before for hole in self._holes.values())

    @property
    def total(self) -> int:
        """How much time the holes are."""
        return sum(hole.before - hole.after for hole in self._holes.values())

    @property
    def done(self) -> int:
        """How much of that is fetched."""
        return sum(hole.reached - hole.after for hole in self._holes.values())

    @property
    def last(self) -> Filling:
        """The hole that is furthest behind."""
        return min(self._holes.values(), key=lambda hole: hole.reached)

    def fields(self) -> dict[str, Any]:
        """Return what a record of the log says of it."""
        reached = self.last.reached
        share = round(self.done / self.total, 3)
        return {"streams": len(self._holes), "share": share, "reached": reached}

    def __str__(self) -> str:
        streams = len(self._holes)
        what = self.last.stream if streams == 1 else counted(streams, "stream")
        hours = counted(round(self.total / _HOUR), "hour")
        percent = 100 * self.done // self.total
        return f"{what}: {percent} % of {hours}, up to {moment(self.last.reached)} at least"


@attrs.define(eq=False)
class LogLines:
    """Writes into the log once a minute, while something is fetched, and at its end."""

    _due_mono: float | None = attrs.field(default=None, init=False)
    _told: bool = attrs.field(default=False, init=False)

    def show(self, backlog: Backlog) -> None:
        """Write a line if it is time for one."""
        now = trio.current_time()
        if backlog.is_done:
            if self._told:
                _log.info("fetched from the past: %s", backlog, extra=backlog.fields())
            self._due_mono, self._told = None, False
        elif self._due_mono is None:
            self._due_mono = now + INTERVAL
        elif now >= self._due_mono:
            _log.info("fetching from the past: %s", backlog, extra=backlog.fields())
            self._due_mono, self._told = now + INTERVAL, True

    def close(self) -> None:
        """Do nothing: there is nothing to close."""


@attrs.define(eq=False)
class ProgressBar:
    """Draws a bar on standard error, while something is fetched."""

    _progress: Any = attrs.field(default=None, init=False)

    def show(self, backlog: Backlog) -> None:
        """Draw the bar, or remove it."""
        if backlog.is_done:
            self.close()
            return
        if self._progress is None:
            self._progress = _rich_progress()
            self._progress.add_task("")
            self._progress.start()
        (number,) = self._progress.task_ids
        facts = {"total": backlog.total, "completed": backlog.done}
        self._progress.update(number, description=str(backlog), refresh=True, **facts)

    def close(self) -> None:
        """Remove the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _rich_progress() -> Any:
    """Return a bar of rich, which a thread does not refresh: each answer does."""
    from rich.console import Console  # noqa: PLC0415 - slow, and rarely needed
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(
        *columns, console=console, auto_refresh=False, transient=True, redirect_stdout=False
    )


@asynccontextmanager
async def showing_progress(client: Client, view: LogLines | ProgressBar) -> AsyncGenerator[None]:
    """Show beside the block how far *client* is with what it fetches from the past."""
    scope = trio.CancelScope()
    async with client.events() as events:
        task = functools.partial(_follow, events, view, scope)
        async with running(task, stop=scope.cancel, name="derivtrio.progress"):
            yield


async def _follow(
    events: Subscription[Event], view: LogLines | ProgressBar, scope: trio.CancelScope
) -> None:
    backlog = Backlog()
    try:
        with scope:
            async for event in events:
                if isinstance(event, Filling):
                    backlog.note(event)
                    view.show(backlog)
    except DerivError:
        pass  # the command itself says why the client has ended
    finally:
        view.close()
