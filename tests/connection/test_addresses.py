"""A name with several addresses, some of which are of no use. Real sockets on loopback.

Attempts are short here, so a machine that is slow may make one more of them; what is asserted is in
which order the addresses are met.
"""

import errno
import math
import socket
import ssl
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trustme
from peers import Peer, Script, crew, half_open, silent, well

from derivtrio import Backoff, OptionsAccount, Ready, Settings, open_client
from derivtrio.connection import addresses as module
from derivtrio.connection.addresses import Addresses, look_up
from derivtrio.simulator import demo_account, open_simulator

NAME = "several.example"
FIRST, SECOND, THIRD = "127.0.0.1", "127.0.0.2", "127.0.0.3"
QUICK = Settings(connect_timeout=0.2, backoff=Backoff(first=0.01, cap=0.01))


@attrs.define(eq=False)
class Names(trio.abc.HostnameResolver):
    """A resolver that knows one name."""

    addresses: Sequence[str]
    asked: list[str] = attrs.field(factory=list)

    async def getaddrinfo(self, host: Any, port: Any, *_args: Any, **_kw: Any) -> Any:
        assert host == NAME.encode()
        self.asked.append(NAME)
        stream = trio.socket.SOCK_STREAM
        families = [
            trio.socket.AF_INET6 if ":" in address else trio.socket.AF_INET
            for address in self.addresses
        ]
        return [
            (family, stream, 0, "", (address, port, 0, 0) if ":" in address else (address, port))
            for family, address in zip(families, self.addresses, strict=True)
        ]

    async def getnameinfo(self, *_args: Any) -> Any:
        raise AssertionError


@attrs.define(eq=False)
class Several:
    """Servers on one port of several addresses, and the addresses in the order they were met."""

    port: int = 0
    met: list[str] = attrs.field(factory=list)
    peers: list[Peer] = attrs.field(factory=list)

    async def listen(
        self, nursery: trio.Nursery, address: str, script: Script, context: ssl.SSLContext | None
    ) -> None:
        listeners = await trio.open_tcp_listeners(self.port, host=address)
        self.port = listeners[0].socket.getsockname()[1]

        async def handle(stream: trio.abc.Stream) -> None:
            if context is not None:
                stream = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
            self.met.append(address)
            self.peers.append(Peer(len(self.met), stream))
            try:
                await script(self.peers[-1])
            except trio.BrokenResourceError:
                pass
            finally:
                await trio.aclose_forcefully(stream)

        nursery.start_soon(trio.serve_listeners, handle, listeners)

    def assert_never_twice_in_a_row(self, address: str) -> None:
        assert address in self.met
        pairs = zip(self.met, self.met[1:], strict=False)
        assert [pair for pair in pairs if pair == (address, address)] == []


@asynccontextmanager
async def open_several(
    scripts: dict[str, Script],
    order: Sequence[str] = (),
    secured: dict[str, ssl.SSLContext] | None = None,
) -> AsyncGenerator[Several]:
    several = Several()
    trio.socket.set_custom_hostname_resolver(Names(order or list(scripts)))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for address, script in scripts.items():
                await several.listen(nursery, address, script, (secured or {}).get(address))
            yield several
            assert crew() == []
            nursery.cancel_scope.cancel()


async def half_a_head(peer: Peer) -> None:
    await peer.read_request()
    await peer.write(b"HTTP/1.1 101 Switching Pro")
    await peer.linger()


async def answers_nonsense(peer: Peer) -> None:
    await peer.read_request()
    await peer.write(b"SSH-2.0-OpenSSH\r\n")


async def is_busy(peer: Peer) -> None:
    await peer.read_request()
    await peer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")


async def hangs_up(peer: Peer) -> None:
    await peer.read_request()


USELESS = [silent, half_a_head, answers_nonsense, is_busy, hangs_up]


@pytest.mark.parametrize("useless", USELESS, ids=lambda script: script.__name__)
async def test_g10_an_address_that_fails_the_handshake_is_followed_by_another(
    useless: Script,
) -> None:
    async with open_several({FIRST: useless, SECOND: well}) as several:
        url = f"ws://{NAME}:{several.port}/"
        async with open_client(endpoint=url, settings=QUICK) as client:
            assert (await client.call({"ping": 1}))["ping"] == "pong"
        assert (several.met[0], several.met[-1]) == (FIRST, SECOND)
        several.assert_never_twice_in_a_row(FIRST)


async def test_g10_an_address_that_has_worked_comes_before_one_that_has_not() -> None:
    async with open_several({FIRST: silent, SECOND: well}) as several:
        url = f"ws://{NAME}:{several.port}/"
        async with open_client(endpoint=url, settings=QUICK) as client, client.events() as events:
            await client.call({"ping": 1})
            so_far = len(several.met)
            await several.peers[-1].stream.aclose()
            async for event in events:
                if isinstance(event, Ready) and event.connection == 2:
                    break
        assert several.met[so_far] == SECOND


