"""The frame filter, against wsproto: whatever the cuts, the same messages in the same order."""

import itertools
import struct
from collections.abc import Iterator

from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from derivtrio.connection.fast.frames import PLACEHOLDER, FrameFilter, text_frames
from derivtrio.connection.stream import Close

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10
FIN = 0x80


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, bits: int = 0, width: int = 0
) -> bytes:
    """A frame; *width* is how many bytes its length takes, at least."""
    length = len(payload)
    if length < 126 and not width:
        size = bytes([length])
    elif length < 2**16 and width < 8:
        size = struct.pack("!BH", 126, length)
    else:
        size = struct.pack("!BQ", 127, length)
    return bytes([(FIN if fin else 0) | bits | opcode]) + size + payload


def masked_frame(payload: bytes) -> bytes:
    return bytes([FIN | TEXT, 0x80 | len(payload)]) + b"\0\0\0\0" + payload


texts = st.text(max_size=200).map(str.encode)
sizes = st.sampled_from([0, 1, 125, 126, 127, 300, 65535, 65536])
long_texts = sizes.map(lambda size: b"x" * size)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """One data message, whole or in fragments with control frames between them."""
    opcode = draw(st.sampled_from([TEXT, TEXT, TEXT, BINARY]))
    payload = draw(texts | long_texts)
    if draw(st.booleans()):
        return frame(opcode, payload)
    cut = draw(st.integers(0, len(payload)))
    between = draw(controls | st.just(b""))
    first = frame(opcode, payload[:cut], fin=False)
    return first + between + frame(CONTINUATION, payload[cut:])


controls = st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125))
closes = st.builds(
    lambda code, reason: frame(CLOSE, struct.pack("!H", code) + reason.encode()),
    st.sampled_from([1000, 1001, 1011, 3000, 4999]),
    st.text(max_size=20),
)
illegal = st.sampled_from(
    [
        masked_frame(b"{}"),
        frame(TEXT, b"{}", bits=0x40),
        frame(3, b"reserved"),
        frame(CONTINUATION, b"of nothing"),
        frame(CLOSE, b"\x03"),
        frame(PING, b"x" * 126),
        frame(PING, b"x", fin=False),
        frame(CLOSE, b"\x03\xe8", fin=False),
        frame(CLOSE, b"\x03\xe8", bits=0x20),
        frame(CLOSE, b"\x03\xe8", width=2),
        frame(12, b"reserved"),
        frame(TEXT, b"{}", width=2),
        frame(TEXT, b"x" * 125, width=8),
        frame(TEXT, b"x" * 300, width=8),
        frame(TEXT, b"in", fin=False) + frame(TEXT, b"between") + frame(CONTINUATION, b"out"),
        frame(TEXT, b"in", fin=False) + frame(BINARY, b"between", fin=False),
        bytes([FIN | CLOSE, 0x82]) + b"\0\0\0\0\x03\xe8",
        bytes([FIN | TEXT, 127]) + struct.pack("!Q", 2**63) + b"{}",
    ]
)
conversations = st.builds(
    lambda body, end, after: b"".join(body) + end + b"".join(after),
    st.lists(messages() | controls, max_size=8),
    st.just(b"") | closes | illegal,
    st.lists(messages() | controls | closes | illegal, max_size=2),
)


