"""The tap: a stream between the socket and trio-websocket that takes messages out in bulk.

`trio_websocket.wrap_client_stream` accepts any `trio.abc.Stream`. This one hands it everything but
the plain text frames, which it gives to the link a whole read at a time. So trio-websocket still
does the handshake, answers pings, assembles fragments and says goodbye, while the hundred
thousand ticks a second go around it. (Measured: 6 times the rate with `json`, 14 with a fast
decoder, against handing every frame to wsproto.)

It has two phases:

1. *Head*. Until the end of the HTTP response head nothing is taken. A refusal ends here: what is
   not HTTP, another status than 101, or an end of the stream is raised as the error it is, out of
   trio-websocket's reader, because trio-websocket itself would wait for ever or lose the cause.
2. *Frames*. `frames.Splitter` decides; taken items go to `deliver`, the rest is returned.

The tap also remembers how the stream ended, for nobody above can tell a FIN from a Close.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import attrs
import trio

from derivtrio.answer import Answer
from derivtrio.errors import HandshakeFailed
from derivtrio.frames import Item, Splitter

#: Larger reads cost fewer wake-ups; beyond 64 KiB nothing more is gained.
READ_SIZE: Final = 2**16

_BODY_PATIENCE: Final = 1.0


@attrs.define(eq=False)
class Tap(trio.abc.Stream):
    """A stream that gives text frames to `deliver` and everything else to its reader.

    `deliver` is also told whether `PASSED` may stand among the items. `finished` says whether
    trio-websocket is done with this connection; it goes on reading even then, without a word, when
    a frame was malformed, so its stream has to end for it.

    Attributes:
        answer: the server's answer to the handshake, as far as it has come.
        heard: when the peer last sent anything, on trio's clock.
        ended: whether the peer's side of the stream is over.
        error: what broke the stream, if that was not a plain end.

    """

    stream: trio.abc.Stream
    splitter: Splitter
    deliver: Callable[[list[Item], bool], Awaitable[None]]
    finished: Callable[[], bool]
    answer: Answer = attrs.field(factory=Answer, init=False)
    heard: float = attrs.field(factory=trio.current_time, init=False)
    ended: bool = attrs.field(default=False, init=False)
    error: Exception | None = attrs.field(default=None, init=False)
    _in_head: bool = attrs.field(default=True, init=False)
    _sending: trio.StrictFIFOLock = attrs.field(factory=trio.StrictFIFOLock, init=False)
    _arrival: trio.Event | None = attrs.field(default=None, init=False)

    def arrival(self) -> trio.Event:
        """Return an event that is set when the peer next sends anything."""
        if self._arrival is None:
            self._arrival = trio.Event()
        return self._arrival

    def closing(self) -> None:
        """From now on let nothing through but the peer's Close.

        trio-websocket would answer a ping after our Close, which wsproto forbids (H11).
        """
        self.splitter.only_close = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        """Return bytes that are not text frames; b"" at the end of the stream."""
        if self._in_head:
            await self._read_answer()
            self._in_head = False
            return self.answer.head + await self._split(self.answer.rest)
        while True:
            if self.finished() and not self.splitter.only_close:
                return b""
            data = await self._receive()
            passed = await self._split(data)
            if passed or not data:
                return passed

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data* as it is, when whoever is sending has finished: the link, trio-websocket."""
        async with self._sending:
            await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below does."""
        await self.stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream below."""
        await self.stream.aclose()

    async def _receive(self) -> bytes:
        try:
            data = await self.stream.receive_some(READ_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.ended, self.error = True, error
            raise
        self.ended = not data
        self.heard = trio.current_time()
        if self._arrival is not None:
            self._arrival.set()
            self._arrival = None
        return bytes(data)

    async def _split(self, data: bytes) -> bytes:
        items, passed = self.splitter.feed(data)
        if items:
            await self.deliver(items, bool(passed))
        return passed

    async def _read_answer(self) -> None:
        """Read the head of the server's answer, and of a refusal also the body.

        The body is worth a second's wait, no more.

        Raises:
            HandshakeRejected: the status is not 101.
            HandshakeFailed: it is no HTTP response, or it ended too early.

        """
        while self.answer.status is None:
            self.answer.feed(await self._receive_in_handshake())
        if self.answer.refusal is None:
            return
        with trio.move_on_after(_BODY_PATIENCE), suppress(HandshakeFailed):
            while not self.answer.finished:
                self.answer.feed(await self._receive_in_handshake())
        raise self.answer.refusal

    async def _receive_in_handshake(self) -> bytes:
        try:
            data = await self._receive()
        except trio.BrokenResourceError as error:
            text = "the connection broke during the handshake"
            raise HandshakeFailed(text) from error
        if not data:
            text = "the server closed the connection during the handshake"
            raise HandshakeFailed(text)
        return data