async def test_g10_every_address_has_its_turn() -> None:
    scripts = {FIRST: silent, SECOND: silent, THIRD: well}
    async with open_several(scripts) as several:
        url = f"ws://{NAME}:{several.port}/"
        async with open_client(endpoint=url, settings=QUICK) as client:
            await client.call({"ping": 1})
        assert several.met[:3] == [FIRST, SECOND, THIRD]


async def test_g10_an_address_whose_api_says_nothing_is_left_for_another() -> None:
    settings = QUICK.but(restore_timeout=0.1)
    async with open_several({FIRST: half_open, SECOND: well}) as several:
        url = f"ws://{NAME}:{several.port}/"
        async with open_client(endpoint=url, token="t", settings=settings) as client:
            await client.call({"ping": 1})
        several.assert_never_twice_in_a_row(FIRST)


async def test_g10_a_mute_ipv6_address_is_followed_by_the_ipv4_address() -> None:
    async with open_several({"::1": silent, FIRST: well}) as several:
        url = f"ws://{NAME}:{several.port}/"
        async with open_client(endpoint=url, settings=QUICK) as client:
            await client.call({"ping": 1})
        several.assert_never_twice_in_a_row("::1")


@pytest.mark.parametrize("fast", [True, False])
async def test_g10_an_address_without_tls_is_followed_by_another(*, fast: bool) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(NAME).configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    settings = QUICK.but(ssl_context=trusting, fast=fast, connect_timeout=0.5)
    scripts = {FIRST: silent, SECOND: well}
    async with open_several(scripts, secured={SECOND: server}) as several:
        url = f"wss://{NAME}:{several.port}/"
        async with open_client(endpoint=url, settings=settings) as client:
            await client.call({"ping": 1})
        several.assert_never_twice_in_a_row(FIRST)


async def test_g10_the_rest_call_leaves_a_mute_address_too() -> None:
    async with open_simulator() as sim:
        several = Several(port=int(sim.rest_url.rpartition(":")[2]))
        trio.socket.set_custom_hostname_resolver(Names([SECOND, FIRST]))
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                await several.listen(nursery, SECOND, silent, None)
                base = f"http://{NAME}:{several.port}"
                account = OptionsAccount(demo_account().loginid, 1089, "demo-token", base=base)
                async with open_client(endpoint=account, settings=QUICK) as client:
                    assert (await client.call({"ping": 1}))["ping"] == "pong"
                nursery.cancel_scope.cancel()
        several.assert_never_twice_in_a_row(SECOND)


# The order, without sockets.


def found(*addresses: str) -> list[Any]:
    family = {True: trio.socket.AF_INET6, False: trio.socket.AF_INET}
    return [(family[":" in each], 1, 6, "", (each, 443)) for each in addresses]


def order(addresses: Addresses, *names: str) -> list[str]:
    return [target[4][0] for target in addresses.in_order(found(*names))]


def test_the_second_address_is_of_another_family() -> None:
    assert order(Addresses(), "::1", "::2", "a", "b") == ["::1", "a", "::2", "b"]
    assert order(Addresses(), "a", "a", "b") == ["a", "b"]
    assert order(Addresses()) == []


def test_what_is_in_doubt_comes_last_and_what_was_tried_last_comes_last_of_all() -> None:
    addresses = Addresses()
    for target in found("b", "a"):
        addresses.note_tried(target)
    assert order(addresses, "a", "b", "c") == ["c", "b", "a"]
    (target,) = found("b")
    addresses.note_open(target)
    addresses.note_success()
    assert order(addresses, "a", "b", "c") == ["b", "c", "a"]
    addresses.note_failure()
    assert order(addresses, "a", "b", "c") == ["c", "a", "b"]


def test_g14_no_more_than_so_many_addresses_are_remembered() -> None:
    addresses = Addresses()
    for number in range(1000):
        addresses.note_tried(*found(str(number)))
    assert len(addresses._unproven) == 64  # noqa: SLF001


async def test_a_name_without_addresses_is_an_os_error() -> None:
    trio.socket.set_custom_hostname_resolver(Names([]))
    with pytest.raises(OSError, match=f"no address of {NAME}"):
        await Addresses().open_tcp(NAME, 1)


