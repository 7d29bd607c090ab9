"""G13: secrets stay secret, wherever somebody might look."""

import logging
import traceback
from typing import Any

import pytest
import trio
from scripted import Peer, Request, Server, open_server, polite

import derivtrio
from derivtrio import Backoff, Settings
from derivtrio.simulator import Account, demo_account, open_simulator

SECRET = "s3cr3t-t0ken"
SETTINGS = Settings(backoff=Backoff(first=1, cap=1), max_attempts=2)


def check(caplog: pytest.LogCaptureFixture, *shown: object) -> None:
    for record in caplog.records:
        assert SECRET not in record.getMessage()
    for thing in shown:
        assert SECRET not in str(thing)
        assert SECRET not in repr(thing)
        if isinstance(thing, BaseException):
            assert SECRET not in "".join(traceback.format_exception(thing))


async def test_g13_the_token_is_shown_nowhere(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []

    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, authorize={"loginid": "CR1"})  # echoes the token, too

    async with (
        open_server(handle) as server,
        derivtrio.open_client(
            endpoint=server, token=SECRET, settings=Settings(wait_ready=False)
        ) as client,
        client.events(traffic=True) as events,
    ):
        await client.wait_ready()
        with pytest.raises(derivtrio.InvalidRequest) as caught:
            await client.send({"authorize": SECRET, "req_id": 2**31})
        shown.append(caught.value)
        await client.call({"authorize": SECRET})
        shown += [client, client.status]
        await client.aclose()
        shown += [event async for event in events]
        shown += [client.subscribe({"ticks": "R_100"})]
    assert [r["authorize"] for _, r in server.asked("authorize")] == [SECRET] * 2
    kinds = {type(event).__name__ for event in shown}
    assert {"MessageSent", "MessageReceived", "Authorized"} <= kinds
    check(caplog, *shown)


async def test_g13_a_refused_token_is_not_in_the_error(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_simulator(port=None, accounts=[demo_account()]) as sim:
        with pytest.raises(derivtrio.InvalidToken) as caught:
            async with derivtrio.open_client(endpoint=sim.endpoint, token=SECRET):
                pytest.fail("it must not open")
        check(caplog, caught.value, caught.value.request, sim, sim.history)


async def test_g13_a_one_time_url_is_shown_nowhere(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    class OneTime(Server):
        async def url(self) -> str:
            return f"ws://scripted.invalid/ws/demo?otp={SECRET}"

    async with trio.open_nursery() as nursery:
        server = OneTime(polite, nursery)
        async with derivtrio.open_client(endpoint=server, settings=SETTINGS) as client:
            shown: list[object] = [client, client.status]
        server.refuses = True
        with pytest.raises(derivtrio.ConnectionFailed) as caught:
            async with derivtrio.open_client(endpoint=server, settings=SETTINGS):
                pytest.fail("it must not open")
        nursery.cancel_scope.cancel()
    check(caplog, *shown, caught.value, *caught.value.attempts)


@pytest.mark.parametrize("url", [f"http://x/?otp={SECRET}", f"ws://x:y/?otp={SECRET}"])
async def test_g13_a_malformed_one_time_url_is_not_shown_either(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture, url: str
) -> None:
    class OneTime(Server):
        async def url(self) -> str:
            return url

    async with trio.open_nursery() as nursery:
        with pytest.raises(derivtrio.InvalidURL) as caught:
            async with derivtrio.open_client(endpoint=OneTime(polite, nursery)):
                pytest.fail("it must not open")
    check(caplog, caught.value)


@pytest.mark.parametrize("token", ["", "  ", 5, b"bytes"])
async def test_a_token_that_is_none_is_refused_at_once(token: Any) -> None:
    with pytest.raises(ValueError, match="token"):
        async with derivtrio.open_client(token=token):
            pytest.fail("it must not open")


def test_the_simulators_accounts_hide_their_tokens() -> None:
    assert "demo-token" not in repr(demo_account())
    assert isinstance(demo_account(), Account)
