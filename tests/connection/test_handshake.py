"""The answer to the handshake, fed in pieces, and what the client makes of it."""

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from peers import Holding, Line, Peer, open_endpoint, well
from trio.testing import memory_stream_pair
from wsproto.events import TextMessage

from derivtrio import HandshakeFailed, HandshakeRejected, Settings, open_client
from derivtrio.api.codec import encode
from derivtrio.connection.connection import open_connection
from derivtrio.connection.handshake import Answer

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"


def fed(data: bytes, size: int = 2**16) -> Answer:
    """Return the answer that *data* is, when it comes in pieces of that *size*."""
    answer = Answer()
    for start in range(0, len(data), size):
        if not answer.finished:
            answer.feed(data[start : start + size])
    return answer


def refused(data: bytes, size: int = 2**16) -> HandshakeRejected:
    refusal = fed(data, size).refusal
    assert refusal is not None
    return refusal


def test_an_interim_answer_is_not_the_answer() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 103 Early Hints\r\nlink: </>\r\n\r\nHTTP/1.1 101 Switching")
    assert (answer.status, answer.refusal) == (None, None)
    answer.feed(b" Protocols\r\nupgrade: websocket\r\n\r\nframes")
    assert (answer.status, answer.refusal, answer.rest) == (101, None, b"frames")
    assert answer.head.startswith(b"HTTP/1.1 101")


def test_a_refusals_body_ends_where_it_says() -> None:
    answer = Answer()
    answer.feed(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbu")
    assert not answer.finished
    answer.feed(b"sy and more")
    assert answer.finished
    assert answer.refusal is not None
    assert answer.refusal.body == b"busy"


def test_what_comes_behind_a_101_is_handed_on_whatever_its_size() -> None:
    frames = bytes(range(256)) * 200
    answer = fed(ACCEPTED + frames)
    assert (answer.head, answer.rest, answer.finished) == (ACCEPTED, frames, True)


@given(st.integers(1, 200), st.integers(0, 3))
def test_the_head_may_come_in_pieces_behind_any_interim_answers(size: int, interim: int) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: </>; rel=preload\r\n\r\n"
    answer = fed(hints * interim + ACCEPTED, size)
    assert (answer.status, answer.head, answer.rest) == (101, ACCEPTED, b"")


@pytest.mark.parametrize("size", [100, 2**16])
@pytest.mark.parametrize("length", [2_000, 17_000, 40_000])
def test_of_a_page_of_any_size_the_beginning_is_kept(length: int, size: int) -> None:
    page = b"<html>" + b"x" * length
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n" % len(page)
    refusal = refused(head + page, size)
    assert (refusal.status, refusal.body) == (503, page[:4096])


def test_a_body_in_chunks_is_put_together() -> None:
    head = b"HTTP/1.1 429 Slow down\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert not fed(head + b"7\r\nplea").finished
    answer = fed(head + b"7\r\nplease \r\n4\r\nwait\r\n0\r\n\r\n", 3)
    assert answer.finished
    assert answer.refusal is not None
    assert answer.refusal.body == b"please wait"


def test_a_body_in_disorder_ends_where_the_disorder_begins() -> None:
    head = b"HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = fed(head + b"4\r\noops\r\nnot a size\r\n")
    assert answer.finished
    assert answer.refusal is not None
    assert (answer.refusal.status, answer.refusal.body) == (502, b"oops")


def test_a_status_without_a_body_is_complete_at_once() -> None:
    assert fed(b"HTTP/1.1 204 No Content\r\n\r\n").finished


@pytest.mark.parametrize("size", [500, 2**16])
def test_a_head_that_is_too_long_is_not_taken(size: int) -> None:
    long = ACCEPTED[:-2] + b"x: " + b"v" * 20_000 + b"\r\n\r\n"
    with pytest.raises(HandshakeFailed, match="longer than 16384 bytes; it begins"):
        fed(long, size)


def test_g13_a_refusal_says_where_else_and_when_to_ask_but_no_secret() -> None:
    refusal = refused(
        b"HTTP/1.1 302 Found\r\nlocation: https://me:s3cr3t@portal.hotel/in?otp=s3cr3t\r\n"
        b"RETRY-AFTER: 120\r\nset-cookie: s3cr3t\r\ncontent-length: 0\r\n\r\n"
    )
    assert refusal.headers == {"Location": "https://portal.hotel/in", "Retry-After": "120"}
    assert str(refusal) == "HTTP 302, a redirection to https://portal.hotel/in"


async def test_messages_right_behind_the_handshake_are_not_lost(autojump_clock: Any) -> None:
    texts = [encode({"n": n, "pad": "y" * 1000}) for n in range(20)]

    async def eager(peer: Peer) -> None:
        request, stream = await peer.read_request(), peer.stream
        peer.stream = held = Holding()
        await peer.accept(request)
        await peer.put(*map(TextMessage, texts))
        peer.stream = stream
        await peer.write(bytes(held.data))
        await peer.linger()

    async with (
        open_endpoint(eager) as endpoint,
        open_connection(endpoint, 1, Settings()) as connection,
    ):
        received: list[Any] = []
        while len(received) < len(texts):
            received += await connection.receive() or []
        assert [m if isinstance(m, str) else m.decode() for m in received] == texts


class Broken(Line):
    """A line that takes nothing, and on which nothing comes."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:  # noqa: ARG002
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError


async def test_a_write_that_breaks_in_the_handshake_fails_it_at_once(autojump_clock: Any) -> None:
    def pair() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        ours, theirs = memory_stream_pair()
        return Broken(ours), theirs

    async with open_endpoint(well, pair=pair) as endpoint:
        with pytest.raises(HandshakeFailed, match="broke during the handshake"):
            async with open_connection(endpoint, 1, Settings()):
                pytest.fail("it cannot open")
        assert trio.current_time() == 0


async def test_an_interim_answer_before_the_handshake_is_skipped(autojump_clock: Any) -> None:
    async def hinting(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await well(peer)

    async with open_endpoint(hinting) as endpoint, open_client(endpoint=endpoint) as client:
        assert (await client.call({"ping": 1}))["ping"] == "pong"
