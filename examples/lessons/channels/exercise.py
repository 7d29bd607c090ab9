"""Exercise 15: a channel that keeps the newest."""

from typing import Generic, TypeVar

import attrs
import trio

T = TypeVar("T")


@attrs.define(eq=False)
class NewestChannel(Generic[T]):
    """A channel that holds *size* items; the producer never waits, and the oldest is dropped.

    Attributes:
        dropped: how many items were dropped.

    """

    size: int
    dropped: int = attrs.field(default=0, init=False)
    _send: "trio.MemorySendChannel[T]" = attrs.field(init=False)
    _receive: "trio.MemoryReceiveChannel[T]" = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[T](self.size)

    def put(self, item: T) -> None:
        """Put *item* in, at once. This version refuses the newest, and says so to the producer."""
        self._send.send_nowait(item)

    async def get(self) -> T:
        """Return the oldest item that is left, waiting for the first."""
        return await self._receive.receive()
