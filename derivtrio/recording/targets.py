"""Where rows go: what the text after `--to` means.

| target | store |
|---|---|
| `postgresql://user@host/database` | PostgreSQL; needs the extra `postgres` |
| `data/{symbol}/{date}.csv`, `.jsonl`, `.parquet` | files; Parquet needs the extra `parquet` |
| any other path, `ticks.db` | one SQLite file |

The modules of the first two are imported here, when they are used.
"""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from derivtrio.recording.sqlite import SqliteStore
from derivtrio.recording.store import BlockingStore, Store, StoreError
from derivtrio.recording.worker import in_thread

_POSTGRES: Final = ("postgresql", "postgresql+psycopg", "postgres")
FILE_SUFFIXES: Final = (".csv", ".jsonl", ".parquet")
_FIELDS: Final = {"{symbol}", "{date}"}


@asynccontextmanager
async def open_store(target: str | Path) -> AsyncGenerator[Store]:
    """Open the store that *target* names; close it at the end of the block.

    *target* is the path of a SQLite file, a path with `{symbol}` and `{date}` in it that ends in
    `.csv`, `.jsonl` or `.parquet`, or a URL that begins with `postgresql://`.

    Raises:
        StoreError: there is no such store, or it cannot be opened.
        MissingExtra: it needs a package that is not installed.
        TypeError: *target* is neither a str nor a Path.

    """
    if not isinstance(target, str | Path):  # a None would become a file of that name
        text = f"a store is named by a str or a Path, not by {type(target).__name__}"
        raise TypeError(text)
    make = maker_of(str(target))
    async with in_thread(make) as store:
        yield store


def maker_of(target: str) -> Callable[[], BlockingStore]:
    """Return what makes the blocking store that *target* names; it is to be called in a thread.

    Raises:
        StoreError: *target* is not understood.

    """
    if "://" in target:
        check_database(target)
        return lambda: _sql_store(target)
    if target.endswith(FILE_SUFFIXES):
        check_template(target)
        return lambda: _file_store(target)
    if "{symbol}" in target or "{date}" in target:
        text = f"the path of files ends in {', '.join(FILE_SUFFIXES)}; {target} does not"
        raise StoreError(text)
    if target in ("", "-", ":memory:"):
        text = "a store is kept in a file: name one, such as ticks.db"
        raise StoreError(text)
    return lambda: SqliteStore(Path(target))


def check_database(url: str) -> None:
    """Raise a StoreError if *url* is of no database that there is a store for."""
    scheme = url.partition("://")[0]
    if scheme not in _POSTGRES:
        text = f"no store for {scheme}://; there is postgresql://, and the path of a file"
        raise StoreError(text)


def check_template(path: str) -> None:
    """Raise a StoreError if the *path* of files has other fields than `{symbol}` and `{date}`."""
    fields = set(re.findall(r"\{\w*\}", path))
    missing, unknown = _FIELDS - fields, fields - _FIELDS
    if missing:
        text = f"the path of files has {{symbol}} and {{date}} in it; {path} has not"
        raise StoreError(text)
    if unknown:
        text = f"the path of files has {{symbol}} and {{date}} in it, and no {min(unknown)}"
        raise StoreError(text)


def _sql_store(target: str) -> BlockingStore:
    from derivtrio.recording.sql import SqlStore  # noqa: PLC0415 - needs an extra

    return SqlStore(target)


def _file_store(target: str) -> BlockingStore:
    from derivtrio.recording.files import FileStore  # noqa: PLC0415 - is rarely needed

    return FileStore(target)
