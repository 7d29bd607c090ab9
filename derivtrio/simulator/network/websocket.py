"""WebSocket frames on a byte stream, server side: the only user of wsproto's frame layer.

Reading gives whole messages, or one `Goodbye` that says how the connection ended. Pings are
answered on the way. Writing takes text for a message, or bytes that go out as they are, so that
a fault can put anything on the line.
"""

from collections.abc import Iterable
from typing import Literal

import attrs
import trio
from wsproto import WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Event, Message, Ping, TextMessage

#: Text is a message, bytes are written as they are.
Outgoing = str | bytes


@attrs.frozen
class EndOfInput:
    """The end of what the peer sends.

    *how*: `close` for a Close frame, `eof` for the end of the byte stream without one, `reset`
    for a broken one, `violation` for what breaks the protocol or is too long. *code* is the one
    to record, and in the last case the one to answer with.
    """

    how: Literal["close", "eof", "reset", "violation"]
    code: int = 1006
    reason: str = ""


@attrs.define(eq=False)
class WebSocket:
    """An open WebSocket connection on *stream*.

    *fragment* is the size, in characters, of the frames that messages are sent in, if set.
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
        """Return *item* as it goes on the line."""
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

    async def close(self, code: int, reason: str) -> None:
        """Send a Close frame, or the answer to the peer's.

        After a write that was cut short the line is in the middle of a frame, where a Close
        would be read as part of it; nothing is sent then.

        Raises:
            trio.BrokenResourceError: the peer is gone.

        """
        sendable = (ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING)
        if not self._cut_short and self._protocol.state in sendable:
            await self._send_bytes(self._protocol.send(CloseConnection(code, reason)))

    async def _answer(self, ping: Ping) -> None:
        # A ping that arrives after our own Close is not answered: the line is ours no more.
        if self._protocol.state is ConnectionState.OPEN:
            await self._send_bytes(self._protocol.send(ping.response()))

    async def _send_bytes(self, data: bytes) -> None:
        async with self._sending:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._cut_short = True
            await self.stream.send_all(data)
            self._cut_short = False

    def _take(self, event: Event) -> bytes | EndOfInput | None:
        """Return what *event* completes, if anything."""
        if isinstance(event, CloseConnection):
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
