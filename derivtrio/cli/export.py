"""`derivtrio export`: what was recorded, as CSV, JSON lines or Parquet."""

import functools
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs
import click
import trio

from derivtrio.cli.ending import perform
from derivtrio.cli.moments import LONGEST_CANDLE, in_period, require_period
from derivtrio.cli.out_files import check_out, replacing, require_apart
from derivtrio.cli.output import note
from derivtrio.recording import TABLES, TICKS, Row, Table
from derivtrio.recording.formats import CSV, JSON_LINES, LineFormat
from derivtrio.recording.parquet import ParquetSink
from derivtrio.recording.reading import read, shown_source
from derivtrio.recording.tables import CANDLES, Selection

_TABLES: Final = {table.name: table for table in TABLES}

_FORMATS: Final = ("jsonl", "csv", "parquet")


@attrs.frozen
class Export:
    """What to export, and how. `out` is None for standard output."""

    source: str
    selection: Selection
    kind: str
    out: Path | None


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option("--symbol", "symbols", multiple=True, help="May be repeated.  [default: all]")
@in_period
@click.option(
    "--format",
    "kind",
    type=click.Choice(_FORMATS),
    help="[default: that of --out, or jsonl]",
)
@click.option("--table", type=click.Choice(list(_TABLES)), help="[default: ticks]")
@click.option(
    "--candles",
    type=click.IntRange(1, LONGEST_CANDLE),
    metavar="SECONDS",
    help="The candles of this length.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=check_out,
    help="[default: -, standard output]",
)
def export(kind: str | None, out: Path | None, source: str, **choice: Any) -> None:
    """Print what was recorded in SOURCE: a SQLite file, or a postgresql:// URL.

    A recorder may go on writing meanwhile. With --out, the file is replaced when all is written.
    """
    out = None if out == Path("-") else out
    if kind is None:
        suffix = "" if out is None else out.suffix.removeprefix(".")
        kind = suffix if suffix in _FORMATS else _FORMATS[0]
    if kind == "parquet" and out is None and sys.stdout is not None and sys.stdout.isatty():
        message = "Parquet is nothing for a terminal; give --out FILE, or a pipe"
        raise click.UsageError(message)
    require_apart(out, source, "--out")
    job = Export(source, selection_of(**choice), kind, out)
    perform(functools.partial(write, job))


def selection_of(
    symbols: tuple[str, ...],
    start: int | None,
    end: int | None,
    table: str | None,
    candles: int | None,
) -> Selection:
    """Return the selection that the options describe."""
    chosen = TICKS if table is None else _TABLES[table]
    if candles is not None:
        if table not in (None, CANDLES.name):
            message = f"--candles is for the table candles, not {table}"
            raise click.UsageError(message)
        chosen = CANDLES
    if symbols and "symbol" not in chosen.columns:
        message = f"the rows of {chosen.name} have no symbol"
        raise click.UsageError(message)
    require_period(start, end)
    return Selection(chosen, symbols, candles, start, end)


async def write(job: Export) -> None:
    """Write the rows of *job*."""
    chunks, found = read(job.source, job.selection), False
    with opened(job.out) as sink, ExitStack() as block:
        writer = None
        if job.kind == "parquet":
            writer = block.enter_context(ParquetSink(sink, job.selection.table))
        if job.kind == "csv":
            sink.write(CSV.header(job.selection.table))
        for rows in chunks:
            found = True
            if writer is None:
                sink.write(lines_of(job, rows))
            else:
                writer.write(rows)
            await trio.lowlevel.checkpoint()  # Ctrl-C is noticed here
    if not found:
        note(f"there are no such rows in {shown_source(job.source)}")


def lines_of(job: Export, rows: Sequence[Row]) -> bytes:
    """Return *rows* as lines of text."""
    table: Table = job.selection.table
    lines: LineFormat = CSV if job.kind == "csv" else JSON_LINES
    return lines.encode(table, rows)


@contextmanager
def opened(out: Path | None) -> Iterator[BinaryIO]:
    """Open *out*, which appears when the block has succeeded; or standard output."""
    if out is None:
        if sys.stdout is None:
            message = "standard output is closed; give --out FILE"
            raise click.ClickException(message)
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    with replacing(out) as sink:
        yield sink
