"""`derivtrio simulate`: a simulated Deriv server, for any client."""

import functools
import logging
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import click
import trio

from derivtrio.cli.ending import perform
from derivtrio.cli.output import note, require_output
from derivtrio.cli.target import checked
from derivtrio.simulator import (
    DEMO_TOKEN,
    Limits,
    Simulator,
    demo_account,
    open_simulator,
    parse_fault,
)
from derivtrio.wording import LAST_PORT, one_line


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A numeric address.")
@click.option(
    "--port",
    type=click.IntRange(0, LAST_PORT),
    default=8765,
    show_default=True,
    help="0 picks a free one.",
)
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same prices.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT@SECONDS",
    callback=checked(lambda faults: [parse_fault(fault) for fault in faults]),
    help="What breaks, and when: drop@10, freeze@20, close:1001@30, refuse:5@40,"
    " lose_after:buy@50. May be repeated. The guide's page about the simulator has all.",
)
@click.option("--limits", is_flag=True, help="Enforce the rate limits that Deriv advertises.")
@click.option(
    "--tls-cert",
    type=click.Path(exists=True, dir_okay=False),
    help="A certificate, in PEM format; serves wss:// instead of ws://.",
)
@click.option(
    "--tls-key",
    type=click.Path(exists=True, dir_okay=False),
    help="Its key, if that is not in the same file.",
)
def simulate(
    *,
    host: str,
    port: int,
    seed: int,
    faults: tuple[str, ...],
    limits: bool,
    tls_cert: str | None,
    tls_key: str | None,
) -> None:
    """Serve a simulated Deriv until Ctrl-C.

    The first line of output is its URL. Its token is demo-token; standard error says which account
    that is for, and where the Options API is.
    """
    if tls_key and not tls_cert:
        message = "--tls-key needs --tls-cert"
        raise click.UsageError(message)
    require_output()
    server = functools.partial(
        open_simulator,
        seed,
        host=host,
        port=port,
        faults=faults,
        limits=Limits() if limits else None,
        ssl_context=None if tls_cert is None else tls_context(tls_cert, tls_key),
    )
    perform(functools.partial(serve, server, f"{host} port {port}"), level=logging.WARNING)


async def serve(server: Callable[[], AbstractAsyncContextManager[Simulator]], where: str) -> None:
    """Run *server* until it is cancelled; print its URL first."""
    async with AsyncExitStack() as stack:
        try:
            sim = await stack.enter_async_context(server())
        except OSError as error:
            message = f"cannot serve at {where}: {error.strerror}"
            raise click.ClickException(message) from None
        click.echo(sim.url)
        note(
            f"Serving a simulated Deriv; its token is {DEMO_TOKEN}, for the account"
            f" {demo_account().loginid}; its Options API is at {sim.options_url}, with"
            f" {sim.rest_url} for accounts. Ctrl-C ends it."
        )
        await trio.sleep_forever()


def tls_context(cert: str, key: str | None) -> ssl.SSLContext:
    """Return the context of a TLS server with this certificate and key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        message = f"these files have no certificate and key: {one_line(error)}"
        raise click.ClickException(message) from None
    return context
