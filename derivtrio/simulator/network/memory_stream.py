"""A connection without a network: two streams in one process.

For a protocol it behaves like a loopback socket. Each direction has a bounded buffer, so a peer
that does not read stops the writer. An end of file arrives after the bytes that were sent before
it. A reset discards the bytes that have not been read.
"""

import attrs
import trio

#: Bytes; about what a kernel buffers for a loopback connection.
_CAPACITY = 64 * 1024


@attrs.define(eq=False)
class _Pipe:
    """One direction: a bounded buffer of bytes."""

    _data: bytearray = attrs.field(factory=bytearray, init=False)
    _writer_closed: bool = attrs.field(default=False, init=False)
    _reader_closed: bool = attrs.field(default=False, init=False)
    _torn: bool = attrs.field(default=False, init=False)
    _writing: bool = attrs.field(default=False, init=False)
    _reading: bool = attrs.field(default=False, init=False)
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._writing:
            raise trio.BusyResourceError
        self._writing = True
        try:
            await self._write(memoryview(data))
        finally:
            self._writing = False

    async def _write(self, rest: memoryview) -> None:
        # As with trio's sockets, a write that finds room is not cancelled. It first checks for a
        # pending cancellation, and the final checkpoint cannot be cancelled.
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            if self._writer_closed:
                raise trio.ClosedResourceError
            if self._reader_closed or self._torn:
                raise trio.BrokenResourceError
            room = _CAPACITY - len(self._data)
            self._data += rest[:room]
            rest = rest[room:]
            self._changed.unpark_all()
            if not rest:
                await trio.lowlevel.cancel_shielded_checkpoint()
                return
            await self._changed.park()

    async def read(self, max_bytes: int | None) -> bytes:
        if self._reading:
            raise trio.BusyResourceError
        self._reading = True
        try:
            await trio.lowlevel.checkpoint()
            while not (self._data or self._writer_closed or self._reader_closed or self._torn):
                await self._changed.park()
        finally:
            self._reading = False
        return self._take(max_bytes)

    def _take(self, max_bytes: int | None) -> bytes:
        if self._reader_closed:
            raise trio.ClosedResourceError
        if self._torn:
            raise trio.BrokenResourceError
        taken = bytes(self._data[:max_bytes])
        del self._data[: len(taken)]
        self._changed.unpark_all()
        return taken

    def close_writer(self) -> None:
        self._writer_closed = True
        self._changed.unpark_all()

    def close_reader(self) -> None:
        self._reader_closed = True
        self._data.clear()
        self._changed.unpark_all()

    def tear(self) -> None:
        self._torn = True
        self._data.clear()
        self._changed.unpark_all()


@attrs.define(eq=False)
class MemoryStream(trio.abc.Stream):
    """One end of an in-memory connection; `open_pair` makes both."""

    _incoming: _Pipe
    _outgoing: _Pipe

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data*, waiting while the buffer is full.

        Cancellation: a part of *data* may have been sent.
        """
        await self._outgoing.write(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once, which trio allows."""
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return the bytes that have arrived, waiting for the first; b"" at the end of file."""
        return await self._incoming.read(max_bytes)

    async def aclose(self) -> None:
        """Close this end. The other end reads what was sent, then the end of file."""
        self._outgoing.close_writer()
        self._incoming.close_reader()
        await trio.lowlevel.checkpoint()

    def reset(self) -> None:
        """Break the connection for both ends; bytes that have not been read are lost."""
        self._outgoing.tear()
        self._incoming.tear()


def open_pair() -> tuple[MemoryStream, MemoryStream]:
    """Return the two ends of a new connection."""
    one, other = _Pipe(), _Pipe()
    return MemoryStream(one, other), MemoryStream(other, one)
