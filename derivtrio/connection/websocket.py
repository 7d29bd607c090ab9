"""trio-websocket, and what it takes to live with it.

This is the only module of the client that knows trio-websocket. Here is what that library does at
its edges, and what contains it. The tests in `tests/connection/test_hazards.py` have these numbers:

- H1, H2, H3: its own timeouts are not kept when the peer is mute. Every wait has a deadline of our
  own around it.
- H4: its `ping` does not return if the socket dies. It is not used.
- H5, H6, H7: a refused handshake, an untrusted certificate and an answer that is not HTTP lose
  their cause, or are not noticed. So `dial` opens TCP and TLS, and `stream` is the first to read
  the response.
- H8: a write that is cancelled midway leaves half a frame behind, and the connection looks open. It
  counts as broken (`Connection.send`).
- H9: as long as nobody takes its messages it reads nothing, no ping and no Close either. Our reader
  takes them at once, and never waits for a consumer.
- H10: a second closer does not wait for the end. There is one closer (`Connection.close`).
- H11: a ping that comes during our goodbye crashes its reader. Whatever that raises is the end of
  this connection and of nothing else (`WebSocket.run`).
- H12: if its reader is cancelled together with the goodbye, nobody reads the peer's Close. It runs
  in a task of its own, shielded until the goodbye is done.
- H13: a server that accepts and closes at once would be asked in a hot loop. Only a stable
  connection resets the backoff (`policy.backoff`).

A `Connection` reads and writes through an object with the interface `Messages`. `PlainMessages` has
one message at a time, as trio-websocket has them. The other one, `fast.messages`, does the same for
many at once; `Settings(fast=True)` chooses it.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import attrs
import trio
import trio_websocket
from wsproto.utilities import RemoteProtocolError

from derivtrio.concurrency.background import undisturbed
from derivtrio.connection.stream import Breaking, WatchedStream
from derivtrio.connection.url import Address
from derivtrio.settings import Settings


@attrs.frozen(eq=False, repr=False)
class Binary:
    """A binary message, told apart from text, which may arrive as bytes too."""

    data: bytes


#: A text message, as UTF-8 or as `str`, whichever way it came; or a binary one.
Message = bytes | str | Binary

_breaking: Final = Breaking(trio_websocket.ConnectionClosed)


@attrs.frozen(eq=False, repr=False)
class _Undisturbed:
    """A nursery whose tasks Ctrl-C does not interrupt."""

    _nursery: trio.Nursery

    def start_soon(self, task: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Start *task*, under its own name."""
        self._nursery.start_soon(undisturbed, task, *args, name=task)


@attrs.define(eq=False, repr=False)
class WebSocket:
    """A WebSocket over *stream*.

    Attributes:
        scope: `run` must run inside it; `stop` cancels it.
        on_end: called when trio-websocket has stopped reading, for whatever reason.
        ended: whether it has.
        crash: what its reader raised, if it did.

    """

    _stream: trio.abc.Stream
    _address: Address
    _settings: Settings
    on_end: Callable[[], None] = lambda: None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    ended: bool = attrs.field(default=False, init=False)
    crash: Exception | None = attrs.field(default=None, init=False)
    _socket: trio_websocket.WebSocketConnection | None = attrs.field(default=None, init=False)
    _goodbye: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _dialled: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def run(self) -> None:
        """Run trio-websocket until told to stop; what it raises is kept as `crash`."""
        try:
            async with trio.open_nursery() as nursery:
                self._socket = await trio_websocket.wrap_client_stream(
                    _Undisturbed(nursery),  # type: ignore[arg-type]  # it starts one task there
                    self._stream,  # type: ignore[arg-type]  # any trio.abc.Stream will do
                    self._address.host_header,
                    self._address.resource,
                    subprotocols=self._settings.subprotocols,
                    extra_headers=self._extra_headers(),
                    max_message_size=self._settings.max_message_size,
                )
                self._dialled.set()
        except* Exception as group:  # noqa: BLE001 - a foreign task; its end is this connection's end
            self.crash = _first_cause(group.exceptions[0])  # there is one task in there
        finally:
            self.ended = True
            self._dialled.set()
            # Nobody is left who could read the peer's answer to our Close.
            self._goodbye.cancel()
            self.on_end()

    def stop(self) -> None:
        """End `run`."""
        self.scope.cancel()

    async def opened(self) -> bool:
        """Wait for the end of the WebSocket handshake; return whether it succeeded."""
        await self._dialled.wait()
        return self._socket is not None

    @property
    def is_open(self) -> bool:
        """Whether the handshake succeeded; also true when the connection has ended since."""
        return self._socket is not None

    def is_closed(self) -> bool:
        """Return whether trio-websocket has closed the connection."""
        return self._socket is not None and self._socket.closed is not None

    @property
    def close_code(self) -> int | None:
        """The code that trio-websocket closed with; None while it is open.

        It may come from the peer's Close, or stand for the end of the stream or for a violation.
        """
        closed = None if self._socket is None else self._socket.closed
        return None if closed is None else closed.code

    async def get_message(self) -> Message | None:
        """Return the next message; None when there will be no more."""
        try:
            message = await self._opened.get_message()
        except trio_websocket.ConnectionClosed:
            return None
        return Binary(message) if isinstance(message, bytes) else message

    async def send_message(self, message: str | bytes) -> None:
        """Write *message*.

        Raises:
            BrokenResourceError: the connection is closed or broken.

        """
        with _breaking:
            await self._opened.send_message(message)

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and wait for the peer's answer, as long as there can be one."""
        with self._goodbye, suppress(trio.BrokenResourceError), _breaking:
            await self._opened.aclose(code, reason)

    def _extra_headers(self) -> list[tuple[bytes, bytes]]:
        headers = self._settings.headers
        return [(name.encode(), value.encode()) for name, value in headers.items()]

    @property
    def _opened(self) -> trio_websocket.WebSocketConnection:
        assert self._socket is not None, "it is used after `opened`"  # noqa: S101
        return self._socket


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


@attrs.define(eq=False, repr=False)
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


def _first_cause(error: Exception) -> Exception:
    """Return the peer's mistake where *error* is about trio-websocket's answer to it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, RemoteProtocolError):
        cause = cause.__context__
    return error if cause is None else cause
