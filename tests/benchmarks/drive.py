"""One client through one scenario, in this process: prints the figures as a line of JSON."""

import json
import os
import sys
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path

from tests.benchmarks.scenarios import SCENARIOS

_NOT_TOLD = {"pip", "setuptools"}


def main() -> None:
    module, scenario, url, size, source = sys.argv[1:]
    if source:
        _prefer(source)
    client = import_module(f"tests.benchmarks.clients.{module}").CLIENT
    figures: dict[str, float] = {}

    async def act() -> None:
        figures.update(await SCENARIOS[scenario].act(client, url, int(size)))

    client.run(act)
    if source:
        _check(source)
    sys.stdout.write(json.dumps({"figures": figures, "versions": _versions()}) + "\n")


def _prefer(source: str) -> None:
    """Have this process and its children import derivtrio from the checkout *source*.

    The benchmarks themselves stay as they are: their package is imported already.
    """
    sys.path.insert(0, source)
    os.environ["PYTHONPATH"] = os.pathsep.join((source, os.environ["PYTHONPATH"]))


def _check(source: str) -> None:
    """Make sure that it was the derivtrio of *source*."""
    used = sys.modules["derivtrio"].__file__
    if used is None or not Path(used).is_relative_to(source):
        sys.exit(f"derivtrio came from {used} instead of {source}")


def _versions() -> dict[str, str]:
    top_level = {name.partition(".")[0] for name in sys.modules}
    return {
        dist.name: dist.version
        for dist in distributions()
        if dist.name not in _NOT_TOLD and dist.name.lower().replace("-", "_") in top_level
    }


if __name__ == "__main__":
    main()
