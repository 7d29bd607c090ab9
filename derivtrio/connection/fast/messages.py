"""The fast way to read and write messages: as many at once as one read brings, or one write takes.

Text goes around trio-websocket, in both directions. What is not text, or is in fragments, goes
through it, and is put back into its place among the others.
"""

from collections.abc import Sequence

import attrs
import trio

from derivtrio.connection.fast.filtering import FilteringStream
from derivtrio.connection.fast.frames import PLACEHOLDER, FrameFilter, Item, text_frames
from derivtrio.connection.stream import WatchedStream
from derivtrio.connection.url import Address
from derivtrio.connection.websocket import Message, WebSocket
from derivtrio.settings import Settings


@attrs.define(eq=False)
class FastMessages:
    """Messages from and to a `FilteringStream`; the other ones from and to trio-websocket.

    `reading` is cancelled when trio-websocket has ended, for then our reader would wait in vain.
    """

    _watched: WatchedStream
    _address: Address
    _settings: Settings
    _reading: trio.CancelScope
    websocket: WebSocket = attrs.field(init=False)
    _stream: FilteringStream = attrs.field(init=False)
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
            if stream.processed is not None:
                await stream.processed.wait()
                continue
            items, forwarded = stream.frames.feed(await watched.read())
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
        await self._stream.forward(forwarded)
        messages: list[Message] = []
        for item in items:
            if item is PLACEHOLDER:
                message = await self.websocket.get_message()
                if message is None:
                    break
                messages.append(message)
            else:
                messages.append(item)  # type: ignore[arg-type]
        self._is_merging = False
        return messages
