"""Telling WebSocket frames apart in a byte stream, without any I/O.

A Deriv client receives almost nothing but short text frames: whole messages, unmasked, without
extensions. Those are worth a shortcut, because wsproto spends 8 µs on each and a slice of a bytes
object costs 0.2 µs. Everything else is rare and belongs to a real WebSocket implementation.

The rules:

1. A frame is *taken* if it is text, final, unmasked, without reserved bits, no longer than the
   limit, complete, and not inside a fragmented message, and if its length is written in as few
   bytes as can be (RFC 6455, 5.2). Its payload is handed out as it stands.
2. Every other frame is *forwarded* to trio-websocket: all its bytes, header included, in order,
   untouched. wsproto judges it: fragments, binary messages, pings, Close, and whatever is illegal.
3. Where a forwarded frame ends a data message, a `PLACEHOLDER` stands among the taken payloads, so
   that messages keep their order although they go two ways.
4. A Close frame is forwarded, and remembered: it alone tells a clean end from a torn one. After it
   everything is forwarded, for nothing may follow it. So it is after a frame that is illegal.

In the other direction `text_frames` makes the one kind of frame that a client sends by the
thousand.

Whether a taken payload is UTF-8 is for those to find who decode it.
"""

import os
import struct
import sys
from collections.abc import Sequence
from typing import Final

import attrs

from derivtrio.connection.stream import Close

_FINAL_TEXT: Final = 0x81
_FIN: Final = 0x80
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x08
_FINAL_CLOSE: Final = 0x88
#: A Close, a ping and a pong, which have no fragments; and the first frames of messages.
_FINAL_CONTROLS: Final = (_FINAL_CLOSE, 0x89, 0x8A)
_DATA: Final = (1, 2)
_CONTINUATION: Final = 0
_RESERVED: Final = 0x70
_MAX_CONTROL: Final = 125
_FOR_EVER: Final = sys.maxsize
#: The first two bytes of a text frame, as a number: where the length (here 0) is the second byte,
#: and where it takes the next two.
_SHORT_TEXT: Final = _FINAL_TEXT << 8
_MEDIUM_TEXT: Final = _SHORT_TEXT | _TWO_BYTES
_two_words: Final = struct.Struct(">HH").unpack_from

#: What comes before the mask of a short text that we send, by its length.
_HEADERS: Final = tuple(bytes((_FINAL_TEXT, _MASKED | size)) for size in range(_TWO_BYTES))


class Placeholder:
    """Stands for one data message that goes through trio-websocket."""


PLACEHOLDER: Final = Placeholder()

Item = bytes | Placeholder


