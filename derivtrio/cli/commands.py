"""The command line: `demo`, `ping`, `call`, `ticks`, `simulate`."""

import functools
import json
import math
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import click
import trio

from derivtrio import Subscription, Tick
from derivtrio.cli.demo import Pace, show
from derivtrio.cli.output import note, one_line, sentence, show_json, show_tick
from derivtrio.cli.target import ATTEMPTS, INTERRUPTED, Target, checked, connecting, perform
from derivtrio.simulator import (
    DEMO_TOKEN,
    Limits,
    Simulator,
    demo_account,
    open_simulator,
    parse_fault,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="derivtrio", message="%(prog)s %(version)s")
def cli() -> None:
    """Talk to Deriv's WebSocket API, or to a simulated one.

    Every command but demo and simulate connects to --url. Results go to standard output, in JSON
    where it is no terminal; everything else goes to standard error.
    """


@cli.command()
def demo() -> None:
    """Show ticks surviving two broken connections, in some 20 seconds.

    A simulated server and a client run inside the program; no network is needed. The ticks that the
    outages swallowed are fetched, and the whole record is held against the simulator's prices; if
    it differs, the exit status is 1.
    """
    survived = False

    async def main() -> None:
        nonlocal survived
        survived = await show(Pace())

    perform(main)
    sys.exit(not survived)


def check_seconds(seconds: float) -> None:
    """Refuse a NaN, which no `FloatRange` does."""
    if math.isnan(seconds):
        message = "nan is no number of seconds"
        raise ValueError(message)


@cli.command()
@click.option("--count", type=click.IntRange(min=1), default=4, show_default=True)
@click.option(
    "--interval",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    callback=checked(check_seconds),
    help="Seconds between one reply and the next ping.",
)
@connecting
def ping(target: Target, count: int, interval: float) -> None:
    """Measure how long the server takes to answer."""
    perform(functools.partial(measure, target, count, interval), target)


async def measure(target: Target, count: int, interval: float) -> None:
    """Ping *count* times, and print each round trip and their summary."""
    times: list[float] = []
    async with target.open() as client:
        while len(times) < count:
            if times:
                await trio.sleep(interval)
            asked = trio.current_time()
            await client.call({"ping": 1})
            times.append(1000 * (trio.current_time() - asked))
            click.echo(f"ping {len(times)}: {times[-1]:.1f} ms")
    mean = sum(times) / count
    click.echo(f"round trip: min {min(times):.1f}, mean {mean:.1f}, max {max(times):.1f} ms")


def read_request(_context: click.Context, _parameter: click.Parameter, text: str) -> dict[str, Any]:
    """Return the request that the argument, or standard input, has."""
    if text == "-" and sys.stdin is None:
        message = "there is no standard input to read it from"
        raise click.BadParameter(message)
    try:
        request = json.loads(sys.stdin.read() if text == "-" else text)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except ValueError as error:
        message = f"not JSON: {one_line(error)}"
        raise click.BadParameter(message) from None
    if not isinstance(request, dict):
        message = "a request is a JSON object"
        raise click.BadParameter(message)
    return request


@cli.command()
@click.argument("request", callback=read_request)
@connecting
def call(target: Target, request: Mapping[str, Any]) -> None:
    """Make one API call, REQUEST, and print the reply.

    REQUEST is a JSON object as Deriv documents it, such as '{"time": 1}'; - reads it from standard
    input. A request that changes something is never sent twice.
    """
    perform(functools.partial(ask, target, request), target)


async def ask(target: Target, request: Mapping[str, Any]) -> None:
    """Make the call *request*, and print the reply."""
    async with target.open() as client:
        reply = await client.call(request)
    show_json(reply)


def read_start(
    _context: click.Context, _parameter: click.Parameter, start: int | None
) -> int | None:
    """Return *start*, which is no time to come."""
    if start is not None and start > time.time():
        message = "that is in the future; it is counted in seconds, in UTC"
        raise click.BadParameter(message)
    return start


