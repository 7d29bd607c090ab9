"""Why did it reconnect? Each outage of a client, read from its events, and told in a sentence.

An outage begins when a connection ends that this program did not close, or when the first attempt
fails. It ends with the next `Ready`.
"""

from typing import Final

import attrs

from derivtrio.events import Closed, Connecting, Event, Failed, Opened, Ready, Waiting
from derivtrio.redaction import masked_text
from derivtrio.trace.recording import ClientTrace
from derivtrio.wording import counted

#: How much of an error's text is shown.
_LONGEST: Final = 240

_NOTICED: Final = {
    "network": "the network ended it",
    "heartbeat": "the heartbeat gave it up",
    "server": "the server closed it",
    "us": "this program gave it up",
}


@attrs.define
class Try:
    """One attempt to connect: after which pause, when, and why it failed."""

    number: int
    delay: float
    began: float
    error: str = ""


@attrs.define(eq=False)
class Outage:
    """A time without a usable connection; times are in seconds since the beginning.

    Attributes:
        client: the number of the client, counted from 1.
        began: when the client noticed it.
        ended: when it was ready again; None if it was not.
        connection: the number of the connection that broke; None if there was none yet.
        lived: how long that connection had been open.
        by: who ended it, as `Closed.by` has it; empty if there was none.
        cause: what was wrong.
        tries: the attempts to connect.
        pauses: when each pause before an attempt began, and how long it was to be.
        successor: the number of the next connection.
        fetched: how many missed items of each stream were fetched afterwards.

    """

    client: int
    began: float
    connection: int | None = None
    lived: float = 0.0
    by: str = ""
    cause: str = ""
    ended: float | None = None
    tries: list[Try] = attrs.field(factory=list)
    pauses: list[tuple[float, float]] = attrs.field(factory=list)
    successor: int | None = None
    fetched: dict[str, int] = attrs.field(factory=dict)

    @property
    def sentence(self) -> str:
        """Why it reconnected, how, and what became of the data."""
        return " ".join([self._break(), *self._failures(), self._end(), *self._filled()])

    def _break(self) -> str:
        if self.connection is None:
            return f"The first connection did not come about: {self.cause}."
        noticed = _NOTICED.get(self.by, self.by)
        lived = seconds(self.lived)
        return f"Connection {self.connection} broke after {lived}: {noticed} ({self.cause})."

    def _failures(self) -> list[str]:
        failed = [each for each in self.tries if each.error]
        if not failed:
            return []
        times = "An attempt" if len(failed) == 1 else f"{len(failed)} attempts"
        return [f"{times} failed, the last with: {failed[-1].error}."]

    def _end(self) -> str:
        if self.ended is None:
            return "It was not ready again before the recording ended."
        waited = seconds(sum(delay for _, delay in self.pauses))
        return (
            f"Connection {self.successor} was ready {seconds(self.ended - self.began)} after the"
            f" break; {waited} of that were backoff."
        )

    def _filled(self) -> list[str]:
        if not self.fetched:
            return []
        parts = [f"{count} of {label}" for label, count in self.fetched.items()]
        many = f" and {len(parts) - 5} other streams" if len(parts) > 5 else ""  # noqa: PLR2004
        return [f"Missed items were fetched from the history: {', '.join(parts[:5])}{many}."]


@attrs.define(eq=False)
class _Reading:
    """Reads events one by one."""

    client: ClientTrace
    outages: list[Outage] = attrs.field(factory=list)
    current: Outage | None = None
    connection: int | None = None
    opened: float = 0.0
    failure: str = ""
    delay: float = 0.0

    def read(self, at: float, event: Event) -> None:
        """Take the next event."""
        match event:
            case Failed(error=error):
                self._failed(at, told(error))
            case Closed():
                self._closed(at, event)
            case Waiting(delay=delay):
                self.delay = delay
                if self.current is not None:
                    self.current.pauses.append((at, delay))
            case Connecting(attempt=attempt):
                if self.current is not None:
                    self.current.tries.append(Try(attempt, self.delay, at))
            case Opened(connection=connection):
                self.connection, self.opened = connection, at
            case Ready(connection=connection) if self.current is not None:
                self.current.ended, self.current.successor = at, connection
                self.current = None

    def _failed(self, at: float, text: str) -> None:
        if self.current is not None and self.current.tries:
            self.current.tries[-1].error = text
        elif self.connection is None and self.current is None:
            self.current = Outage(self.client.number, at, cause=text)
            self.outages.append(self.current)
        else:
            self.failure = text

    def _closed(self, at: float, event: Closed) -> None:
        connection, self.connection = self.connection, None
        failure, self.failure = self.failure, ""
        by_peer = event.by == "server"
        if self.current is not None or not (by_peer or failure):
            return
        cause = failure or f"code {event.code} {masked_text(event.reason)}".rstrip()
        lived = at - self.opened
        self.current = Outage(self.client.number, at, connection, lived, event.by, cause)
        self.outages.append(self.current)


def outages_of(client: ClientTrace) -> list[Outage]:
    """Return the outages of *client*, in order."""
    reading = _Reading(client)
    for at, event in client.events:
        reading.read(at, event)
    outages = reading.outages
    ends = [*(outage.began for outage in outages[1:]), float("inf")]
    for outage, end in zip(outages, ends, strict=False):
        outage.fetched = client.fetched_between(outage.began, end)
    return outages


def told(error: Exception) -> str:
    """Return the text of *error* on one line, masked and cut."""
    text = " ".join(masked_text(str(error)).split()).rstrip(".")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def seconds(length: float) -> str:
    """Return a length of time for people."""
    if length >= 172_800:  # noqa: PLR2004 - two days
        return f"{length / 86_400:.1f} days"
    if length >= 3600:  # noqa: PLR2004 - an hour
        return f"{length / 3600:.1f} h"
    if length >= 120:  # noqa: PLR2004 - below this seconds are better
        return f"{length / 60:.1f} min"
    return f"{length:.1f} s" if length >= 1 else f"{length * 1000:.0f} ms"


def mermaid(outage: Outage) -> str:
    """Return *outage* as a Mermaid sequence diagram."""
    lines = ["sequenceDiagram", "    participant P as program", "    participant C as derivtrio"]
    lines.append("    participant S as server")
    if outage.connection is not None:
        lines.append(f"    Note over C,S: connection {outage.connection}")
    lines.append(f"    S--xC: {_plain(outage.cause)}")
    for attempt in outage.tries:
        lines.append(f"    Note over C: backoff, {seconds(attempt.delay)}")
        lines.append(f"    C->>S: attempt {attempt.number}")
        if attempt.error:
            lines.append(f"    S--xC: {_plain(attempt.error)}")
    if outage.ended is not None:
        lines.append(f"    S-->>C: connection {outage.successor} is open")
        lines.append("    C->>S: authorize, resubscribe")
        ready = f"ready, {seconds(outage.ended - outage.began)} after the break"
        lines.append(f"    Note over C,S: {ready}")
    for label, count in outage.fetched.items():
        lines.append(f"    C->>S: ask for the history of {_plain(label)}")
        lines.append(f"    S-->>C: {counted(count, 'missed item')}")
        lines.append(f"    C-->>P: {counted(count, 'item')} of {_plain(label)}, in order")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Return *text* without what Mermaid reads as its own."""
    return "".join("," if char in ";#%" else char for char in text)
