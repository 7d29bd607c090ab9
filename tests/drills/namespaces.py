"""Two machines in one: network namespaces of Linux, joined by a cable (a veth pair).

`open_network` needs root, and `ip` and `nft` (the packages iproute2 and nftables). Everything that
it makes is inside the two namespaces, and goes away with them; the machine's own network is left
alone.
"""

import ctypes
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Literal

import attrs

End = Literal["client", "server"]

#: What is to be done at which end: a command as in a shell, without the shell.
Commands = Sequence[tuple[End, str]]

CLIENT: Final = "10.77.77.2"
OTHER_CLIENT: Final = "10.77.77.3"
SERVER: Final = "10.77.77.1"

#: The name of the network card at either end.
CARD: Final = "cable"

#: A firewall that lets everything through, until it gets rules.
_FIREWALL: Final = """
    add table inet drill
    add chain inet drill input { type filter hook input priority 0; }
    add chain inet drill output { type filter hook output priority 0; }
"""
_ENDS: Final[tuple[End, ...]] = ("client", "server")
_CLONE_NEWNET: Final = 0x40000000


def missing() -> str:
    """Return what this machine lacks for network namespaces; an empty string if nothing."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [name for name in ("ip", "nft") if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)} not found (the packages iproute2 and nftables have them)"
    with ExitStack() as stack:
        try:
            stack.enter_context(open_network())
        except subprocess.CalledProcessError as error:
            return f"`{shlex.join(error.cmd)}` fails here: {error.stderr.strip()}"
    return ""


@attrs.frozen
class Network:
    """Two namespaces; a program in either can reach the other at the addresses above."""

    names: dict[End, str]
    has_netem: bool

    def do(self, commands: Commands) -> None:
        """Run each command at its end.

        Raises:
            subprocess.CalledProcessError: a command has failed.

        """
        for end, command in commands:
            _run(*self.inside(end), *shlex.split(command))

    def inside(self, end: End) -> tuple[str, ...]:
        """Return the words that make the rest of a command line run at *end*."""
        return "ip", "netns", "exec", self.names[end]

    @contextmanager
    def entered(self, end: End) -> Iterator[None]:
        """Have this thread, and those that it starts, at *end* during the block."""
        with (
            Path("/proc/thread-self/ns/net").open("rb") as here,
            Path("/run/netns", self.names[end]).open("rb") as there,
        ):
            _set_namespace(there.fileno())
            try:
                yield
            finally:
                _set_namespace(here.fileno())


@contextmanager
def open_network() -> Iterator[Network]:
    """Make the two namespaces for the block.

    Raises:
        subprocess.CalledProcessError: the kernel refuses.

    """
    names: dict[End, str] = {end: f"derivtrio-{os.getpid()}-{end}" for end in _ENDS}
    with ExitStack() as stack:
        for name in names.values():
            _run("ip", "netns", "add", name)
            stack.callback(_run, "ip", "netns", "delete", name)
        _join(names)
        yield Network(names, _has_netem(names["client"]))


def _join(names: dict[End, str]) -> None:
    client, server = names["client"], names["server"]
    other = shlex.split(f"peer name {CARD} netns {server}")
    _run(*shlex.split(f"ip link add {CARD} netns {client} type veth"), *other)
    for name, address in ((client, CLIENT), (server, SERVER)):
        _run("ip", "-n", name, "address", "add", f"{address}/24", "dev", CARD)
        for card in ("lo", CARD):
            _run("ip", "-n", name, "link", "set", card, "up")
        _run("ip", "netns", "exec", name, "nft", "-f", "-", text=_FIREWALL)


def _has_netem(name: str) -> bool:
    """Return whether the kernel can lose packets at random by itself."""
    command = f"tc -n {name} qdisc add dev lo root netem loss 0%"
    if shutil.which("tc") is None:
        return False
    return subprocess.run(shlex.split(command), capture_output=True, check=False).returncode == 0


def _run(*command: str, text: str = "") -> None:
    subprocess.run(command, input=text, capture_output=True, text=True, check=True)


def _set_namespace(number: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # `os.setns` came with Python 3.12
    if libc.setns(number, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
