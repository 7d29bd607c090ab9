"""What long-running commands share: how they tell others whether they are well.

| to | how |
|---|---|
| systemd | `READY=1`, `STATUS=`, `WATCHDOG=1`, `STOPPING=1` |
| a probe | `--health HOST:PORT`: `/healthz`, `/metrics` |
| a browser | `--serve HOST:PORT`: a live time line, see `serving` |
| anything that reads files | `--health-file PATH`: written anew every few seconds |

`READY=1` is sent when the client is ready first. `WATCHDOG=1` is sent only if all is well and a
message has come since the last time.

One task beside the client does it; see `health` for what "well" means.
"""

import functools
import json
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import click
import trio

from derivtrio import Client
from derivtrio.cli.health import FRESH, Health, WatchedStore
from derivtrio.cli.out_files import check_health_file, replacing
from derivtrio.cli.output import errors_to_terminal
from derivtrio.cli.progress import LogLines, ProgressBar, showing_progress
from derivtrio.cli.serving import (
    ListenAddress,
    listeners_at,
    read_address,
    serve_option,
    serving,
)
from derivtrio.cli.systemd import Notifier
from derivtrio.cli.target import Target
from derivtrio.concurrency.background import running
from derivtrio.logs import TolerantLogger
from derivtrio.recording import Store, Waits

_log: Final = TolerantLogger(logging.getLogger("derivtrio.cli"))

#: How often the client's state is looked at, in seconds; oftener if the watchdog wants it.
INTERVAL: Final = 5.0
_SHORTEST: Final = 0.1


@attrs.define(eq=False)
class Operation:
    """Opens a client, and tells others how it is for as long as it is open."""

    health: ListenAddress | None = None
    health_file: Path | None = None
    page: ListenAddress | None = None
    notifier: Notifier = attrs.field(factory=lambda: Notifier.of(os.environ))
    store: WatchedStore | None = attrs.field(default=None, init=False)
    waits: Waits = attrs.field(factory=Waits, init=False)

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to be told."""
        return any((self.health, self.health_file, self.notifier.address))

    @property
    def interval(self) -> float:
        """How often to look, in seconds: twice in the time that the watchdog waits."""
        return max(_SHORTEST, min(INTERVAL, (self.notifier.watchdog or 2 * INTERVAL) / 2))

    def watching(self, store: Store) -> Store:
        """Return *store*, watched: it is not well to have rows that it does not write."""
        self.store = WatchedStore(store)
        return self.store

    @asynccontextmanager
    async def open(
        self, target: Target, max_attempts: int | None, *, bar: bool = True
    ) -> AsyncGenerator[Client]:
        """Open a client of *target*; enter the block when it is ready.

        Long work is shown with a *bar* on a terminal, otherwise in the log.

        *Cancellation*: says `STOPPING=1`, and closes the client.
        """
        is_seen = bar and errors_to_terminal() and target.log_format == "text"
        view = ProgressBar() if is_seen else LogLines()
        opened = functools.partial(self._watched, target) if self.wanted else target.open
        async with (
            serving(self.page),
            opened(max_attempts) as client,
            showing_progress(client, view),
        ):
            yield client

    @asynccontextmanager
    async def _watched(self, target: Target, max_attempts: int | None) -> AsyncGenerator[Client]:
        """Open a client, and tell those who want to know how it is."""
        async with target.open(max_attempts, wait_ready=False) as client:
            health, scope = Health(client, self.store, self.waits), trio.CancelScope()
            listeners = await self._listeners()
            task = functools.partial(self._tell, health, listeners, scope)
            async with running(task, stop=scope.cancel, name="derivtrio.operate"):
                try:
                    await client.wait_ready()
                    self.notifier.tell(READY=1, STATUS=health.summary())
                    yield client
                finally:
                    self.notifier.tell(STOPPING=1)

    async def _listeners(self) -> list[trio.SocketListener]:
        if self.health is None:
            return []
        listeners, where = await listeners_at(self.health, "the health page")
        _log.info("health page at http://%s/healthz", where)
        return listeners

    async def _tell(
        self, health: Health, listeners: list[trio.SocketListener], scope: trio.CancelScope
    ) -> None:
        """Serve the health page, write the file and feed the watchdog until *scope* ends."""
        with scope:
            async with trio.open_nursery() as nursery:
                if listeners:
                    from derivtrio.cli.health_server import health_server  # noqa: PLC0415

                    nursery.start_soon(health_server(health).listen, listeners)
                await self._look(health)

    async def _look(self, health: Health) -> None:
        """Look at *health* again and again; tell the manager and write the file."""
        self._warn_of_impatience()
        fed: float | None = None
        trouble = ""
        while True:
            heard, _ = health.signs
            if heard != fed and not health.troubles:
                fed = heard
                self.notifier.tell(WATCHDOG=1, STATUS=health.summary())
            elif self.notifier.address:
                self.notifier.tell(STATUS=health.summary())
            if self.health_file is not None:
                trouble = _write_file(self.health_file, health, trouble)
            await trio.sleep(self.interval)

    def _warn_of_impatience(self) -> None:
        patience = self.notifier.watchdog
        if patience is not None and patience < FRESH:
            text = "WatchdogSec is %g s: a silent market has one message in 25 s; take %g s or more"
            _log.warning(text, patience, FRESH)


def _write_file(path: Path, health: Health, known: str) -> str:
    """Replace the file at *path*: whoever reads it sees the old text or the new one.

    Return what kept it from being written, which is told once; *known* was so the last time.
    """
    try:
        with replacing(path) as file:
            file.write(json.dumps(health.report()).encode() + b"\n")
    except OSError as error:  # the work is worth more than its report
        trouble = str(error.strerror)
        if trouble != known:
            _log.warning("cannot write the health file %s: %s", path, trouble)
        return trouble
    return ""


_OPTIONS: Final = (
    click.option(
        "--health",
        metavar="[HOST:]PORT",
        callback=read_address,
        help="Serve /healthz and /metrics there over HTTP. Without a host: 127.0.0.1.",
    ),
    click.option(
        "--health-file",
        type=click.Path(dir_okay=False, path_type=Path),
        callback=check_health_file,
        help="Write the state into this file, as JSON, every few seconds.",
    ),
    serve_option,
)


def operating(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that runs for long; it gets them as `operation`."""

    @functools.wraps(command)
    def with_operation(
        *args: Any,
        health: ListenAddress | None,
        health_file: Path | None,
        page: ListenAddress | None,
        **others: Any,
    ) -> None:
        command(*args, operation=Operation(health, health_file, page), **others)

    for option in reversed(_OPTIONS):
        option(with_operation)
    return with_operation
