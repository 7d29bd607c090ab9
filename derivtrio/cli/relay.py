"""`derivtrio relay`: ticks, handed on to a Redis stream or to a JetStream of NATS."""

import functools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import click

from derivtrio.cli.ending import perform
from derivtrio.cli.moments import read_past_moment
from derivtrio.cli.operate import Operation, operating
from derivtrio.cli.target import Target, connecting
from derivtrio.recording import Store, StoreError
from derivtrio.recording import record as keep
from derivtrio.recording.relaying import NATS, RelayAddress, engine_of
from derivtrio.wording import one_line

#: How many entries are kept of a symbol, unless told otherwise: some days of one tick a second.
_MAXLEN: Final = 500_000

#: How many can be asked for: Redis and NATS count in 64 bits.
_MOST: Final = 2**63 - 1


@attrs.frozen
class Relay:
    """What to relay, and where to."""

    symbols: tuple[str, ...]
    target: str
    maxlen: int
    start: int | None


def check_address(_context: click.Context, _parameter: click.Parameter, target: str) -> str:
    """Refuse what is no address of Redis or NATS, and one that names no stream."""
    if engine_of(target) is None:
        message = "a relay goes to redis://host:port/STREAM, or to nats://host:port/SUBJECT"
        raise click.BadParameter(message)
    try:
        RelayAddress.of(target, ())
    except StoreError as error:
        raise click.BadParameter(one_line(error)) from None
    return target


@click.command()
@click.argument("symbols", nargs=-1, required=True)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="URL",
    envvar="DERIV_RELAY_TO",
    show_envvar=True,
    callback=check_address,
    help="redis://HOST:PORT/STREAM or nats://HOST:PORT/SUBJECT. Each symbol has a stream, or a"
    " subject: the name may have {symbol} in it. Several symbols without that go to STREAM:SYMBOL,"
    " or SUBJECT.SYMBOL. If the address has a password, set the variable instead.",
)
@click.option(
    "--maxlen",
    type=click.IntRange(1, _MOST),
    default=_MAXLEN,
    show_default=True,
    help="How many entries are kept of each symbol: about so many in Redis. In NATS it counts"
    " when the stream is made.",
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
    """Hand on the ticks of SYMBOLS to Redis or NATS, each once.

    This goes on until Ctrl-C or SIGTERM, and goes on where it ended when it is started again. Two
    relays may feed the same streams; one can die without a tick being lost or doubled.
    """
    job = Relay(**options)
    perform(functools.partial(hand_on, target_server, job, operation), target_server)


async def hand_on(target: Target, relay: Relay, operation: Operation) -> None:
    """Relay until cancelled."""
    address = RelayAddress.of(relay.target, relay.symbols)
    async with opened(address, relay.maxlen) as store:
        watched = operation.watching(store)
        async with operation.open(target, None) as client:
            await keep(client, relay.symbols, watched, start=relay.start, waits=operation.waits)


@asynccontextmanager
async def opened(address: RelayAddress, maxlen: int) -> AsyncGenerator[Store]:
    """Open the store at *address*; each of the modules needs an extra."""
    if address.engine is NATS:
        from derivtrio.recording.nats import open_nats  # noqa: PLC0415

        async with open_nats(address, maxlen) as jetstream:
            yield jetstream
    else:
        from derivtrio.recording.redis import open_redis  # noqa: PLC0415

        async with open_redis(address, maxlen) as streams:
            yield streams
