"""What a Close says: by whom, and what the code means."""

from typing import Any

import pytest
import trio
from peers import Peer, open_diary, open_endpoint, well

import derivtrio
from derivtrio import Backoff, Closed, Failed, Settings
from derivtrio.connection.handshake import Answer
from derivtrio.errors import HandshakeFailed
from derivtrio.simulator import open_simulator

SETTINGS = Settings(backoff=Backoff(first=1, cap=1))
SECRET = "s3cr3t-t0ken"


def close(code: int, reason: str) -> bytes:
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes([0x88, len(payload)]) + payload


@pytest.mark.parametrize(
    ("code", "meaning"),
    [(1012, "it restarts"), (1013, "try again later"), (1014, "a gateway got no valid answer")],
)
async def test_g10_the_codes_of_a_restart_are_the_servers_and_are_retried(
    autojump_clock: Any, code: int, meaning: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(1)
        await peer.write(close(code, "bye"))
        await peer.linger()

    async with open_endpoint(script, well) as endpoint, open_diary() as diary:
        async with derivtrio.open_client(endpoint=endpoint, settings=SETTINGS) as client:
            await diary.follow(client)
            await diary.until(derivtrio.Ready)
            [closed] = diary.of(Closed)
            assert (closed.by, closed.code, closed.reason) == ("server", code, "bye")
            assert diary.of(Failed) == []
    assert any(meaning in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 5000])
async def test_codes_that_no_close_may_have_are_a_violation(autojump_clock: Any, code: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep(1)
        await peer.write(close(code, "bye"))
        await peer.linger()

    async with open_endpoint(script, well) as endpoint, open_diary() as diary:
        async with derivtrio.open_client(endpoint=endpoint, settings=SETTINGS) as client:
            await diary.follow(client)
            await diary.until(Closed)
            [error] = [failed.error for failed in diary.of(Failed)]
            assert isinstance(error, derivtrio.ProtocolViolation)
            [closed] = diary.of(Closed)
            assert closed.by == "us"
            if code != 1005:  # which also stands for a Close without a code, and that is an answer
                assert (closed.code, closed.was_clean) == (1006, False)


@pytest.mark.parametrize("code", [1000, 1011, 1014, 3000])
async def test_g13_a_reason_that_repeats_a_token_or_the_url_is_not_shown(
    autojump_clock: Any, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.reply(await peer.request())
        await trio.sleep(1)
        await peer.write(close(code, f"{SECRET} /ws?otp=0ne-t1me"))
        await peer.linger()

    shown: list[object] = []
    async with open_endpoint(script, well) as endpoint, open_diary() as diary:
        endpoint.address += "?otp=0ne-t1me"
        try:
            async with derivtrio.open_client(
                endpoint=endpoint, token=SECRET, settings=SETTINGS
            ) as client:
                await diary.follow(client)
                await diary.until(Closed)
                shown += [client.status, client.status.last_error]
                await trio.sleep(5)
        except derivtrio.ConnectionFailed as failure:
            shown += [failure, failure.__cause__, failure.attempts]
    shown += [event for _, event in diary.entries]
    texts = [repr(each) + str(each) for each in shown]
    texts += [record.getMessage() for record in caplog.records]
    assert [text for text in texts if SECRET in text or "0ne-t1me" in text] == []
    assert any("<not shown>" in text for text in texts)


def test_g13_an_echo_of_our_request_shows_no_query() -> None:
    with pytest.raises(HandshakeFailed) as caught:
        Answer().feed(b"GET /ws/demo?otp=0ne-t1me HTTP/1.1\r\n")
    assert "0ne" not in str(caught.value)


async def test_the_status_says_that_the_server_has_closed(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        client.events() as events,
    ):
        sim.faults.close(1001)
        async for event in events:
            if isinstance(event, Closed):
                break
        error = client.status.last_error
        assert isinstance(error, derivtrio.PeerClosed)
        assert error.code == 1001
