"""Real servers for tests: PostgreSQL, Redis and NATS, each private, on a free port of loopback.

A test that needs one is skipped where its program is not installed.
"""

import asyncio
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from derivtrio.recording import MissingExtra

_PATIENCE = 30


def package_of_nats() -> Any:
    """Return the package nats; skip without the extra, or on a Python that it is not made for."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # trio-asyncio uses what is deprecated since Python 3.12
            return import_module("derivtrio.recording.nats").nats
    except MissingExtra as error:
        pytest.skip(str(error), allow_module_level=True)


def free_port() -> int:
    """Return a port below 32768: the system gives those above to connections meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def program(name: str, *folders: str) -> str:
    """Return the path of a program; skip the test if it is not installed."""
    for pattern in folders:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if (folder / name).exists():
                return str(folder / name)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def not_root() -> dict[str, Any]:
    """Return what makes a process run as somebody else: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    return {"user": "postgres", "group": "postgres", "extra_groups": []}


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE
    while not ready():
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < end, "the server does not get ready"
        time.sleep(0.05)


def accepts(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that the other user may write to."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o777)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Server:
    """A server that can be stopped, as by a power failure, and started again."""

    def __init__(self, command: list[str], port: int, url: str, **more: Any) -> None:
        self.command, self.port, self.url, self.more = command, port, url, more
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert not accepts(self.port), "another server has this port"
        self.process = subprocess.Popen(
            self.command, **self.more
        )  # a test that fails shows its log
        wait_for(lambda: accepts(self.port), self.process)

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)  # which does not wait for the clients to leave
            self.process.wait(_PATIENCE)
            self.process = None


@contextmanager
def running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def postgres() -> Iterator[Server]:
    initdb = program("initdb", "/usr/lib/postgresql/*/bin")
    binary = program("postgres", "/usr/lib/postgresql/*/bin")
    with folder() as path:
        data = str(path / "data")
        setup = [initdb, "-D", data, "-U", "deriv", "-A", "trust", "-N", "-E", "UTF8"]
        subprocess.run(setup, check=True, capture_output=True, cwd=path, **not_root())
        port = free_port()
        options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(path), "-F"]
        url = f"postgresql://deriv:secret-word@127.0.0.1:{port}/postgres"
        server = Server([binary, "-D", data, *options], port, url, **not_root())
        with running(server):
            wait_until_it_answers(url)
            yield server


def wait_until_it_answers(url: str) -> None:
    import psycopg  # noqa: PLC0415 - the tests that need it skip where it is missing

    end = time.monotonic() + _PATIENCE
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert time.monotonic() < end
            time.sleep(0.05)
        else:
            return


@contextmanager
def redis() -> Iterator[Server]:
    binary = program("redis-server")
    with folder() as path:
        port = free_port()
        options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(path)]
        durable = ["--appendonly", "yes", "--appendfsync", "no", "--save", ""]
        server = Server([binary, *options, *durable], port, f"redis://127.0.0.1:{port}")
        with running(server):
            yield server


@contextmanager
def nats(*more: str) -> Iterator[Server]:
    """Run NATS with JetStream."""
    with nats_without_jetstream("-js", *more) as server:
        yield server


@contextmanager
def nats_without_jetstream(*more: str) -> Iterator[Server]:
    binary = program("nats-server", "/usr/sbin")
    with folder() as path:
        port = free_port()
        options = ["-a", "127.0.0.1", "-p", str(port), "-sd", str(path), *more]
        with running(Server([binary, *options], port, f"nats://127.0.0.1:{port}")) as server:
            yield server


def nats_reply(server: Server, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    """Return what *ask* gets from the JetStream of *server*, by a connection of its own."""
    import nats as package  # noqa: PLC0415 - the tests that need it skip where it is missing

    async def connected() -> Any:
        client = await package.connect(server.url, allow_reconnect=False, connect_timeout=_PATIENCE)
        try:
            return await ask(client.jetstream(timeout=_PATIENCE))
        finally:
            await client.close()

    return asyncio.run(connected())


def redis_reply(server: Server, *words: str) -> Any:
    """Return what Redis answers to a command."""
    with socket.create_connection(("127.0.0.1", server.port), _PATIENCE) as sock:
        parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        sock.sendall(f"*{len(words)}\r\n{parts}".encode())
        with sock.makefile("rb") as stream:
            return _reply(stream)


def _reply(stream: Any) -> Any:
    """Return the next reply in *stream*: a text, a number, or a list."""
    line = stream.readline().decode().rstrip()
    kind, rest = line[0], line[1:]
    assert kind != "-", rest
    if kind == "*":
        return [_reply(stream) for _ in range(int(rest))]
    if kind == "$":
        return stream.read(int(rest) + 2).decode()[:-2] if int(rest) >= 0 else None
    return int(rest) if kind == ":" else rest
