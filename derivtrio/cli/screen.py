"""A live view on a terminal: drawn again and again, in place.

1. It has the terminal's other screen for itself. At its end what stood there before comes back, and
   the last view is printed below.
2. A view is drawn for the terminal's size at that moment, and cut to it. A resize, or `fg` after
   Ctrl-Z, redraws it at once.
3. Only lines that have changed are written, by a thread: a terminal that takes nothing (Ctrl-S, a
   dead connection) stops the view, and not the client.
4. What is said on standard error meanwhile is kept, if that is a terminal, too, and printed at the
   end.
"""

import io
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager, redirect_stderr
from functools import partial
from typing import Final

import attrs
import click
import trio
from rich.console import Console, ConsoleDimensions, RenderableType

from derivtrio.cli.output import to_terminal
from derivtrio.concurrency.background import running

#: Makes the view for a width and a height, in characters.
View = Callable[[int, int], RenderableType]

#: How many lines of standard error are kept.
_KEPT: Final = 20

#: How long the terminal may take at the end, in seconds.
_PATIENCE: Final = 0.3

#: A size that none has, which stands for nothing drawn yet; and one if the terminal has none.
_NONE: Final = ConsoleDimensions(0, 0)
_USUAL: Final = ConsoleDimensions(80, 24)

#: To the other screen, without a cursor; and back.
_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"

#: What stands between these is shown at once, by terminals that know it.
_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"

_REDRAWS: Final = [getattr(signal, name, None) for name in ("SIGWINCH", "SIGCONT")]


def require_terminal(instead: str) -> None:
    """Raise a UsageError if standard output is no terminal; *instead* is what to do then.

    Raises:
        UsageError: it is not, or one that cannot place a cursor.

    """
    kind = os.environ.get("TERM", "")
    if not to_terminal():
        message = f"standard output is no terminal; {instead}"
    elif kind.lower() in ("dumb", "unknown"):
        message = f"this terminal cannot place a cursor (TERM is {kind}); {instead}"
    else:
        return
    raise click.UsageError(message)


@attrs.define(eq=False)
class Screen:
    """Shows a view.

    Attributes:
        interval: how often, in seconds.
        scope: what it ends with.

    """

    _view: View
    interval: float
    _foot: str = ""
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _console: Console = attrs.field(factory=lambda: Console(highlight=False), init=False)
    _lines: list[str] = attrs.field(factory=list, init=False)
    _size: ConsoleDimensions = attrs.field(default=_NONE, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def show(self) -> None:
        """Draw the view again and again, until `scope` is cancelled."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_signals, name="derivtrio.screen.signals")
                while True:
                    await trio.to_thread.run_sync(_write, self._frame(), abandon_on_cancel=True)
                    with trio.move_on_after(self.interval):
                        await self._changed.wait()

    def last(self) -> list[str]:
        """Return the lines of a last view, without empty ones at the end."""
        lines = self._draw()
        while lines and not lines[-1].strip():
            lines.pop()
        return lines

    async def _watch_signals(self) -> None:
        numbers = [each for each in _REDRAWS if each is not None]
        with trio.open_signal_receiver(*numbers) as arrivals:
            async for _ in arrivals:
                self._size = _NONE
                self._changed.set()
                self._changed = trio.Event()

    def _frame(self) -> str:
        """Return what brings the screen from the last view to the present one."""
        before, size = self._lines, self._size
        foot = f"\x1b[2m {self._foot}"[: self._console.width + 3] + "\x1b[0m"
        self._lines = [*self._draw(), "", foot]
        if self._size != size:
            before = []
        clear = "" if before else _ENTER
        lines = "".join(_changes(before, self._lines))
        return f"{_BEGIN}{clear}{lines}{_END}"

    def _draw(self) -> list[str]:
        """Return the lines of the view; two lines of the terminal stay free for the foot."""
        self._console.size = width, height = self._size = _terminal_size()
        height = max(1, height - 2)
        with self._console.capture() as capture:
            self._console.print(self._view(width, height), no_wrap=True, crop=True)
        return capture.get().rstrip("\n").split("\n")[:height]


def _terminal_size() -> ConsoleDimensions:
    """Return the terminal's size now; what the environment says of it may be old."""
    try:
        return ConsoleDimensions(*os.get_terminal_size(sys.stdout.fileno()))
    except (OSError, ValueError):
        return _USUAL


def _changes(before: list[str], now: list[str]) -> Iterable[str]:
    """Yield what replaces the lines that differ."""
    for row in range(max(len(before), len(now))):
        line = now[row] if row < len(now) else ""
        if row >= len(before) or line != before[row]:
            yield f"\x1b[{row + 1};1H\x1b[2K{line}"


def _write(text: str) -> None:
    data = text.encode(sys.stdout.encoding, "replace")
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]


class _KeptLines(io.TextIOBase):
    """Keeps the last lines that are written to it."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=_KEPT)

    def write(self, text: str) -> int:
        """Keep *text*, which is whole lines."""
        self.lines += text.splitlines()
        return len(text)


@asynccontextmanager
async def on_screen(view: View, interval: float, foot: str = "") -> AsyncGenerator[None]:
    """Show *view* while the block runs, and *foot* below it.

    *Cancellation*: the terminal is as it was before, unless it takes nothing.
    """
    screen, kept = Screen(view, interval, foot), _KeptLines()
    stderr = kept if sys.stderr is not None and sys.stderr.isatty() else sys.stderr
    sys.stdout.flush()
    try:
        with redirect_stderr(stderr):
            stop = screen.scope.cancel
            async with running(screen.show, stop=stop, name="derivtrio.screen"):
                yield
    finally:
        lines = [*screen.last(), ""]
        end = _LEAVE + "\n".join(lines)
        write = partial(trio.to_thread.run_sync, _write, end, abandon_on_cancel=True)
        with trio.move_on_after(_PATIENCE, shield=True):
            await write()
        for line in kept.lines:
            click.echo(line, err=True)
