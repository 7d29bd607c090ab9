"""Servers that are not Deriv: scripts that speak frame by frame, or say nothing at all.

A script is an async function of one `Peer`, the server's end of one connection. It runs on an
in-memory line (`open_endpoint`), where time is virtual, or on a real socket (`open_tcp_server`).
Both know afterwards what a client has left behind.
"""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

import attrs
import trio
from trio.testing import memory_stream_pair
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Pong,
    Request,
    TextMessage,
)

from derivtrio import Client, State
from derivtrio.api.codec import decode, encode

E = TypeVar("E")

#: The host name of the in-memory server.
HOST = "peer.invalid"

#: What a proxy says whose server is away; without a length it ends when the connection does.
BAD_GATEWAY = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>no one here</html>"

#: A text frame with a reserved bit set, and one of an opcode that nobody has defined.
RESERVED_BIT = b"\xc1\x02{}"
UNKNOWN_OPCODE = b"\x83\x02{}"


@attrs.define(eq=False)
class Peer:
    """The server's end of one connection.

    `closes` are the codes and reasons of the Close frames that the client sent, `pongs` the
    payloads of its pongs, `requests` its messages (bytes for binary ones). `ended_at` is when its
    side of the stream was found to be over, on trio's clock.
    """

    number: int
    stream: trio.abc.Stream
    opened_at: float = attrs.field(factory=trio.current_time)
    closes: list[tuple[int, str]] = attrs.field(factory=list)
    pongs: list[bytes] = attrs.field(factory=list)
    requests: list[Any] = attrs.field(factory=list)
    ended_at: float | None = None
    served: trio.Event = attrs.field(factory=trio.Event)
    _protocol: WSConnection = attrs.field(factory=lambda: WSConnection(ConnectionType.SERVER))

    async def receive(self) -> bytes:
        """Return what has come; nothing at the end, however that came about."""
        try:
            data = bytes(await self.stream.receive_some())
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data and self.ended_at is None:
            self.ended_at = trio.current_time()
        return data

    async def read_request(self) -> bytes:
        """Return the head of the HTTP request.

        Raises:
            trio.BrokenResourceError: the client went away before its end.

        """
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            data = await self.receive()
            if not data:
                raise trio.BrokenResourceError
            head += data
        return head

    async def accept(self, head: bytes = b"") -> bytes:
        """Shake hands as a WebSocket server does; return the request's *head*, read if need be."""
        head = head or await self.read_request()
        self._protocol.receive_data(head)
        assert isinstance(next(self._protocol.events()), Request)
        await self.put(AcceptConnection())
        return head

    async def put(self, *events: Event) -> None:
        """Send *events* in one write."""
        await self.write(b"".join(self._protocol.send(event) for event in events))

    async def write(self, data: bytes) -> None:
        """Send *data* as it is."""
        await self.stream.send_all(data)

    async def say(self, *messages: dict[str, Any]) -> None:
        """Send *messages* as JSON, in one write."""
        await self.put(*(TextMessage(encode(message)) for message in messages))

    async def event(self) -> Event | None:
        """Return what the client says next, noting it; None when there will be no more."""
        while (event := next(self._protocol.events(), None)) is None:
            data = await self.receive()
            if not data:
                return None
            self._protocol.receive_data(data)
        match event:
            case CloseConnection(code=code, reason=reason):
                self.closes.append((code, reason or ""))
            case Pong(payload=payload):
                self.pongs.append(bytes(payload))
        return event

    async def request(self) -> Any:
        """Return the client's next message, decoded; skip other frames. None at the end."""
        text, data = "", b""
        while (event := await self.event()) is not None:
            match event:
                case CloseConnection():
                    return None
                case TextMessage(data=part, message_finished=finished):
                    text += part
                case BytesMessage(data=part, message_finished=finished):
                    data += bytes(part)
                case _:
                    continue
            if finished:
                self.requests.append(data or decode(text))
                return self.requests[-1]
        return None

    async def serve(self) -> None:
        """Answer every request until the client says Close, and answer that; or until it ends."""
        while (request := await self.request()) is not None:
            await self.reply(request)
            self.served.set()
        if self.closes:
            code, reason = self.closes[-1]
            await self.put(CloseConnection(code, reason))

    async def reply(self, request: Any) -> None:
        """Answer *request* as Deriv would, if it is a call that this peer knows."""
        if isinstance(request, dict):
            await self.say(reply_to(request))

    async def linger(self) -> None:
        """Read and say nothing, until the client's side is over."""
        while await self.receive():
            pass


