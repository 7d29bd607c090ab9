"""The stream that keeps plain text frames from trio-websocket.

It stands on a `WatchedStream`, in whose place it is given to trio-websocket. Text frames are taken
out by `fast.messages`, a whole read at a time. So trio-websocket still does the handshake, answers
pings, assembles fragments and says goodbye, while the hundred thousand ticks a second go around it.

Who reads the socket changes twice:

1. *Handshake*. Until the end of the HTTP response head it is trio-websocket's reader.
2. *Frames*. It is our reader, which has a `FrameFilter` decide what is taken. The other frames are
   forwarded to trio-websocket through a memory channel, where its reader is woken for nothing else.
   (Measured: a message that comes alone costs a third less than when it is trio-websocket's reader
   that is woken by the socket, and then wakes ours.)
3. *Goodbye*. Our reader is gone, and trio-websocket's reads the socket again, until the peer's
   Close.
"""

from contextlib import suppress

import attrs
import trio

from derivtrio.concurrency.lock import PromptLock
from derivtrio.connection.fast.frames import FrameFilter
from derivtrio.connection.stream import WatchedStream


@attrs.define(eq=False)
class FilteringStream(trio.abc.Stream):
    """A stream for trio-websocket, which sees only the frames that are forwarded to it.

    Attributes:
        processed: set when trio-websocket has processed what it was given last; None when it has
            already. Until then nobody else may read, for it may find that this is the end.

    """

    watched: WatchedStream
    frames: FrameFilter
    processed: trio.Event | None = attrs.field(factory=trio.Event, init=False)
    _sending: PromptLock = attrs.field(factory=PromptLock, init=False)
    _send_forwarded: trio.MemorySendChannel[bytes] = attrs.field(init=False)
    _forwarded: trio.MemoryReceiveChannel[bytes] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._send_forwarded, self._forwarded = trio.open_memory_channel(1)

    async def forward(self, data: bytes) -> None:
        """Give *data* to trio-websocket; b"" says that the stream has ended."""
        self.processed = trio.Event()
        with suppress(trio.BrokenResourceError):  # trio-websocket reads no more
            await self._send_forwarded.send(data)

    def stop_forwarding(self) -> None:
        """Have trio-websocket's reader read the socket; nobody else does any more."""
        self._send_forwarded.close()

    def note_end(self) -> None:
        """Note that trio-websocket reads no more."""
        self._forwarded.close()
        self._note_processed()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        """Return bytes of other frames than text frames; b"" at the end of the stream."""
        if self.watched.answer.status is None:
            return await self.watched.read_head()
        if self.watched.is_done() and not self.watched.closing:
            return b""
        if not self.watched.ended:
            self._note_processed()
        with suppress(trio.EndOfChannel):
            data = await self._forwarded.receive()
            if not self.watched.closing:
                return data
        return await self._read_until_close()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*, when whoever is sending has finished: our writers, or trio-websocket."""
        async with self._sending:
            await self.watched.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below does."""
        await self.watched.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream below."""
        await self.watched.aclose()

    async def _read_until_close(self) -> bytes:
        """Read during our goodbye: what comes is dropped, up to the peer's Close or the end."""
        while self.watched.close is None and not self.watched.ended:
            self.frames.feed(await self.watched.read())
            self.watched.close = self.frames.close
        if self.watched.error is not None:
            raise self.watched.error
        return b""

    def _note_processed(self) -> None:
        if self.processed is not None:
            self.processed.set()
            self.processed = None
