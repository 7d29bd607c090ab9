"""`derivtrio ticks`: the prices of some symbols, without end or up to a count."""

import functools
import logging
from collections.abc import Callable

import attrs
import click
import trio

from derivtrio import Subscription, Tick
from derivtrio.cli.ending import perform
from derivtrio.cli.moments import read_past_moment
from derivtrio.cli.operate import Operation, operating
from derivtrio.cli.output import note, require_output, sentence, show_tick, to_terminal
from derivtrio.cli.target import ATTEMPTS, Target, connecting


@click.command()
@click.argument("symbols", nargs=-1, required=True)
@click.option("--count", type=click.IntRange(min=1), help="How many ticks in all.  [default: all]")
@click.option(
    "--start",
    metavar="TIME",
    callback=read_past_moment,
    help="Begin with the ticks of this time: an epoch, or a date.  [default: the newest]",
)
@operating
@connecting
def ticks(
    target: Target,
    operation: Operation,
    symbols: tuple[str, ...],
    count: int | None,
    start: int | None,
) -> None:
    """Print the ticks of SYMBOLS, each tick once.

    The ticks of each symbol are in order. Without --count this goes on until Ctrl-C, and lost
    connections are replaced for ever. Ticks that were missed in an outage are fetched and printed
    before the ticks that follow; in JSON their ask and bid are null. If the server does not have
    them any more, standard error says between which times ticks are missing.
    """
    require_output()
    perform(functools.partial(follow, target, symbols, count, start, operation), target)


@attrs.define
class Tally:
    """How many more ticks to print, of all symbols together; None: no limit."""

    wanted: int | None

    def take(self) -> bool:
        """Count one tick; return whether to print it.

        A task that already has its tick in hand is not stopped by a cancellation; so it asks here.
        """
        if self.wanted == 0:
            return False
        if self.wanted is not None:
            self.wanted -= 1
        return True


async def follow(
    target: Target,
    symbols: tuple[str, ...],
    count: int | None,
    start: int | None,
    operation: Operation,
) -> None:
    """Print *count* ticks of *symbols*, from the epoch *start* on; each symbol has its task."""
    tally, attempts = Tally(count), None if count is None else ATTEMPTS
    async with (
        operation.open(target, attempts, bar=not to_terminal()) as client,
        trio.open_nursery() as nursery,
    ):
        for symbol in dict.fromkeys(symbols):  # each symbol once, in the order given
            stream = client.ticks(symbol, start=start)
            say = functools.partial(target.note, logging.WARNING, symbol=symbol)
            nursery.start_soon(follow_one, stream, tally, nursery.cancel_scope, say)


async def follow_one(
    stream: Subscription[Tick],
    tally: Tally,
    everyone: trio.CancelScope,
    say: Callable[[object], None] = note,
) -> None:
    """Print the ticks of *stream*, and its gaps. Cancel *everyone* when all is printed."""
    shown = 0
    async with stream:
        async for tick in stream:
            for gap in stream.gaps_after(shown):
                say(sentence(gap))
            shown = stream.gap_count
            if tally.take():
                show_tick(tick)
            if tally.wanted == 0:
                everyone.cancel()
                return
