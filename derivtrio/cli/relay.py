"""`derivtrio relay`: ticks, handed on to a Redis stream."""

import functools
from typing import Any, Final

import attrs
import click

from derivtrio.cli.moments import read_past_moment
from derivtrio.cli.operate import Operation, operating
from derivtrio.cli.target import Target, connecting, perform
from derivtrio.recording import record as keep

#: How many entries a stream keeps, unless told otherwise: some days of one tick a second.
_MAXLEN: Final = 500_000


@attrs.frozen
class Relay:
    """What to relay, and where to."""

    symbols: tuple[str, ...]
    target: str
    maxlen: int
    start: int | None


def check_scheme(_context: click.Context, _parameter: click.Parameter, target: str) -> str:
    """Refuse what is no address of Redis."""
    if not target.startswith(("redis://", "rediss://")):
        message = "a relay goes to redis://host:port/STREAM"
        raise click.BadParameter(message)
    return target


@click.command()
@click.argument("symbols", nargs=-1, required=True)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="redis://HOST:PORT/STREAM",
    envvar="DERIV_RELAY_TO",
    show_envvar=True,
    callback=check_scheme,
    help="A stream for each symbol: STREAM may have {symbol} in it. Several symbols without that"
    " go to STREAM:SYMBOL. If the address has a password, set the variable instead.",
)
@click.option(
    "--maxlen",
    type=click.IntRange(min=1),
    default=_MAXLEN,
    show_default=True,
    help="About how many entries a stream keeps.",
)
@click.option(
    "--start",
    metavar="TIME",
    callback=read_past_moment,
    help="Where a stream without entries begins: an epoch, or a date.  [default: now]",
)
@operating
@connecting
def relay(target_server: Target, operation: Operation, **options: Any) -> None:
    """Hand on the ticks of SYMBOLS to Redis streams, each once.

    This goes on until Ctrl-C or SIGTERM, and goes on where it ended when it is started again. Two
    relays may feed the same streams; one can die without a tick being lost or doubled.
    """
    job = Relay(**options)
    perform(functools.partial(hand_on, target_server, job, operation), target_server)


async def hand_on(target: Target, relay: Relay, operation: Operation) -> None:
    """Relay until cancelled."""
    from derivtrio.recording.redis import RedisAddress, open_redis  # noqa: PLC0415 - needs an extra

    address = RedisAddress.of(relay.target, relay.symbols)
    async with open_redis(address, relay.maxlen) as opened:
        store = operation.watching(opened)
        async with operation.open(target, None) as client:
            await keep(client, relay.symbols, store, start=relay.start)
