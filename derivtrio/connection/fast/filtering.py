"""The tap: a stream between the socket and trio-websocket that takes messages out in bulk.

`trio_websocket.wrap_client_stream` accepts any `trio.abc.Stream`. This one keeps the plain text
frames from it and gives them to the link, a whole read at a time. So trio-websocket still does the
handshake, answers pings, assembles fragments and says goodbye, while the hundred thousand ticks a
second go around it. (Measured: 6 times the rate with `json`, 14 with a fast decoder, against
handing every frame to wsproto.)

Who reads the socket changes twice:

1. *Head*. Until the end of the HTTP response head it is trio-websocket's reader, and nothing is
   taken. A refusal ends here: what is not HTTP, another status than 101, or an end of the stream is
   raised as the error it is, out of trio-websocket's reader, because trio-websocket itself would
   wait for ever or lose the cause.
2. *Frames*. It is the link's reader, which has `frames.FrameFilter` decide what is taken. The rest
   goes to trio-websocket through a memory channel, where its reader is woken for nothing else.
   (Measured: a message that comes alone costs a third less than when it is trio-websocket's reader
   that is woken by the socket, and then wakes ours.)
3. *Goodbye*. Our reader is gone, and trio-websocket's reads the socket again, for the peer's Close.

The tap also remembers how the stream ended, for nobody above can tell a FIN from a Close.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs
import trio

from derivtrio.connection.fast.frames import FrameFilter
from derivtrio.connection.handshake import Answer
from derivtrio.errors import HandshakeFailed

#: Larger reads cost fewer wake-ups; beyond 64 KiB nothing more is gained.
READ_SIZE: Final = 2**16

_BODY_PATIENCE: Final = 1.0


@attrs.define(eq=False)
class FilteringStream(trio.abc.Stream):
    """A stream of which the link sees all, with `read`, and trio-websocket what is passed on.

    `finished` says whether trio-websocket is done with this connection; it goes on reading even
    then, without a word, when a frame was invalid_request, so its stream has to end for it.

    Attributes:
        answer: the server's answer to the handshake, as far as it has come.
        heard: when the peer last sent anything, on trio's clock.
        ended: whether the peer's side of the stream is over.
        error: what broke the stream, if that was not a plain end.
        digesting: set when trio-websocket has digested what it was given; None when it has. Until
            then nothing is to be read by anybody else, for it may find that this is the end.

    """

    stream: trio.abc.Stream
    splitter: FrameFilter
    finished: Callable[[], bool]
    answer: Answer = attrs.field(factory=Answer, init=False)
    heard: float = attrs.field(factory=trio.current_time, init=False)
    ended: bool = attrs.field(default=False, init=False)
    error: Exception | None = attrs.field(default=None, init=False)
    digesting: trio.Event | None = attrs.field(factory=trio.Event, init=False)
    _in_head: bool = attrs.field(default=True, init=False)
    _sending: trio.StrictFIFOLock = attrs.field(factory=trio.StrictFIFOLock, init=False)
    _arrival: trio.Event | None = attrs.field(default=None, init=False)
    _after_head: bytes = attrs.field(default=b"", init=False)
    _pass: trio.MemorySendChannel[bytes] = attrs.field(init=False)
    _passed: trio.MemoryReceiveChannel[bytes] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pass, self._passed = trio.open_memory_channel(1)

    def arrival(self) -> trio.Event:
        """Return an event that is set when the peer next sends anything."""
        if self._arrival is None:
            self._arrival = trio.Event()
        return self._arrival

    async def read(self) -> bytes:
        """Return what has come; b"" once the stream has `ended`, be it with an `error`.

        *Cancellation*: loses nothing.
        """
        if self._after_head:
            rest, self._after_head = self._after_head, b""
            return rest
        try:
            data = await self.stream.receive_some(READ_SIZE)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.ended, self.error = True, error
            return b""
        self.ended = not data
        self.heard = trio.current_time()
        if self._arrival is not None:
            self._arrival.set()
            self._arrival = None
        return bytes(data)

    async def pass_on(self, data: bytes) -> None:
        """Give *data* to trio-websocket; b"" says that the stream has ended."""
        self.digesting = trio.Event()
        with suppress(trio.BrokenResourceError):  # it is done
            await self._pass.send(data)

    def closing(self) -> None:
        """From now on let nothing through but the peer's Close; nobody calls `read` any more.

        trio-websocket would answer a ping after our Close, which wsproto forbids (H11).
        """
        self.splitter.only_close = True
        self._pass.close()

    def done(self) -> None:
        """Note that trio-websocket reads no more."""
        self._passed.close()
        self._digested()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        """Return bytes that are not text frames; b"" at the end of the stream."""
        if self._in_head:
            await self._read_answer()
            self._in_head = False
            self._after_head = self.answer.rest
            return self.answer.head
        if self.finished() and not self.splitter.only_close:
            return b""
        if not self.ended:
            self._digested()
        with suppress(trio.EndOfChannel):
            return await self._passed.receive()
        while True:
            _, passed = self.splitter.feed(await self.read())
            if self.error is not None:
                raise self.error
            if passed or self.ended:
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

    def _digested(self) -> None:
        if self.digesting is not None:
            self.digesting.set()
            self.digesting = None

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
        data = await self.read()
        if self.ended:
            broke = self.error is not None
            how = "the connection broke" if broke else "the server closed the connection"
            text = f"{how} during the handshake"
            raise HandshakeFailed(text) from self.error
        return data
