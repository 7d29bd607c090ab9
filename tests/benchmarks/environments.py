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
    home = _home(packages, envs)
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not is_ready(packages, envs):
        venv.create(home, clear=True, with_pip=True)
        _install(python, packages)
        (home / "ready").touch()
    return str(python)


def is_ready(packages: Sequence[str], envs: Path) -> bool:
    """Return whether `interpreter` has nothing to install any more."""
    return not packages or (_home(packages, envs) / "ready").exists()


def _home(packages: Sequence[str], envs: Path) -> Path:
    version = ".".join(map(str, sys.version_info[:2]))
    return envs / f"py{version}-{'-'.join(packages)}"


def _install(python: Path, packages: Sequence[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", *packages]
    installing = subprocess.run(command, capture_output=True, text=True, check=False)
    if installing.returncode:
        errors = [line for line in installing.stderr.splitlines() if line.startswith("ERROR")]
        raise CannotInstall(errors[0] if errors else "pip failed")
