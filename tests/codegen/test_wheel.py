"""`codegen` is a tool of the repository. Users do not get it."""

import tomllib
from pathlib import Path

import derivtrio

ROOT = Path(derivtrio.__file__).parents[1]


def test_the_wheel_leaves_the_generator_out() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (excluded,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["exclude"]
    assert (ROOT / excluded / "__main__.py").exists()
