"""Files that survive a crash: replaced as a whole, or appended to and cut back to whole lines."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from derivtrio.logs import TolerantLogger
from derivtrio.recording.formats import LineFormat
from derivtrio.recording.store import StoreError
from derivtrio.recording.tables import Row, Table

_log: Final = TolerantLogger(logging.getLogger("derivtrio.recording"))


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep others that ask for the same out of *folder* during the block; they wait.

    Where the system has no locks for folders (Windows, some networks' file systems), nobody waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as closing:
        with suppress(ImportError, OSError):
            import fcntl  # noqa: PLC0415 - Windows has none

            number = os.open(folder, os.O_RDONLY)
            closing.callback(os.close, number)  # which ends the lock, too
            fcntl.flock(number, fcntl.LOCK_EX)
        yield


def size_of(path: Path) -> int:
    """Return how long a file is; 0 if it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def replace_file(path: Path, data: bytes) -> None:
    """Write *data* to *path*: whoever reads it sees the old file or the new one, never a part."""
    part = path.with_name(path.name + ".tmp")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)  # it is there if the disk is full


def set_aside(path: Path, error: Exception) -> None:
    """Give a damaged file another name; *error* says what is wrong with it."""
    damaged = path.with_name(path.name + ".damaged")
    _log.warning("%s; it is now called %s", error, damaged.name)
    path.replace(damaged)


def sync_file(path: Path) -> None:
    """Have the disk keep what was written to *path*, if it is there."""
    with suppress(FileNotFoundError), path.open("rb+") as file:
        os.fsync(file.fileno())


def append_lines(path: Path, header: bytes, lines: bytes) -> int:
    """Append *lines* to *path*, all or nothing; a new file gets the *header* first.

    Return how long the file is then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a buffer: Python would write what is left in it at the end of the block, behind the
    # lines that are whole.
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        left = memoryview(lines if size else header + lines)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError:
            os.truncate(path, size)  # a full disk may have taken a part of them
            raise
        return file.tell()


def repair_lines(path: Path, lines: LineFormat, table: Table) -> Row | None:
    """Cut off what a crash has left after the last whole row in *path*; return that row.

    That is a line without its end, or lines with zeros: a power failure leaves these.

    Raises:
        StoreError: the file has something else in it than rows of *table*, and was not touched.

    """
    data, header = path.read_bytes(), lines.header(table)
    end = data.rfind(b"\n") + 1
    if end and not data.startswith(header):
        text = f"{path} is another file: its first line is not {header.decode().strip()}"
        raise StoreError(text)
    row, least = None, min(end, len(header))
    while row is None and end > least:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        line = data[begin : end - 1]
        try:
            row = lines.parse(table, line)
        except ValueError as error:
            if b"\0" not in line:
                text = f"{path} is another file: a line of it is no row of {table.name} ({error})"
                raise StoreError(text) from error
            end = begin
    if end < len(data):
        os.truncate(path, end)
    return row
