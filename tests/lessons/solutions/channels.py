from typing import Generic, TypeVar

import attrs
import trio

T = TypeVar("T")


@attrs.define(eq=False)
class NewestChannel(Generic[T]):
    size: int
    dropped: int = attrs.field(default=0, init=False)
    _send: "trio.MemorySendChannel[T]" = attrs.field(init=False)
    _receive: "trio.MemoryReceiveChannel[T]" = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[T](self.size)

    def put(self, item: T) -> None:
        try:
            self._send.send_nowait(item)
        except trio.WouldBlock:
            self._receive.receive_nowait()
            self.dropped += 1
            self._send.send_nowait(item)

    async def get(self) -> T:
        return await self._receive.receive()
