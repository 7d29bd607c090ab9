"""From a byte stream that has just arrived to the end of its connection.

Whatever a client does, an attempt is turned away, served, or held open and mute. Only a bug in
the simulator raises, and that is not caught here.
"""

import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import SO_LINGER, SOL_SOCKET
from typing import Literal

import attrs
import trio

from derivtrio.simulator.faults.faults import Faults, Opening
from derivtrio.simulator.network.handshake import (
    Rejection,
    Request,
    Upgrade,
    receive_request,
    upgrade,
)
from derivtrio.simulator.network.memory_stream import MemoryStream
from derivtrio.simulator.network.websocket import Wire
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.server.connection import Connection
from derivtrio.simulator.server.connection_record import ConnectionRecord
from derivtrio.simulator.server.rest_api import Admission, Gate
from derivtrio.simulator.sessions.session import Session, World

_HANDSHAKE_TIMEOUT = 60
_REMEMBERED_CONNECTIONS = 1000

_Raw = MemoryStream | trio.SocketStream
_Fate = Literal["close", "hold", "reset"]


@attrs.frozen
class Terms:
    """What every connection is served under; times in seconds, sizes in characters."""

    idle_timeout: float
    max_message_size: int
    ssl_context: ssl.SSLContext | None


@attrs.define(eq=False)
class Reception:
    """Receives byte streams and keeps the books: connections live, by number, and finished."""

    world: World
    clock: Clock
    terms: Terms
    live: dict[int, Connection] = attrs.field(factory=dict, init=False)
    history: deque[ConnectionRecord] = attrs.field(init=False)
    faults: Faults = attrs.field(init=False)
    gate: Gate = attrs.field(init=False)
    attempts: int = attrs.field(default=0, init=False)
    accepted: int = attrs.field(default=0, init=False)
    held: list[_Raw] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self.history = deque(maxlen=_REMEMBERED_CONNECTIONS)
        self.faults = Faults(self.live, self.world.mishaps)
        secure = self.terms.ssl_context is not None
        self.gate = Gate(self.world, self.clock, self.faults, secure)

    async def receive(self, stream: _Raw) -> None:
        """Deal with *stream* until it is closed or held."""
        self.attempts += 1
        fate: _Fate = "close"
        try:
            with suppress(trio.BrokenResourceError):
                fate = await self._deal_with(stream, self.faults.next_opening())
        finally:
            await self._settle(stream, fate)

    @asynccontextmanager
    async def closing_held(self) -> AsyncIterator[None]:
        """Close, at the end of the block, the streams that were held open until then."""
        try:
            yield
        finally:
            # Closing by force does not wait, so a cancellation need not stop it half-way.
            with trio.CancelScope(shield=True):
                while self.held:
                    await trio.aclose_forcefully(self.held.pop())

    async def _deal_with(self, raw: _Raw, opening: Opening | None) -> _Fate:
        """Play *opening* if it takes the place of the handshake, or serve the client."""
        if opening is not None and opening.below_tls:
            return await _play(opening, raw)
        stream = self._secured(raw)
        if opening is not None and opening.close_code is None:
            return await _play(opening, stream)
        granted = None
        with trio.move_on_after(_HANDSHAKE_TIMEOUT):
            granted = await self._shake_hands(stream)
        if granted is None:
            return "close"
        connection = self._admit(stream, *granted)
        if opening is not None and opening.close_code is not None:
            connection.close(opening.close_code)
        return await self._serve(connection, granted[0].greeting)

    async def _shake_hands(self, stream: trio.abc.Stream) -> tuple[Upgrade, Admission] | None:
        """Receive the opening request on *stream*; return None if that was all there is to it."""
        request = await receive_request(stream)
        answer: tuple[Upgrade, Admission] | Rejection
        if isinstance(request, Rejection):
            answer = request
        else:
            answer = await self.gate.answer(request) or self._granted(request)
        if isinstance(answer, Rejection):
            await stream.send_all(answer.response())
            return None
        return answer

    def _granted(self, request: Request) -> tuple[Upgrade, Admission] | Rejection:
        granted = upgrade(request)
        if isinstance(granted, Rejection):
            return granted
        admission = self.gate.admit(request.target)
        return admission if isinstance(admission, Rejection) else (granted, admission)

    def _secured(self, raw: _Raw) -> trio.abc.Stream:
        """Put TLS on *raw*, where it is a real socket and TLS is wanted."""
        context = self.terms.ssl_context
        if context is None or isinstance(raw, MemoryStream):
            return raw
        return trio.SSLStream(raw, context, server_side=True, https_compatible=True)

    # A connection is admitted before its client is told, so that whoever has seen a handshake
    # succeed finds it among the live ones.
    def _admit(self, stream: trio.abc.Stream, granted: Upgrade, admission: Admission) -> Connection:
        self.accepted += 1
        limit = self.terms.max_message_size
        wire = Wire(stream, granted.protocol, limit, self.faults.fragment_size)
        session = Session(self.world, self.accepted, admission.dialect)
        if admission.login is not None:
            session.logins = {admission.login.account.loginid: admission.login}
        delay = self.faults.delay_by
        connection = Connection(session, wire, self.clock, self.terms.idle_timeout, delay)
        self.live[connection.number] = connection
        return connection

    async def _serve(self, connection: Connection, greeting: bytes) -> _Fate:
        try:
            await connection.serve(greeting)
        finally:
            del self.live[connection.number]
            self.history.append(connection.record())
        return connection.departure.stream

    async def _settle(self, stream: _Raw, fate: _Fate) -> None:
        if fate == "hold":
            self.held.append(stream)
            return
        if fate == "reset":
            _prepare_reset(stream)
        await trio.aclose_forcefully(stream)


async def _play(opening: Opening, stream: trio.abc.Stream) -> _Fate:
    if opening.hold:
        return "hold"
    await stream.receive_some()
    await stream.send_all(opening.reply)
    return "close"


def _prepare_reset(stream: _Raw) -> None:
    if isinstance(stream, MemoryStream):
        stream.reset()
    else:
        # Closing a socket that must not linger sends RST in place of FIN.
        stream.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
