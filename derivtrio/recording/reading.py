"""Rows read back from a SQLite file or a PostgreSQL database, while a recorder may be writing.

Rows come in the order of their keys, a chunk at a time, so memory does not grow with the recording.
Each chunk of a SQLite file is a query of its own. As long as a query is open, SQLite's log only
grows, by gigabytes an hour where there are many symbols; whoever reads may be slow, `less` for one.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import attrs

from derivtrio.models import Candle
from derivtrio.recording.sqlite import other_shape, require_place
from derivtrio.recording.store import StoreError
from derivtrio.recording.tables import Row, Selection
from derivtrio.recording.targets import FILE_SUFFIXES, check_database
from derivtrio.redaction import shown_url

#: How many rows are read at a time.
CHUNK: Final = 20_000

_NAMED: Final = {str: "text", int: "whole number", float: "number"}


def read(source: str, selection: Selection) -> Iterator[Sequence[Row]]:
    """Yield the rows of *selection* in *source*, the file or URL of a store, in chunks.

    Raises:
        StoreError: there is no such store, or it has no such table.
        MissingExtra: it needs a package that is not installed.

    """
    if "://" not in source:
        if source.endswith(FILE_SUFFIXES):
            text = f"{source}: a SQLite file is read, or a database; this name is of neither"
            raise StoreError(text)
        return _read_sqlite(Path(source), selection)
    check_database(source)
    from derivtrio.recording.sql import read_sql  # noqa: PLC0415 - needs an extra

    return read_sql(source, selection, CHUNK)


def shown_source(source: str) -> str:
    """Return the name of a store for people: of a URL without the password."""
    return shown_url(source) if "://" in source else source


def _read_sqlite(path: Path, selection: Selection) -> Iterator[Sequence[Row]]:
    if not path.is_file():
        require_place(path)
        text = f"{path}: unable to open database file: there is no such file"
        raise StoreError(text)
    # Nobody writes where nobody may; there SQLite could not make the files that readers share.
    shut = path.exists() and not os.access(path.absolute().parent, os.W_OK)
    mode = "immutable=1" if shut and not path.with_name(path.name + "-wal").exists() else "mode=ro"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as db:
            if (wrong := other_shape(db, selection.table)) is not None:
                text = f"{path} {wrong}"
                raise StoreError(text)
            for rows in _chunks(db, selection):
                _check_values(rows, selection, path)
                yield rows
    except (sqlite3.Error, UnicodeError) as error:
        text = f"{path}: {error}"
        raise StoreError(text) from error


def _check_values(rows: Sequence[Row], selection: Selection, path: Path) -> None:
    """Raise a StoreError if another program has put something else there: SQLite takes anything."""
    columns = selection.table.columns.items()
    for (name, kind), values in zip(columns, zip(*rows, strict=True), strict=True):
        if not {kind, type(None)}.issuperset(map(type, values)):
            text = f"{path} has a row of {selection.table.name} whose {name} is no {_NAMED[kind]}"
            raise StoreError(text)


def _chunks(db: sqlite3.Connection, selection: Selection) -> Iterator[Sequence[Row]]:
    """Yield the rows of *selection*, those of one symbol after those of the other."""
    if selection.symbols and selection.table.keys[0] == "symbol":
        known = 1 if selection.granularity is None else 2
        for symbol in sorted(set(selection.symbols)):
            yield from _chunks_after(db, attrs.evolve(selection, symbols=(symbol,)), known)
    else:
        yield from _chunks_after(db, selection, 0)


def _chunks_after(
    db: sqlite3.Connection, selection: Selection, known: int
) -> Iterator[Sequence[Row]]:
    """Yield the rows of *selection*, each chunk from the key on that the one before ended with.

    The first *known* columns of the key are the same in all rows. SQLite finds the rest of the key
    in its index, if nothing else is said of it.
    """
    table, rest = selection.table, selection.table.keys[known:]
    columns, key, order = (_quoted(names) for names in (table.names, rest, table.keys))
    rows: Sequence[Row] = ()
    while not rows or len(rows) == CHUNK:
        where, values = _where(selection)
        if rows:
            where += f" AND ({key}) > ({', '.join('?' * len(rest))})"
            values += rows[-1][known : table.key]
        ordered = f"{where} ORDER BY {order} LIMIT {CHUNK}"
        query = f'SELECT {columns} FROM "{table.name}" WHERE {ordered}'  # noqa: S608
        rows = db.execute(query, values).fetchall()
        if not rows:
            return
        yield rows
        if rest[0] == table.time and table.until is None:
            selection = attrs.evolve(selection, start=None)


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _where(selection: Selection) -> tuple[str, list[Any]]:
    """Return the condition of a query, and its values."""
    parts = [f'"{column}" {operator} ?' for column, operator, _ in selection.conditions]
    values = [value for _, _, value in selection.conditions]
    if selection.symbols:
        parts.append(f'"symbol" IN ({", ".join("?" * len(selection.symbols))})')
        values += selection.symbols
    return " AND ".join(parts) or "TRUE", values


def candles_of(ticks: Iterator[Sequence[Row]], length: int) -> Iterator[Candle]:
    """Yield the candles of *length* seconds that the rows of one symbol's ticks make."""
    rows = (row for chunk in ticks for row in chunk)
    for open_time, group in groupby(rows, lambda row: int(row[1] or 0) // length * length):
        first, *others = group
        quotes = [float(row[3] or 0) for row in (first, *others)]
        epoch = int((others[-1] if others else first)[1] or 0)
        prices = quotes[0], max(quotes), min(quotes), quotes[-1]
        yield Candle(str(first[0]), length, open_time, epoch, *prices, closed=True)


def candles_in(rows: Iterator[Sequence[Row]]) -> Iterator[Candle]:
    """Yield the candles that were recorded as such."""
    for symbol, length, open_time, *prices in (row for chunk in rows for row in chunk):
        at = int(open_time or 0)
        first, high, low, last = (float(price or 0) for price in prices)
        yield Candle(str(symbol), int(length or 0), at, at, first, high, low, last, closed=True)
