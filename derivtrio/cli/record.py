"""`derivtrio record`: ticks, candles and the account, kept in a file or a database."""

import functools
from typing import Any, Final

import attrs
import click

from derivtrio.api.catalog import GRANULARITIES
from derivtrio.cli.ending import perform
from derivtrio.cli.moments import read_past_moment
from derivtrio.cli.operate import Operation, operating
from derivtrio.cli.out_files import require_apart
from derivtrio.cli.target import Target, connecting
from derivtrio.recording import StoreError, open_store
from derivtrio.recording import record as keep
from derivtrio.recording.targets import maker_of
from derivtrio.wording import one_line

#: What `--account` without an id stands for.
_OF_THE_TOKEN: Final = "token"  # noqa: S105 - no password

_WANTED: Final = "derivtrio.record.account"


def note_account(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Note that `--account` was given here; return the id of an account of the Options API."""
    source = context.get_parameter_source(str(parameter.name))
    context.meta[_WANTED] = source is click.core.ParameterSource.COMMANDLINE
    return None if value == _OF_THE_TOKEN else value


def check_target(_context: click.Context, _parameter: click.Parameter, target: str) -> str:
    """Refuse a target that names no store."""
    try:
        maker_of(target)
    except StoreError as error:
        raise click.BadParameter(one_line(error)) from None
    return target


def check_lengths(
    _context: click.Context, _parameter: click.Parameter, lengths: tuple[int, ...]
) -> tuple[int, ...]:
    """Refuse a length that Deriv's candles do not have."""
    for length in lengths:
        if length not in GRANULARITIES:
            message = f"Deriv's candles have {', '.join(map(str, sorted(GRANULARITIES)))} seconds"
            raise click.BadParameter(message)
    return lengths


@attrs.frozen
class Plan:
    """What to record, and where."""

    symbols: tuple[str, ...]
    target: str
    ticks: bool
    candles: tuple[int, ...]
    account: bool
    start: int | None


@click.command()
@click.argument("symbols", nargs=-1)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="TARGET",
    callback=check_target,
    help="Where: ticks.db (SQLite), postgresql://user@host/database, or files such as"
    " 'data/{symbol}/{date}.csv' (also .jsonl, .parquet).",
)
@click.option(
    "--candles",
    type=int,
    multiple=True,
    metavar="SECONDS",
    callback=check_lengths,
    help="Also the closed candles of this length. May be repeated.",
)
@click.option("--ticks/--no-ticks", default=True, help="Whether to record ticks.  [default: yes]")
@click.option(
    "--start",
    metavar="TIME",
    callback=read_past_moment,
    help="Where a series begins that is not in the store yet: an epoch, or a date.  [default: now]",
)
@operating
@functools.partial(
    connecting,
    account=click.option(
        "--account",
        envvar="DERIV_ACCOUNT",
        show_envvar=True,
        metavar="[ID]",
        is_flag=False,
        flag_value=_OF_THE_TOKEN,
        callback=note_account,
        help="Also the account's transactions, balances and contracts. With an id: of this account"
        " of the Options API. Without: of the token's account.",
    ),
)
@click.pass_context
def record(
    context: click.Context, /, target_server: Target, operation: Operation, **options: Any
) -> None:
    """Keep the ticks of SYMBOLS in TARGET, each once.

    This goes on until Ctrl-C or SIGTERM. When it is started again, it goes on where it ended, and
    fetches what it has missed. What the server no longer has becomes a row of the table gaps.
    """
    plan = Plan(account=context.meta[_WANTED], **options)
    if not plan.symbols and not plan.account:
        message = "name a symbol at least, or --account"
        raise click.UsageError(message)
    if plan.symbols and not (plan.ticks or plan.candles):
        message = "--no-ticks leaves nothing to record; add --candles SECONDS"
        raise click.UsageError(message)
    require_apart(operation.health_file, plan.target, "--health-file")
    perform(functools.partial(carry_out, target_server, plan, operation), target_server)


async def carry_out(target: Target, plan: Plan, operation: Operation) -> None:
    """Record as planned, until cancelled."""
    async with open_store(plan.target) as opened:
        store = operation.watching(opened)
        async with operation.open(target, None) as client:
            await keep(
                client,
                plan.symbols,
                store,
                ticks=plan.ticks,
                candles=plan.candles,
                account=plan.account,
                start=plan.start,
                waits=operation.waits,
            )
