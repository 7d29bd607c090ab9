"""Virtual environments for what is not ours, made once and kept."""

import hashlib
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
    return _made(_home(packages, envs), packages) if packages else sys.executable


def checkout_interpreter(source: Path, envs: Path) -> str:
    """Return a Python in which the checkout *source* is installed, as it is and will be.

    Its environment is made anew when what the checkout requires changes.

    Raises:
        CannotInstall: says why.

    """
    required = (source / "pyproject.toml").read_bytes()
    digest = hashlib.sha256(bytes(source) + required).hexdigest()[:16]
    return _made(_home([f"checkout-{digest}"], envs), ["--editable", str(source)])


def is_ready(packages: Sequence[str], envs: Path) -> bool:
    """Return whether `interpreter` has nothing to install any more."""
    return not packages or (_home(packages, envs) / "ready").exists()


def _home(packages: Sequence[str], envs: Path) -> Path:
    version = ".".join(map(str, sys.version_info[:2]))
    return envs / f"py{version}-{'-'.join(packages)}"


def _made(home: Path, arguments: Sequence[str]) -> str:
    """Return the Python of the environment *home*, which is made unless it is there."""
    python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (home / "ready").exists():
        venv.create(home, clear=True, with_pip=True)
        _install(python, arguments)
        (home / "ready").touch()
    return str(python)


def _install(python: Path, arguments: Sequence[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", *arguments]
    installing = subprocess.run(command, capture_output=True, text=True, check=False)
    if installing.returncode:
        errors = [line for line in installing.stderr.splitlines() if line.startswith("ERROR")]
        raise CannotInstall(errors[0] if errors else "pip failed")
