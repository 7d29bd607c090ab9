"""The load server: a WebSocket server on raw asyncio transports, as cheap as can be.

Run as a program it serves ws and wss on the loopback interface, says where in one line of JSON,
and ends when its standard input does, or after an hour.

It answers `ping`, `time`, `forget`, `ticks` and `ticks_history`. Streams are silent at first. A
request whose `passthrough` has `ticks` (a number) makes the connection's streams send that many
ticks, in turn: as fast as the client takes them, or, if it has `pipe` too (the path of a named
pipe), one for each byte that comes through that.

It must take less time for a message than the clients, or it is its speed that is measured: a client
that waits for nothing else takes smaller batches, until their overhead fills its time. So the
report says when it was busy throughout.
"""

import asyncio
import base64
import hashlib
import json
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from tests.benchmarks import wire

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_LIFETIME: Final = 3600
_BLOCK: Final = 256
_HIGH_WATER: Final = 2**20
_POLLING: Final = 0.0005
_CLOSE: Final = 0x88
_PING: Final = 0x89
_PONG: Final = 0x8A


class Connection(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._open = False
        self._paused = False
        self._streams: list[wire.TickStream] = []
        self._burst: Iterator[bytes] | None = None
        self._histories: dict[str, bytes] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(_HIGH_WATER)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._burst = None

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send_burst()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._open and not self._shake_hands():
            return
        while (parsed := _parse(self._received)) is not None:
            first, payload = parsed
            if first == _CLOSE:
                self._transport.write(wire.frame(payload, _CLOSE))
                self._transport.close()
                return
            if first == _PING:
                self._transport.write(wire.frame(payload, _PONG))
            else:
                self._answer(wire.decode(payload))

    def _shake_hands(self) -> bool:
        head, end, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not end:
            return False
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        key = {name.lower(): value for name, value in fields.items()}[b"sec-websocket-key"]
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        self._received = bytearray(rest)
        self._open = True
        return True

    def _answer(self, request: dict[str, Any]) -> None:
        if "ping" in request:
            reply = wire.message(request, "ping", ping="pong")
        elif "ticks" in request:
            self._streams.append(wire.TickStream(request, len(self._streams)))
            reply = self._streams[-1].next()
        elif "ticks_history" in request:
            reply = self._history(request)
        elif "forget" in request:
            reply = wire.message(request, "forget", forget=1)
        else:
            reply = wire.message(request, "time", time=1_700_000_000)
        self._transport.write(reply)
        plan = request.get("passthrough")
        if plan:
            self._stream(wire.in_turn(self._streams, plan["ticks"]), plan.get("pipe"))

    def _history(self, request: dict[str, Any]) -> bytes:
        """Make the long reply once, and then put other numbers into it."""
        if not self._histories:
            self._histories["reply"] = wire.history(request | {"req_id": 0})
        whole = self._histories["reply"]
        payload = whole[whole.index(b"{") :]
        return wire.frame(payload.replace(b'"req_id":0', b'"req_id":%d' % request.get("req_id", 0)))

    def _stream(self, ticks: Iterator[bytes], pipe: str | None) -> None:
        if pipe is None:
            self._burst = ticks
            self._send_burst()
        else:
            end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
            self._send_asked(ticks, end)

    def _send_burst(self) -> None:
        while self._burst is not None and not self._paused:
            block = b"".join(islice(self._burst, _BLOCK))
            if not block:
                self._burst = None
                return
            self._transport.write(block)

    def _send_asked(self, ticks: Iterator[bytes], end: int, until: float = 0.0) -> None:
        """Send a tick for each byte in the pipe, until it is closed.

        For a moment look again at once, instead of waiting: the longer a client sleeps between two
        ticks, the more of its CPU time is what the machine takes to wake it up. But do not poll for
        ever: a server that never sleeps loses its core for long when others want it, too.
        """
        self._loop.remove_reader(end)
        with suppress(BlockingIOError):
            asked = os.read(end, _BLOCK)
            if not asked:
                os.close(end)
                return
            for tick in islice(ticks, len(asked)):
                self._transport.write(tick)
            until = perf_counter() + _POLLING
        if perf_counter() < until:
            self._loop.call_soon(self._send_asked, ticks, end, until)
        else:
            self._loop.add_reader(end, self._send_asked, ticks, end)


def _parse(received: bytearray) -> tuple[int, bytes] | None:
    """Take one masked frame off *received*; return its first byte and its payload."""
    if len(received) < 6:
        return None
    length, body = received[1] & 0x7F, 2
    if length == 126:
        length, body = int.from_bytes(received[2:4], "big"), 4
    end = body + 4 + length
    if len(received) < end:
        return None
    first = received[0]
    mask = int.from_bytes(bytes(received[body : body + 4]) * (length // 4 + 1), "big")
    padded = bytes(received[body + 4 : end]) + bytes(4 - length % 4)
    payload = (int.from_bytes(padded, "big") ^ mask).to_bytes(len(padded), "big")[:length]
    del received[:end]
    return first, payload


async def _serve(certificate: str | None) -> None:
    loop = asyncio.get_running_loop()
    addresses = {}
    for scheme, file in {"ws": None, "wss": certificate}.items():
        if scheme == "wss" and file is None:
            continue
        server = await loop.create_server(Connection, "127.0.0.1", 0, ssl=_tls(file))
        addresses[scheme] = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    sys.stdout.write(json.dumps(addresses) + "\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)  # nothing is ever written to it
    with suppress(TimeoutError):
        await asyncio.wait_for(ended.wait(), _LIFETIME)


def _tls(certificate: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def main() -> None:
    core, certificate = sys.argv[1:3]
    if core:
        os.sched_setaffinity(0, {int(core)})
    asyncio.run(_serve(certificate if Path(certificate).is_file() else None))


if __name__ == "__main__":
    main()
