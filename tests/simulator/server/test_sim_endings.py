"""The plain server for first clients ends each connection as it was told to, for any client."""

import json
from contextlib import suppress
from functools import partial

import pytest
import trio
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import derivtrio
from derivtrio.simulator import EndingName, open_ending_server


def ask(url: str, *messages: str | bytes) -> list[str | bytes | tuple[int | None, str]]:
    """Return what *messages* bring from a client that knows nothing of us: replies, and an end."""
    got: list[str | bytes | tuple[int | None, str]] = []
    with connect(url, proxy=None) as websocket:
        try:
            for message in messages:
                websocket.send(message)
                got.append(websocket.recv(timeout=5))
        except ConnectionClosed as end:
            got.append((end.rcvd.code, end.rcvd.reason) if end.rcvd else (None, ""))
    return got


async def answers_of(ending: EndingName, *messages: str | bytes) -> list[object]:
    async with open_ending_server(ending) as url:
        return list(await trio.to_thread.run_sync(partial(ask, url, *messages)))


async def test_it_answers() -> None:
    pong, error, again = await answers_of("answers", '{"ping": 1}', "{ ping => 1 }", b'{"time": 1}')
    assert json.loads(str(pong))["ping"] == "pong"
    assert json.loads(str(error))["error"]["code"] == "BadRequest"
    assert json.loads(str(again))["time"] > 1


@pytest.mark.parametrize(
    ("ending", "end"),
    [
        ("closes-1000", (1000, "goodbye")),
        ("closes-1008", (1008, "policy violation")),
        ("dies", (None, "")),
    ],
)
@pytest.mark.parametrize("message", ['{"ping": 1}', "no JSON", b"\x00"])
async def test_it_ends_at_the_first_message_whatever_that_is(
    ending: EndingName, end: tuple[int | None, str], message: str | bytes
) -> None:
    assert await answers_of(ending, message) == [end]


async def test_it_answers_in_binary() -> None:
    (reply,) = await answers_of("binary", '{"ping": 1}')
    assert isinstance(reply, bytes)
    assert json.loads(reply)["ping"] == "pong"


async def test_it_is_silent() -> None:
    async with open_ending_server("silent") as url:
        settings = derivtrio.Settings(close_timeout=0.1)
        async with derivtrio.open_client(endpoint=url, settings=settings) as client:
            with trio.move_on_after(0.1) as patience:
                await client.call({"ping": 1})
            assert patience.cancelled_caught


@pytest.mark.parametrize("path", ["/", "/any/path?x=1"])
async def test_any_path_will_do(path: str) -> None:
    async with open_ending_server("answers") as url:
        there = url.split("/websockets")[0] + path
        (pong,) = await trio.to_thread.run_sync(partial(ask, there, '{"ping": 1}'))
    assert json.loads(str(pong))["msg_type"] == "ping"


async def test_what_is_not_a_websocket_gets_an_http_status() -> None:
    async with open_ending_server("answers") as url:
        port = int(url.split(":")[2].split("/")[0])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
        await stream.aclose()


async def test_the_exception_of_the_block_comes_out_as_it_is() -> None:
    mine = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        async with open_ending_server("answers"):
            raise mine
    assert caught.value is mine


async def test_an_ending_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="an ending is one of answers, closes-1000"):
        async with open_ending_server("explodes"):  # type: ignore[arg-type]
            pass


async def test_at_the_end_of_the_block_every_connection_ends() -> None:
    async with open_ending_server("silent") as url:
        port = int(url.split(":")[2].split("/")[0])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
    with trio.fail_after(5), suppress(trio.BrokenResourceError):
        assert await stream.receive_some() == b""
    await stream.aclose()
