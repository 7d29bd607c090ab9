"""A program on a terminal: what it draws, what is typed, and the terminal's size."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
from served import environment

#: How long a program may take that has hung, in seconds.
_HUNG = 60

#: A line that is placed on the other screen, with its colours.
_PLACED = re.compile(r"\x1b\[(\d+);1H\x1b\[2K((?:[^\x1b]|\x1b\[[0-9;]*m)*)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

#: Makes standard input the terminal that Ctrl-C comes from, and becomes the program.
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

_ENTER, _LEAVE = "\x1b[?1049h", "\x1b[?1049l"


@attrs.define(eq=False)
class Terminal:
    """What a program sees as its terminal; `said` is all that it has written."""

    process: subprocess.Popen[bytes]
    _ours: int
    said: str = ""
    _reader: threading.Thread = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = threading.Thread(target=self.read)
        self._reader.start()

    def read(self) -> None:
        """Read until the program has closed the terminal."""
        try:
            while data := os.read(self._ours, 65536):
                self.said += data.decode(errors="replace")
        except OSError:
            return

    @property
    def screen(self) -> str:
        """What stands on the other screen now, without colours."""
        lines: dict[int, str] = {}
        for row, text in _PLACED.findall(self.said.rpartition(_ENTER)[2]):
            lines[int(row)] = _COLOUR.sub("", text).rstrip()
        return "\n".join(lines.get(row, "") for row in range(1, max(lines, default=0) + 1))

    @property
    def after(self) -> str:
        """What was written after the other screen was left."""
        text = self.said.partition(_LEAVE)[2]
        return _COLOUR.sub("", text).replace("\r\n", "\n")

    def press(self, keys: bytes) -> None:
        """Type *keys*."""
        os.write(self._ours, keys)

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, pattern: str) -> str:
        """Wait until *pattern* is on the screen; return the screen."""
        end = time.monotonic() + _HUNG
        while not re.search(pattern, screen := self.screen):
            assert time.monotonic() < end, screen
            assert self.process.poll() is None, self.said[-2000:]
            time.sleep(0.02)
        return screen

    def wait(self) -> int:
        """Wait for the program's end, and read what it has said; return its status."""
        status = self.process.wait(_HUNG)
        self._reader.join()
        return status


@contextmanager
def on_terminal(
    *arguments: str, rows: int = 30, columns: int = 110, **variables: str
) -> Iterator[Terminal]:
    """Run `derivtrio` with *arguments* on a terminal during the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    colours = {"TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_TERMINAL, "-m", "derivtrio", *arguments],
        env=environment(**{**colours, **variables}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        terminal.wait()
        os.close(ours)
