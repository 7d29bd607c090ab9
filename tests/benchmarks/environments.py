"""Virtual environments for what is not ours, made once and kept."""

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path


class CannotInstall(Exception):
    """The packages cannot be had for this Python."""


def interpreter(packages: Sequence[str], envs: Path) -> str:
    """Return a Python that can import *packages*, from an environment in *envs*; ours for none.

    Raises:
        CannotInstall: says why.

    """
    if not packages:
        return sys.executable
    version = ".".join(map(str, sys.version_info[:2]))
    home = envs / f"py{version}-{'-'.join(packages)}"
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    ready = home / "ready"
    if not ready.exists():
        venv.create(home, clear=True, with_pip=True)
        _install(python, packages)
        ready.touch()
    return str(python)


def _install(python: Path, packages: Sequence[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", *packages]
    installing = subprocess.run(command, capture_output=True, text=True, check=False)
    if installing.returncode:
        errors = [line for line in installing.stderr.splitlines() if line.startswith("ERROR")]
        raise CannotInstall(errors[0] if errors else "pip failed")
