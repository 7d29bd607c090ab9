"""`derivtrio watch`: the prices of some symbols, in a table that follows them."""

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
from derivtrio.cli.watch_view import WatchView

#: How often the table is drawn, in seconds.
_INTERVAL: Final = 0.5


@click.command()
@click.argument("symbols", nargs=-1, required=True)
@serve_option
@connecting
def watch(target: Target, symbols: tuple[str, ...], page: ListenAddress | None) -> None:
    """Watch the ticks of SYMBOLS in a table with charts.

    It shows the last quote, how it has changed in five minutes, how old it is, how many ticks come
    in a minute, a chart, and the gaps that could not be filled. What was missed in an outage is
    fetched, and is magenta in the chart. Below is the connection's state. Ctrl-C ends it.
    """
    require_terminal("derivtrio ticks prints lines")
    perform(functools.partial(show, target, symbols, page), target)


async def show(target: Target, symbols: tuple[str, ...], page: ListenAddress | None) -> None:
    """Show *symbols* until cancelled; each has its task."""
    urls: list[str] = []
    rows = [FollowedSymbol(symbol) for symbol in dict.fromkeys(symbols)]
    async with (
        serving(page, say=urls.append),
        target.open(None, wait_ready=False, close_timeout=CLOSE_TIMEOUT) as client,
    ):
        monitor = Monitor(client)
        view = WatchView(rows, monitor, target.shown)
        async with on_screen(view.drawn, _INTERVAL, foot_of(urls)), trio.open_nursery() as nursery:
            nursery.start_soon(monitor.follow, name="derivtrio.watch.events")
            nursery.start_soon(monitor.measure, name="derivtrio.watch.round_trip")
            for row in rows:
                name = f"derivtrio.watch {row.symbol}"
                nursery.start_soon(follow, client, row, rows, monitor, name=name)
