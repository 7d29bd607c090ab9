"""The stream between the socket and trio-websocket, which remembers what nobody else can tell.

`trio_websocket.wrap_client_stream` accepts any `trio.abc.Stream`. `WatchedStream` gives it the
bytes as they come, and notes on the way:

- the server's answer to the handshake. A refusal is raised here, with its true cause, because
  trio-websocket itself would wait for ever or lose the cause (H5, H7);
- how many bytes have come, and when the socket last took some;
- how the stream ended: by a FIN, or by an error, and which;
- the peer's Close. trio-websocket has one close reason for the peer's Close, for wsproto's verdict
  about an illegal frame, and for the end of the stream.

What breaks a stream has many names: TLS, sockets, trio and wsproto have their own errors. Above
this page there is one, `trio.BrokenResourceError`, which `breaking` makes of all of them.
"""

import re
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from socket import SO_LINGER, SOL_SOCKET
from types import TracebackType
from typing import Any, Final

import attrs
import h11
import trio
from wsproto.connection import Connection as Frames
from wsproto.connection import ConnectionState, ConnectionType
from wsproto.events import CloseConnection, Message
from wsproto.utilities import ProtocolError

from derivtrio.concurrency.background import patience
from derivtrio.connection.handshake import Answer
from derivtrio.errors import HandshakeFailed

#: Larger reads cost fewer wake-ups; beyond 64 KiB nothing more is gained.
READ_SIZE: Final = 2**16

#: The first byte of a Close frame, and how long its header, its code and all of it can be.
_CLOSE_FRAME: Final = b"\x88"
_CLOSE_HEADER: Final = 2
_CODE_SIZE: Final = 2
_LONGEST_CLOSE: Final = 127

#: Cuts bytes before each that may begin a Close, so that wsproto's verdict tells where it was.
_PARTS: Final = re.compile(b"\x88?[^\x88]+|\x88")
#: What is written in one piece. A slow line takes it in seconds.
WRITE_SIZE: Final = 2**16

#: For how many seconds the body of a refusal is waited for.
_BODY_PATIENCE: Final = 1.0

#: How long the system may try to send what is left after the closing: not at all. (A C struct; the
#: members are short on Windows.)
_AT_ONCE: Final = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)

#: What means that a connection is broken, whichever layer says it. `ssl.SSLError` is an OSError.
#: BusyResourceError: a read or a write was still under way in a stream that is broken.
_BREAKS: Final = (
    trio.ClosedResourceError,
    trio.BusyResourceError,
    OSError,
    h11.ProtocolError,
    ProtocolError,
)


