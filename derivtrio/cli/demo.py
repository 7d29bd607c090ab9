"""`derivtrio demo`: twenty seconds that show what derivtrio is for.

A simulator, a client, and a script that breaks the connection between them run in one program. One
task listens to the client's events and another one to its ticks. All of them write to one `Record`,
and everything that is printed comes from there.
"""

import sys
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import click
import trio
from rich.console import Console

from derivtrio import Backoff, Endpoint, Settings, Subscription, Tick, open_client
from derivtrio.cli.ending import perform
from derivtrio.cli.out_files import check_out
from derivtrio.cli.outages import (
    Break,
    Happening,
    Listener,
    Phase,
    Record,
    fetched,
    phases,
    summary,
    survived,
)
from derivtrio.cli.output import clock, quote_of, require_output, sentence
from derivtrio.cli.serving import ListenAddress, serve_option, serving
from derivtrio.events import Event
from derivtrio.redaction import shown_url
from derivtrio.simulator import Simulator, open_simulator

SYMBOL: Final = "1HZ100V"


@click.command()
@click.option(
    "--timeline",
    "picture",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=check_out,
    help="Draw the run into this file: a page of HTML; .svg is one picture, .json is for Perfetto,"
    " .mmd for Mermaid.",
)
@serve_option
def demo(picture: Path | None, page: ListenAddress | None) -> None:
    """Show ticks surviving two broken connections.

    It takes about 20 seconds. A simulated server and a client run inside the program; no network is
    needed. The ticks that were missed in the outages are fetched, and the whole record is compared
    with the simulator's prices. If it differs, the exit status is 1.
    """
    require_output()
    complete = False

    async def main() -> None:
        nonlocal complete
        complete = await show(Pace(), picture, page)

    perform(main)
    sys.exit(not complete)


@attrs.frozen
class Pace:
    """How long things take; durations are in seconds.

    Attributes:
        ticks: how many live ticks to wait for before the first break and after each break.
        away: how long the server refuses connections after it has dropped one.
        heartbeat: the client's `heartbeat_interval` and `heartbeat_timeout`.
        patience: when to give up waiting for ticks.

    """

    ticks: int = 6
    away: float = 2.5
    heartbeat: float = 1.0
    patience: float = 60.0

    @property
    def settings(self) -> Settings:
        """The client's settings at this pace."""
        return Settings(
            heartbeat_interval=self.heartbeat,
            heartbeat_timeout=self.heartbeat,
            backoff=Backoff(first=0.5, cap=1),
            stable_after=2,
            wait_ready=False,
        )


async def demonstrate(
    sim: Simulator, endpoint: Endpoint | str, pace: Pace, listener: Listener
) -> list[Phase]:
    """Connect a client to *sim* at *endpoint*; break the connection twice; return the phases.

    Raises:
        ExceptionGroup: with `ConnectionFailed` in it: the client has given up.

    """
    record = Record(listener)
    with trio.move_on_after(pace.patience):
        async with (
            open_client(endpoint=endpoint, settings=pace.settings) as client,
            client.events() as events,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(record_events, events, record, name="derivtrio.demo.events")
            async with client.ticks(SYMBOL) as ticks:
                nursery.start_soon(record_ticks, ticks, record, name="derivtrio.demo.ticks")
                await break_twice(sim, pace, record)
            nursery.cancel_scope.cancel()
    return phases(record.happened)


async def break_twice(sim: Simulator, pace: Pace, record: Record) -> None:
    """Wait for ticks, then break the connection; once by a drop, once by a freeze."""
    await record.ticks(pace.ticks)
    record.add(Break("drop", f"drops the connection, and is away for {pace.away:g} s"))
    sim.faults.drop()
    sim.faults.refuse(pace.away)
    await record.ticks(pace.ticks)
    record.add(Break("freeze", "freezes: the connection stays open, and nothing comes any more"))
    sim.faults.freeze()
    await record.ticks(pace.ticks)


async def record_events(events: Subscription[Event], record: Record) -> None:
    """Record what happens to the connection."""
    async for event in events:
        record.add(event)


async def record_ticks(ticks: Subscription[Tick], record: Record) -> None:
    """Record each tick as it comes."""
    async for tick in ticks:
        record.add(tick)


class RaisingConsole(Console):
    """A console that raises when its output is closed; rich wants a subclass for this."""

    def on_broken_pipe(self) -> None:
        """Raise `BrokenPipeError`; rich itself would end the program here, with status 1."""
        raise  # noqa: PLE0704 - rich calls this where it handles that error


async def show(pace: Pace, picture: Path | None = None, page: ListenAddress | None = None) -> bool:
    """Run the demo over TCP and print it; return whether no tick is missing or wrong.

    With *picture* it is drawn into that file; with *page* it can be watched there.
    """
    console = RaisingConsole(soft_wrap=True, highlight=False, markup=False)
    async with open_simulator() as sim:
        console.print(f"A simulated Deriv server at {shown_url(sim.url)}, a derivtrio client, and")
        console.print("two broken connections. The prices are made up. About 20 seconds.\n")
        watch = partial(show_url, console)
        async with serving(page, path=picture, say=watch):
            done = await demonstrate(sim, sim.url, pace, partial(show_line, console))
        console.print()
        for text in summary(done, pace.ticks, sim.market):
            console.print(text)
        if picture is not None:
            console.print(f"The picture is in {picture}.")
    return survived(done, pace.ticks, sim.market)


def show_url(console: Console, url: str) -> None:
    """Print where the time line can be watched."""
    console.print(f"Watch its time line at {url} while it runs.\n")


def show_line(console: Console, at: float, what: Happening) -> None:
    """Print one line: when, what kind, and what."""
    match what:
        case Tick(symbol=symbol, epoch=epoch):
            kind, style = ("fetched", "cyan") if fetched(what) else ("tick", "green")
            line = f"{kind:<7} {symbol}  {clock(epoch)}  {quote_of(what)}"
        case Break(action=action):
            line, style = f"server  {action}", "bold red"
        case _:
            line, style = f"client  {sentence(what)}", "yellow"
    console.print(f"{at:5.1f} s  {line}", style=style)
