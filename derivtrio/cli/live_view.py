"""What `watch` and `top` have in common: the client's state, what happened last, the round trip."""

import time
from collections import deque
from datetime import UTC, datetime
from typing import Final

import attrs
import trio
from rich.text import Text

from derivtrio import Client, DerivError
from derivtrio.api.parsing import is_epoch
from derivtrio.calls.status import State
from derivtrio.cli.output import sentence
from derivtrio.events import Connecting, Event, Gap, Opened, Overflow, Stale, Throttled
from derivtrio.wording import one_line

#: How often the round trip is measured, in seconds; and how long it may take.
_PING_EVERY: Final = 5.0
_PATIENCE: Final = 10.0

#: How many events and round trips are kept.
_KEPT_EVENTS: Final = 50
_KEPT_PINGS: Final = 60

#: A goodbye may take so long, in seconds: Ctrl-C should end a view at once.
CLOSE_TIMEOUT: Final = 0.5

_STYLES: Final = {
    State.READY: "bold green",
    State.CONNECTING: "bold yellow",
    State.RESTORING: "bold blue",
    State.WAITING: "bold red",
}

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


@attrs.define(eq=False)
class TickClock:
    """What time it is at the server: the seconds that it has named, and those that passed since."""

    _offset: float | None = attrs.field(default=None, init=False)

    def note(self, epoch: int) -> None:
        """Note that it is *epoch* there, or a little later."""
        offset = epoch - trio.current_time()
        if self._offset is None or offset > self._offset:
            self._offset = offset

    @property
    def now(self) -> float:
        """The present epoch there; this machine's, as long as nothing is known."""
        return time.time() if self._offset is None else trio.current_time() + self._offset


@attrs.define(eq=False)
class Monitor:
    """Follows one client: what happens to it, and how long its server takes to answer.

    Attributes:
        events: the last ones.
        pings: the last round trips, in seconds; None where there was no answer.
        clock: the server's time, as far as it is known.

    """

    client: Client
    events: deque[Event] = attrs.field(factory=lambda: deque(maxlen=_KEPT_EVENTS), init=False)
    pings: deque[float | None] = attrs.field(factory=lambda: deque(maxlen=_KEPT_PINGS), init=False)
    clock: TickClock = attrs.field(factory=TickClock, init=False)

    async def follow(self) -> None:
        """Note what happens, until the client has ended."""
        async with self.client.events(overflow="drop_oldest") as events:
            async for event in events:
                self.events.append(event)

    async def measure(self) -> None:
        """Measure the round trip again and again, while the client is ready."""
        while True:
            await self.client.wait_ready()
            self.pings.append(await self._ping())
            await trio.sleep(_PING_EVERY)

    async def _ping(self) -> float | None:
        begun = trio.current_time()
        with trio.move_on_after(_PATIENCE):
            try:
                await self.ask_time()
            except DerivError:
                return None
            return trio.current_time() - begun
        return None

    async def ask_time(self) -> int:
        """Ask the server for its time, and return it as far as it is known then.

        Raises:
            DerivError: there is no answer.

        """
        reply = await self.client.call({"time": 1})
        if is_epoch(epoch := reply.get("time")):
            self.clock.note(epoch)
        return int(self.clock.now)


def state_line(client: Client, pings: deque[float | None]) -> Text:
    """Return where the client is in its life, since when, and why."""
    status = client.status
    line = Text(" ", no_wrap=True, overflow="ellipsis")
    line.append(status.state.value, _STYLES.get(status.state, "bold"))
    if status.connection is not None:
        line.append(f", connection {status.connection}")
    elif status.state is not State.CLOSED:
        line.append(f", attempt {status.attempt}")
    line.append(f", for {lasting(time.time() - status.since)}")
    if status.state is State.READY:
        line.append(f" · round trip {milliseconds(pings[-1] if pings else None)}")
    elif status.last_error is not None:
        line.append(f" · {one_line(status.last_error)}", "red")
    return line


def event_lines(events: deque[Event], most: int) -> list[Text]:
    """Return the last events in words, the newest first."""
    lines: list[Text] = []
    for event in reversed(events):
        if len(lines) == most:
            break
        if not isinstance(event, Connecting | Opened) and (said := _words(event)) is not None:
            at = datetime.fromtimestamp(event.time, UTC)
            style = "red" if isinstance(event, Gap | Overflow | Stale | Throttled) else ""
            lines.append(Text.assemble((f" {at:%H:%M:%S} ", "dim"), (said, style)))
    return lines


def _words(event: Event) -> str | None:
    if isinstance(event, Stale):
        return one_line(f"{event.stream}: mute, though the server has more; it is asked for again")
    return sentence(event)


def lasting(seconds: float) -> str:
    """Return a length of time for people, in its two largest units."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def milliseconds(seconds: float | None) -> str:
    """Return a short time; a dash if it is not known."""
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def foot_of(urls: list[str]) -> str:
    """Return the last line: how it ends, and where else it can be watched."""
    return " · ".join(["Ctrl-C ends it", *(f"time line at {url}" for url in urls)])


def heading(name: str, where: str, width: int) -> Text:
    """Return the first line: what this is, of which server, and the time."""
    line = Text(f" derivtrio {name} · {where}", "reverse", no_wrap=True)
    right = f" {datetime.now(UTC):%H:%M:%S} UTC "
    line.truncate(max(0, width - len(right)), overflow="ellipsis", pad=True)
    return line.append(right)
