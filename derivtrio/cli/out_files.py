"""Files that commands write: which names are right, and what may be replaced.

1. A file that a command reads, or records into, is never replaced by what it writes.
2. A new file takes the place of an old one when all of it is written.
3. A device or a pipe, such as `/dev/stdout`, is written to. Only a file is replaced.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, Final

import click

#: What SQLite adds to the name of a database, for the files beside it.
_BESIDE: Final = ("", "-wal", "-shm", "-journal")

#: A health file is shorter than this, in bytes.
_REPORT: Final = 65_536


def check_out(
    _context: click.Context, _parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Refuse a name that no file can have, and one in a folder that is not there, or is shut."""
    if path is not None:
        _require_place(path)
        is_replaced = path.is_file() or not path.exists()
        if is_replaced and not os.access(path.absolute().parent, os.W_OK):
            message = f"nothing can be written into the folder {path.parent}"
            raise click.BadParameter(message)
    return path


def check_health_file(
    _context: click.Context, _parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Refuse the name of a file that is no health file: it would be replaced at once."""
    if path is not None:
        _require_place(path)
        if path.exists() and not _is_report(path):
            message = f"{path} is there, and is no health file; choose another name"
            raise click.BadParameter(message)
    return path


def _require_place(path: Path) -> None:
    if not path.name:  # Path("") is the current folder
        message = "it names no file"
        raise click.BadParameter(message)
    if not path.absolute().parent.is_dir():
        message = f"there is no folder {path.parent}"
        raise click.BadParameter(message)


def _is_report(path: Path) -> bool:
    """Return whether *path* is a file that may become a health file: it is one, or is empty."""
    try:
        if not path.is_file() or path.stat().st_size > _REPORT:
            return False
        text = path.read_text(encoding="utf-8")
        return not text or "healthy" in json.loads(text)
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def require_apart(path: Path | None, store: str, option: str) -> None:
    """Refuse to write *path* if it is the file *store*, or one that SQLite has beside it.

    Raises:
        UsageError: it is one; *option* is what named it.

    """
    if path is None or "://" in store:
        return
    if path.resolve() in {Path(store + suffix).resolve() for suffix in _BESIDE}:
        message = f"{option} {path} would replace what is recorded in {store}; choose another name"
        raise click.UsageError(message)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of *path* at the end of the block, unless it fails.

    A device or a pipe is opened as it is. Where *path* is a link, the file that it leads to is
    replaced. Of two that write the same file at a time, the one that ends last is what stays.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as sink:
            yield sink
        return
    path = path.resolve()
    part = path.with_name(f"{path.name}.{token_hex(4)}.tmp")
    try:
        with part.open("wb") as sink:
            yield sink
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