@attrs.define(eq=False, repr=False)
class FrameFilter:
    """Splits what arrives into payloads to take and bytes to forward.

    `max_size` is the longest payload to take, in bytes. `close` is the peer's Close, once it has
    come, and `fragments` how many fragments the message has, so far, that is not whole yet.
    """

    max_size: int
    close: Close | None = attrs.field(default=None, init=False)
    _held: bytearray = attrs.field(factory=bytearray, init=False)
    _need: int = attrs.field(default=0, init=False)
    _forwarding: int = attrs.field(default=0, init=False)
    _ends_message: bool = attrs.field(default=False, init=False)
    _in_fragments: bool = attrs.field(default=False, init=False)
    fragments: int = attrs.field(default=0, init=False)

    def feed(self, data: bytes) -> tuple[list[Item], bytes]:
        """Return the items that *data* completes, and the bytes to forward."""
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return [], b""
            data = bytes(self._held)
            self._held.clear()
        items: list[Item] = []
        forwarded: list[bytes] = []
        start, size = 0, len(data)
        while start < size:
            start = self._take_plain(data, start, items)
            if start == size:
                break
            if self._forwarding:
                start = self._forward(data, start, items, forwarded)
                continue
            frame = _measure(data, start)
            if frame is None:
                self._need = size - start + 1
                break
            body, end = frame
            takes = self._takes(data, start, body, end)
            if end > size and (takes or _is_close(data, start)):
                self._need = end - start
                break
            if takes:
                items.append(data[body:end])
                start = end
            else:
                self._begin_forwarding(data, start, body, end)
        if start < size:
            self._held += data[start:]
        return items, b"".join(forwarded)

    def _take_plain(self, data: bytes, start: int, items: list[Item]) -> int:
        """Take the complete frames of up to 64 KiB at *start*; return where the first other begins.

        This loop is all that most messages ever see, and does nothing that the rules above do not
        say; it halves the cost of a frame.
        """
        if self._forwarding or self._in_fragments:
            return start
        size, limit, take = len(data), self.max_size, items.append
        while start <= size - 4:
            head, length = _two_words(data, start)
            body = start + 4
            if head != _MEDIUM_TEXT:
                if not _SHORT_TEXT <= head < _MEDIUM_TEXT:
                    break
                length = head & _LENGTH
                body = start + 2
            elif length < _TWO_BYTES:
                break
            end = body + length
            if end > size or length > limit:
                break
            take(data[body:end])
            start = end
        return start

    def _takes(self, data: bytes, start: int, body: int, end: int) -> bool:
        length = end - body
        return (
            data[start] == _FINAL_TEXT
            and body - start == _least_header(length)  # a mask would make it longer, too
            and not self._in_fragments
            and length <= self.max_size
        )

    def _begin_forwarding(self, data: bytes, start: int, body: int, end: int) -> None:
        first = data[start]
        self._forwarding = end - start
        self._ends_message = False
        if not self._is_legal(data, start, body, end):
            self._forwarding = _FOR_EVER
        elif _is_close(data, start):
            self.close = _read_close(data[body:end])
            self._forwarding = _FOR_EVER
        elif first & _OPCODE < _CONTROL:
            self._ends_message = bool(first & _FIN)
            self._in_fragments = not self._ends_message
            self.fragments = self.fragments + 1 if self._in_fragments else 0

    def _is_legal(self, data: bytes, start: int, body: int, end: int) -> bool:
        """Return whether wsproto will accept the frame, as far as its header tells."""
        first, length = data[start], end - body
        if body - start != _least_header(length):
            return False
        if first in _FINAL_CONTROLS:
            return length <= _MAX_CONTROL
        return first & _RESERVED == 0 and (
            first & _OPCODE == _CONTINUATION if self._in_fragments else first & _OPCODE in _DATA
        )

    def _forward(self, data: bytes, start: int, items: list[Item], forwarded: list[bytes]) -> int:
        stop = min(len(data), start + self._forwarding)
        forwarded.append(data[start:stop])
        self._forwarding -= stop - start
        if not self._forwarding and self._ends_message:
            items.append(PLACEHOLDER)
        return stop


def text_frames(texts: Sequence[str]) -> bytes:
    """Return each of *texts* as one final, masked text frame, as a client sends it.

    The mask is random for every frame, as RFC 6455 section 5.3 demands; the random bytes for all of
    them are asked for at once. XOR over the whole payload as one integer is the fastest that Python
    has.
    """
    masks, place = os.urandom(4 * len(texts)), 0
    parts: list[bytes] = []
    for text in texts:
        payload, mask = text.encode(), masks[place : place + 4]
        size = len(payload)
        header = _HEADERS[size] if size < _TWO_BYTES else _long_header(size)
        stretched = (mask * (size // 4 + 1))[:size]
        masked = int.from_bytes(payload) ^ int.from_bytes(stretched)
        parts += (header, mask, masked.to_bytes(size))
        place += 4
    return b"".join(parts)


def _long_header(size: int) -> bytes:
    if size < 2**16:
        return bytes((_FINAL_TEXT, _MASKED | _TWO_BYTES)) + size.to_bytes(2, "big")
    return bytes((_FINAL_TEXT, _MASKED | _EIGHT_BYTES)) + size.to_bytes(8, "big")


def _measure(data: bytes, start: int) -> tuple[int, int] | None:
    """Return where the payload of the frame at *start* begins and ends; None: not known yet."""
    if len(data) < start + 2:
        return None
    length = data[start + 1] & _LENGTH
    body = start + 2
    if length >= _TWO_BYTES:
        width = 2 if length == _TWO_BYTES else 8
        length = int.from_bytes(data[body : body + width], "big")
        body += width
    if body > len(data):
        return None
    if data[start + 1] & _MASKED:
        body += 4  # which no server may do
    return body, body + length


def _least_header(length: int) -> int:
    """Return how many bytes say that the payload of an unmasked frame has this *length*."""
    return 2 if length < _TWO_BYTES else 4 if length < 2**16 else 10


def _is_close(data: bytes, start: int) -> bool:
    return data[start] == _FINAL_CLOSE and data[start + 1] <= _MAX_CONTROL


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close()
    return Close(int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace"))
