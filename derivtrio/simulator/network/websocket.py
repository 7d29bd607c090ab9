"""The server side of an open WebSocket on a byte stream.

`receive` returns whole messages, then one `EndOfInput` that says how the connection ended. It
answers pings itself. `send` takes text, which becomes a message, or bytes, which are written as
they are: a fault can send bytes that are not a frame.
"""

from collections.abc import Iterable
from typing import Literal

import attrs
import trio
from wsproto import WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Event, Message, Ping, TextMessage

#: Text becomes a message; bytes are written unchanged.
Outgoing = str | bytes


@attrs.frozen
class EndOfInput:
    """How the input from the peer ended.

    *how* is `close` for a Close frame, `eof` for the end of the byte stream without one, `reset`
    for a broken stream, and `violation` if the peer broke the protocol or sent too long a message.
    *code* is recorded; the server's own Close frame, if it sends one, has the same.
    """

    how: Literal["close", "eof", "reset", "violation"]
    code: int = 1006
    reason: str = ""


@attrs.define(eq=False)
class ServerWebSocket:
    """An open WebSocket on *stream*, which accepts messages of up to *max_message_size* characters.

    With *fragment* every message is sent in frames of that many characters.
    """

    stream: trio.abc.Stream
    _protocol: WSConnection
    max_message_size: int
    fragment: int | None = None
    _parts: list[bytes] = attrs.field(factory=list, init=False)
    _size: int = attrs.field(default=0, init=False)
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _cut_short: bool = attrs.field(default=False, init=False)

    async def receive(self) -> bytes | EndOfInput:
        """Return the next message, in UTF-8 if it is text, or how the connection ended."""
        try:
            while True:
                event = next(self._protocol.events(), None)
                if event is None:
                    if not (data := await self.stream.receive_some()):
                        return EndOfInput("eof")
                    self._protocol.receive_data(bytes(data))
                elif isinstance(event, Ping):
                    await self._answer(event)
                elif (received := self._take(event)) is not None:
                    return received
        except trio.BrokenResourceError:
            return EndOfInput("reset")

    async def send(self, items: Iterable[Outgoing]) -> None:
        """Send *items* in one write.

        Raises:
            trio.BrokenResourceError: the peer is gone.

        """
        await self._send_bytes(b"".join(self.frames(item) for item in items))

    def frames(self, item: Outgoing) -> bytes:
        """Return the bytes that *item* is sent as."""
        if isinstance(item, bytes):
            return item
        size = self.fragment or max(1, len(item))
        starts = range(0, max(1, len(item)), size)
        return b"".join(
            self._protocol.send(
                TextMessage(item[at : at + size], message_finished=at + size >= len(item))
            )
            for at in starts
        )

    def ping(self) -> bytes:
        """Return the bytes of a WebSocket ping."""
        return self._protocol.send(Ping())

    async def close(self, code: int, reason: str) -> None:
        """Send a Close frame, or the answer to the peer's; send nothing if that is not possible.

        Raises:
            trio.BrokenResourceError: the peer is gone.

        """
        # A cancelled write ended in the middle of a frame. The peer would read a Close frame sent
        # now as the rest of that frame.
        sendable = (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)
        if not self._cut_short and self._protocol.state in sendable:
            await self._send_bytes(self._protocol.send(CloseConnection(code, reason)))

    async def _answer(self, ping: Ping) -> None:
        # RFC 6455, 5.5.1: nothing is sent after our own Close frame, not even a pong.
        if self._protocol.state is ConnectionState.OPEN:
            await self._send_bytes(self._protocol.send(ping.response()))

    async def _send_bytes(self, data: bytes) -> None:
        # The reader answers pings while the writer sends messages: one write at a time.
        async with self._sending:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._cut_short = True
            await self.stream.send_all(data)
            self._cut_short = False

    def _take(self, event: Event) -> bytes | EndOfInput | None:
        """Return the message or the end that *event* completes, if any."""
        if isinstance(event, CloseConnection):
            # On a protocol error wsproto reports a Close that it has not received: the state then
            # is still OPEN.
            is_ours = self._protocol.state is ConnectionState.OPEN
            how: Literal["violation", "close"] = "violation" if is_ours else "close"
            return EndOfInput(how, event.code, event.reason or "")
        if not isinstance(event, Message):
            return None
        self._size += len(event.data)
        if self._size > self.max_message_size:
            return EndOfInput("violation", 1009, "message too big")
        data = event.data.encode() if isinstance(event, TextMessage) else bytes(event.data)
        self._parts.append(data)
        return self._whole_message() if event.message_finished else None

    def _whole_message(self) -> bytes:
        whole = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return whole
