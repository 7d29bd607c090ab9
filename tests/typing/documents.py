"""`python -m tests.typing.documents`: check the code of README.md and the guide as our own.

Ruff lints it and looks at its format; mypy and Pyright check its types, strictly. Pyright is
basedpyright, which the extra `pyright` installs. The exit status is 1 if one of them objects.

Each block becomes a module of its own, named after its page, on whose lines the code stands where
it stands on the page. A fragment becomes the body of an async function, whose parameters are the
names that fragments may use.
"""

import json
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path

from tests.pages import CODE, ROOT, Block

_FUNCTION = """\
import time
import trio
import derivtrio
from derivtrio.simulator import Simulator
async def fragment(client: derivtrio.Client, sim: Simulator, contract: dict[str, object]) -> None:
"""

#: What Ruff need not say of a lesson.
_LENIENT = (
    "D,INP001,PLR2004,S101,S106,T201"
    ",ARG001,F401,I001,PLC0415,PLR1704"  # the function is ours, not the fragment's
)

_PYRIGHT = {
    "include": ["."],
    "typeCheckingMode": "strict",
    "pythonVersion": "3.11",
    "extraPaths": [str(ROOT)],
    "enableTypeIgnoreComments": False,
    "reportUnusedImport": False,  # of those that we made for the fragment
}


def module(block: Block) -> str:
    """Return the module that *block* becomes."""
    if block.is_program:
        return "\n" * (block.line - 1) + block.text
    above = "\n" * (block.line - 1 - _FUNCTION.count("\n"))
    return above + _FUNCTION + textwrap.indent(block.text, "    ")


def write(folder: Path) -> None:
    """Write every block of the documentation as a module into *folder*."""
    for block in CODE:
        name = block.page.replace("/", "_").removesuffix(".md").replace("-", "_")
        (folder / f"{name}_{block.line}.py").write_text(module(block), encoding="utf-8")
    (folder / "pyrightconfig.json").write_text(json.dumps(_PYRIGHT), encoding="utf-8")


def formatted(block: Block) -> bool:
    """Return whether Ruff would leave *block* as it is."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", "block.py", "-"]
    done = subprocess.run(
        command, input=block.text, capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout == block.text


def passes(*command: str) -> bool:
    """Return whether `python -m` *command* has no objection."""
    return not subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False).returncode


def objections(folder: Path) -> Sequence[str]:
    """Return the names of the tools that object to what is in *folder*, after their own words."""
    first_party = "lint.isort.known-first-party=['derivtrio']"
    settings = ("--config", str(ROOT / "pyproject.toml"), "--config", first_party)
    checks = {
        "ruff": ("ruff", "check", *settings, "--extend-ignore", _LENIENT, str(folder)),
        "mypy": ("mypy", str(folder)),
        "pyright": ("basedpyright", "-p", str(folder), "--pythonpath", sys.executable),
    }
    return [name for name, command in checks.items() if not passes(*command)]


def main() -> None:
    """Check everything; exit with 1 if there is an objection."""
    untidy = [str(block) for block in CODE if not formatted(block)]
    for name in untidy:
        sys.stdout.write(f"{name}: Ruff would format this block in another way\n")
    with tempfile.TemporaryDirectory(prefix="documents-") as folder:
        write(Path(folder))
        found = objections(Path(folder))
    sys.exit(bool(untidy or found))


if __name__ == "__main__":
    main()
