"""The acceptor: it takes every new byte stream from its first byte to its end.

A stream is rejected, served as a connection, or held open and silent. Nothing that a client does
raises an exception here; one that is raised is a bug in the simulator.
"""

import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import SO_LINGER, SOL_SOCKET

import attrs
import trio

from derivtrio.simulator.faults.faults import Faults
from derivtrio.simulator.faults.handshake_faults import HandshakeFault
from derivtrio.simulator.network.handshake import (
    HttpRequest,
    HttpResponse,
    Upgrade,
    receive_request,
    upgrade,
)
from derivtrio.simulator.network.memory_stream import MemoryStream
from derivtrio.simulator.network.websocket import ServerWebSocket
from derivtrio.simulator.server.admission import Admission, admit
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.server.close_plan import StreamEnd
from derivtrio.simulator.server.connection import ServerConnection
from derivtrio.simulator.server.connection_record import ConnectionRecord
from derivtrio.simulator.server.rest_api import RestApi
from derivtrio.simulator.sessions.session import Backend, ServerSession

_HANDSHAKE_TIMEOUT = 60
_REMEMBERED_CONNECTIONS = 1000

_Raw = MemoryStream | trio.SocketStream


@attrs.frozen
class ServerSettings:
    """The settings of all connections; times in seconds, sizes in characters."""

    idle_timeout: float
    max_message_size: int
    ssl_context: ssl.SSLContext | None


@attrs.define(eq=False)
class Acceptor:
    """Accepts byte streams.

    *live* are the open connections by number, *history* the records of closed ones. *held* are the
    streams that a fault keeps open.
    """

    backend: Backend
    clock: Clock
    settings: ServerSettings
    live: dict[int, ServerConnection] = attrs.field(factory=dict, init=False)
    history: deque[ConnectionRecord] = attrs.field(init=False)
    faults: Faults = attrs.field(init=False)
    rest_api: RestApi = attrs.field(init=False)
    attempts: int = attrs.field(default=0, init=False)
    accepted: int = attrs.field(default=0, init=False)
    held: list[_Raw] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.history = deque(maxlen=_REMEMBERED_CONNECTIONS)
        backend = self.backend
        self.faults = Faults(
            self.live, backend.request_faults, backend.stream_mutes, backend.malformations
        )
        secure = self.settings.ssl_context is not None
        self.rest_api = RestApi(self.backend, self.clock, self.faults, secure)

    async def handle(self, stream: _Raw) -> None:
        """Serve *stream* until it is closed or held."""
        self.attempts += 1
        end: StreamEnd = "close"
        try:
            with suppress(trio.BrokenResourceError):
                end = await self._handle(stream, self.faults.next_handshake_fault())
        finally:
            await self._dispose(stream, end)

    @asynccontextmanager
    async def closing_held(self) -> AsyncIterator[None]:
        """Close the held streams at the end of the block."""
        try:
            yield
        finally:
            # `aclose_forcefully` does not wait, so the shield cannot delay a cancellation.
            with trio.CancelScope(shield=True):
                while self.held:
                    await trio.aclose_forcefully(self.held.pop())

    async def _handle(self, raw: _Raw, fault: HandshakeFault | None) -> StreamEnd:
        """Serve the client, or play *fault* instead."""
        if fault is not None and fault.below_tls:
            return await _play_fault(fault, raw)
        stream = self._secured(raw)
        if fault is not None and fault.close_code is None:
            return await _play_fault(fault, stream)
        granted = None
        with trio.move_on_after(_HANDSHAKE_TIMEOUT):
            granted = await self._handshake(stream)
        if granted is None:
            return "close"
        connection = self._accept(stream, *granted)
        if fault is not None and fault.close_code is not None:
            connection.close(fault.close_code)
        return await self._serve(connection, granted[0].response)

    async def _handshake(self, stream: trio.abc.Stream) -> tuple[Upgrade, Admission] | None:
        """Receive the request on *stream*; `None` if it was rejected, or a REST call."""
        request = await receive_request(stream)
        answer: tuple[Upgrade, Admission] | HttpResponse
        if isinstance(request, HttpResponse):
            answer = request
        else:
            answer = await self.rest_api.answer(request) or self._upgrade(request)
        if isinstance(answer, HttpResponse):
            await stream.send_all(answer.encoded())
            return None
        return answer

    def _upgrade(self, request: HttpRequest) -> tuple[Upgrade, Admission] | HttpResponse:
        upgraded = upgrade(request)
        if isinstance(upgraded, HttpResponse):
            return upgraded
        admission = admit(request.target, self.backend, self.clock.now())
        return admission if isinstance(admission, HttpResponse) else (upgraded, admission)

    def _secured(self, raw: _Raw) -> trio.abc.Stream:
        """Return *raw*, or TLS on it if it is a socket and there is a context."""
        context = self.settings.ssl_context
        if context is None or isinstance(raw, MemoryStream):
            return raw
        return trio.SSLStream(raw, context, server_side=True, https_compatible=True)

    def _accept(
        self, stream: trio.abc.Stream, granted: Upgrade, admission: Admission
    ) -> ServerConnection:
        # The connection becomes live before the 101 is sent: when a handshake has succeeded, a test
        # finds it in `sim.connections`.
        self.accepted += 1
        limit = self.settings.max_message_size
        websocket = ServerWebSocket(stream, granted.protocol, limit, self.faults.fragment_size)
        session = ServerSession(self.backend, self.accepted, admission.dialect)
        if admission.login is not None:
            session.logins = {admission.login.account.loginid: admission.login}
        delay = self.faults.delay_by
        connection = ServerConnection(
            session, websocket, self.clock, self.settings.idle_timeout, delay
        )
        self.faults.lasting_faults.befall(connection)
        self.live[connection.number] = connection
        return connection

    async def _serve(self, connection: ServerConnection, response: bytes) -> StreamEnd:
        try:
            await connection.serve(response)
        finally:
            del self.live[connection.number]
            self.history.append(connection.record())
        return connection.close_plan.stream

    async def _dispose(self, stream: _Raw, end: StreamEnd) -> None:
        if end == "hold":
            self.held.append(stream)
            return
        if end == "reset":
            _prepare_reset(stream)
        await trio.aclose_forcefully(stream)


async def _play_fault(fault: HandshakeFault, stream: trio.abc.Stream) -> StreamEnd:
    if fault.hold:
        return "hold"
    await stream.receive_some()
    await stream.send_all(fault.reply)
    return "close"


def _prepare_reset(stream: _Raw) -> None:
    if isinstance(stream, MemoryStream):
        stream.reset()
    else:
        # With a linger time of 0, closing the socket sends RST instead of FIN.
        stream.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
