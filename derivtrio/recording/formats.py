"""The formats of files: CSV, JSON lines, Parquet. Rows in, bytes out, and back.

CSV and JSON lines are *line formats*: a row of ticks or candles is one line. So a file of them can
be appended to, and what a crash has cut off is at its end. Empty cells of CSV are None, or "" in a
column of text.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import msgspec

from derivtrio.recording.parquet import dump_parquet, read_parquet, warm_parquet
from derivtrio.recording.store import Unreadable
from derivtrio.recording.tables import Row, Table, Value


class LineFormat(Protocol):
    """A format in which a row is a line."""

    def header(self, table: Table) -> bytes:
        """Return what stands before the first row."""
        ...

    def encode(self, table: Table, rows: Iterable[Row]) -> bytes:
        """Return *rows* as lines."""
        ...

    def decode(self, table: Table, data: bytes) -> list[Row]:
        """Return the rows of a file's *data*, which begins with the header.

        Raises:
            ValueError: *data* is nothing of the kind.

        """
        ...

    def parse(self, table: Table, line: bytes) -> Row:
        """Return the row in *line*; raise a ValueError if it is none."""
        ...


class JsonLines:
    """An object a line, whose members are the columns."""

    def header(self, _table: Table) -> bytes:
        """Return nothing."""
        return b""

    def encode(self, table: Table, rows: Iterable[Row]) -> bytes:
        """Return *rows* as lines."""
        names, encode = table.names, msgspec.json.encode
        return b"".join(encode(dict(zip(names, row, strict=True))) + b"\n" for row in rows)

    def decode(self, table: Table, data: bytes) -> list[Row]:
        """Return the rows of a file's *data*."""
        return [self.parse(table, line) for line in data.splitlines()]

    def parse(self, table: Table, line: bytes) -> Row:
        """Return the row in *line*."""
        try:
            members: Any = json.loads(line)
            return tuple(members[name] for name in table.names)
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(str(error)) from error


class Csv:
    """A header, and rows with commas; quoted where that is necessary."""

    def header(self, table: Table) -> bytes:
        """Return the names of the columns."""
        return ",".join(table.names).encode() + b"\n"

    def encode(self, _table: Table, rows: Iterable[Row]) -> bytes:
        """Return *rows* as lines."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()

    def decode(self, table: Table, data: bytes) -> list[Row]:
        """Return the rows of a file's *data*."""
        header = self.header(table)
        if not data.startswith(header):
            text = f"its first line is not {header.decode().strip()}"
            raise ValueError(text)
        lines = csv.reader(io.StringIO(data[len(header) :].decode()))
        return [_converted(table, cells) for cells in lines]

    def parse(self, table: Table, line: bytes) -> Row:
        """Return the row in *line*."""
        return _converted(table, next(csv.reader([line.decode()]), []))


def _converted(table: Table, cells: Sequence[str]) -> Row:
    kinds = table.columns.values()
    return tuple(_value(kind, cell) for kind, cell in zip(kinds, cells, strict=True))


def _value(kind: type, cell: str) -> Value:
    value: Value = kind(cell) if cell or kind is str else None
    return value


@attrs.frozen
class FileFormat:
    """How files of one suffix are written.

    Attributes:
        lines: the format of the lines that are appended.
        read: returns the rows of a whole file.
        dump: returns the bytes of a whole file.
        require: gets ready; raises `MissingExtra` if a package is not installed.
        appended: whether those lines are the file; otherwise they are collected for it.

    """

    lines: LineFormat
    read: Callable[[Path, Table], list[Row]]
    dump: Callable[[Table, Sequence[Row]], bytes]
    require: Callable[[], object]
    appended: bool = attrs.field(kw_only=True)


def _read_lines(lines: LineFormat) -> Callable[[Path, Table], list[Row]]:
    def read(path: Path, table: Table) -> list[Row]:
        try:
            return lines.decode(table, path.read_bytes())
        except ValueError as error:
            text = f"{path}: {error}"
            raise Unreadable(text) from error

    return read


def _dump_lines(lines: LineFormat) -> Callable[[Table, Sequence[Row]], bytes]:
    return lambda table, rows: lines.header(table) + lines.encode(table, rows)


def _line_file(lines: LineFormat) -> FileFormat:
    return FileFormat(lines, _read_lines(lines), _dump_lines(lines), lambda: None, appended=True)


JSON_LINES: Final = JsonLines()
CSV: Final = Csv()

#: The formats by the suffix of their files.
FORMATS: Final = {
    ".csv": _line_file(CSV),
    ".jsonl": _line_file(JSON_LINES),
    ".parquet": FileFormat(JSON_LINES, read_parquet, dump_parquet, warm_parquet, appended=False),
}
