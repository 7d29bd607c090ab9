"""TCP as a client needs it that waits for one message at a time: fewer turns of the event loop.

`trio.SocketStream` first tries to receive, and waits for the socket when that has failed; and it
lets other tasks run before it returns what has come. A reader that has handled all there was knows
that nothing is there, and lets others run by waiting. So `Socket` waits first, and then receives at
once. A short message is sent at once, too, with `send_now`, by whoever has it: no task has to be
woken to do so. (Measured, one message at a time: a quarter less CPU for a tick, and for a call that
nobody else's precedes a third less time.)

All else is left to `trio.SocketStream`, which has the same socket.
"""

import socket
from typing import Final, Protocol, runtime_checkable

import attrs
import trio

_MOST: Final = 2**16


@runtime_checkable
class Prompt(Protocol):
    """What a stream has that can send without waiting."""

    @property
    def busy(self) -> bool:
        """Whether something is being sent, or was left over by `send_now`."""
        ...

    def send_now(self, data: bytes) -> bool:
        """Send *data*, unless the stream is `busy`; return whether all of it has gone.

        What is left over is sent by the next `send_all`, before anything else.
        """
        ...


@attrs.define(eq=False)
class Socket(trio.abc.Stream):
    """A connected TCP socket."""

    _raw: socket.socket
    _stream: trio.SocketStream
    _left: bytes = attrs.field(default=b"", init=False, repr=False)

    @property
    def busy(self) -> bool:
        """Whether `send_now` has left something over. Who else is sending, the caller knows."""
        return bool(self._left)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come; b"" at the end of the stream.

        *Cancellation*: loses nothing.

        Raises:
            BrokenResourceError: the connection broke.
            ClosedResourceError: it was closed on this side.

        """
        while (fd := self._raw.fileno()) >= 0:
            try:
                await trio.lowlevel.wait_readable(fd)
                return self._raw.recv(max_bytes or _MOST)
            except BlockingIOError:
                continue
            except OSError as error:
                text = f"socket connection broken: {error}"
                raise trio.BrokenResourceError(text) from error
        raise trio.ClosedResourceError

    def send_now(self, data: bytes) -> bool:
        """Send as much of *data* as goes at once; return whether that was all."""
        try:
            sent = self._raw.send(data)
        except OSError:  # no room, or broken: `send_all` will see
            sent = 0
        self._left = data[sent:]
        return not self._left

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send what was left over, and then *data*, as `trio.SocketStream` does."""
        if self._left:
            data, self._left = self._left + data, b""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as `trio.SocketStream` does."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the socket."""
        await self._stream.aclose()


async def open_socket(host: str, port: int) -> Socket:
    """Return a new TCP connection, as `trio.open_tcp_stream` makes it.

    Raises:
        OSError: there is none.

    """
    stream = await trio.open_tcp_stream(host, port)
    raw = socket.socket(fileno=stream.socket.detach())
    return Socket(raw, trio.SocketStream(trio.socket.from_stdlib_socket(raw)))
