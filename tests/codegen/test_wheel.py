"""What is built: a wheel without `codegen`, a tool of the repository; a source with its tests."""

import tomllib
from pathlib import Path

import derivtrio

ROOT = Path(derivtrio.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TARGETS = PROJECT["tool"]["hatch"]["build"]["targets"]


def test_the_wheel_leaves_the_generator_out() -> None:
    (excluded,) = TARGETS["wheel"]["exclude"]
    assert (ROOT / excluded / "__main__.py").exists()


def test_the_source_distribution_has_all_that_its_tests_read() -> None:
    pages = {path.name for path in ROOT.glob("*.md")}
    assert {".ci", "derivtrio", "tests", "examples", *pages} <= set(TARGETS["sdist"]["include"])
