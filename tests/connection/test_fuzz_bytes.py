"""G18: raw bytes, in the handshake and in frames. Whatever comes, the end is one of ours."""

from typing import Any

import h11
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from peers import Peer, open_diary, open_endpoint, well

import derivtrio
from derivtrio import Backoff, Closed, Failed, ProtocolViolation, Settings
from derivtrio.connection.fast.frames import FrameFilter
from derivtrio.connection.handshake import Answer
from derivtrio.errors import HandshakeFailed
from derivtrio.policy.retry import retry_after_seconds

SETTINGS = Settings(backoff=Backoff(first=1, cap=1), max_message_size=10_000)

head = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda status, lines, rest: b"HTTP/1.1 " + status + b"\r\n" + lines + b"\r\n\r\n" + rest,
        st.one_of(
            st.binary(max_size=12), st.sampled_from([b"101 Go", b"200 OK", b"503 ", b"100 "])
        ),
        st.lists(st.binary(max_size=30), max_size=5).map(b"\r\n".join),
        st.binary(max_size=50),
    ),
)


@settings(max_examples=300)
@given(head, st.integers(1, 40))
def test_g18_any_answer_to_the_handshake_is_read_or_refused(data: bytes, size: int) -> None:
    answer = Answer()
    try:
        for start in range(0, len(data), size):
            if answer.finished:
                break
            answer.feed(data[start : start + size])
    except HandshakeFailed:
        return
    except h11.RemoteProtocolError as error:
        raise AssertionError from error
    assert len(answer.rest) <= max(len(data), 4096)


@settings(max_examples=300)
@given(st.binary(max_size=600), st.integers(1, 80))
def test_g18_no_byte_is_lost_between_what_is_taken_and_what_is_forwarded(
    data: bytes, size: int
) -> None:
    frames = FrameFilter(1000)
    for start in range(0, len(data), size):
        frames.feed(data[start : start + size])
    whole = FrameFilter(1000)
    whole.feed(data)
    assert (frames.close, frames.fragments) == (whole.close, whole.fragments)


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_g18_any_retry_after_is_a_time_or_none(text: str) -> None:
    seconds = retry_after_seconds(text)
    assert seconds is None or 0 <= seconds <= 3600


@pytest.mark.parametrize(
    "text", ["9" * 5000, "-1", "Mon, 01 Jan 0001 00:00:00 GMT", "1e9", "", "5, 5"]
)
def test_g18_an_absurd_retry_after_is_an_hour_at_most(text: str) -> None:
    seconds = retry_after_seconds(text)
    assert seconds is None or 0 <= seconds <= 3600


@pytest.mark.parametrize("payload", [b"", b"x"])
async def test_g18_endless_fragments_end_the_connection(
    autojump_clock: Any, payload: bytes
) -> None:
    fragment = bytes([0x00, len(payload)]) + payload

    async def script(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(1)
        await peer.write(b"\x01\x00")
        for _ in range(100):
            await peer.write(fragment * 50)
        await peer.linger()

    async with open_endpoint(script, well) as endpoint, open_diary() as diary:
        async with derivtrio.open_client(endpoint=endpoint, settings=SETTINGS) as client:
            await diary.follow(client)
            await diary.until(Closed)
            [failed] = diary.of(Failed)
            assert isinstance(failed.error, ProtocolViolation)
            assert "fragments" in str(failed.error)
            await client.wait_ready()


async def test_g18_a_flood_of_pings_and_of_messages_to_nobody_stops_no_call(
    autojump_clock: Any,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.serve)
            while not peer.closes:
                await peer.write(b"\x89\x00" * 100 + b'\x81\x0c{"req_id":9}' * 100)
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    async with open_endpoint(script, well) as endpoint:
        async with derivtrio.open_client(endpoint=endpoint, settings=SETTINGS) as client:
            for _ in range(5):
                with trio.fail_after(1):
                    assert (await client.call({"ping": 1}))["ping"] == "pong"
                await trio.sleep(0.1)
            assert client.status.connection == 1
