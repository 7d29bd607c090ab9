"""Compare derivtrio with other clients, side by side on this machine."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.benchmarks.contest import LoadServer, Results, run_round, serving, takes_part
from tests.benchmarks.contestants import CONTESTANTS, Contestant, with_checkouts
from tests.benchmarks.environments import CannotInstall, checkout_interpreter, interpreter
from tests.benchmarks.promises import PROMISES
from tests.benchmarks.report import save, written
from tests.benchmarks.scenarios import SCENARIOS


def main() -> None:
    """Do what the command line says."""
    options = _options()
    pythons = _prepared(options)
    results = Results(tuple(pythons), tuple(options.also))
    rounds = options.rounds or (2 if options.quick else 5)
    with serving() as server:
        for number in range(1, rounds + 1):
            for name in _served(server, options.only or SCENARIOS):
                _say(f"round {number} of {rounds}: {name}")
                wanted = {c: python for c, python in pythons.items() if _wanted(options, c, name)}
                run_round(server, name, wanted, 0.2 if options.quick else 1, results)
    sys.stdout.write("\n".join(written(results)) + "\n")
    if options.json is not None:
        save(results, options.json)
    if results.failures:
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a fifth of the work, twice: to see that it runs")
    add("--promised", action="store_true", help="no more than what is promised needs")
    add("--only", action="append", choices=SCENARIOS, help="this scenario; may be repeated")
    add(
        "--client",
        action="append",
        choices=[contestant.module for contestant in CONTESTANTS],
        help="this client; may be repeated",
    )
    add(
        "--also",
        action="append",
        default=[],
        type=_checkout,
        metavar="NAME=PATH",
        help="measure the derivtrio of this checkout beside ours, as NAME; may be repeated",
    )
    add("--rounds", type=int, help="how often each client goes through each scenario (5)")
    add("--json", type=Path, metavar="FILE", help="write every round's figures there too")
    kept = Path(tempfile.gettempdir(), "derivtrio-benchmarks")
    add("--envs", type=Path, default=kept, metavar="DIR", help="where other packages are installed")
    options = parser.parse_args()
    options.also = dict(options.also)
    return options


def _checkout(text: str) -> tuple[str, Path]:
    """Return what the argument of `--also` names."""
    name, _, path = text.partition("=")
    if not name or not Path(path, "derivtrio", "__init__.py").is_file():
        message = f"{text!r} is not a name, =, and a checkout of derivtrio"
        raise argparse.ArgumentTypeError(message)
    return name, Path(path).resolve()


def _prepared(options: argparse.Namespace) -> dict[Contestant, str]:
    """Return the contestants that can run, with the interpreter of each."""
    pythons = {}
    for contestant in with_checkouts(options.also):
        if options.client and contestant.module not in options.client:
            continue
        try:
            pythons[contestant] = _python(contestant, options)
        except CannotInstall as error:
            _say(f"{contestant.name} is skipped: {error}")
    return pythons


def _python(contestant: Contestant, options: argparse.Namespace) -> str:
    """Return the interpreter for *contestant*: ours, for our derivtrio without others beside it.

    Two checkouts are compared in environments of the same kind: what else is installed in ours
    may be imported when it is there, and takes time and memory.
    """
    if contestant.source is None or not options.also:
        return interpreter(contestant.packages, options.envs)
    return checkout_interpreter(contestant.source, options.envs)


def _served(server: LoadServer, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if SCENARIOS[name].scheme in server.addresses:
            yield name
        else:
            _say(f"{name} is skipped: its certificate needs trustme")


def _wanted(options: argparse.Namespace, contestant: Contestant, name: str) -> bool:
    """Return whether *contestant* is to go through scenario *name*."""
    if options.promised and not any(p.involves(name, contestant) for p in PROMISES):
        return False
    return takes_part(contestant, name)


def _say(text: str) -> None:
    sys.stderr.write(text + os.linesep)


if __name__ == "__main__":
    main()
