"""`derivtrio top`: a client and its work, as `top` shows the processes of a machine."""

import functools
from typing import Final

import click
import trio

from derivtrio.cli.ending import perform
from derivtrio.cli.followed import FollowedSymbol, follow
from derivtrio.cli.live_view import CLOSE_TIMEOUT, Monitor, foot_of
from derivtrio.cli.screen import on_screen, require_terminal
from derivtrio.cli.serving import ListenAddress, serve_option, serving
from derivtrio.cli.target import Target, connecting
from derivtrio.cli.top_view import Rates, TopView

#: How often the view is drawn, in seconds.
INTERVAL: Final = 1.0


@click.command()
@click.argument("symbols", nargs=-1)
@serve_option
@connecting
def top(target: Target, symbols: tuple[str, ...], page: ListenAddress | None) -> None:
    """Show a client at work, with the ticks of SYMBOLS.

    It shows the client that this command opens, and no other program's: its state and since when,
    messages and bytes a second, the round trip, pending calls, streams, rate limits, the last
    events, and the tree of its tasks. Ctrl-C ends it. For a program of yours, see
    derivtrio.trace.serve, or the health page of record, relay and ticks.
    """
    require_terminal("derivtrio ticks prints lines, and its --health tells how the client is")
    perform(functools.partial(show, target, symbols, page), target)


async def show(target: Target, symbols: tuple[str, ...], page: ListenAddress | None) -> None:
    """Show a client that follows *symbols*, until cancelled."""
    urls: list[str] = []
    rows = [FollowedSymbol(symbol) for symbol in dict.fromkeys(symbols)]
    async with (
        serving(page, say=urls.append, always=True) as shown,
        target.open(None, wait_ready=False, close_timeout=CLOSE_TIMEOUT) as client,
    ):
        assert shown is not None  # noqa: S101 - `always`
        monitor, rates = Monitor(client), Rates(client)
        view = TopView(rows, monitor, rates, shown.recording, target.shown)
        async with on_screen(view.drawn, INTERVAL, foot_of(urls)), trio.open_nursery() as nursery:
            nursery.start_soon(monitor.follow, name="derivtrio.top.events")
            nursery.start_soon(monitor.measure, name="derivtrio.top.round_trip")
            nursery.start_soon(rates.measure, name="derivtrio.top.rates")
            for row in rows:
                name = f"derivtrio.top {row.symbol}"
                nursery.start_soon(follow, client, row, rows, monitor, name=name)
