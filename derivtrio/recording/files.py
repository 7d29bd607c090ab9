"""A store of files for analysis: one for each symbol and day, in CSV, JSON lines or Parquet.

`data/{symbol}/{date}.csv` has the ticks; candles and the other tables stand beside them, as
`….candles-60.csv`, `….gaps.csv`. A day is one of UTC. For an account, its login id is the symbol.

1. Ticks and candles come in their order. So they are appended, whole lines at a time. A row that is
   not newer than the last one is known, and is left out.
2. A crash can cut off the last line. At the start the newest file is cut back to its last whole
   line. That is what `newest` returns, and the recorder fetches the rest from history.
3. Nothing can be appended to Parquet. Its rows are collected in `….parquet.part`, as JSON lines,
   by the rules 1 and 2. When a row of a later day comes, and when the store is closed, they become
   the Parquet file.
4. A Parquet file, and a file of another table, is replaced as a whole: no reader sees half of it.
   One that cannot be read all the same is set aside, as `….damaged`, and its day is fetched again.
5. Two recorders may write the same files. Whatever reads or writes them does so alone, and a file
   that has another length than it was left with is looked at again before anything is appended.
"""

import errno
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Final

import attrs

from derivtrio.logs import TolerantLogger
from derivtrio.recording.file_names import (
    PART,
    Place,
    files_of,
    grouped,
    newer_than,
    part_of,
    path_of,
    require_file,
    root_of,
    start_of,
)
from derivtrio.recording.formats import FORMATS, FileFormat
from derivtrio.recording.safe_files import (
    alone_in,
    append_lines,
    repair_lines,
    replace_file,
    set_aside,
    size_of,
    sync_file,
)
from derivtrio.recording.store import StoreBusy, StoreError, StoreRewound, Unreadable
from derivtrio.recording.tables import Batch, Row, Table

_log: Final = TolerantLogger(logging.getLogger("derivtrio.recording"))

#: How much time closing may take to turn collected rows into Parquet files, in seconds. What is
#: left then is kept in the `.part` files, and its turn comes at the next start.
_CLOSING: Final = 1.0