def cut_up(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        if start < end:
            yield data[start:end]


class Plain:
    """What wsproto makes of a byte stream: whole messages, control frames, the end."""

    def __init__(self) -> None:
        self.wsproto = Connection(ConnectionType.CLIENT)
        self.messages: list[str | bytes] = []
        self.controls: list[object] = []
        self._parts: list[str | bytes | bytearray] = []
        self.over = False

    def feed(self, data: bytes) -> None:
        if self.over or not data:
            return
        self.wsproto.receive_data(data)
        for event in self.wsproto.events():
            self._take(event)
            if self.over:
                return

    def _take(self, event: object) -> None:
        match event:
            case TextMessage(data=data, message_finished=finished):
                self._parts.append(data)
                if finished:
                    self.messages.append("".join(map(str, self._parts)))
                    self._parts = []
            case BytesMessage(data=data, message_finished=finished):
                self._parts.append(bytes(data))
                if finished:
                    self.messages.append(b"".join(self._parts))  # type: ignore[arg-type]
                    self._parts = []
            case CloseConnection():  # the peer's, or wsproto's verdict on an illegal frame
                self.controls.append(event)
                self.over = True
            case Ping() | Pong():
                self.controls.append(event)


def through_the_filter(pieces: Iterator[bytes], limit: int) -> tuple[Plain, list[str | bytes]]:
    frames, plain, order = FrameFilter(limit), Plain(), list[bytes | None]()
    for piece in pieces:
        items, forwarded = frames.feed(piece)
        order += [None if item is PLACEHOLDER else item for item in items]  # type: ignore[misc]
        plain.feed(forwarded)
    went_through = iter(plain.messages)
    received: list[str | bytes] = []
    for item in order:
        if item is not None:
            received.append(item.decode())
        elif (message := next(went_through, None)) is not None:
            received.append(message)
        else:
            assert plain.over
            break
    assert not list(went_through)
    return plain, received


@given(conversations, st.lists(st.integers(0, 10**6), max_size=12), st.sampled_from([100, 2**20]))
@example(frame(TEXT, b"a") + frame(CLOSE) + frame(TEXT, b"after the close"), [], 100)
@example(frame(TEXT, b"a" * 101) + frame(TEXT, b"b"), [1, 2, 3], 100)
def test_the_fast_and_the_plain_way_agree(data: bytes, cuts: list[int], limit: int) -> None:
    plain = Plain()
    for piece in cut_up(data, cuts):
        plain.feed(piece)
    forwarded, received = through_the_filter(cut_up(data, cuts), limit)
    assert received == plain.messages
    assert forwarded.controls == plain.controls


@given(st.text(max_size=300) | sizes.map(lambda size: "ü" * size))
def test_our_text_frames_are_what_wsproto_understands(text: str) -> None:
    server = Connection(ConnectionType.SERVER)
    server.receive_data(text_frames([text, "next"]))
    parts = list(server.events())
    assert all(isinstance(event, TextMessage) for event in parts)
    assert "".join(str(event.data) for event in parts) == text + "next"  # type: ignore[attr-defined]
    assert sum(event.message_finished for event in parts) == 2  # type: ignore[attr-defined]


def test_no_two_frames_have_the_same_mask() -> None:
    frames = text_frames(["{}"] * 50)
    assert len({frames[n + 2 : n + 6] for n in range(0, len(frames), 8)}) > 45


def test_messages_are_taken_as_they_stand() -> None:
    frames = FrameFilter(1000)
    assert frames.feed(frame(TEXT, b"{}") + frame(TEXT, b"x" * 300)) == ([b"{}", b"x" * 300], b"")


def test_a_close_is_remembered() -> None:
    frames = FrameFilter(1000)
    data = frame(CLOSE, struct.pack("!H", 1001) + b"going away")
    assert frames.feed(data[:5]) == ([], b"")
    assert frames.feed(data[5:]) == ([], data)
    assert frames.close == Close(1001, "going away")


@given(illegal, st.integers(0, 40))
def test_after_an_illegal_frame_nothing_is_taken_and_no_close_is_the_peers(
    bad: bytes, cut: int
) -> None:
    frames, after = FrameFilter(1000), frame(TEXT, b"{}") + frame(CLOSE, b"\x03\xe8")
    data = bad + after
    taken = frames.feed(data[:cut])[0] + frames.feed(data[cut:])[0]
    assert b"{}" not in taken
    assert frames.close in (None, Close(3))  # the code of one byte, which wsproto refuses


def test_a_close_without_a_code_counts_as_1005() -> None:
    frames = FrameFilter(1000)
    frames.feed(frame(CLOSE))
    assert frames.close == Close(1005, "")


def test_a_frame_beyond_the_limit_is_forwarded_as_it_comes() -> None:
    frames = FrameFilter(10)
    data = frame(TEXT, b"x" * 11)
    assert frames.feed(data[:4]) == ([], data[:4])
    assert frames.feed(data[4:]) == ([PLACEHOLDER], data[4:])


def test_a_close_too_long_to_be_one_is_not_waited_for() -> None:
    frames = FrameFilter(10)
    start = frame(CLOSE, b"x" * 5000)[:50]
    assert frames.feed(start) == ([], start)
    assert frames.close is None
