"""The fast way to read and write messages: as many at once as one read brings, or one write takes.

Text goes around trio-websocket, in both directions. What is not text, or is in fragments, goes
through it, and is put back into its place among the others. So trio-websocket still does the
handshake, answers pings, assembles fragments and says goodbye, while the hundred thousand ticks a
second go around it.

`FilteringStream` stands on a `WatchedStream`, in whose place it is given to trio-websocket. Who
reads the socket changes twice:

1. *Handshake*. Until the end of the HTTP response head it is trio-websocket's reader.
2. *Frames*. It is our reader, in `FastMessages.receive`, which has a `FrameFilter` decide what is
   taken. The other frames are forwarded to trio-websocket, whose reader is woken for nothing else.
   (Measured: a message that comes alone costs a third less than when it is trio-websocket's reader
   that is woken by the socket, and then wakes ours.)
3. *Goodbye*. Our reader is gone, and trio-websocket's reads the socket again, until the peer's
   Close.
"""

from collections.abc import Sequence

import attrs
import trio

from derivtrio.concurrency.lock import PromptLock
from derivtrio.connection.fast.frames import PLACEHOLDER, FrameFilter, Item, text_frames
from derivtrio.connection.stream import WatchedStream
from derivtrio.connection.url import Address
from derivtrio.connection.websocket import Message, WebSocket
from derivtrio.settings import Settings


@attrs.define(eq=False, repr=False)
class FastMessages:
    """Messages from and to a `FilteringStream`; the other ones from and to trio-websocket.

    `reading` is cancelled when trio-websocket has ended, for then our reader would wait in vain.
    """

    _watched: WatchedStream
    _address: Address
    _settings: Settings
    _reading: trio.CancelScope
    websocket: WebSocket = attrs.field(init=False)
    _stream: "FilteringStream" = attrs.field(init=False)
    _is_merging: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        settings = self._settings
        self._stream = FilteringStream(self._watched, FrameFilter(settings.max_message_size))
        self.websocket = WebSocket(self._stream, self._address, settings, on_end=self._note_end)
        self._watched.is_done = self.websocket.is_closed

    async def receive(self) -> list[Message] | None:
        """Return the messages of one read, oldest first, or None when there will be no more."""
        stream, watched = self._stream, self._watched
        while not self.websocket.ended:
            # trio-websocket has not processed what it was given. It may find there that this is the
            # end.
            if stream.processed is not None:
                await stream.processed.wait()
                continue
            items, forwarded = stream.frames.feed(await watched.read())
            # This is rare: something other than short text, or the end.
            if forwarded or watched.ended:
                watched.close = stream.frames.close
                watched.note_fragments(stream.frames.fragments)
                if watched.shattered:
                    return None
                return await self._merge(items, forwarded)
            if items:
                return items  # type: ignore[return-value]
        return None

    async def send(self, messages: Sequence[str | bytes]) -> None:
        """Write text in bulk, and whatever else there is through trio-websocket."""
        texts: list[str] = []
        for message in messages:
            if isinstance(message, str):
                texts.append(message)
                continue
            # The texts before it go first, so that the order stays.
            await self._send_texts(texts)
            texts.clear()
            await self.websocket.send_message(message)
        await self._send_texts(texts)

    def closing(self) -> None:
        """Have trio-websocket's reader read the socket, for the peer's Close."""
        self._stream.stop_forwarding()

    def _note_end(self) -> None:
        """End the reader's wait, unless it is about to see the end for itself."""
        self._stream.note_end()
        if not self._is_merging:
            self._reading.cancel()

    async def _send_texts(self, texts: Sequence[str]) -> None:
        if not texts:
            return
        if self.websocket.is_closed():
            text = "the WebSocket is closed"
            raise trio.BrokenResourceError(text)
        await self._stream.send_all(text_frames(texts))

    async def _merge(self, items: list[Item], forwarded: bytes) -> list[Message]:
        """Forward what is not ours; put the messages that come of it where they belong."""
        self._is_merging = True
        self._stream.forward(forwarded)
        messages: list[Message] = []
        for item in items:
            # Here stood a message that goes through trio-websocket, which hands it over next.
            if item is PLACEHOLDER:
                message = await self.websocket.get_message()
                if message is None:
                    break
                messages.append(message)
            else:
                messages.append(item)  # type: ignore[arg-type]
        self._is_merging = False
        return messages


@attrs.define(eq=False, repr=False)
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
    _forwarded: bytes | None = attrs.field(default=None, init=False)
    _wake_reader: trio.Event = attrs.field(factory=trio.Event, init=False)

    def forward(self, data: bytes) -> None:
        """Give *data* to trio-websocket; b"" says that the stream has ended."""
        self.processed = trio.Event()
        self._forwarded = data
        self._wake_reader.set()

    def stop_forwarding(self) -> None:
        """Have trio-websocket's reader read the socket; nobody else does any more."""
        self._wake_reader.set()

    def note_end(self) -> None:
        """Note that trio-websocket reads no more."""
        self._note_processed()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        """Return bytes of other frames than text frames; b"" at the end of the stream."""
        if self.watched.answer.status is None:
            return await self.watched.read_head()
        if self.watched.is_done() and not self.watched.closing:
            return b""
        # That trio-websocket asks for more says that it has processed what it had.
        if not self.watched.ended:
            self._note_processed()
        await self._wake_reader.wait()
        # It was woken by `stop_forwarding`: from now on nobody else reads the socket.
        if self.watched.closing or self._forwarded is None:
            return await self._read_until_close()
        data, self._forwarded, self._wake_reader = self._forwarded, None, trio.Event()
        return data

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
