"""Is a long-running command well? One judgement, for the health page, the file and the watchdog.

It is well if three things are so:

1. The client is ready.
2. Its server was heard of late. In a market that is silent, or closed, the answers to the client's
   heartbeats count; so silence here means a connection that is dead.
3. What came is kept: the store has not been silent for too long when it was asked or written to.

An outage makes it unwell at once, by the first rule. A series that the server refuses does not, as
the others go on, and a new start would not help; the report and the summary name it. Nothing
here repairs anything.
"""

import time
from typing import Any, Final

import attrs
import trio

from derivtrio import Client
from derivtrio.calls.status import State
from derivtrio.recording import Batch, Store, Table, Waits
from derivtrio.wording import counted, listed, one_line

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

    """

    _store: Store
    rows: int = attrs.field(default=0, init=False)
    written_wall: float | None = attrs.field(default=None, init=False)
    #: What has not succeeded yet, and since when, on trio's clock, which nobody sets.
    _waiting: dict[object, float] = attrs.field(factory=dict, init=False)

    @property
    def waiting(self) -> dict[str, float]:
        """What the store has not done that it was asked to do, in words, and since when."""
        found: dict[str, float] = {}
        for what, since in self._waiting.items():
            word = "written" if what is None else "answered"
            found[word] = min(since, found.get(word, since))
        return found

    async def newest(self, table: Table, *key: str | int) -> int | None:
        """Return what the store has."""
        self._begin((table, key))
        newest = await self._store.newest(table, *key)
        self._waiting.pop((table, key), None)
        return newest

    async def write(self, batch: Batch) -> None:
        """Have the store keep *batch*."""
        self._begin(None)
        await self._store.write(batch)
        self._waiting.pop(None, None)
        self.written_wall = time.time()
        self.rows += sum(map(len, batch.values()))

    def _begin(self, what: object) -> None:
        self._waiting.setdefault(what, trio.current_time())  # or it is the same once more


@attrs.define(eq=False)
class Health:
    """Judges one client, and the store that it feeds, if it feeds one; *waits* are its series'."""

    client: Client
    store: WatchedStore | None = None
    waits: Waits = attrs.field(factory=Waits)

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
        waiting = {} if self.store is None else self.store.waiting
        for what, since in waiting.items():
            if (waited := trio.current_time() - since) > PROMPT:
                found.append(f"the store has not {what} for {waited:.0f} s")
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
            report["waiting"] = [
                {"series": each.series, "since": each.since, "error": one_line(each.error)}
                for each in self.waits
            ]
        return report

    def summary(self) -> str:
        """Return one line for people."""
        waiting = [each.series for each in self.waits]
        refused = [f"not followed: {listed(waiting)}"] if waiting else []
        if troubles := self.troubles:
            return "; ".join(troubles + refused)
        kept = "" if self.store is None else f", {counted(self.store.rows, 'row')} written"
        messages = counted(self.client.metrics.messages_received, "message")
        ready = f"ready, connection {self.client.status.connection}, {messages}{kept}"
        return "; ".join([ready, *refused])