@cli.command()
@click.argument("symbols", nargs=-1, required=True)
@click.option("--count", type=click.IntRange(min=1), help="How many ticks in all.  [default: all]")
@click.option(
    "--start",
    type=click.IntRange(min=1),
    metavar="EPOCH",
    callback=read_start,
    help="Begin with the ticks of that time, in seconds since 1970.  [default: the newest]",
)
@connecting
def ticks(target: Target, symbols: tuple[str, ...], count: int | None, start: int | None) -> None:
    """Print the ticks of SYMBOLS, those of each in order, each once.

    Without --count they come until Ctrl-C, and lost connections are replaced for ever. What an
    outage swallowed is fetched afterwards and printed before what follows it; in JSON, ask and bid
    are null in such ticks. Standard error says between which times the server has none to give.
    """
    perform(functools.partial(follow, target, symbols, count, start), target)


@attrs.define
class Tally:
    """How many more ticks are wanted of all symbols together; None for ever more."""

    wanted: int | None

    def take(self) -> bool:
        """Count one tick, if it is wanted; return whether it is.

        Cancelling the others does not stop one that has its tick in hand already.
        """
        if self.wanted == 0:
            return False
        if self.wanted is not None:
            self.wanted -= 1
        return True


async def follow(
    target: Target, symbols: tuple[str, ...], count: int | None, start: int | None
) -> None:
    """Print *count* ticks of *symbols*, from *start* on."""
    tally = Tally(count)
    async with (
        target.open(None if count is None else ATTEMPTS) as client,
        trio.open_nursery() as nursery,
    ):
        for symbol in dict.fromkeys(symbols):
            stream = client.ticks(symbol, start=start)
            nursery.start_soon(follow_one, stream, tally, nursery.cancel_scope)


async def follow_one(stream: Subscription[Tick], tally: Tally, everyone: trio.CancelScope) -> None:
    """Print the ticks of *stream* until *everyone* has printed enough; say where there are gaps."""
    told = 0
    async with stream:
        async for tick in stream:
            for gap in stream.gaps[told:]:
                note(sentence(gap))
                told += 1
            if tally.take():
                show_tick(tick)
            if tally.wanted == 0:
                everyone.cancel()
                return


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A numeric address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="0 picks a free one.",
)
@click.option("--seed", default=1, show_default=True, help="Decides the prices.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT@SECONDS",
    callback=checked(lambda faults: [parse_fault(fault) for fault in faults]),
    help="Such as drop@10, freeze@20, close:1001@30, refuse:5@40, lose_after:buy@50; may be"
    " repeated.",
)
@click.option("--limits", is_flag=True, help="Enforce the rate limits that Deriv advertises.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), help="Serve wss://.")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False))
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

    The first line of output is its URL. It takes the token demo-token; standard error says for
    which account, and where its Options API is.
    """
    if tls_key and not tls_cert:
        message = "--tls-key needs --tls-cert"
        raise click.UsageError(message)

    server = functools.partial(
        open_simulator,
        seed,
        host=host,
        port=port,
        faults=faults,
        limits=Limits() if limits else None,
        ssl_context=None if tls_cert is None else tls_context(tls_cert, tls_key),
    )
    perform(functools.partial(serve, server, f"{host} port {port}"))


async def serve(server: Callable[[], AbstractAsyncContextManager[Simulator]], where: str) -> None:
    """Run *server* until cancelled; its URL is the first line of output."""
    try:
        async with server() as sim:
            click.echo(sim.url)
            note(
                f"Serving a simulated Deriv; its token is {DEMO_TOKEN}, for the account"
                f" {demo_account().loginid}; its Options API is at {sim.options_url}, with"
                f" {sim.rest_url} for accounts. Ctrl-C ends it."
            )
            await trio.sleep_forever()
    except BrokenPipeError:
        raise
    except OSError as error:
        message = f"cannot serve at {where}: {error.strerror}"
        raise click.ClickException(message) from None


def tls_context(cert: str, key: str | None) -> ssl.SSLContext:
    """Return what a TLS server needs, from files in PEM format."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        message = f"no certificate and key in there: {one_line(error)}"
        raise click.ClickException(message) from None
    return context
