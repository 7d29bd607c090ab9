"""`derivtrio ping`: how long the server takes to answer."""

import functools
import math

import click
import trio

from derivtrio.cli.ending import perform
from derivtrio.cli.output import require_output
from derivtrio.cli.target import Target, checked, connecting


def check_seconds(seconds: float) -> None:
    """Refuse NaN and infinity, which `click.FloatRange` lets through."""
    if not math.isfinite(seconds):
        message = f"{seconds} is not a number of seconds"
        raise ValueError(message)


@click.command()
@click.option("--count", type=click.IntRange(min=1), default=4, show_default=True)
@click.option(
    "--interval",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    callback=checked(check_seconds),
    help="Seconds between a reply and the next ping.",
)
@connecting
def ping(target: Target, count: int, interval: float) -> None:
    """Measure how long the server takes to answer."""
    require_output()
    perform(functools.partial(measure, target, count, interval), target)


async def measure(target: Target, count: int, interval: float) -> None:
    """Ping *count* times; print each round trip, and their summary."""
    times: list[float] = []
    async with target.open() as client:
        while len(times) < count:
            if times:
                await trio.sleep(interval)
            asked_mono = trio.current_time()
            await client.call({"ping": 1})
            times.append(1000 * (trio.current_time() - asked_mono))
            click.echo(f"ping {len(times)}: {times[-1]:.1f} ms")
    mean = sum(times) / count
    click.echo(f"round trip: min {min(times):.1f}, mean {mean:.1f}, max {max(times):.1f} ms")
