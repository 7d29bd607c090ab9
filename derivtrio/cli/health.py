"""Is a long-running command well? One judgement, for the health page, the file and the watchdog.

It is well if three things are so:

1. The client is ready.
2. Its server was heard of late. In a market that is silent, or closed, the answers to the client's
   heartbeats count; so silence here means a connection that is dead.
3. What came is kept: no write to the store has waited for too long.

An outage makes it unwell at once, by the first rule. Nothing here repairs anything.
"""

import time
from typing import Any, Final

import attrs

from derivtrio import Client
from derivtrio.calls.status import State
from derivtrio.recording import Batch, Store, Table
from derivtrio.wording import counted, one_line

#: The server must have been heard within this time, in seconds. The client asks a silent server
#: after 25 s, and gives it 10 s to answer.
FRESH: Final = 60.0

#: A write to the store may take so long, attempts included, in seconds.
PROMPT: Final = 60.0


@attrs.define(eq=False)
class WatchedStore:
    """A store that notes when it was written to, around another one.

    Attributes:
        rows: how many rows were written.
        written_wall: when a write last succeeded, in seconds since the epoch; None before that.
        waiting_wall: when the write began that has not succeeded yet; None if there is none.

    """

    _store: Store
    rows: int = attrs.field(default=0, init=False)
    written_wall: float | None = attrs.field(default=None, init=False)
    waiting_wall: float | None = attrs.field(default=None, init=False)

    async def newest(self, table: Table, *key: str | int) -> int | None:
        """Return what the store has."""
        return await self._store.newest(table, *key)

    async def write(self, batch: Batch) -> None:
        """Have the store keep *batch*."""
        if self.waiting_wall is None:  # otherwise it is the same batch once more
            self.waiting_wall = time.time()
        await self._store.write(batch)
        self.written_wall, self.waiting_wall = time.time(), None
        self.rows += sum(map(len, batch.values()))


@attrs.define(eq=False)
class Health:
    """Judges one client, and the store that it feeds, if it feeds one."""

    client: Client
    store: WatchedStore | None = None

    @property
    def troubles(self) -> list[str]:
        """What is wrong now, in words; an empty list if all is well."""
        now, status = time.time(), self.client.status
        found = []
        if status.state is not State.READY:
            error = f": {status.last_error}" if status.last_error else ""
            found.append(one_line(f"the client is {status.state.value}{error}"))
        heard = status.last_message_at
        if now - max(heard or 0, status.since) > FRESH:
            ago = "never" if heard is None else f"{now - heard:.0f} s ago"
            found.append(f"the last message came {ago}")
        since = None if self.store is None else self.store.waiting_wall
        if since is not None and now - since > PROMPT:
            found.append(f"the store has not written for {now - since:.0f} s")
        return found

    @property
    def signs(self) -> tuple[float | None, float | None]:
        """When the server was last heard, and when the store last wrote."""
        written = None if self.store is None else self.store.written_wall
        return self.client.status.last_message_at, written

    def report(self) -> dict[str, Any]:
        """Return everything as JSON has it; times are in seconds since the epoch."""
        status, troubles = self.client.status, self.troubles
        report: dict[str, Any] = {
            "healthy": not troubles,
            "troubles": troubles,
            "time": time.time(),
            "state": status.state.value,
            "since": status.since,
            "connection": status.connection,
            "attempt": status.attempt,
            "last_message_at": status.last_message_at,
            "subscriptions": status.subscriptions,
            "pending": status.pending,
        }
        if self.store is not None:
            report["last_write_at"] = self.store.written_wall
            report["rows_written"] = self.store.rows
        return report

    def summary(self) -> str:
        """Return one line for people."""
        troubles = "; ".join(self.troubles)
        if troubles:
            return troubles
        kept = "" if self.store is None else f", {counted(self.store.rows, 'row')} written"
        messages = counted(self.client.metrics.messages_received, "message")
        return f"ready, connection {self.client.status.connection}, {messages}{kept}"
