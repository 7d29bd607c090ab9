"""The processes of a benchmark: one load server, and clients one at a time, in turn."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.contestants import DERIVTRIO, ROOT, Contestant
from tests.benchmarks.measuring import SERVER
from tests.benchmarks.medians import Rounds
from tests.benchmarks.scenarios import SCENARIOS

#: No single run takes longer that has not hung.
_HUNG: Final = 120


@dataclass
class Results:
    """Who took part, and from which further checkouts; figures, versions, failures in words."""

    contestants: Sequence[Contestant]
    checkouts: Sequence[str] = ()
    rounds: Rounds = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class LoadServer:
    """Where the server is, whom to trust to reach it, and which process it is."""

    addresses: Mapping[str, str]
    authority: Path
    pid: int


@contextmanager
def serving() -> Iterator[LoadServer]:
    """Run the load server in a process of its own, on the first core."""
    with tempfile.TemporaryDirectory() as folder:
        authority, certificate = Path(folder, "authority.pem"), Path(folder, "server.pem")
        _certify(authority, certificate)
        command = [_module("server"), _core(0), str(certificate)]
        with subprocess.Popen(
            [sys.executable, "-P", "-m", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                addresses = json.loads(process.stdout.readline())
                yield LoadServer(addresses, authority, process.pid)
            finally:
                process.stdin.close()


def takes_part(contestant: Contestant, name: str) -> bool:
    """Return whether *contestant* can go through scenario *name*, and has a figure of its own."""
    scenario = SCENARIOS[name]
    if scenario.ours:
        return contestant.module == DERIVTRIO.module
    return contestant.shares >= scenario.sharing and contestant.only_ticks <= scenario.ticks


def run_round(
    server: LoadServer, name: str, pythons: Mapping[Contestant, str], share: float, into: Results
) -> None:
    """Send each contestant once through scenario *name*, at *share* of its size."""
    scenario = SCENARIOS[name]
    size = str(max(1, int(scenario.size * share)))
    for contestant, python in pythons.items():
        drive = [_module("drive"), contestant.module, name, server.addresses[scenario.scheme], size]
        outcome = _run([python, "-P", "-m", *drive, str(contestant.source or "")], server)
        if isinstance(outcome, str):
            into.failures.append(f"{contestant.name}, {name}: {outcome}")
            continue
        scores = into.rounds.setdefault(name, {}).setdefault(contestant.name, [])
        scores.append(outcome["figures"])
        into.versions[contestant.name] = outcome["versions"]


def _run(command: list[str], server: LoadServer) -> dict[str, Any] | str:
    """Return what the client's process says, or why it says nothing."""
    told = {"SSL_CERT_FILE": str(server.authority), SERVER: str(server.pid)}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_HUNG,
            env=_environment() | told,
            preexec_fn=_to_second_core,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {_HUNG} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it failed without a word"])[-1]
    outcome: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return outcome


def _certify(authority: Path, certificate: Path) -> None:
    """Make a certificate for the server; without trustme there is none, and no wss."""
    try:
        import trustme  # noqa: PLC0415 - the other scenarios can do without
    except ImportError:
        return
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(str(authority))
    issuer.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))


def _module(name: str) -> str:
    return f"tests.benchmarks.{name}"


def _environment() -> dict[str, str]:
    """Our variables; what is on `PYTHONPATH` goes before the benchmarks."""
    path = [place for place in (os.environ.get("PYTHONPATH"), str(ROOT)) if place]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


def _core(number: int) -> str:
    """Return the *number*th core that we may use, or "" where cores cannot be chosen."""
    if not hasattr(os, "sched_setaffinity"):
        return ""
    cores = sorted(os.sched_getaffinity(0))
    return str(cores[number]) if len(cores) > 1 else ""


def _to_second_core() -> None:
    if core := _core(1):
        os.sched_setaffinity(0, {int(core)})
