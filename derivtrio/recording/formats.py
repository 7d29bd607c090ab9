"""The formats of files: CSV, JSON lines, Parquet. Rows in, bytes out, and back.

CSV and JSON lines are *line formats*: a row of ticks or candles is one line. So a file of them can
be appended to, and what a crash has cut off is at its end. Empty cells of CSV are None, or "" in a
column of text.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import attrs
import msgspec

from derivtrio.recording.extras import needing
from derivtrio.recording.store import StoreError, Unreadable
from derivtrio.recording.tables import TICKS, Row, Table, Value


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
        except (KeyError, TypeError) as error:
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


def _pyarrow() -> Any:
    with needing("parquet", "Parquet"):
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet  # noqa: PLC0415
    return pa


def arrow_table(table: Table, rows: Sequence[Row]) -> Any:
    """Return *rows* as a `pyarrow.Table`."""
    pa = _pyarrow()
    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    fields = [pa.field(name, kinds[kind]) for name, kind in table.columns.items()]
    columns = list(zip(*rows, strict=True)) or [()] * len(fields)
    arrays = [pa.array(c, field.type) for c, field in zip(columns, fields, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


class ParquetSink:
    """Writes rows into *sink*, which need not be a file, as Parquet, some at a time."""

    def __init__(self, sink: BinaryIO, table: Table) -> None:
        self._table = table
        schema = arrow_table(table, ()).schema
        file = _pyarrow().PythonFile(CountingSink(sink), mode="w")
        self._writer = _pyarrow().parquet.ParquetWriter(file, schema)

    def write(self, rows: Sequence[Row]) -> None:
        """Write *rows*, as a row group."""
        self._writer.write_table(arrow_table(self._table, rows))

    def close(self) -> None:
        """Write the end of the file; *sink* stays open."""
        self._writer.close()


@attrs.define(eq=False)
class CountingSink:
    """A binary file that knows its position, also where *sink* is a pipe."""

    _sink: BinaryIO
    _position: int = attrs.field(default=0, init=False)
    closed: bool = attrs.field(default=False, init=False)

    def write(self, data: bytes) -> int:
        """Write *data*."""
        self._sink.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how much was written."""
        return self._position

    def flush(self) -> None:
        """Flush."""
        self._sink.flush()

    def close(self) -> None:
        """Leave the sink open: it is its owner's."""
        self.closed = True


def _dump_parquet(table: Table, rows: Sequence[Row]) -> bytes:
    sink = io.BytesIO()
    _pyarrow().parquet.write_table(arrow_table(table, rows), sink)
    return sink.getvalue()


def _warm_parquet() -> None:
    """Write something, for the first time takes long: not when a program has to end soon."""
    _dump_parquet(TICKS, ())


def _read_parquet(path: Path, table: Table) -> list[Row]:
    pa = _pyarrow()
    try:
        names = pa.parquet.read_schema(path).names
        if names != list(table.names):
            text = f"{path} is another file: it has the columns {', '.join(names)}"
            raise StoreError(text)
        found = pa.parquet.read_table(path)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))
    except (pa.ArrowException, OSError, ValueError) as error:
        text = f"{path}: {' '.join(str(error).split())}"
        raise Unreadable(text) from error


JSON_LINES: Final = JsonLines()
CSV: Final = Csv()


def _line_file(lines: LineFormat) -> FileFormat:
    return FileFormat(lines, _read_lines(lines), _dump_lines(lines), lambda: None, appended=True)


#: The formats by the suffix of their files.
FORMATS: Final = {
    ".csv": _line_file(CSV),
    ".jsonl": _line_file(JSON_LINES),
    ".parquet": FileFormat(JSON_LINES, _read_parquet, _dump_parquet, _warm_parquet, appended=False),
}


def replace_file(path: Path, data: bytes) -> None:
    """Write *data* to *path*: whoever reads it sees the old file or the new one, never a part."""
    part = path.with_name(path.name + ".tmp")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def append_lines(path: Path, header: bytes, lines: bytes) -> None:
    """Append *lines* to *path*, all or nothing; a new file gets the *header* first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        size = file.tell()
        try:
            file.write(lines if size else header + lines)
            file.flush()
        except OSError:
            os.truncate(path, size)  # a full disk may have taken a part of them
            raise


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
