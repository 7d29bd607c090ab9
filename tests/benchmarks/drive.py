"""One client through one scenario, in this process: prints the figures as a line of JSON."""

import json
import sys
from importlib import import_module
from importlib.metadata import distributions

from tests.benchmarks.scenarios import SCENARIOS, Figures

_NOT_TOLD = {"pip", "setuptools"}


def main() -> None:
    module, scenario, url, size = sys.argv[1:]
    client = import_module(f"tests.benchmarks.clients.{module}").CLIENT
    figures: Figures = {}

    async def act() -> None:
        figures.update(await SCENARIOS[scenario].act(client, url, int(size)))

    client.run(act)
    top_level = {name.partition(".")[0] for name in sys.modules}
    used = {
        dist.name: dist.version
        for dist in distributions()
        if dist.name not in _NOT_TOLD and dist.name.lower().replace("-", "_") in top_level
    }
    sys.stdout.write(json.dumps({"figures": figures, "versions": used}) + "\n")


if __name__ == "__main__":
    main()
