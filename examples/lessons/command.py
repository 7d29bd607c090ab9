"""Run a lesson's program against a server; end with one line and a status, whatever happens.

    python -m examples.lessons.go --server dies
    python -m examples.lessons.go --url wss://ws.derivws.com/websockets/v3?app_id=1089

| exit status | meaning |
|---|---|
| 0 | the program came to its end |
| 1 | it did not: the line that begins with `[error]`, `[late]` or `[limit]` says why |
| 2 | the command line is wrong |
| 130, 143 | Ctrl-C or SIGTERM ended it |
"""

import argparse
import logging
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import trio
import trio.testing

import derivtrio
from derivtrio.simulator import EndingName, open_ending_server
from examples.lessons.servers import NAMES

if TYPE_CHECKING:
    import io

#: A lesson's program: it takes the URL of a server.
Program = Callable[[str], Awaitable[None]]


def run(program: Program, *, arguments: list[str] | None = None) -> int:
    """Run *program* as the command line says, and return the exit status."""
    name = program.__module__.removesuffix(".program")
    options = _parser(name).parse_args(arguments)
    _prepare_output()
    try:
        return derivtrio.run(_bounded, program, options)
    except* (derivtrio.DerivError, ValueError) as group:  # ValueError: trio-websocket's, for a URL
        for error in _leaves(group):
            print(f"[error] {error}")
    return 1


def rehearse(program: Callable[[], Awaitable[None]]) -> int:
    """Run *program*, which has a server of its own, on a clock that nobody waits for.

    The clock begins at 0 and jumps to the next thing that is due. What is drawn by lot is the same
    in every run.
    """
    _prepare_output()
    random.seed(1)
    trio.run(program, clock=trio.testing.MockClock(autojump_threshold=0))
    return 0


async def _bounded(program: Program, options: argparse.Namespace) -> int:
    """Run *program* for `--limit` seconds at most; return the exit status."""
    with trio.move_on_after(options.limit) as patience:
        if options.url is not None:
            await program(options.url)
        else:
            await _serve(options.server, program)
    if patience.cancelled_caught:
        print(f"[limit] stopped after {options.limit:g} s")
    return int(patience.cancelled_caught)


async def _serve(ending: EndingName, program: Program) -> None:
    async with open_ending_server(ending) as url:
        await program(url)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {name}")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--server", choices=NAMES, help="a server of our own, and how it ends")
    where.add_argument("--url", help="another server")
    parser.add_argument(
        "--limit", type=float, default=10, help="stop after so many seconds (default: 10)"
    )
    return parser


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, or the errors in it, without the groups that nurseries put around them."""
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
        yield from _leaves(each)


def _prepare_output() -> None:
    """Print each line at once, and keep the client's log quiet: the lessons print what happens."""
    with suppress(AttributeError):  # where it is not a file, but a string, as in tests
        cast("io.TextIOWrapper", sys.stdout).reconfigure(line_buffering=True)
    logging.getLogger("derivtrio").setLevel(logging.CRITICAL)
