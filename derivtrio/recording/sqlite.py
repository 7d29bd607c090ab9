"""A store in one file: SQLite, from the standard library.

The file is in WAL mode: readers (`derivtrio export`, a notebook) do not disturb the recorder, nor
it them. `synchronous=NORMAL` does not wait for the disk at each commit. A crash of the program
loses nothing by that. A power failure may lose the newest commits, never the file, and the recorder
fetches those rows again from the server's history.

A commit writes whole pages into the log: at least one for each series that has a new row, and a
tick is 50 bytes. So pages are small. (Measured with 50 symbols that tick once a second: 2.4 kB a
tick; with SQLite's usual pages of 4 KiB it is 6.4 kB. A file that is there keeps its pages.) To
gather rows for longer would save more, and keep them for longer from those who read the file.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

from derivtrio.recording.store import StoreBusy, StoreError
from derivtrio.recording.tables import TABLES, Batch, Table

_TYPES: Final = {str: "TEXT", int: "INTEGER", float: "REAL"}

#: For how long to wait for another program's lock before reporting it, in seconds.
_LOCK_PATIENCE: Final = 5.0

#: How large pages are, and after how many bytes of the log they are written into the file.
_PAGE_SIZE: Final = 1024
_CHECKPOINT: Final = 4 * 2**20

#: How large the log stays, in bytes, after a reader that took long has let it grow.
_LOG_SIZE: Final = 16 * 2**20

#: SQLite's codes for what may pass: a lock, a full disk, a file system that went away for a while.
_PASSING: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


@attrs.define(eq=False)
class SqliteStore:
    """The file at `path`; it and its tables are made if they are not there.

    Raises:
        StoreError: it cannot be opened or written, or has other tables of these names.

    """

    path: Path
    _db: sqlite3.Connection = attrs.field(init=False, repr=False)
    _inode: tuple[int, int] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        require_place(self.path)
        require_writable(self.path)
        with self._explained():
            self._db = sqlite3.connect(
                self.path.absolute(),  # SQLite may take "file:ticks.db" for a URL
                timeout=_LOCK_PATIENCE,
                isolation_level=None,
                check_same_thread=False,
            )
        try:
            with self._explained():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def newest(self, table: Table, *key: str | int) -> int | None:
        """Return the highest value of the key's next column; None without a row."""
        where = " AND ".join(f'"{name}" = ?' for name in table.keys[: len(key)])
        query = f'SELECT max("{table.next_key(key)}") FROM "{table.name}" WHERE {where}'  # noqa: S608
        with self._explained():
            (newest,) = self._db.execute(query, key).fetchone()
        if not isinstance(newest, int | None):
            text = f"{self.path} has a row of {table.name} whose {table.next_key(key)} is no number"
            raise StoreError(text)
        return newest

    def write(self, batch: Batch) -> None:
        """Keep all rows of *batch*, in one transaction."""
        self._require_file()
        with self._explained(), self._transaction():
            for table, rows in batch.items():
                self._db.executemany(_insert(table), rows)

    def close(self) -> None:
        """Close the file."""
        self._complete_moved()
        self._db.close()

    def _prepare(self) -> None:
        for table in TABLES:  # before anything is changed in a file of something else
            self._check_shape(table)
        self._db.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(f"PRAGMA journal_size_limit = {_LOG_SIZE}")
        (page_size,) = self._db.execute("PRAGMA page_size").fetchone()
        self._db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT // page_size}")
        with self._transaction():  # which finds out, too, whether the file can be written
            for table in TABLES:
                self._db.execute(_create(table))
        self._inode = _inode(self.path)

    def _check_shape(self, table: Table) -> None:
        text = other_shape(self._db, table)
        if text is not None:
            text = f"{self.path} {text}"
            raise StoreError(text)

    def _complete_moved(self) -> None:
        """If the file is elsewhere now, write into it what is only in its log yet.

        The log keeps the old name. So what is in it would be lost for whoever opens the file.
        """
        if not self.path.exists():
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _require_file(self) -> None:
        """Refuse to write into a file that was removed: SQLite would, and nobody could read it."""
        try:
            there = _inode(self.path)
        except FileNotFoundError:
            there = None
        except OSError as error:
            text = f"{self.path}: {error.strerror}"
            raise StoreBusy(text) from error
        if there != self._inode:
            self._complete_moved()
            text = f"{self.path} was removed, or replaced by another file, while it was in use"
            raise StoreError(text)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite has rolled back by itself after some errors
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise SQLite's errors as ours."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            kind = StoreBusy if code in _PASSING else StoreError
            text = f"{self.path}: {error}"
            raise kind(text) from error


def require_place(path: Path) -> None:
    """Raise a StoreError if no database can be at *path*: SQLite's own words do not say why."""
    folder = path.absolute().parent
    if not folder.is_dir():
        text = f"{path}: unable to open database file: there is no folder {folder}"
    elif path.exists() and not path.is_file():
        text = f"{path} is {'a folder' if path.is_dir() else 'a device or a pipe'}, not a file"
    else:
        return
    raise StoreError(text)


def require_writable(path: Path) -> None:
    """Raise a StoreError if nothing can be written beside *path*, where SQLite has its log."""
    folder = path.absolute().parent
    if not os.access(folder, os.W_OK):
        text = f"{path}: nothing can be written into {folder}"
        raise StoreError(text)


def other_shape(db: sqlite3.Connection, table: Table) -> str | None:
    """Return what is wrong with the *table* in *db*; None if it is right, or not there."""
    columns = list(db.execute(f'PRAGMA table_info("{table.name}")'))
    found, names = [column[1] for column in columns], list(table.names)
    if not found:
        return None
    if found != names:
        wrong, right = ", ".join(found), ", ".join(names)
        return f"has another table {table.name}: its columns are {wrong}, not {right}"
    # The sixth value of a column is its place in the primary key.
    if [column[5] for column in columns[: table.key]] != list(range(1, table.key + 1)):
        return f"has another table {table.name}: its key is not {', '.join(table.keys)}"
    return None


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _create(table: Table) -> str:
    columns = [
        f'"{name}" {_TYPES[kind]}' + " NOT NULL" * (name in table.keys)
        for name, kind in table.columns.items()
    ]
    key = ", ".join(f'"{name}"' for name in table.keys)
    inside = ", ".join([*columns, f"PRIMARY KEY ({key})"])
    return f'CREATE TABLE IF NOT EXISTS "{table.name}" ({inside}) WITHOUT ROWID'


def _insert(table: Table) -> str:
    """Return the statement that adds a row.

    `INSERT OR IGNORE` would do, but also pass over a row without a key in silence.
    """
    marks = ", ".join("?" * len(table.columns))
    key = ", ".join(f'"{name}"' for name in table.keys)
    others = ", ".join(f'"{name}" = excluded."{name}"' for name in table.names[table.key :])
    action = f"UPDATE SET {others}" if table.replaces else "NOTHING"
    return f'INSERT INTO "{table.name}" VALUES ({marks}) ON CONFLICT ({key}) DO {action}'  # noqa: S608