@attrs.define(eq=False)
class Holding(trio.abc.Stream):
    """Keeps the `data` that is sent, to be sent in one write with something else."""

    data: bytearray = attrs.field(factory=bytearray)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.data += data

    async def wait_send_all_might_not_block(self) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        return b""

    async def aclose(self) -> None: ...


def reply_to(request: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to a `ping`, a `time`, a `ticks`, an `authorize`; to others an error."""
    envelope = {"echo_req": request, "req_id": request.get("req_id")}
    if "authorize" in request:
        return {"msg_type": "authorize", "authorize": {"loginid": "VRTC1"}, **envelope}
    if "ping" in request:
        return {"msg_type": "ping", "ping": "pong", **envelope}
    if "time" in request:
        return {"msg_type": "time", "time": 1_700_000_000, **envelope}
    if "ticks" in request:
        return tick(0, **envelope)
    error = {"code": "UnrecognisedRequest", "message": "Unrecognised request."}
    return {"msg_type": "error", "error": error, **envelope}


def tick(number: int, **envelope: Any) -> dict[str, Any]:
    """Return the tick of that *number* of a stream."""
    quote = {"symbol": "R_100", "epoch": number, "quote": number, "id": "stream"}
    return {"msg_type": "tick", "tick": quote, "subscription": {"id": "stream"}, **envelope}


Script = Callable[[Peer], Awaitable[None]]
Pair = Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]]


async def well(peer: Peer) -> None:
    """Be a good server."""
    await peer.accept()
    await peer.serve()


async def silent(peer: Peer) -> None:
    """Accept the stream, and never say anything."""
    await peer.linger()


async def deaf(peer: Peer) -> None:
    """Accept the stream, and never read anything."""
    await trio.sleep_forever()


async def half_open(peer: Peer) -> None:
    """Shake hands, and never say anything after it."""
    await peer.accept()
    await peer.linger()


@attrs.define(eq=False)
class Line(trio.abc.Stream):
    """The client's end of an in-memory line; knows when it was closed, on trio's clock."""

    stream: trio.abc.Stream
    closed_at: float | None = None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self.stream.receive_some(max_bytes))

    async def aclose(self) -> None:
        if self.closed_at is None:
            self.closed_at = trio.current_time()
        await self.stream.aclose()


@attrs.define(eq=False)
class ScriptedEndpoint:
    """An endpoint whose n-th connection meets the n-th script, and the last one from then on."""

    scripts: tuple[Script, ...]
    pair: Pair
    nursery: trio.Nursery
    ssl_context: ssl.SSLContext | None
    address: str
    generation: str = "v3"
    limits: str = "website_status"
    peers: list[Peer] = attrs.field(factory=list)
    lines: list[Line] = attrs.field(factory=list)

    async def url(self) -> str:
        return self.address

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        ours, theirs = self.pair()
        if self.ssl_context is not None:
            theirs = _secured(theirs, self.ssl_context)
        number = len(self.peers) + 1
        self.lines.append(Line(ours))
        self.peers.append(Peer(number, theirs))
        script = self.scripts[min(number, len(self.scripts)) - 1]
        self.nursery.start_soon(self._play, script, self.peers[-1])
        return self.lines[-1]

    async def _play(self, script: Script, peer: Peer) -> None:
        try:
            await script(peer)
        except trio.BrokenResourceError:
            peer.ended_at = trio.current_time()
        finally:
            await trio.aclose_forcefully(peer.stream)

    def assert_nothing_left(self) -> None:
        """Assert that no task of a client is left, and no line of one is open."""
        assert crew() == []
        assert [line for line in self.lines if line.closed_at is None] == []


@asynccontextmanager
async def open_endpoint(
    *scripts: Script,
    pair: Pair = memory_stream_pair,
    ssl_context: ssl.SSLContext | None = None,
    within: float = 100_000,
    kind: type[ScriptedEndpoint] = ScriptedEndpoint,
) -> AsyncGenerator[ScriptedEndpoint]:
    """Yield an endpoint; at the end assert that every client of it has left nothing behind.

    The block has *within* seconds: what waits for ever is a failure, not a test that never ends.
    """
    with trio.fail_after(within):
        async with trio.open_nursery() as nursery:
            address = f"{'ws' if ssl_context is None else 'wss'}://{HOST}/"
            endpoint = kind(scripts, pair, nursery, ssl_context, address)
            yield endpoint
            endpoint.assert_nothing_left()
            nursery.cancel_scope.cancel()


@attrs.define(eq=False)
class TcpServer:
    """Where a script is served on real sockets, and whom it has met."""

    port: int
    peers: list[Peer] = attrs.field(factory=list)
    met: trio.Event = attrs.field(factory=trio.Event)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"


@asynccontextmanager
async def open_tcp_server(
    *scripts: Script, ssl_context: ssl.SSLContext | None = None, within: float = 20
) -> AsyncGenerator[TcpServer]:
    """Serve *scripts* on a loopback port, the last one again and again."""
    with trio.fail_after(within):
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            server = TcpServer(listeners[0].socket.getsockname()[1])

            async def handle(stream: trio.abc.Stream) -> None:
                if ssl_context is not None:
                    stream = _secured(stream, ssl_context)
                number = len(server.peers) + 1
                server.peers.append(Peer(number, stream))
                server.met.set()
                try:
                    await scripts[min(number, len(scripts)) - 1](server.peers[-1])
                except trio.BrokenResourceError:
                    server.peers[-1].ended_at = trio.current_time()
                finally:
                    await trio.aclose_forcefully(stream)

            nursery.start_soon(trio.serve_listeners, handle, listeners)
            yield server
            assert crew() == []
            nursery.cancel_scope.cancel()


def _secured(stream: trio.abc.Stream, context: ssl.SSLContext) -> trio.abc.Stream:
    return trio.SSLStream(stream, context, server_side=True, https_compatible=True)


@attrs.define(eq=False)
class Diary:
    """What a client's events have said, with the time of each on trio's clock."""

    _nursery: trio.Nursery
    _stack: AsyncExitStack
    entries: list[tuple[float, Any]] = attrs.field(factory=list)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def follow(self, client: Client, *, traffic: bool = False) -> None:
        """Write down everything from now on, the end of the client included."""
        events = client.events(traffic=traffic, buffer=100_000)
        await self._stack.enter_async_context(events)
        if client.status.state is State.READY:
            await anext(events)  # the present state, which is no news
        self._nursery.start_soon(self._write, events)

    async def _write(self, events: Any) -> None:
        async for event in events:
            self.entries.append((trio.current_time(), event))
            self._changed.set()
            self._changed = trio.Event()

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one *kind*."""
        return [event for _, event in self.entries if isinstance(event, kind)]

    def times(self, kind: type) -> list[float]:
        """Return when the events of one *kind* happened."""
        return [time for time, event in self.entries if isinstance(event, kind)]

    def story(self) -> list[str]:
        """Return the names of the events, in order."""
        return [type(event).__name__ for _, event in self.entries]

    async def until(self, kind: type, times: int = 1) -> None:
        """Wait until there have been so many events of a *kind*."""
        while len(self.of(kind)) < times:
            await self._changed.wait()


@asynccontextmanager
async def open_diary() -> AsyncGenerator[Diary]:
    """Yield a diary; at the end of the block wait for the end of the clients in it."""
    async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
        yield Diary(nursery, stack)


def crew() -> list[str]:
    """Return the names of the client's tasks that are running, wherever they are."""
    return sorted(name for name in _task_names() if name.startswith("derivtrio."))


def _task_names() -> Iterator[str]:
    root = trio.lowlevel.current_root_task()
    tasks = [] if root is None else [root]
    while tasks:
        task = tasks.pop()
        yield task.name
        for nursery in task.child_nurseries:
            tasks.extend(nursery.child_tasks)


def causes(error: BaseException) -> list[BaseException]:
    """Return *error* and what it was raised from, outermost first."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None:
        chain.append(following)
        following = following.__cause__
    return chain
