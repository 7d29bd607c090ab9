"""`Settings(headers=…, subprotocols=…)`: what goes with the handshake, and what may come back."""

from typing import Any

import pytest
from peers import Peer, open_endpoint
from wsproto.events import AcceptConnection, Request

import derivtrio
from derivtrio import Settings, open_client

both_ways = pytest.mark.parametrize("fast", [True, False])
ONCE = Settings(max_attempts=1)


def choosing(*lines: bytes) -> Any:
    """Return a server that answers the handshake with *lines* more."""

    async def script(peer: Peer) -> None:
        head = await peer.read_request()
        peer.requests.append(head)
        protocol = peer._protocol  # noqa: SLF001
        protocol.receive_data(head)
        assert isinstance(next(protocol.events()), Request)
        answer = protocol.send(AcceptConnection())
        await peer.write(answer.removesuffix(b"\r\n") + b"".join(lines) + b"\r\n")
        await peer.serve()

    return script


async def opened(settings: Settings, *lines: bytes) -> bytes:
    """Return the head of the request that a client with *settings* makes."""
    async with open_endpoint(choosing(*lines)) as endpoint:
        async with open_client(endpoint=endpoint, settings=settings) as client:
            assert (await client.call({"ping": 1}))["ping"] == "pong"
        return endpoint.peers[0].requests[0]  # type: ignore[no-any-return]


@both_ways
async def test_headers_go_with_the_handshake(autojump_clock: Any, *, fast: bool) -> None:
    headers = {"User-Agent": "bot/1.0 (linux)", "Origin": "https://example.org", "X-Empty": ""}
    head = await opened(Settings(fast=fast, headers=headers))
    lines = head.split(b"\r\n")
    assert b"User-Agent: bot/1.0 (linux)" in lines
    assert b"Origin: https://example.org" in lines
    assert b"X-Empty: " in lines
    assert b"rotocol" not in head


@both_ways
@pytest.mark.parametrize("lines", [(), (b"Sec-WebSocket-Protocol: b\r\n",)])
async def test_the_server_may_choose_what_was_offered_or_nothing(
    autojump_clock: Any, lines: tuple[bytes, ...], *, fast: bool
) -> None:
    head = await opened(Settings(fast=fast, subprotocols=("a", "b")), *lines)
    assert b"Sec-WebSocket-Protocol: a, b" in head.split(b"\r\n")


@both_ways
@pytest.mark.parametrize("offered", [(), ("a", "b")])
@pytest.mark.parametrize("chosen", [b"c", b"A", b"a, b", b"\xff", b""])
async def test_a_subprotocol_that_was_not_offered_is_no_handshake(
    autojump_clock: Any, offered: tuple[str, ...], chosen: bytes, *, fast: bool
) -> None:
    line = b"Sec-WebSocket-Protocol: " + chosen + b"\r\n"
    settings = ONCE.but(fast=fast, subprotocols=offered)
    async with open_endpoint(choosing(line)) as endpoint:
        with pytest.raises(derivtrio.ConnectionFailed) as caught:
            async with open_client(endpoint=endpoint, settings=settings):
                pytest.fail("it cannot open")
        assert isinstance(caught.value.__cause__, derivtrio.HandshakeFailed)


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nY: s3cret"},
        {"X": "s3cret\n"},
        {"X": "s3cret\r"},
        {"X": "s3cret\0"},
        {"X": " s3cret"},
        {"X": "s3cret "},
        {"X": "s3crét"},
        {"X": b"s3cret"},
        {"X": None},
        {"X: s3cret": ""},
        {"X\r\nY": "s3cret"},
        {"": "s3cret"},
        {"Ünder": "s3cret"},
        {b"X": "s3cret"},
        {"X": "s3cret", "x": "s3cret"},
        {"Host": "s3cret"},
        {"CONNECTION": "s3cret"},
        {"Upgrade": "s3cret"},
        {"sec-websocket-key": "s3cret"},
        {"Sec-WebSocket-Version": "s3cret"},
        {"Sec-WebSocket-Extensions": "s3cret"},
        {"Sec-WebSocket-Protocol": "s3cret"},
        {"Transfer-Encoding": "s3cret"},
        {"Content-Length": "s3cret"},
        [("X", "s3cret")],
        "X: s3cret",
        None,
    ],
)
def test_g13_headers_that_cannot_be_sent_are_refused_and_not_shown(headers: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^headers (has|is) ") as caught:
        Settings(headers=headers)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("names", ["a", ("a", "a"), ("a b",), ("a,b",), ("",), ("é",), (1,), None])
def test_subprotocols_that_cannot_be_offered_are_refused(names: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=r"^subprotocols is a tuple of "):
        Settings(subprotocols=names)


def test_what_is_reserved_is_told_where_it_belongs() -> None:
    with pytest.raises(ValueError, match="it comes from the URL"):
        Settings(headers={"Host": "x"})
    with pytest.raises(ValueError, match=r"give Settings\(subprotocols=…\)"):
        Settings(headers={"Sec-WebSocket-Protocol": "x"})


def test_g13_the_values_of_headers_are_not_in_a_repr() -> None:
    given = {"Authorization": "s3cret"}
    settings = Settings(headers=given)
    assert "headers={'Authorization': '<not shown>'}" in repr(settings)
    given["Evil"] = "a\r\nb"
    assert settings.headers == {"Authorization": "s3cret"}
    assert settings.but(outbox=5).headers == settings.headers
    assert hash(settings) == hash(Settings(headers=given | {"Evil": "x"}))
    assert Settings(subprotocols=["a"]).subprotocols == ("a",)  # type: ignore[arg-type]


async def test_g13_a_server_that_repeats_our_request_is_not_quoted_with_it(
    autojump_clock: Any,
) -> None:
    async def echoing(peer: Peer) -> None:
        head = await peer.read_request()
        await peer.write(b"HTTP/1.1 400 No\r\nContent-Length: %d\r\n\r\n" % len(head) + head)

    async def parroting(peer: Peer) -> None:
        await peer.write(await peer.read_request())

    settings = ONCE.but(headers={"Authorization": "Bearer s3cret"})
    for script in (echoing, parroting):
        async with open_endpoint(script) as endpoint:
            endpoint.address += "?otp=s3cret"
            with pytest.raises(derivtrio.DerivError) as caught:
                async with open_client(endpoint=endpoint, settings=settings):
                    pytest.fail("it cannot open")
            assert "s3cret" not in f"{caught.value!r} {caught.value.__cause__!r}"
            assert "s3cret" not in str(getattr(caught.value, "body", ""))
