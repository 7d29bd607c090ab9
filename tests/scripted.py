"""A server whose every answer is written by the test. In memory, for the virtual clock."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import trio
import trio_websocket

from derivtrio.connection.endpoints import Generation, LimitsSource
from derivtrio.simulator.network.memory_stream import open_pair

Request = dict[str, Any]


@attrs.define(eq=False)
class Peer:
    """The server's side of one connection."""

    number: int
    websocket: trio_websocket.WebSocketConnection
    stream: trio.abc.Stream

    async def send(self, message: Request) -> None:
        await self.websocket.send_message(json.dumps(message, separators=(",", ":")))

    async def reply(self, request: Request, **payload: Any) -> None:
        name = next(iter(payload))
        answer = {"echo_req": request, "msg_type": name, **payload}
        await self.send(answer | ({"req_id": request["req_id"]} if "req_id" in request else {}))

    async def refuse(self, request: Request, code: str, message: str = "No.") -> None:
        await self.reply(request, error={"code": code, "message": message})

    async def drop(self) -> None:
        await trio.aclose_forcefully(self.stream)


def framed(message: dict[str, Any]) -> bytes:
    """Return the frame in which a server sends *message*; several can be sent in one go."""
    data = json.dumps(message).encode()
    length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2)
    return b"\x81" + length + data


Handler = Callable[[Peer, Request], Awaitable[None]]


async def polite(peer: Peer, request: Request) -> None:
    """Answer pings and times, and refuse everything else."""
    if "ping" in request:
        await peer.reply(request, ping="pong")
    elif "time" in request:
        await peer.reply(request, time=1700000000)
    else:
        await peer.refuse(request, "UnrecognisedRequest")


@attrs.define(eq=False)
class Server:
    """An endpoint that serves every connection with `handle`."""

    handle: Handler
    nursery: trio.Nursery
    generation: Generation = "v3"
    limits: LimitsSource = "website_status"
    received: list[tuple[int, Request]] = attrs.field(factory=list)
    peers: list[Peer] = attrs.field(factory=list)
    attempts: list[float] = attrs.field(factory=list)
    on_open: Callable[[Peer], Awaitable[None]] | None = None
    refuses: bool = False

    async def url(self) -> str:
        return "ws://scripted.invalid/websockets/v3?app_id=1"

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        assert (host, port) == ("scripted.invalid", 80)
        await trio.lowlevel.checkpoint()
        self.attempts.append(trio.current_time())
        if self.refuses:
            raise ConnectionRefusedError
        ours, theirs = open_pair()
        self.nursery.start_soon(self._serve, theirs)
        return ours

    async def _serve(self, stream: trio.abc.Stream) -> None:
        async with trio.open_nursery() as nursery:
            websocket = None
            with trio.move_on_after(1), suppress(trio_websocket.ConnectionClosed):
                request = await trio_websocket.wrap_server_stream(nursery, stream)
                websocket = await request.accept()
            if websocket is None:  # the client has gone away in the middle of its handshake
                nursery.cancel_scope.cancel()
                return
            peer = Peer(len(self.peers) + 1, websocket, stream)
            self.peers.append(peer)
            try:
                if self.on_open is not None:
                    await self.on_open(peer)
                while True:
                    message = json.loads(await peer.websocket.get_message())
                    self.received.append((peer.number, message))
                    nursery.start_soon(self._handled, peer, message)
            except trio_websocket.ConnectionClosed:
                nursery.cancel_scope.cancel()

    async def _handled(self, peer: Peer, message: Request) -> None:
        with suppress(trio_websocket.ConnectionClosed):
            await self.handle(peer, message)

    def asked(self, name: str) -> list[tuple[int, Request]]:
        """Return the requests for one call, each with the number of its connection."""
        return [(number, request) for number, request in self.received if name in request]


@asynccontextmanager
async def open_server(handle: Handler = polite) -> AsyncGenerator[Server]:
    async with trio.open_nursery() as nursery:
        yield Server(handle, nursery)
        nursery.cancel_scope.cancel()
