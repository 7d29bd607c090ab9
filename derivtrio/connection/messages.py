"""The plain way to read and write messages: one at a time, as trio-websocket has them.

`Connection` reads and writes through one object with this interface. The other one is
`fast.messages`, which `Settings(fast=True)` chooses, and which does the same for many at once.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs

from derivtrio.connection.stream import WatchedStream
from derivtrio.connection.url import Address
from derivtrio.connection.websocket import Message, WebSocket
from derivtrio.settings import Settings


class Messages(Protocol):
    """What reads and writes the messages of one connection."""

    @property
    def websocket(self) -> WebSocket:
        """The WebSocket that they come from."""
        ...

    async def receive(self) -> list[Message] | None:
        """Return the messages that have come, oldest first, or None when there will be no more."""
        ...

    async def send(self, messages: Sequence[str | bytes]) -> None:
        """Write *messages*; raise a BrokenResourceError if the connection is broken."""
        ...

    def closing(self) -> None:
        """Stop reading: from now on trio-websocket alone waits, for the peer's Close."""
        ...


@attrs.define(eq=False)
class PlainMessages:
    """Messages as they come from trio-websocket's `get_message` and go to its `send_message`."""

    _stream: WatchedStream
    _address: Address
    _settings: Settings
    websocket: WebSocket = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.websocket = WebSocket(self._stream, self._address, self._settings)
        self._stream.is_done = self.websocket.is_closed

    async def receive(self) -> list[Message] | None:
        """Return the next message, in a list; None when there will be no more."""
        message = await self.websocket.get_message()
        return None if message is None else [message]

    async def send(self, messages: Sequence[str | bytes]) -> None:
        """Write *messages*, one after another."""
        for message in messages:
            await self.websocket.send_message(message)

    def closing(self) -> None:
        """There is nothing to stop."""