#: Errors that waiting does not repair.
_LASTING: Final = (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


@attrs.define(eq=False)
class FileStore:
    """The files that `template` names, a path with `{symbol}` and `{date}` in it.

    Raises:
        StoreError: it is no such path, or nothing can be written there.
        MissingExtra: Parquet needs a package that is not installed.

    """

    template: str
    _format: FileFormat = attrs.field(init=False, repr=False)
    #: Of each series that was asked for: the rest of its newest row's key, and that row's day.
    _newest: dict[Place, Row | None] = attrs.field(factory=dict, init=False, repr=False)
    _days: dict[Place, date] = attrs.field(factory=dict, init=False, repr=False)
    #: The file that was appended to last, and how long it was then.
    _left: dict[Place, tuple[Path, int]] = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._format = FORMATS[Path(self.template).suffix]
        self._format.require()
        folder = root_of(self.template)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            text = f"{self.template}: {error.strerror}"
            raise StoreError(text) from error
        if not os.access(folder, os.W_OK):
            text = f"{self.template}: nothing can be written into {folder}"
            raise StoreError(text)

    def newest(self, table: Table, *key: str | int) -> int | None:
        """Return the highest value of the key's next column; None without a row."""
        with self._alone():
            if table.ordered:
                return self._newest_ordered(Place(table, key))
            place = Place(table, key[:1])
            paths = [path for _, path in files_of(self.template, place)]
            rows = [row for path in paths for row in self._read(path, table)]
            found = [row[len(key)] for row in rows if row[: len(key)] == key]
            return max((value for value in found if isinstance(value, int)), default=None)

    def write(self, batch: Batch) -> None:
        """Keep all rows of *batch*.

        The ordered tables come last: if they are cut off, what the others say comes again, too.
        """
        with self._alone():
            for table in sorted(batch, key=lambda table: table.ordered):
                for (place, day), rows in grouped(table, batch[table]).items():
                    if table.ordered:
                        self._append(place, day, rows)
                    else:
                        self._merge(place, day, rows)

    def close(self) -> None:
        """Make the files of the days that are not over."""
        end = time.monotonic() + _CLOSING
        for place, day in self._days.items():
            if time.monotonic() < end:
                try:
                    with self._alone():
                        self._finish(place, day)
                except StoreBusy as error:  # its rows are kept in the `.part` file
                    _log.warning("%s; the file is made at the next start", error)

    def _newest_ordered(self, place: Place) -> int | None:
        """Return what `newest` does; repair what a crash has left behind."""
        files, damaged, last = files_of(self.template, place), None, None
        for day in sorted({day for day, _ in files}, reverse=True):
            try:
                last = self._last_row(place, day)
            except Unreadable as error:
                set_aside(self._path(place, day), error)
                damaged = day
            if last is not None:
                self._days[place] = day
                break
        for day in {day for day, path in files if path.suffix == PART}:
            if day != self._days.get(place):
                self._finish(place, day)
        if place in self._days:
            lines = self._lines_path(place, self._days[place])
            self._left[place] = lines, size_of(lines)
        width = len(place.key)
        self._newest[place] = None if last is None else last[width : place.table.key]
        if last is None:
            return None if damaged is None else start_of(damaged) - 1
        return int(last[width] or 0)

    def _last_row(self, place: Place, day: date) -> Row | None:
        """Return the newest row of a day; None without one."""
        path, table = self._path(place, day), place.table
        lines = self._lines_path(place, day)
        rows = [repair_lines(lines, self._format.lines, table)] if lines.exists() else []
        if not self._format.appended and path.exists():
            rows += self._format.read(path, table)[-1:]
        return max((row for row in rows if row), key=lambda row: row[: table.key], default=None)

    def _append(self, place: Place, day: date, rows: Sequence[Row]) -> None:
        path, lines = self._lines_path(place, day), self._format.lines
        if place not in self._newest:
            self._newest_ordered(place)
        elif not self._is_as_left(place, path):
            self._catch_up(place, path)
        new = newer_than(self._newest[place], place, rows)
        if not new:
            return
        if self._days.get(place, day) != day:
            # After a power failure only the newest file is looked at: the others must be complete.
            sync_file(self._lines_path(place, self._days[place]))
            self._finish(place, self._days[place])
        size = append_lines(path, lines.header(place.table), lines.encode(place.table, new))
        self._newest[place] = new[-1][len(place.key) : place.table.key]
        self._days[place], self._left[place] = day, (path, size)

    def _is_as_left(self, place: Place, path: Path) -> bool:
        """Return whether nobody else has written into *path* since this store has."""
        left, size = self._left.get(place, (path, 0))
        return size_of(path) == (size if path == left else 0)

    def _catch_up(self, place: Place, path: Path) -> None:
        """Note what another recorder has added. If *path* was taken away, go on all the same.

        Raises:
            StoreRewound: it is there, and lacks rows that it had.

        """
        known = self._newest[place]
        self._newest_ordered(place)
        found = self._newest[place]
        if known is not None and (found is None or found < known):
            if size_of(path):
                text = f"{path} has lost rows that it had, up to {known[0]}"
                raise StoreRewound(text)
            self._newest[place] = known

    def _finish(self, place: Place, day: date) -> None:
        """Make the file of a day of the rows that were collected for it."""
        path = self._path(place, day)
        part = part_of(path)
        if part.exists():
            repair_lines(part, self._format.lines, place.table)
            rows = self._format.lines.decode(place.table, part.read_bytes())
            self._merge(place, day, rows)
            part.unlink()

    def _merge(self, place: Place, day: date, rows: Sequence[Row]) -> None:
        """Write the file of a day anew, with *rows* in it."""
        path, table = self._path(place, day), place.table
        known = {row[: table.key]: row for row in self._read(path, table)}
        for row in rows:
            if table.replaces or row[: table.key] not in known:
                known[row[: table.key]] = row
        path.parent.mkdir(parents=True, exist_ok=True)
        ordered = [known[key] for key in sorted(known)]
        replace_file(path, self._format.dump(table, ordered))

    def _read(self, path: Path, table: Table) -> list[Row]:
        """Return the rows of a file; set it aside if it cannot be read."""
        require_file(path)
        try:
            return self._format.read(path, table) if path.exists() else []
        except Unreadable as error:
            set_aside(path, error)
            return []

    def _path(self, place: Place, day: date) -> Path:
        return path_of(self.template, place, day)

    def _lines_path(self, place: Place, day: date) -> Path:
        """Return the file that rows are appended to."""
        path = self._path(place, day)
        return path if self._format.appended else part_of(path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other recorders away in the block; raise the operating system's errors as ours."""
        try:
            with alone_in(root_of(self.template)):
                yield
        except OSError as error:
            text = f"{error.filename or self.template}: {error.strerror}"
            kind = StoreError if error.errno in _LASTING else StoreBusy
            raise kind(text) from error
