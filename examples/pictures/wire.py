"""A line between a client and a server, in memory: it takes its time, and its log is the picture.

Everything that is sent arrives `delay` seconds later, as on a real line, but on trio's clock. So a
run on the virtual clock is the same each time. The log has one `Flight` for each WebSocket frame.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import trio
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, Opcode

import derivtrio
from derivtrio.simulator import EndingName, Simulator, open_simulator
from derivtrio.simulator.network.memory_stream import MemoryStream, open_pair
from derivtrio.simulator.server.endings import EndingServer

#: Opens the server's end of a connection, and returns the client's.
Opener = Callable[[], Awaitable[trio.abc.Stream]]

#: What a request is not named after.
_ADDED = ("req_id", "passthrough", "subscribe")


@attrs.define
class Flight:
    """One frame on its way, or the end of the bytes; `up` is to the server."""

    sent: float
    arrives: float
    up: bool
    text: str
    connection: int


@attrs.define(eq=False)
class Wire(derivtrio.Endpoint):
    """An endpoint whose connections run over a slow line; `flights` is what went over it."""

    _open: Opener
    _nursery: trio.Nursery
    delay: float
    flights: list[Flight] = attrs.field(factory=list, init=False)
    connections: int = attrs.field(default=0, init=False)

    async def url(self) -> str:
        """Return a URL; its host does not exist."""
        return "ws://server.invalid/websockets/v3?app_id=1089"

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:  # noqa: ARG002
        """Return a new connection, after one round trip."""
        await trio.sleep(2 * self.delay)
        server = await self._open()
        self.connections += 1
        near, client = open_pair()
        up, down = _Reading(self, self.connections, up=True), _Reading(self, self.connections)
        self._nursery.start_soon(self._carry, near, server, up)
        self._nursery.start_soon(self._carry, server, near, down)
        return client

    async def _carry(
        self, source: trio.abc.Stream, target: trio.abc.Stream, reading: "_Reading"
    ) -> None:
        """Carry bytes from *source* to *target*, until the end of either."""
        sender, receiver = trio.open_memory_channel[tuple[float, bytes]](10_000)
        self._nursery.start_soon(self._deliver, receiver, target)
        async with sender:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while data := await source.receive_some():
                    now = trio.current_time()
                    reading.take(bytes(data), now)
                    await sender.send((now + self.delay, bytes(data)))
            reading.end(trio.current_time())
            await sender.send((trio.current_time() + self.delay, b""))

    async def _deliver(
        self,
        receiver: trio.MemoryReceiveChannel[tuple[float, bytes]],
        target: trio.abc.Stream,
    ) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for due, data in receiver:
                await trio.sleep_until(due)
                if not data:
                    break
                await target.send_all(data)
        await target.aclose()


@attrs.define(eq=False)
class _Reading:
    """Reads the frames in one direction of one connection."""

    _wire: Wire
    _connection: int
    up: bool = False
    _head: bytes | None = attrs.field(default=b"", init=False)
    _frames: FrameProtocol = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._frames = FrameProtocol(client=not self.up, extensions=[])

    def take(self, data: bytes, now: float) -> None:
        """Note what is in *data*: the head of the handshake first, and then frames."""
        if self._head is not None:
            head, end, data = (self._head + data).partition(b"\r\n\r\n")
            self._head = None if end else head
            if end:
                self._note("GET Upgrade" if self.up else head.split(b" ")[1].decode(), now)
        self._frames.receive_bytes(data)
        for frame in self._frames.received_frames():
            self._note(_text_of(frame, up=self.up), now)

    def end(self, now: float) -> None:
        """Note that no more bytes come."""
        self._note("end", now)

    def _note(self, text: str, now: float) -> None:
        flight = Flight(now, now + self._wire.delay, self.up, text, self._connection)
        self._wire.flights.append(flight)


def _text_of(frame: Frame, *, up: bool) -> str:
    """Return a few words for *frame*."""
    if isinstance(frame.payload, tuple):
        code: CloseReason | int = frame.payload[0]
        return f"Close {int(code)}"
    if frame.opcode is not Opcode.TEXT:
        return "bytes" if frame.opcode is Opcode.BINARY else frame.opcode.name.capitalize()
    return _name_of(str(frame.payload), up=up)


def _name_of(text: str, *, up: bool) -> str:
    """Return what the message *text* is about."""
    try:
        message: dict[str, Any] = json.loads(text)
    except ValueError:
        return text
    if "error" in message:
        return f"error {message['error']['code']}"
    if up:
        return next(key for key in message if key not in _ADDED)
    return "pong" if "ping" in message else f"{message['msg_type']}: reply"


@asynccontextmanager
async def open_wire(opener: Opener, *, delay: float = 0.1) -> AsyncGenerator[Wire]:
    """Open an endpoint whose connections are opened by *opener*, each way *delay* seconds long."""
    async with trio.open_nursery() as nursery:
        yield Wire(opener, nursery, delay)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_ending(ending: EndingName, *, delay: float = 0.1) -> AsyncGenerator[Wire]:
    """Open a wire to the server of the lessons that ends as *ending* says."""
    server = EndingServer(ending)
    async with trio.open_nursery() as nursery:

        async def opener() -> MemoryStream:
            served, far = open_pair()
            nursery.start_soon(server.serve, served)
            return far

        async with open_wire(opener, delay=delay) as wire:
            yield wire
        nursery.cancel_scope.cancel()


@attrs.frozen
class WiredSimulator:
    """A simulator whose endpoint is a wire; everything else is as it was."""

    endpoint: Wire
    _simulator: Simulator

    def __getattr__(self, name: str) -> Any:
        return getattr(self._simulator, name)


@asynccontextmanager
async def open_wired(*, delay: float = 0.1, **arguments: Any) -> AsyncGenerator[WiredSimulator]:
    """Open a simulator with a wire to it; for `open_simulator` in a lesson's program."""
    async with (
        open_simulator(**arguments) as sim,
        open_wire(partial(sim.endpoint.open_stream, "", 0), delay=delay) as wire,
    ):
        yield WiredSimulator(wire, sim)
