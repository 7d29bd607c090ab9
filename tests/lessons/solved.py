"""A pytest plugin that puts the solutions in the place of the exercises: `-p lessons.solved`."""

import importlib
import sys
from pathlib import Path


def pytest_configure() -> None:
    for path in sorted(Path(__file__).parent.glob("solutions/*.py")):
        solution = importlib.import_module(f"lessons.solutions.{path.stem}")
        sys.modules[f"examples.lessons.{path.stem}.exercise"] = solution
