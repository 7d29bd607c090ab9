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
"""

import errno
import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from glob import escape
from glob import glob as matching
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs

from derivtrio.calls.status import TolerantLogger
from derivtrio.recording.formats import FORMATS, FileFormat
from derivtrio.recording.safe_files import append_lines, repair_lines, replace_file
from derivtrio.recording.store import StoreBusy, StoreError, Unreadable
from derivtrio.recording.tables import CANDLES, TICKS, Batch, Row, Table, Value

_log: Final = TolerantLogger(logging.getLogger("derivtrio.recording"))

#: How much time closing may take to turn collected rows into Parquet files, in seconds. What is
#: left then is kept in the `.part` files, and its turn comes at the next start.
_CLOSING: Final = 1.0

_PART: Final = ".part"


@attrs.frozen
class Place:
    """One series: a table, and the first values of its key. Its files differ by their days."""

    table: Table
    key: tuple[Value, ...]


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

    def __attrs_post_init__(self) -> None:
        self._format = FORMATS[Path(self.template).suffix]
        self._format.require()
        folder = Path(self.template.split("{")[0] + "x").parent
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
        with self._explained():
            if table.ordered:
                return self._newest_ordered(Place(table, key))
            place = Place(table, key[:1])
            rows = [row for _, path in self._files(place) for row in self._read(path, table)]
            found = [row[len(key)] for row in rows if row[: len(key)] == key]
            return max((value for value in found if isinstance(value, int)), default=None)

    def write(self, batch: Batch) -> None:
        """Keep all rows of *batch*.

        The ordered tables come last: if they are cut off, what the others say comes again, too.
        """
        with self._explained():
            for table in sorted(batch, key=lambda table: table.ordered):
                for (place, day), rows in _grouped(table, batch[table]).items():
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
                    with self._explained():
                        self._finish(place, day)
                except StoreBusy as error:  # its rows are kept in the `.part` file
                    _log.warning("%s; the file is made at the next start", error)

    def _newest_ordered(self, place: Place) -> int | None:
        """Return what `newest` does; repair what a crash has left behind."""
        files, damaged, last = self._files(place), None, None
        for day in sorted({day for day, _ in files}, reverse=True):
            try:
                last = self._last_row(place, day)
            except Unreadable as error:
                self._set_aside(place, day, error)
                damaged = day
            if last is not None:
                self._days[place] = day
                break
        for day in {day for day, path in files if path.suffix == _PART}:
            if day != self._days.get(place):
                self._finish(place, day)
        width = len(place.key)
        self._newest[place] = None if last is None else last[width : place.table.key]
        if last is None:
            return None if damaged is None else _start_of(damaged) - 1
        return int(last[width] or 0)

    def _last_row(self, place: Place, day: date) -> Row | None:
        """Return the newest row of a day; None without one."""
        path, table = self._path(place, day), place.table
        lines = path if self._format.appended else _part_of(path)
        rows = [repair_lines(lines, self._format.lines, table)] if lines.exists() else []
        if not self._format.appended and path.exists():
            rows += self._format.read(path, table)[-1:]
        return max((row for row in rows if row), key=lambda row: row[: table.key], default=None)

    def _append(self, place: Place, day: date, rows: Sequence[Row]) -> None:
        if place not in self._newest:
            self._newest_ordered(place)
        width, last = len(place.key), self._newest[place]
        new = [row for row in rows if last is None or row[width : place.table.key] > last]
        if not new:
            return
        if self._days.get(place, day) != day:
            self._finish(place, self._days[place])
        path, lines = self._path(place, day), self._format.lines
        path = path if self._format.appended else _part_of(path)
        append_lines(path, lines.header(place.table), lines.encode(place.table, new))
        self._newest[place], self._days[place] = new[-1][width : place.table.key], day

    def _finish(self, place: Place, day: date) -> None:
        """Make the file of a day of the rows that were collected for it."""
        path = self._path(place, day)
        part = _part_of(path)
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
        _require_file(path)
        try:
            return self._format.read(path, table) if path.exists() else []
        except Unreadable as error:
            _set_aside(path, error)
            return []

    def _set_aside(self, place: Place, day: date, error: Unreadable) -> None:
        _set_aside(self._path(place, day), error)

    def _path(self, place: Place, day: date) -> Path:
        symbol = quote(str(place.key[0]), safe="")
        path = Path(self.template.replace("{symbol}", symbol).replace("{date}", day.isoformat()))
        return path.with_name(f"{path.stem}{_kind(place)}{path.suffix}")

    def _files(self, place: Place) -> list[tuple[date, Path]]:
        """Return the files of a series, also those of collected rows, and their days."""
        some_day = date(2000, 1, 1)
        sample, shown = str(self._path(place, some_day)), some_day.isoformat()
        pattern = re.escape(sample).replace(re.escape(shown), r"(\d{4}-\d\d-\d\d)")
        found = []
        for name in matching(escape(sample).replace(shown, "*") + "*"):  # noqa: PTH207 - has a root
            match = re.fullmatch(f"{pattern}(?:{re.escape(_PART)})?", name)
            with suppress(ValueError):  # there may be a file of others, such as 2026-13-99.csv
                if match is not None:
                    found.append((date.fromisoformat(match[1]), Path(name)))
        for _, path in found:
            _require_file(path)
        return found

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise the operating system's errors as ours."""
        try:
            yield
        except OSError as error:
            text = f"{error.filename or self.template}: {error.strerror}"
            kind = StoreError if error.errno in (errno.ENOTDIR, errno.EISDIR) else StoreBusy
            raise kind(text) from error


def _kind(place: Place) -> str:
    """Return what tells the files of one table from those of another."""
    if place.table is TICKS:
        return ""
    if place.table is CANDLES:
        return f".candles-{place.key[1]}"
    return f".{place.table.name}"


def _grouped(table: Table, rows: Sequence[Row]) -> dict[tuple[Place, date], list[Row]]:
    """Return *rows* by series and day, each group in their order."""
    width, time_column = 2 if table is CANDLES else 1, table.names.index(table.time)
    groups: dict[tuple[Place, date], list[Row]] = {}
    for row in rows:
        day = datetime.fromtimestamp(int(row[time_column] or 0), UTC).date()
        groups.setdefault((Place(table, row[:width]), day), []).append(row)
    return groups


def _part_of(path: Path) -> Path:
    return path.with_name(path.name + _PART)


def _start_of(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _require_file(path: Path) -> None:
    """Raise a StoreError if something else has this name: to read a pipe would take for ever."""
    if path.exists() and not path.is_file():
        text = f"{path} is a folder, a device or a pipe, not a file"
        raise StoreError(text)


def _set_aside(path: Path, error: Unreadable) -> None:
    damaged = path.with_name(path.name + ".damaged")
    _log.warning("%s; it is now called %s", error, damaged.name)
    path.replace(damaged)
