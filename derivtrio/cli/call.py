"""`derivtrio call`: one request, one reply."""

import functools
import json
import sys
from collections.abc import Mapping
from typing import Any

import click

from derivtrio.cli.ending import INTERRUPTED, discard_output, perform, text_of
from derivtrio.cli.output import require_output, show_json
from derivtrio.cli.target import Target, connecting
from derivtrio.wording import one_line


def read_request(_context: click.Context, _parameter: click.Parameter, text: str) -> dict[str, Any]:
    """Return the request in the argument *text*, or in standard input if *text* is `-`."""
    if text == "-" and sys.stdin is None:  # a program may be started without one
        message = "there is no standard input to read it from"
        raise click.BadParameter(message)
    try:
        request = json.loads(sys.stdin.read() if text == "-" else text)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (ValueError, RecursionError) as error:
        message = f"not JSON: {one_line(error)}"
        raise click.BadParameter(message) from None
    if not isinstance(request, dict):
        message = "a request is a JSON object"
        raise click.BadParameter(message)
    return request


@click.command()
@click.argument("request", callback=read_request)
@connecting
def call(target: Target, request: Mapping[str, Any]) -> None:
    """Make one API call, REQUEST, and print the reply.

    REQUEST is a JSON object as Deriv documents it, such as '{"time": 1}'. If it is -, it is read
    from standard input. A request that changes something is never sent twice.
    """
    require_output()
    perform(functools.partial(ask, target, request), target)


async def ask(target: Target, request: Mapping[str, Any]) -> None:
    """Make the call *request*, and print the reply."""
    async with target.open() as client:
        reply = await client.call(request)
    try:
        show_json(reply)
    except BrokenPipeError:
        raise
    except OSError as error:  # a purchase, say, is made all the same
        discard_output()
        message = f"the server has answered, but the reply cannot be printed: {text_of(error)}"
        raise click.ClickException(message) from None
