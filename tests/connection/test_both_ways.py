"""G03, G10: what a server's frames mean does not depend on whether they are read the fast way."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from peers import Peer, open_endpoint, reply_to, tick
from test_frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame
from wsproto.events import TextMessage

from derivtrio import Closed, Event, Ready, Settings, Subscription, open_client
from derivtrio.api.codec import encode
from derivtrio.connection.connection import open_connection
from derivtrio.connection.websocket import Binary

LIMIT = 5000
TORN_TEXT = frame(TEXT, b'{"a":', fin=False)

CASES = {
    "a length of two bytes where one will do": frame(TEXT, b"{}", width=2) + frame(TEXT, b"{}"),
    "a length of eight bytes where two will do": frame(TEXT, b"x" * 300, width=8),
    "the longest length in one byte": frame(TEXT, b"x" * 125) + frame(TEXT, b"x" * 126),
    "a mask, of which nothing has come": frame(TEXT, b"{}") + bytes([0x81, 0x84]),
    "a Close with a mask": bytes([0x88, 0x82]) + b"\0\0\0\0\x03\xe8" + frame(TEXT, b"{}"),
    "a Close in a long frame": frame(CLOSE, b"\x03\xe8", width=2),
    "a reserved bit, and a Close": frame(TEXT, b"{}", bits=0x40) + frame(CLOSE, b"\x03\xe8"),
    "an unknown opcode, and a message": frame(12, b"{}") + frame(TEXT, b"{}"),
    "a ping in fragments, and a message": frame(PING, b"p", fin=False) + frame(TEXT, b"{}"),
    "a long ping, and a message": frame(PING, b"p" * 126) + frame(TEXT, b"{}"),
    "a message within another": TORN_TEXT + frame(BINARY, b"b") + frame(CLOSE, b"\x03\xe8"),
    "a ping within a message": TORN_TEXT + frame(PING, b"p") + frame(CONTINUATION, b"1}"),
    "the end of nothing, and a Close": frame(CONTINUATION, b"{}") + frame(CLOSE, b"\x03\xe9"),
    "a code that wsproto does not know": frame(CLOSE, b"\x03\xf6") + frame(TEXT, b"{}"),
    "a code of Deriv's": frame(CLOSE, b"\x0b\xb8unauthorized") + frame(PING),
    "a reason that is no text": frame(TEXT, b"{}") + frame(CLOSE, b"\x0f\x9f\xff") + frame(PING),
    "a code that nobody may send": frame(CLOSE, b"\x03\xee"),
    "half a code": frame(CLOSE, b"\x03"),
    "a character in two fragments": frame(TEXT, b'"\xc3', fin=False)
    + frame(CONTINUATION, b'\xa9"'),
    "half a character": frame(TEXT, b'"\xc3', fin=False) + frame(CONTINUATION, b'"'),
    "a message that is too large": frame(TEXT, b"x" * (LIMIT + 1)),
}


async def outcome(data: bytes, cut: int, *, fast: bool) -> tuple[list[Any], Any]:
    """Return the messages in *data*, which comes in two pieces, and how the connection ended."""
    messages: list[Any] = []

    async def script(peer: Peer) -> None:
        await peer.accept()
        for part in filter(None, (data[:cut], data[cut:])):
            await peer.stream.send_all(part)
            await trio.sleep(0.1)
        await peer.linger()

    settings = Settings(fast=fast, max_message_size=LIMIT, close_timeout=0.5)
    async with open_endpoint(script) as endpoint:
        async with open_connection(endpoint, 1, settings) as connection:
            with connection.reading, trio.move_on_after(1) as silence:
                while (batch := await connection.receive()) is not None:
                    messages += batch
            if not silence.cancelled_caught:
                connection.lose_to_peer()
    end = connection.end
    shown = [each.data if isinstance(each, Binary) else as_bytes(each) for each in messages]
    return shown, (end.by, end.code, end.reason, end.was_clean, repr(end.error))


def as_bytes(message: str | bytes) -> bytes:
    return message.encode() if isinstance(message, str) else message


@pytest.mark.parametrize("name", CASES)
async def test_g10_both_ways_come_to_the_same_verdict(name: str, autojump_clock: Any) -> None:
    data = CASES[name]
    for cut in {0, 1, 3, len(data) // 2, len(data) - 1}:
        assert await outcome(data, cut, fast=True) == await outcome(data, cut, fast=False), cut


@pytest.mark.parametrize("fast", [True, False])
async def test_g17_half_of_a_surrogate_pair_costs_nothing_but_that_character(
    autojump_clock: Any, *, fast: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        while (request := await peer.request()) is not None:
            text = encode(reply_to(request)).replace('"quote"', r'"name":"\ud800é","quote"')
            await peer.put(TextMessage(text.replace('"time":1', r'"name":"\ud83d","time":1')))

    settings = Settings(fast=fast, heartbeat_interval=3600)
    async with (
        open_endpoint(script) as endpoint,
        open_client(endpoint=endpoint, settings=settings) as client,
        client.subscribe({"ticks": "R_100"}) as ticks,
        client.ticks("R_100") as typed,
    ):
        assert (await anext(ticks))["tick"]["name"] == "\ufffdé"
        assert (await anext(typed)).epoch == 0
        assert (await client.call({"time": 1}))["name"] == "\ufffd"
        assert client.status.connection == 1


async def until_ready(events: Subscription[Event], number: int) -> AsyncIterator[Event]:
    """Yield what happens until connection *number* is ready."""
    async for event in events:
        yield event
        if isinstance(event, Ready) and event.connection == number:
            return


@pytest.mark.parametrize("fast", [True, False])
async def test_g18_what_is_not_utf_8_ends_the_connection_wherever_it_stands(
    autojump_clock: Any, *, fast: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        while (request := await peer.request()) is not None:
            await peer.reply(request)
            if "ticks" in request and len(endpoint.peers) == 1:
                message = encode(tick(1, req_id=request["req_id"], pip_size=1, x="?")).encode()
                await peer.stream.send_all(frame(TEXT, message.replace(b"?", b"\xff")))

    settings = Settings(fast=fast, heartbeat_interval=3600)
    async with (
        open_endpoint(script) as endpoint,
        open_client(endpoint=endpoint, settings=settings) as client,
        client.ticks("R_100") as typed,
        client.events() as events,
    ):
        ends = [event async for event in until_ready(events, 2) if isinstance(event, Closed)]
        assert [end.by for end in ends] == ["us"]
        assert (await anext(typed)).epoch == 0
        async with client.subscribe({"ticks": "R_100"}) as untyped:
            assert (await anext(untyped))["tick"]["epoch"] == 0
