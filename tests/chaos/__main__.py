"""The command line: run seeds, shrink what fails, and replay a line."""

import argparse
import logging
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.chaos.draw import draw_plan
from tests.chaos.run import Result, play
from tests.chaos.schedule import parse_plan
from tests.chaos.shrink import replay_line, shrink
from tests.chaos.totals import line_of
from tests.plain import make_plain_the_default

_DAY = 86_400


@attrs.define(eq=False)
class Tally:
    """The figures of all runs together."""

    figures: Counter[str] = attrs.field(factory=Counter)
    faults: Counter[str] = attrs.field(factory=Counter)
    runs: int = 0
    failed: list[Result] = attrs.field(factory=list)
    connections: int = 0
    virtual: float = 0.0
    begun: float = attrs.field(factory=time.perf_counter)

    def add(self, result: Result) -> None:
        """Count one run."""
        self.runs += 1
        self.figures += result.figures
        self.faults += result.faults
        self.connections += result.connections
        self.virtual += result.virtual
        if result.finding is not None:
            self.failed.append(result)

    def __str__(self) -> str:
        days, wall = self.virtual / _DAY, time.perf_counter() - self.begun
        speed = 60 * days / wall
        return "\n".join(
            [
                f"{self.runs} seeds, {days:.2f} days in {wall:.0f} s: {speed:.2f} days a minute",
                f"{self.connections} connections, {self.faults.total()} faults:",
                "  " + ", ".join(f"{count} {name}" for name, count in self.faults.most_common()),
                "  " + ", ".join(f"{count} {name}" for name, count in sorted_(self.figures)),
                f"{len(self.failed)} seeds failed" if self.failed else "no promise was broken",
            ]
        )


def sorted_(figures: Counter[str]) -> list[tuple[str, int]]:
    """Return *figures* by name."""
    return sorted(figures.items())


def say(text: str) -> None:
    """Print one line now."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Do what the command line says; exit with 1 if a promise was broken."""
    given = _parser().parse_args()
    logging.getLogger("derivtrio").setLevel(logging.DEBUG if given.log else logging.CRITICAL)
    if given.plain:
        make_plain_the_default()
    if given.log:
        logging.basicConfig(level=logging.DEBUG, format="%(message)s")
    tally = Tally()
    for result in _results(given):
        tally.add(result)
        if given.totals is not None:
            with given.totals.open("a") as file:
                file.write(line_of(result, given.days))
        if result.finding is not None:
            _report(result, given)
            if not given.go_on:
                break
        elif tally.runs % given.tell == 0:
            say(
                f"{tally.runs} seeds, {tally.virtual / _DAY:.2f} days, seed {result.plan.seed} held"
            )
    say(str(tally))
    sys.exit(bool(tally.failed))


def _results(given: argparse.Namespace) -> Iterator[Result]:
    if given.replay:
        yield play(parse_plan(given.replay), strict=True)
        return
    first, _, last = (given.seeds or f"{given.seed}..{given.seed}").partition("..")
    seeds = range(int(first), int(last) + 1)
    if given.minutes:
        seeds = range(int(first), 10**9)
    end = time.perf_counter() + 60 * (given.minutes or 10**6)
    for seed in seeds:
        plan = draw_plan(
            seed, given.days, every=given.every, everything=given.all, quiet=given.quiet
        )
        result = play(plan, strict=given.all)
        yield result
        if time.perf_counter() > end:
            return


def _report(result: Result, given: argparse.Namespace) -> None:
    say(f"seed {result.plan.seed}, at {result.virtual:.0f} s: {result.finding}")
    if not given.replay and not given.no_shrink:
        result = shrink(result, seconds=given.shrink_seconds, say=say)
        say(f"shortest: {result.finding}")
    if result.cause is not None:
        traceback.print_exception(result.cause)
    if not given.no_shrink:
        say(replay_line(result.plan) + " --plain" * given.plain)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", help="several seeds, A..B")
    parser.add_argument("--days", type=float, default=0.1, help="simulated days a seed (0.1)")
    parser.add_argument("--every", type=float, default=40, help="seconds between faults (40)")
    parser.add_argument(
        "--quiet",
        type=float,
        default=0,
        metavar="HOURS",
        help="hours in which little happens after each round, on average (0): a symbol with a tick"
        " every 40 s, the account, a fault an hour, some work; days are cheap so",
    )
    parser.add_argument("--minutes", type=float, help="run seed after seed, for so long")
    parser.add_argument("--replay", help="play this schedule, as a failure prints it")
    parser.add_argument("--all", action="store_true", help="also what is known (see known.py)")
    parser.add_argument("--plain", action="store_true", help="the client with Settings(fast=False)")
    parser.add_argument("--go-on", action="store_true", help="go on after a failure")
    parser.add_argument("--no-shrink", action="store_true", help="do not shorten a failure")
    parser.add_argument("--shrink-seconds", type=float, default=120, help="how long at most (120)")
    parser.add_argument("--totals", type=Path, help="add there what each seed did")
    parser.add_argument("--tell", type=int, default=10, help="a line every so many seeds (10)")
    parser.add_argument("--log", action="store_true", help="show the client's log")
    return parser


if __name__ == "__main__":
    main()
