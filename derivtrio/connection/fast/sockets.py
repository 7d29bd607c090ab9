"""TCP for a reader that has read all there was: fewer turns of the event loop.

`trio.SocketStream` first tries to receive, and waits for the socket when that has failed. It also
lets other tasks run after it has sent, even if sending did not have to wait. The reader here knows
that it has read everything, and both the reader and the writer let others run by waiting for what
comes next. So `FastSocket` waits first and then receives, and it sends at once.

All else is left to `trio.SocketStream`, which has the same socket.
"""

import socket
from typing import Final

import trio

from derivtrio.connection.forks import not_for_children

_READ_SIZE: Final = 2**16


class FastSocket(trio.abc.Stream):
    """A connected TCP socket. One task at a time may receive, and one may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come; b"" at the end of the stream.

        *Cancellation*: loses nothing.

        Raises:
            OSError: the connection broke.
            ClosedResourceError: it was closed on this side.

        """
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(max_bytes or _READ_SIZE)
            except BlockingIOError:  # the socket was readable for nothing: a broken checksum
                continue

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*. This is a checkpoint only if the socket does not take all of it at once.

        *Cancellation*: some of *data* may have been sent.

        Raises:
            OSError, BrokenResourceError: the connection broke.
            ClosedResourceError: it was closed on this side.

        """
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            await self._stream.send_all(memoryview(data)[sent:])

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as `trio.SocketStream` does."""
        await self._stream.wait_send_all_might_not_block()

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        """Set an option of the socket."""
        self._stream.setsockopt(level, option, value)

    async def aclose(self) -> None:
        """Close the socket."""
        await self._stream.aclose()


def fast_socket(stream: trio.SocketStream) -> FastSocket:
    """Return *stream*'s socket as a `FastSocket`; *stream* itself is of no more use."""
    return FastSocket(not_for_children(socket.socket(fileno=stream.socket.detach())))