async def test_g14_a_resolver_that_hangs_takes_no_threads_from_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its threads cannot be cancelled, and each attempt would begin another."""
    answer, asked = threading.Event(), list[Any]()

    def hang(host: Any, port: Any, **kw: Any) -> list[Any]:
        asked.append(host)
        assert answer.wait(10)
        return [(socket.AF_INET, kw["type"], 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    for _ in range(10):
        with trio.move_on_after(0.005):
            await look_up(NAME, 443)
    assert asked == [NAME] * 8
    assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
    async with trio.open_nursery() as nursery:  # another name has its own
        nursery.start_soon(look_up, "another.example", 443)
        with trio.fail_after(5):
            while len(asked) < 9:  # noqa: ASYNC110 - a thread says so
                await trio.sleep(0.001)
        answer.set()
    with trio.fail_after(5):
        assert [target[4] for target in await look_up(NAME, 443)] == [("127.0.0.1", 443)]


async def test_g01_a_resolver_that_works_again_is_noticed_though_no_look_up_comes_back(
    monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    over, works = threading.Event(), threading.Event()

    def hang(_: Any, port: Any, **kw: Any) -> list[Any]:
        assert works.is_set() or over.wait(10)
        return [(socket.AF_INET, kw["type"], 6, "", ("127.0.0.1", port))]

    async def begins_a_look_up() -> bool:
        before = threads()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_up, NAME, 443)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        return threads() > before

    def threads() -> int:
        lookups = module._lookups.get({}).get(NAME)  # noqa: SLF001
        return 0 if lookups is None else lookups.limiter.borrowed_tokens

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    begun = []
    for now in range(0, 1930, 10):
        if await begins_a_look_up():
            begun.append(now)
        mock_clock.jump(10)
    assert begun == [*range(0, 80, 10), 130, 250, 490, 970]
    works.set()
    assert [target[4] for target in await look_up(NAME, 443)] == [("127.0.0.1", 443)]
    over.set()


# The race, on the virtual clock.


@attrs.define(eq=False)
class FakeSocket(trio.socket.SocketType):
    """A socket whose connection takes a time that belongs to its address."""

    factory: "FakeSockets"
    address: str = ""
    closed: bool = False

    @property
    def type(self) -> Any:
        return trio.socket.SOCK_STREAM

    def setsockopt(self, *_: Any) -> None: ...

    def close(self) -> None:
        self.closed = True

    async def connect(self, address: Any) -> None:
        self.address = address[0]
        self.factory.begun.append((self.address, trio.current_time()))
        takes = self.factory.seconds[self.address]
        await trio.sleep(abs(takes))
        if takes < 0:
            raise OSError(errno.ECONNREFUSED, "Connection refused")


@attrs.define(eq=False)
class FakeSockets(trio.abc.SocketFactory):
    """After so many `seconds` TCP to an address is open; if that is negative, it is refused."""

    seconds: dict[str, float]
    begun: list[tuple[str, float]] = attrs.field(factory=list)
    made: list[FakeSocket] = attrs.field(factory=list)

    def socket(self, *_: Any) -> Any:
        self.made.append(FakeSocket(self))
        return self.made[-1]

    def assert_closed_but(self, *addresses: str) -> None:
        assert [each.address for each in self.made if not each.closed] == list(addresses)


def fake(**seconds: float) -> FakeSockets:
    trio.socket.set_custom_hostname_resolver(Names(list(seconds)))
    sockets = FakeSockets(seconds)
    trio.socket.set_custom_socket_factory(sockets)
    return sockets


async def won(addresses: Addresses) -> str:
    stream = await addresses.open_tcp(NAME, 1)
    return stream.socket.address  # type: ignore[attr-defined,no-any-return]


async def test_the_next_address_is_tried_when_one_is_slow_or_has_failed(
    autojump_clock: Any,
) -> None:
    sockets = fake(a=math.inf, b=-0.1, c=5, d=0.5)
    assert await won(Addresses()) == "d"
    assert sockets.begun == [("a", 0), ("b", 0.25), ("c", 0.35), ("d", 0.6)]
    assert trio.current_time() == 1.1
    sockets.assert_closed_but("d")


async def test_an_address_in_doubt_is_tried_a_second_after_the_one_before(
    autojump_clock: Any,
) -> None:
    addresses = Addresses()
    addresses.note_tried(*found_at("a"))
    sockets = fake(a=0.1, b=0.9)
    assert await won(addresses) == "b"
    sockets = fake(a=0.1, b=1.5)
    addresses = Addresses()
    addresses.note_tried(*found_at("a"))
    began = trio.current_time()
    assert await won(addresses) == "a"
    assert trio.current_time() - began == pytest.approx(1.1)
    sockets.assert_closed_but("a")


async def test_if_all_addresses_fail_the_error_has_their_errors(autojump_clock: Any) -> None:
    sockets = fake(a=-0.1, b=-1)
    with pytest.raises(OSError, match=f"no address of {NAME} can be connected to") as caught:
        await Addresses().open_tcp(NAME, 1)
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert len(caught.value.__cause__.exceptions) == 2
    sockets.assert_closed_but()


async def test_g12_a_race_that_is_cancelled_leaves_no_socket(autojump_clock: Any) -> None:
    for after in (0, 0.1, 0.3, 1, 1.25, 1.3):
        sockets = fake(a=math.inf, b=1)
        with trio.move_on_after(after):
            await won(Addresses())
            sockets.made[1].close()
        sockets.assert_closed_but()
    sockets = fake(a=0)
    with trio.CancelScope() as scope:
        scope.cancel()
        await won(Addresses())
    sockets.assert_closed_but()


def found_at(address: str) -> list[Any]:
    return [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, 0, "", (address, 1))]
