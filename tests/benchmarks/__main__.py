"""Compare derivtrio with other clients, side by side on this machine."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.contest import Results, run_round, serving
from tests.benchmarks.contestants import CONTESTANTS, Contestant
from tests.benchmarks.environments import CannotInstall, interpreter
from tests.benchmarks.report import save, written
from tests.benchmarks.scenarios import SCENARIOS


def main() -> None:
    """Do what the command line says."""
    options = _options()
    results = Results()
    pythons = _prepared(options.client, options.envs)
    rounds = options.rounds or (2 if options.quick else 5)
    with serving() as server:
        for name in options.only or SCENARIOS:
            if SCENARIOS[name].scheme not in server.addresses:
                _say(f"{name} is skipped: its certificate needs trustme")
                continue
            for number in range(1, rounds + 1):
                _say(f"{name}, round {number} of {rounds}")
                run_round(server, name, pythons, 0.2 if options.quick else 1, results)
    sys.stdout.write("\n".join(written(results)) + "\n")
    if options.json is not None:
        save(results, options.json)
    if results.failures:
        sys.exit(1)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a fifth of the work, twice: to see that it runs")
    add("--only", action="append", choices=SCENARIOS, help="this scenario; may be repeated")
    add(
        "--client",
        action="append",
        choices=[contestant.module for contestant in CONTESTANTS],
        help="this client; may be repeated",
    )
    add("--rounds", type=int, help="how often each client runs (5)")
    add("--json", type=Path, metavar="FILE", help="write every round's figures there too")
    kept = Path(tempfile.gettempdir(), "derivtrio-benchmarks")
    add("--envs", type=Path, default=kept, metavar="DIR", help="where other packages are installed")
    return parser.parse_args()


def _prepared(wanted: list[str] | None, envs: Path) -> dict[Contestant, str]:
    """Return the contestants that can run, with the interpreter of each."""
    pythons = {}
    for contestant in CONTESTANTS:
        if wanted and contestant.module not in wanted:
            continue
        try:
            pythons[contestant] = interpreter(contestant.packages, envs)
        except CannotInstall as error:
            _say(f"{contestant.name} is skipped: {error}")
    return pythons


def _say(text: str) -> None:
    sys.stderr.write(text + os.linesep)


if __name__ == "__main__":
    main()
