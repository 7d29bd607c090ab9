"""`--serve`: a live time line of the command's own client, in a browser.

The address is one of this machine's loopback, unless a host is named. Who may read the page is told
in `derivtrio.web`, what it shows in `derivtrio.trace`.
"""

import logging
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import click
import trio

from derivtrio.concurrency.background import running
from derivtrio.logs import TolerantLogger
from derivtrio.wording import LAST_PORT

if TYPE_CHECKING:  # it is imported when somebody wants it
    from derivtrio.trace import Timeline

_log: Final = TolerantLogger(logging.getLogger("derivtrio.cli"))

#: How much of the past the page shows, in seconds.
KEPT: Final = 900.0

_ADDRESS: Final = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[\w.-]+):)?(\d{1,5})", re.ASCII)


@attrs.frozen
class ListenAddress:
    """Where a page is served."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_address(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> ListenAddress | None:
    """Return the address that *text* means; a port alone is one of this machine's loopback."""
    if text is None:
        return None
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[2]) > LAST_PORT:
        message = "an address is HOST:PORT, such as 127.0.0.1:9090"
        raise click.BadParameter(message)
    return ListenAddress((found[1] or "127.0.0.1").strip("[]"), int(found[2]))


async def listeners_at(
    address: ListenAddress, what: str
) -> tuple[list[trio.SocketListener], ListenAddress]:
    """Listen at *address*; return also where that is, as port 0 is any port.

    Raises:
        ClickException: it cannot be done; *what* was to be served there.

    """
    try:
        listeners = await trio.open_tcp_listeners(address.port, host=address.host)
    except OSError as error:
        message = f"cannot serve {what} at {address}: {error.strerror}"
        raise click.ClickException(message) from None
    port = listeners[0].socket.getsockname()[1]
    return listeners, attrs.evolve(address, port=port)


serve_option: Final = click.option(
    "--serve",
    "page",
    metavar="[HOST:]PORT",
    callback=read_address,
    help="Serve a live time line of this command there, for browsers. Without a host: 127.0.0.1.",
)


@asynccontextmanager
async def serving(
    page: ListenAddress | None,
    *,
    path: str | Path | None = None,
    say: Callable[[str], object] | None = None,
    always: bool = False,
) -> AsyncGenerator["Timeline | None"]:
    """Record the clients that are opened in the block, and serve the picture as a *page*.

    Without *page* and *path* nothing is recorded, unless it should be *always*. With *path* the
    whole run is recorded, and written there at the end; without, the last minutes. *say* is told
    the page's URL; without it, the log is.

    Raises:
        ClickException: the page cannot be served there.

    """
    if page is None and path is None and not always:
        yield None
        return
    from derivtrio.trace import timeline  # noqa: PLC0415 - only needed here

    with timeline(path, last=None if path else KEPT) as shown:
        if page is None:
            yield shown
            return
        listeners, where = await listeners_at(page, "the time line")
        (say or partial(_log.info, "time line at %s"))(f"http://{where}/")
        scope = trio.CancelScope()
        serve = partial(_serve, shown, listeners, page.host, scope)
        async with running(serve, stop=scope.cancel, name="derivtrio.trace.serve"):
            yield shown


async def _serve(
    shown: "Timeline", listeners: list[trio.SocketListener], host: str, scope: trio.CancelScope
) -> None:
    from derivtrio.trace.live import serve_listeners  # noqa: PLC0415 - only needed here

    with scope:
        await serve_listeners(shown, listeners, host)
