"""Parquet, with pyarrow: whole files, and files that grow row group by row group."""

import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import attrs

from derivtrio.recording.extras import needing
from derivtrio.recording.store import StoreError, Unreadable
from derivtrio.recording.tables import TICKS, Row, Table


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
    """Writes rows into *sink*, which need not be a file, as Parquet, some at a time.

    It is a block: at its end the end of the file is written, unless the block fails.
    """

    def __init__(self, sink: BinaryIO, table: Table) -> None:
        self._table = table
        schema = arrow_table(table, ()).schema
        self._sink = CountingSink(sink)
        file = _pyarrow().PythonFile(self._sink, mode="w")
        self._writer = _pyarrow().parquet.ParquetWriter(file, schema)

    def write(self, rows: Sequence[Row]) -> None:
        """Write *rows*, as a row group."""
        self._writer.write_table(arrow_table(self._table, rows))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._writer.close()
            return
        # Otherwise pyarrow writes the end when the writer is collected, into what is closed then.
        self._sink.dropping = True
        with suppress(Exception):
            self._writer.close()


@attrs.define(eq=False)
class CountingSink:
    """A binary file that knows its position, also where *sink* is a pipe.

    Attributes:
        dropping: whether what is written is dropped from now on.

    """

    _sink: BinaryIO
    _position: int = attrs.field(default=0, init=False)
    closed: bool = attrs.field(default=False, init=False)
    dropping: bool = attrs.field(default=False, init=False)

    def write(self, data: bytes) -> int:
        """Write *data*."""
        if not self.dropping:
            self._sink.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        """Return how much was written."""
        return self._position

    def flush(self) -> None:
        """Flush."""
        if not self.dropping:
            self._sink.flush()

    def close(self) -> None:
        """Leave the sink open: it is its owner's."""
        self.closed = True


def dump_parquet(table: Table, rows: Sequence[Row]) -> bytes:
    """Return a file with *rows*."""
    sink = io.BytesIO()
    _pyarrow().parquet.write_table(arrow_table(table, rows), sink)
    return sink.getvalue()


def warm_parquet() -> None:
    """Write something, for the first time takes long: not when a program has to end soon."""
    dump_parquet(TICKS, ())


def read_parquet(path: Path, table: Table) -> list[Row]:
    """Return the rows of the file at *path*.

    Raises:
        Unreadable: it is damaged.
        StoreError: it has other columns.

    """
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
