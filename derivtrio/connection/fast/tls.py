"""TLS that hands over everything that has come, at once.

`trio.SSLStream`, the plain way, returns one TLS record at a time, and lets other tasks run after
each. Deriv writes each message into a record of its own, so every message would be a batch of one:
one turn of the reader and one wake-up each. (Measured over wss against this module: a hundred
callers cost 3.3 times the CPU, ticks that come one by one 1.3 times.) `RecordStream` takes all
records out of what one read of the socket has brought.

The protocol itself is that of `ssl`, over two memory buffers, as in `trio.SSLStream`. Two rules:

1. As on the web, an end of the stream without `close_notify` is an end: WebSocket has its own
   Close.
2. A server may ask for a new handshake (in TLS 1.2) or for new keys (in TLS 1.3). `ssl` carries it
   out while it reads, and what it wants to send is sent then. A write that comes in between waits
   until the reader has brought the server's part.
"""

import ssl
from typing import Final

import attrs
import trio

from derivtrio.concurrency.lock import PromptLock

#: How much is read from the socket at a time, and the most that one TLS record holds.
_READ_SIZE: Final = 2**16
_RECORD_SIZE: Final = 2**14


@attrs.define(eq=False, repr=False)
class RecordStream(trio.abc.Stream):
    """The client's end of TLS over *below*; usable after `do_handshake`. See `open_records`.

    What `ssl` or the stream below raises comes out as it is: `ssl.SSLError` is an OSError, and
    `connection.stream` makes one error of all that break a connection.
    """

    below: trio.abc.Stream
    _tls: ssl.SSLObject
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    _sending: PromptLock = attrs.field(factory=PromptLock, init=False)
    _ended: bool = attrs.field(default=False, init=False)
    _error: ssl.SSLError | None = attrs.field(default=None, init=False)
    _received: trio.Event | None = attrs.field(default=None, init=False)

    async def do_handshake(self) -> None:
        """Make the TLS handshake.

        Raises:
            ssl.SSLError: it failed; a certificate that does not fit is a kind of that.
            BrokenResourceError: the connection broke.

        """
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                self._feed(await self.below.receive_some(_READ_SIZE))
        await self._flush()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return all that has come; b"" at the end of the stream.

        *Cancellation*: loses nothing.
        """
        most = max_bytes or _READ_SIZE
        data = b""
        if self._ended or self._tls.pending() or self._incoming.pending:  # left by an earlier call
            await trio.lowlevel.checkpoint()
            data = self._decrypted(most)
        while True:
            if self._error is None and self._outgoing.pending:  # our part of a new handshake
                await self._flush()
            if data or self._ended:
                break
            self._feed(await self.below.receive_some(_READ_SIZE))
            data = self._decrypted(most)
        if not data and self._error is not None:
            raise self._error  # what came before it has been handed over
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*.

        *Cancellation*: breaks the stream if the sending has begun.
        """
        async with self._sending:
            if self._error is not None:  # the reader has met it
                raise self._error
            while data:
                try:
                    data = data[self._tls.write(data) :]
                except ssl.SSLWantReadError:  # rule 2
                    received = self._received = trio.Event()  # it may come while we send
                    await self.below.send_all(self._outgoing.read())
                    await received.wait()
            while self._outgoing.pending:  # while we send, the reader may add its part
                await self.below.send_all(self._outgoing.read())

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below does."""
        await self.below.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream below."""
        await self.below.aclose()

    def _decrypted(self, most: int) -> bytes:
        """Return what there is, up to *most* bytes."""
        pieces: list[bytes] = []
        try:
            while most > 0 and not self._ended and (self._incoming.pending or self._tls.pending()):
                piece = self._tls.read(min(most, _RECORD_SIZE))
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

    def _feed(self, data: bytes | bytearray) -> None:
        """Give `ssl` what has come; nothing has, if the stream has ended."""
        if data:
            self._incoming.write(data)
        else:
            self._ended = True
            self._incoming.write_eof()
        if self._received is not None:  # a write waits for this
            self._received.set()
            self._received = None

    async def _flush(self) -> None:
        """Send what `ssl` has to say; a write that is under way does it for us."""
        if self._outgoing.pending and not self._sending.locked():
            async with self._sending:
                await self.below.send_all(self._outgoing.read())


def open_records(below: trio.abc.Stream, context: ssl.SSLContext, host: str) -> RecordStream:
    """Return the client's end of TLS over *below*, with a server that must prove to be *host*.

    Raises:
        ValueError: *host* cannot be a server's name.

    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    return RecordStream(below, tls, incoming, outgoing)
