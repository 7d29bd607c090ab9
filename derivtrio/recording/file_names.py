"""The names of a store's files: one for each series and day.

A series is a symbol's ticks, its candles of one length, or its rows of another table. Candles and
the other tables have a word of their own before the suffix: `….candles-60.csv`, `….gaps.csv`.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from glob import escape
from glob import glob as matching
from pathlib import Path
from typing import Final
from urllib.parse import quote

import attrs

from derivtrio.recording.store import StoreError
from derivtrio.recording.tables import CANDLES, TICKS, Row, Table, Value

#: What a file is called in which the rows of another one are collected.
PART: Final = ".part"


@attrs.frozen
class Place:
    """One series: a table, and the first values of its key. Its files differ by their days."""

    table: Table
    key: tuple[Value, ...]

    @property
    def kind(self) -> str:
        """What tells its files from those of the symbol's other series."""
        if self.table is TICKS:
            return ""
        if self.table is CANDLES:
            return f".candles-{self.key[1]}"
        return f".{self.table.name}"


def root_of(template: str) -> Path:
    """Return the folder that all files of *template* are in, or in folders of it."""
    return Path(template.partition("{")[0] + "x").parent


def path_of(template: str, place: Place, day: date) -> Path:
    """Return the file of a series and a day."""
    symbol = quote(str(place.key[0]), safe="")
    path = Path(template.replace("{symbol}", symbol).replace("{date}", day.isoformat()))
    return path.with_name(f"{path.stem}{place.kind}{path.suffix}")


def part_of(path: Path) -> Path:
    """Return the file in which the rows of *path* are collected."""
    return path.with_name(path.name + PART)


def files_of(template: str, place: Place) -> list[tuple[date, Path]]:
    """Return the files of a series, also those of collected rows, and their days.

    Raises:
        StoreError: something else has such a name.

    """
    some_day = date(2000, 1, 1)
    sample, shown = str(path_of(template, place, some_day)), some_day.isoformat()
    pattern = re.escape(sample).replace(re.escape(shown), r"(\d{4}-\d\d-\d\d)")
    found = []
    for name in matching(escape(sample).replace(shown, "*") + "*"):  # noqa: PTH207 - has a root
        match = re.fullmatch(f"{pattern}(?:{re.escape(PART)})?", name)
        with suppress(ValueError):  # there may be a file of others, such as 2026-13-99.csv
            if match is not None:
                found.append((date.fromisoformat(match[1]), Path(name)))
    for _, path in found:
        require_file(path)
    return found


def require_file(path: Path) -> None:
    """Raise a StoreError if something else has this name: to read a pipe would take for ever."""
    if path.exists() and not path.is_file():
        text = f"{path} is a folder, a device or a pipe, not a file"
        raise StoreError(text)


def grouped(table: Table, rows: Sequence[Row]) -> dict[tuple[Place, date], list[Row]]:
    """Return *rows* by series and day, each group in their order."""
    width, time_column = 2 if table is CANDLES else 1, table.names.index(table.time)
    groups: dict[tuple[Place, date], list[Row]] = {}
    for row in rows:
        day = _day_of(int(row[time_column] or 0))
        groups.setdefault((Place(table, row[:width]), day), []).append(row)
    return groups


def newer_than(last: Row | None, place: Place, rows: Sequence[Row]) -> list[Row]:
    """Return those of *rows* that are newer than the *last* one, and than those before them.

    A stream that was asked for again brings the rows once more that still wait for the disk. *last*
    is what follows the series in the key.
    """
    new = list[Row]()
    for row in rows:
        rest = row[len(place.key) : place.table.key]
        if last is None or rest > last:
            new.append(row)
            last = rest
    return new


def start_of(day: date) -> int:
    """Return the epoch at which *day* begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _day_of(epoch: int) -> date:
    """Return the day of an epoch; the last day for one that no calendar has.

    The server's word for the time of a transaction may be anything, and its row is kept all the
    same.
    """
    try:
        return datetime.fromtimestamp(epoch, UTC).date()
    except (ValueError, OverflowError, OSError):
        return date.max
