"""A TCP proxy on loopback that does to connections what networks do, by a seeded schedule.

Every connection has a *fate*: when so many bytes have come from the server, something happens to
it. Counting bytes instead of seconds lets a fate fall anywhere, into a handshake, a frame, the
middle of a page of history, and makes the schedule independent of how fast the machine is. Some
fates are passing, and the connection has another one after them; the others end it, and the next
one falls to the next connection. What comes when all have been used up passes untouched.
"""

import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import attrs
import trio

HOST: Final = "127.0.0.1"

#: What can happen. `drop` ends the byte stream after whole messages, as far as one can tell, `cut`
#: at the very byte; `reset` sends RST; `freeze` passes nothing more either way and closes nothing;
#: `refuse` is a drop with nobody listening for a while; `silent` accepts and never says a word.
#: `delay` holds back both directions for a while; `throttle` passes a few bytes at a time.
KINDS: Final = ("drop", "cut", "reset", "freeze", "refuse", "silent", "delay", "throttle")

_NO_LINGER: Final = struct.pack("ii", 1, 0)
_TRICKLE: Final = 3000
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


@attrs.frozen
class Fate:
    """What happens to a connection once it has passed *after* bytes, and for how long."""

    kind: str
    after: int
    seconds: float = 0.0


def random_fates(
    seed: int, count: int, *, most: int = 40_000, kinds: Sequence[str] = KINDS
) -> Iterator[Fate]:
    """Yield *count* fates that leave connections *most* bytes at the most.

    Each of *kinds* comes once before any comes again. Half of the fates strike early.
    """
    chance = random.Random(seed)
    turn: list[str] = []
    for _ in range(count):
        turn = turn or chance.sample(kinds, len(kinds))
        after = round(100 * (most / 100) ** chance.random())
        yield Fate(turn.pop(), after, chance.uniform(0.02, 0.15))


@attrs.define(eq=False)
class Proxy:
    """Passes connections on to *target*, a port of this machine, and their fates to them.

    *port* is its own. *suffered* counts the fates by kind; *done* is set when there are no more.
    """

    target: int
    fates: Iterator[Fate]
    port: int = attrs.field(default=0, init=False)
    accepted: int = attrs.field(default=0, init=False)
    suffered: Counter[str] = attrs.field(factory=Counter, init=False)
    done: trio.Event = attrs.field(factory=trio.Event, init=False)
    _begun: bool = attrs.field(default=False, init=False)
    _passages: set["_Passage"] = attrs.field(factory=set, init=False)
    _held: list[trio.SocketStream] = attrs.field(factory=list, init=False)
    _door: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _shut_for: float = attrs.field(default=0.0, init=False)

    def begin(self) -> None:
        """Let the fates take their course; until then connections pass untouched."""
        self._begun = True
        for passage in self._passages:
            passage.fate = self.next_fate()

    def next_fate(self) -> Fate | None:
        """Return what befalls the connection that asks; None if nothing does."""
        if not self._begun:
            return None
        fate = next(self.fates, None)
        if fate is None:
            self.done.set()
        return fate

    def refuse(self, seconds: float) -> None:
        """Have nobody listen for so long; the port stays ours."""
        self._shut_for = seconds
        self._door.cancel()

    async def listen(
        self,
        handlers: trio.Nursery,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept connections, except while refusing."""
        while True:
            self._door = trio.CancelScope()
            with trio.socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                await sock.bind((HOST, self.port))
                self.port = sock.getsockname()[1]
                await trio.sleep(self._shut_for)
                sock.listen()
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
                with self._door:
                    await self._accept(trio.SocketListener(sock), handlers)

    async def close(self) -> None:
        """Close what was frozen or left in silence."""
        while self._held:
            await trio.aclose_forcefully(self._held.pop())

    async def _accept(self, listener: trio.SocketListener, handlers: trio.Nursery) -> None:
        while True:
            handlers.start_soon(self._serve, await listener.accept())

    async def _serve(self, client: trio.SocketStream) -> None:
        self.accepted += 1
        fate = self.next_fate()
        if fate is not None and fate.kind == "silent":
            self.suffered["silent"] += 1
            self._held.append(client)
            return
        server = await trio.open_tcp_stream(HOST, self.target)
        passage = _Passage(self, client, server, fate)
        self._passages.add(passage)
        try:
            with suppress(*_GONE):
                await passage.run()
        finally:
            self._passages.discard(passage)
            await self._settle(passage)

    async def _settle(self, passage: "_Passage") -> None:
        streams = (passage.client, passage.server)
        if passage.frozen:
            self._held.extend(streams)
            return
        for stream in streams:
            await trio.aclose_forcefully(stream)


@attrs.define(eq=False)
class _Passage:
    """One connection on its way through the proxy."""

    proxy: Proxy
    client: trio.SocketStream
    server: trio.SocketStream
    fate: Fate | None
    frozen: bool = attrs.field(default=False, init=False)
    _passed: int = attrs.field(default=0, init=False)
    _trickling: int = attrs.field(default=0, init=False)
    _held_up: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _pumps: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    async def run(self) -> None:
        """Pass bytes both ways until either end, or the fate, puts an end to it."""
        with self._pumps:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pump, self._pass_up)
                nursery.start_soon(self._pump, self._pass_down)

    async def _pump(self, work: Callable[[], Awaitable[None]]) -> None:
        with suppress(*_GONE):
            await work()
        self._pumps.cancel()

    async def _pass_up(self) -> None:
        async for data in self.client:
            async with self._held_up:
                await self.server.send_all(data)

    async def _pass_down(self) -> None:
        async for data in self.server:
            rest = bytes(data)
            while self.fate is not None and self._passed + len(rest) > self.fate.after:
                early = max(0, self.fate.after - self._passed)
                await self._send(rest[:early])
                rest = rest[early:]
                if not await self._suffer(self.fate, rest):
                    return
                self._passed, self.fate = 0, self.proxy.next_fate()
            await self._send(rest)

    async def _send(self, data: bytes) -> None:
        self._passed += len(data)
        while data and self._trickling > 0:
            size = 1 + self._trickling % 5
            await self.client.send_all(data[:size])
            data, self._trickling = data[size:], self._trickling - size
        if data:
            await self.client.send_all(data)

    async def _suffer(self, fate: Fate, rest: bytes) -> bool:
        """Let *fate* strike, before *rest* is passed; return whether the connection goes on."""
        self.proxy.suffered[fate.kind] += 1
        match fate.kind:
            case "delay":
                async with self._held_up:
                    await trio.sleep(fate.seconds)
                return True
            case "throttle":
                self._trickling = _TRICKLE
                return True
            case "freeze":
                self.frozen = True
            case "reset":
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            case "refuse":
                self.proxy.refuse(fate.seconds)
            case "drop":
                await self._send(rest)
                await self.client.send_eof()
            case _:
                await self.client.send_eof()
        return False


@asynccontextmanager
async def open_proxy(target: int, fates: Iterator[Fate]) -> AsyncGenerator[Proxy]:
    """Run a proxy to the port *target* beside the block."""
    proxy = Proxy(target, fates)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(proxy.listen, nursery)
            yield proxy
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await proxy.close()
