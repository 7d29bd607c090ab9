"""Run Deriv's own Python client against the simulator, and check what it saw."""

import argparse
import os
import sys
from pathlib import Path

from tests.benchmarks.environments import CannotInstall, interpreter
from tests.foreign.rehearsal import ENVS, PACKAGES, DriverFailed, rehearse


def main() -> None:
    """Run from the command line; exit with 1 if the client saw anything wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.foreign", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--envs", type=Path, default=ENVS, metavar="DIR", help="the folder to install the client in"
    )
    given = parser.parse_args()
    try:
        python = interpreter(PACKAGES, given.envs)
    except CannotInstall as error:
        sys.stderr.write(f"skipped, because {PACKAGES[0]} cannot be installed: {error}{os.linesep}")
        return
    try:
        verdict = rehearse(python, given.seed)
    except DriverFailed as error:
        sys.exit(f"the client failed:\n{error}")
    sys.stdout.write(verdict.summary() + "\n")
    sys.exit(bool(verdict.complaints))


if __name__ == "__main__":
    main()