class Breaking:
    """A context manager: what breaks a connection leaves it as a `BrokenResourceError`.

    *also* are further errors that mean the same.
    """

    def __init__(self, *also: type[Exception]) -> None:
        self._kinds = (*_BREAKS, *also)

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Raise a BrokenResourceError in place of *error*, if it means the same."""
        if isinstance(error, self._kinds):
            raise trio.BrokenResourceError(str(error)) from error


def _broken(error: Exception) -> trio.BrokenResourceError:
    """Return *error*, one of the many, as the one."""
    if isinstance(error, trio.BrokenResourceError):
        return error
    broken = trio.BrokenResourceError(str(error))
    broken.__cause__ = error
    return broken


breaking: Final = Breaking()


@attrs.frozen(repr=False)
class Close:
    """What the peer's Close frame said; 1005 is RFC 6455's code for a frame without one."""

    code: int = 1005
    reason: str = ""


@attrs.define(eq=False, repr=False)
class WatchedStream(trio.abc.Stream):
    """A stream for trio-websocket, on top of *below*.

    Attributes:
        answer: the server's answer to the handshake, as far as it has come.
        received: how many bytes have come.
        written: how many bytes the socket has taken.
        writes: how many writes the socket has taken.
        took: when the socket last took bytes of a long write, on trio's clock.
        ended: whether the peer's side of the stream is over.
        error: what broke the stream, if that was not a plain end.
        close: the peer's Close, once it has come.
        closing: whether we have begun to say goodbye. From then on trio-websocket gets nothing
            but the end: after our Close, wsproto may not answer a ping any more (H11).
        most_fragments: how many fragments a message may have. (trio-websocket keeps them all, also
            those that are empty, which the limit of a message's size does not bound.)
        shattered: whether a message had more.
        hide: returns a text of the server's without the secrets that it repeats.
        is_done: whether trio-websocket has closed its connection, by itself or because the peer
            has. It would read on without a word, so its stream has to end for it.

    """

    below: trio.abc.Stream
    answer: Answer = attrs.field(factory=Answer, init=False)
    received: int = attrs.field(default=0, init=False)
    written: int = attrs.field(default=0, init=False)
    writes: int = attrs.field(default=0, init=False)
    took: float = attrs.field(default=0.0, init=False)
    ended: bool = attrs.field(default=False, init=False)
    error: Exception | None = attrs.field(default=None, init=False)
    close: Close | None = attrs.field(default=None, init=False)
    closing: bool = attrs.field(default=False, init=False)
    most_fragments: int = attrs.field(default=2**17, init=False)
    shattered: bool = attrs.field(default=False, init=False)
    hide: Callable[[str], str] = attrs.field(default=lambda text: text, init=False)
    is_done: Callable[[], bool] = attrs.field(default=lambda: False, init=False)
    _behind_head: bytes = attrs.field(default=b"", init=False)
    _frames: Frames | None = attrs.field(default=None, init=False)
    _fragments: int = attrs.field(default=0, init=False)
    _judged: bool = attrs.field(default=False, init=False)
    #: What has come since the last byte that may begin a Close; no more than a Close can have.
    _since: bytes = attrs.field(default=b"", init=False)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:  # noqa: ARG002
        """Return what has come; b"" at the end of the stream.

        Raises:
            BrokenResourceError: the stream broke.
            HandshakeRejected: the server's HTTP status is not 101.
            HandshakeFailed: its answer is not HTTP, or it ended too early.

        """
        if self.answer.status is None:
            return await self.read_head()
        if self.is_done() and not self.closing:
            return b""
        while True:
            data = await self.read()
            if self.error is not None:
                raise self.error
            self._look_for_close(data)
            if self.shattered:
                return b""
            # After our own Close only the end is handed on: see `closing`.
            if not self.closing:
                return data
            if self.close is not None or self.ended:
                return b""

    async def read(self) -> bytes:
        """Return what has come; b"" once the stream has `ended`, be it with an `error`.

        *Cancellation*: loses nothing.
        """
        if self._behind_head:
            data, self._behind_head = self._behind_head, b""
            return data
        try:  # not `with breaking`, which would cost two calls for every tick
            data = bytes(await self.below.receive_some(READ_SIZE))
        except (trio.BrokenResourceError, *_BREAKS) as error:
            self.ended, self.error = True, _broken(error)
            return b""
        self.ended = not data
        self.received += len(data)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data* as it is; a long one in pieces, so that `took` tells slow from stalled.

        Raises:
            BrokenResourceError: the stream broke.
            HandshakeFailed: it broke during the handshake.

        """
        try:
            while len(data) > WRITE_SIZE:
                await self.below.send_all(data[:WRITE_SIZE])
                data = data[WRITE_SIZE:]
                self.written += WRITE_SIZE
                self.took = trio.current_time()
            await self.below.send_all(data)
            self.writes += 1
            self.written += len(data)
        except (trio.BrokenResourceError, *_BREAKS) as error:
            broken = _broken(error)
            if self.answer.status is None:
                raise self._failed_handshake(broken) from broken
            self.error = self.error or broken
            raise broken from broken.__cause__

    async def wait_send_all_might_not_block(self) -> None:
        """Wait as the stream below does."""
        with breaking:
            await self.below.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the stream below. Unless the peer has said goodbye, what is unsent stays unsent."""
        if self.closing and self.close is None:
            self._discard_unsent()
        with breaking:
            await self.below.aclose()

    async def read_head(self) -> bytes:
        """Return the head of the server's answer, a 101. What came behind it is `read` next."""
        while self.answer.status is None:
            self.answer.feed(await self._read_answer())
        if self.answer.refusal is not None:
            # The body may say why; that is worth a second, no more.
            async with patience(trio.current_time() + _BODY_PATIENCE):
                with suppress(HandshakeFailed):
                    while not self.answer.finished:
                        self.answer.feed(await self._read_answer())
            raise self.answer.refusal
        self._behind_head = self.answer.rest
        return self.answer.head

    async def _read_answer(self) -> bytes:
        data = await self.read()
        if self.ended:
            raise self._failed_handshake(self.error) from self.error
        return data

    def _failed_handshake(self, error: Exception | None) -> HandshakeFailed:
        how = "the server closed the connection" if error is None else "the connection broke"
        return HandshakeFailed(f"{how} during the handshake")

    def note_fragments(self, count: int) -> None:
        """Note that a message that is not whole yet has *count* fragments so far."""
        self._fragments = count
        self.shattered = self.shattered or count > self.most_fragments

    def _discard_unsent(self) -> None:
        """Have TCP discard what it could not send yet, when it is closed: by a RST, not by a FIN.

        Otherwise the system tries on for minutes, and an order that counts as lost may arrive.
        """
        # Down through TLS and through proxies to what has the socket.
        stream: Any = self
        while not hasattr(stream, "setsockopt"):
            stream = getattr(stream, "below", None) or getattr(stream, "transport_stream", None)
            if stream is None:
                return  # the endpoint has a stream of its own
        with suppress(OSError, trio.ClosedResourceError):
            stream.setsockopt(SOL_SOCKET, SO_LINGER, _AT_ONCE)

    def _look_for_close(self, data: bytes) -> None:
        """Have a second wsproto read *data*, only to see a Close that is really the peer's."""
        if self._judged:
            return
        for part in _PARTS.findall(data):
            is_start = part.startswith(_CLOSE_FRAME)
            self._since = (part if is_start else self._since + part)[:_LONGEST_CLOSE]
            self._judge(part)

    def _judge(self, data: bytes) -> None:
        if self._judged:
            return
        frames = self._frames = self._frames or Frames(ConnectionType.CLIENT)
        frames.receive_data(data)
        for event in frames.events():
            if isinstance(event, Message) and event.frame_finished:
                self.note_fragments(0 if event.message_finished else self._fragments + 1)
            if isinstance(event, CloseConnection):
                self._judged = True  # nothing behind it means anything
                if frames.state is ConnectionState.REMOTE_CLOSING:
                    self.close = Close(int(event.code), event.reason or "")
                else:  # wsproto's verdict about an illegal frame, or about a code it does not know
                    self.close = _close_in(self._since)
                return


def _close_in(data: bytes) -> Close | None:
    """Return the Close frame with a code that *data* begins with; None if it does not."""
    if not data.startswith(_CLOSE_FRAME) or len(data) < _CLOSE_HEADER + _CODE_SIZE:
        return None
    payload = data[_CLOSE_HEADER : _CLOSE_HEADER + data[1]]
    if not _CODE_SIZE <= data[1] == len(payload):
        return None
    code = int.from_bytes(payload[:_CODE_SIZE], "big")
    return Close(code, payload[_CODE_SIZE:].decode("utf-8", "replace"))
