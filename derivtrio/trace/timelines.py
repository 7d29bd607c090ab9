"""`timeline`: record a block, and show it: as a page, a picture, Perfetto's or a sequence."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import attrs
import trio

from derivtrio.trace.layout import arranged
from derivtrio.trace.observing import Watcher
from derivtrio.trace.outages import Outage, mermaid, outages_of, seconds
from derivtrio.trace.page import page
from derivtrio.trace.perfetto import trace_events
from derivtrio.trace.recording import Recording
from derivtrio.trace.still import still


@contextmanager
def timeline(
    path: str | PathLike[str] | None = None, *, last: float | None = None
) -> Iterator["Timeline"]:
    """Record what the clients that are opened in the block do; write it to *path* at the end.

    The name's ending says what is written: `.svg` is a picture to put into a page, `.json` is trace
    events for Perfetto, `.mmd` the last outage as a Mermaid sequence, and anything else is a page
    of HTML. Without *path* nothing is written; ask the `Timeline` for what you want.

    Times are those of trio's clock, so a month on a virtual clock is a month in the picture. Memory
    and the file are bounded: what is too much to show is counted, and the page says so. With *last*
    only the last so many seconds are kept: for a program that runs for days. Tokens and messages
    are not recorded.

    *Cancellation*: what was recorded until then is written.

    Raises:
        RuntimeError: not under trio.
        ValueError: *last* is no number of seconds, more than 0.
        OSError: the file cannot be written.

    """
    watcher = Watcher(last)
    shown = Timeline(watcher.recording, watcher)
    try:
        with watcher.watching():
            yield shown
    finally:
        watcher.recording.length = watcher.now()
        if path is not None:
            shown.save(path)


@attrs.frozen(eq=False)
class Timeline:
    """What was recorded, in the forms in which it can be shown. It may be asked at any time."""

    recording: Recording
    _watcher: Watcher | None = None

    @property
    def length(self) -> float | None:
        """How long the recording is, up to now, in seconds; None if that is not known."""
        return self.recording.length or (self._watcher.now() if self._watcher else None)

    def leave_out(self, task: trio.lowlevel.Task) -> None:
        """Do not show *task*, nor the tasks below it that begin later."""
        if self._watcher is not None:
            self._watcher.leave_out(task)

    def outages(self) -> list[Outage]:
        """Return the times without a connection, in order, of all clients."""
        return [outage for client in self.recording.clients for outage in outages_of(client)]

    def html(self) -> str:
        """Return the picture as one page, which needs nothing else."""
        return page(self.recording)

    def svg(self, title: str = "") -> str:
        """Return it as a picture without a script, 800 pixels wide; *title* stands above it."""
        picture = arranged(self.recording, self.length)
        text = " ".join(outage.sentence for outage in picture.outages)
        said = title or f"{seconds(picture.span)} of a program with derivtrio"
        return still(picture, title=said, text=text or "The connection never broke.")

    def perfetto(self) -> str:
        """Return it as JSON for https://ui.perfetto.dev, or for Chrome's `chrome://tracing`."""
        return trace_events(self.recording)

    def mermaid(self) -> str:
        """Return the last outage as a Mermaid sequence diagram; an empty text if there is none."""
        outages = self.outages()
        return mermaid(outages[-1]) if outages else ""

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to *path*, whose ending says in which form."""
        forms = {".svg": self.svg, ".json": self.perfetto, ".mmd": self.mermaid}
        form = forms.get(Path(path).suffix.lower(), self.html)
        Path(path).write_text(form(), encoding="utf-8")
