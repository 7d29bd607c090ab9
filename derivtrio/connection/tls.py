"""TLS that hands over all that has come at once.

`trio.SSLStream` returns one TLS record at a time, 16 KiB at most, and lets other tasks run after
each. In a burst that makes four small batches of one read, and each wakes every consumer anew.
`TLS` takes all records out of what has come, and sends what is short with `send_now`. (Measured: a
fifth less CPU for a tick in a burst.) The protocol itself is `ssl`'s, over two memory buffers, as
everywhere.

As on the web, an end of the stream without `close_notify` is an end: WebSocket has its own Close.
There is no renegotiation, which TLS 1.3 has abolished.
"""

import ssl
from typing import Final

import attrs
import trio

from derivtrio.connection.fast.sockets import Prompt

#: What is asked of the transport at a time, and the largest piece that TLS encrypts at a time.
_MOST: Final = 2**16
_RECORD: Final = 2**14


@attrs.define(eq=False)
class TLS(trio.abc.Stream):
    """A TLS client's end of a stream; usable after `do_handshake`."""

    transport: trio.abc.Stream
    _prompt: Prompt | None
    _tls: ssl.SSLObject
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    _sending: trio.StrictFIFOLock = attrs.field(factory=trio.StrictFIFOLock, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _error: ssl.SSLError | None = attrs.field(default=None, init=False)

    @property
    def busy(self) -> bool:
        """Whether something is being sent, was left over, or can only be sent by waiting."""
        return self._prompt is None or self._prompt.busy or self._sending.locked()

    async def do_handshake(self) -> None:
        """Make the TLS handshake.

        Raises:
            BrokenResourceError: it failed; the cause is an `ssl.SSLError`, or the transport's.

        """
        try:
            while not self._shaken():
                await self._flush()
                await self._fill()
        except ssl.SSLError as error:
            if self._prompt is not None:
                self._prompt.send_now(self._outgoing.read())  # the alert that says why
            raise trio.BrokenResourceError from error
        await self._flush()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return what has come; b"" at the end of the stream.

        *Cancellation*: loses nothing.

        Raises:
            BrokenResourceError: the connection broke, or what came is no TLS.
            ClosedResourceError: it was closed on this side.

        """
        data = b""
        if self._ended or self._pending:  # from before: the handshake, or a small `max_bytes`
            await trio.lowlevel.checkpoint()
            data = self._decrypted(max_bytes or _MOST)
        while not data and not self._ended:
            await self._fill()
            data = self._decrypted(max_bytes or _MOST)
        if self._outgoing.pending:  # an answer of TLS's own, such as to a new key
            await self._flush()
        if not data and self._error is not None:
            raise trio.BrokenResourceError from self._error
        return data

    def send_now(self, data: bytes) -> bool:
        """Send as much of *data* as goes at once; return whether that was all."""
        assert self._prompt is not None, "else it is busy"  # noqa: S101
        self._encrypt(data)
        return self._prompt.send_now(self._outgoing.read())

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send what was left over, and then *data*.

        *Cancellation*: breaks the stream if the sending has begun.

        Raises:
            BrokenResourceError: the connection broke.
            ClosedResourceError: it was closed on this side.

        """
        async with self._sending:
            self._encrypt(data)
            await self.transport.send_all(self._outgoing.read())

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the transport does."""
        await self.transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the transport."""
        await self.transport.aclose()

    @property
    def _pending(self) -> bool:
        """Whether there is anything to decrypt, or to take that is decrypted already."""
        return bool(self._tls.pending() or self._incoming.pending)

    def _shaken(self) -> bool:
        """Return whether the handshake is done, with what has come."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _decrypted(self, most: int) -> bytes:
        """Return what there is, up to *most* bytes."""
        pieces: list[bytes] = []
        try:
            while most > 0 and self._pending and not self._ended:
                piece = self._tls.read(min(most, _RECORD))
                self._ended = not piece
                pieces.append(piece)
                most -= len(piece)
        except ssl.SSLWantReadError:  # the rest of a record is on its way
            pass
        except ssl.SSLZeroReturnError:
            self._ended = True
        except ssl.SSLError as error:
            self._ended, self._error = True, error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _encrypt(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._tls.write(rest) :]
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error

    async def _fill(self) -> None:
        data = await self.transport.receive_some(_MOST)
        if data:
            self._incoming.write(data)
        else:
            self._ended = True
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            async with self._sending:
                await self.transport.send_all(self._outgoing.read())


def wrap(transport: trio.abc.Stream, context: ssl.SSLContext, host: str) -> TLS:
    """Return the client's end of TLS over *transport*, with a server that must prove to be *host*.

    Raises:
        ValueError, ssl.SSLError: *host* cannot be a server's name.

    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    prompt = transport if isinstance(transport, Prompt) else None
    return TLS(transport, prompt, tls, incoming, outgoing)
