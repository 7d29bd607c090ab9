"""`derivtrio plot`: a chart of what was recorded."""

import functools
from pathlib import Path

import attrs
import click
import trio

from derivtrio.cli.ending import perform
from derivtrio.cli.moments import LONGEST_CANDLE, in_period, require_period
from derivtrio.cli.out_files import check_out, replacing, require_apart
from derivtrio.cli.output import note
from derivtrio.recording import CANDLES, GAPS, TICKS
from derivtrio.recording.chart import Chart
from derivtrio.recording.reading import candles_in, candles_of, read, shown_source
from derivtrio.recording.tables import Selection
from derivtrio.wording import counted


@click.command()
@click.argument("source", metavar="SOURCE")
@click.argument("symbol")
@click.option(
    "--candles",
    "length",
    type=click.IntRange(1, LONGEST_CANDLE),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="The length of a candle.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=check_out,
    default=Path("chart.png"),
    show_default=True,
    help="The picture: .png, .svg or .pdf.",
)
@in_period
def plot(
    *, source: str, symbol: str, length: int, out: Path, start: int | None, end: int | None
) -> None:
    """Draw candles of SYMBOL from what was recorded in SOURCE; gaps are shaded.

    SOURCE is a SQLite file, or a postgresql:// URL. The candles are made of the recorded ticks; if
    there are none, they are the recorded candles of that length.
    """
    require_apart(out, source, "--out")
    require_period(start, end)
    ticks = Selection(TICKS, (symbol,), None, start, end)
    perform(functools.partial(draw, source, ticks, length, out))


async def draw(source: str, ticks: Selection, length: int, out: Path) -> None:
    """Draw candles of *length* seconds, from *ticks* or as recorded, into *out*."""
    await trio.lowlevel.checkpoint()
    candles, granularity = list(candles_of(read(source, ticks), length)), 0
    if not candles:
        recorded = attrs.evolve(ticks, table=CANDLES, granularity=length)
        candles, granularity = list(candles_in(read(source, recorded))), length
    if not candles:
        message = (
            f"there is nothing of {ticks.symbols[0]} in {shown_source(source)} at that time:"
            f" no ticks, and no candles of {counted(length, 'second')}"
        )
        raise click.ClickException(message)
    first, last = candles[0].open_time, candles[-1].open_time + length
    gaps = gaps_between(source, Selection(GAPS, ticks.symbols, granularity), first, last)
    try:
        with replacing(out) as file:
            Chart(candles, gaps).save(file, out.suffix.removeprefix("."))
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    note(f"{counted(len(candles), 'candle')} in {out}")


def gaps_between(source: str, selection: Selection, first: int, last: int) -> list[tuple[int, int]]:
    """Return the parts of the recorded gaps that are between two epochs."""
    rows = [row for chunk in read(source, selection) for row in chunk]
    spans = [(int(row[2] or 0), int(row[3] or 0)) for row in rows]
    return [(max(a, first), min(b, last)) for a, b in spans if a < last and b > first]
