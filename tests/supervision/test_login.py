"""Changing the account of a live client, and connections that act for several (v3)."""

import logging
import traceback
from decimal import Decimal
from typing import Any

import pytest
import trio
from scripted import Peer, Request, open_server, polite

import derivtrio
from derivtrio import Authorized, Closed, Ready, Settings
from derivtrio.simulator import SCOPES, Account, Simulator, demo_account, open_simulator

QUICK = Settings(backoff=derivtrio.Backoff(first=0.1, cap=0.1))
ACCOUNTS = [
    demo_account(),
    Account("CR5", Decimal("5.00"), {"real-token": SCOPES}, is_virtual=False),
    Account("CR6", Decimal("6.00"), {"locked-token": SCOPES}, is_disabled=True),
]


async def reconnect(sim: Simulator, client: derivtrio.Client) -> None:
    async with client.events() as events:
        assert isinstance(await anext(events), Ready)
        sim.faults.drop()
        async for event in events:
            if isinstance(event, Ready):
                return


async def whose(client: derivtrio.Client) -> str | None:
    try:
        loginid: str = (await client.call({"balance": 1}))["balance"]["loginid"]
    except derivtrio.AuthorizationRequired:
        return None
    return loginid


async def test_a_new_account_is_acted_for_at_once_and_after_a_reconnect(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=QUICK) as client,
        client.events() as events,
    ):
        assert await whose(client) is None
        for token, loginid in (("demo-token", "VRTC1000001"), ("real-token", "CR5")):
            reply = await client.authorize(token)
            assert reply["authorize"]["loginid"] == loginid
            assert await whose(client) == loginid
            await reconnect(sim, client)
            assert await whose(client) == loginid
        await client.aclose()
        named = [event.loginid async for event in events if isinstance(event, Authorized)]
        assert named == ["VRTC1000001", "VRTC1000001", "CR5", "CR5"]


async def test_the_calls_themselves_change_the_account_in_the_same_way(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token", settings=QUICK) as client,
        client.balance() as balance,
    ):
        await anext(balance)
        reply = await client.api.authorize("real-token", passthrough={"from": "here"})
        assert reply["authorize"]["loginid"] == "CR5"
        assert reply["echo_req"]["passthrough"] == {"from": "here"}
        with pytest.raises(derivtrio.AuthorizationRequired, match="authorized anew"):
            await anext(balance)
        await reconnect(sim, client)
        assert await whose(client) == "CR5"
        assert (await client.call({"authorize": "real-token", "tokens": ["demo-token"]}))["req_id"]
        await reconnect(sim, client)
        other = await client.call({"balance": 1, "loginid": "VRTC1000001"})
        assert other["balance"]["loginid"] == "VRTC1000001"
        assert (await client.api.logout())["logout"] == 1
        await reconnect(sim, client)
        assert await whose(client) is None


@pytest.mark.parametrize(
    "message",
    [
        {"authorize": "a-token"},
        '{"logout": 1}',
        {"ping": 1, "authorize": "a-token"},
        '{"time":1,"logout":1}',
    ],
)
async def test_nothing_that_is_sent_raw_changes_the_account(
    autojump_clock: Any, message: Any
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest, match="use client") as caught:
            await client.send(message)
        assert "a-token" not in str(caught.value) + repr(caught.value.request)


@pytest.mark.parametrize("token", ["wrong-token", "locked-token"])
async def test_a_refused_token_changes_nothing(autojump_clock: Any, token: str) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token", settings=QUICK) as client,
    ):
        with pytest.raises(derivtrio.ApiError):
            await client.authorize(token)
        assert await whose(client) == "VRTC1000001"
        await reconnect(sim, client)
        assert await whose(client) == "VRTC1000001"


async def test_after_a_logout_no_connection_is_authorized(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token", settings=QUICK) as client,
    ):
        await client.logout()
        assert await whose(client) is None
        await reconnect(sim, client)
        assert await whose(client) is None
        assert not [r for r in sim.connections[0].requests if "authorize" in r]
        await client.authorize("real-token")
        assert await whose(client) == "CR5"


async def test_a_refused_logout_changes_nothing(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request:
            await peer.reply(request, authorize={"loginid": "CR1"})
        else:
            await peer.refuse(request, "RateLimit")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="t", settings=QUICK) as client,
    ):
        with pytest.raises(derivtrio.RateLimited):
            await client.logout()
        await server.peers[0].drop()
        await trio.sleep(1)
        await client.wait_ready()
        assert [number for number, _ in server.asked("authorize")] == [1, 2]


async def test_a_logout_whose_outcome_is_unknown_is_one_for_later_connections(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" in request:
            await peer.reply(request, authorize={"loginid": "CR1"})
        elif "logout" in request:
            await peer.drop()

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="t", settings=QUICK) as client,
    ):
        with pytest.raises(derivtrio.OutcomeUnknown):
            await client.logout()
        await client.wait_ready()
        assert [number for number, _ in server.asked("authorize")] == [1]


async def test_a_logout_that_was_never_written_is_none(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token", settings=QUICK) as client,
    ):
        sim.faults.refuse(10)
        sim.faults.drop()
        await trio.sleep(1)
        with trio.move_on_after(1):
            await client.logout()
        await client.wait_ready()
        assert await whose(client) == "VRTC1000001"


async def test_g12_an_authorize_whose_caller_goes_away_is_taken_back(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token", settings=QUICK) as client,
    ):
        sim.faults.delay(1)
        with trio.move_on_after(0.5) as gone:
            await client.authorize("real-token")
        assert gone.cancelled_caught
        assert await whose(client) == "VRTC1000001"
        await client.logout()
        with trio.move_on_after(0.5):
            await client.authorize("real-token")
        assert await whose(client) is None
        await reconnect(sim, client)
        assert await whose(client) is None


async def test_an_authorize_that_is_not_answered_is_taken_back(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if request.get("authorize") == "t":
            await peer.reply(request, authorize={"loginid": "CR1"})
        elif "ping" in request:
            await peer.reply(request, ping="pong")

    settings = QUICK.but(response_timeout=5)
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="t", settings=settings) as client,
    ):
        with pytest.raises(derivtrio.ResponseTimeout):
            await client.authorize("new")
        await trio.sleep(1)
        assert [r["authorize"] for _, r in server.asked("authorize")] == ["t", "new", "t"]


async def test_an_authorize_during_an_outage_waits_and_is_remembered(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token", settings=QUICK) as client,
    ):
        sim.faults.refuse(10)
        sim.faults.drop()
        await trio.sleep(1)
        await client.authorize("real-token")
        assert await whose(client) == "CR5"
        await reconnect(sim, client)
        assert await whose(client) == "CR5"


@pytest.mark.parametrize("change", ["authorize", "logout"])
async def test_streams_of_account_data_end_and_others_go_on(
    autojump_clock: Any, change: str
) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token", settings=QUICK) as client,
        client.ticks("1HZ100V") as ticks,
        client.balance() as balances,
    ):
        await anext(balances)
        await (client.logout() if change == "logout" else client.authorize("real-token"))
        with pytest.raises(derivtrio.AuthorizationRequired):
            await anext(balances)
        for _ in range(3):
            await anext(ticks)
        assert client.status.subscriptions == 1
        await reconnect(sim, client)
        if change == "authorize":
            async with client.balance() as again:
                assert (await anext(again)).loginid == "CR5"


async def test_a_logout_of_the_options_api_is_for_one_connection(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "balance" in request:
            balance = {"loginid": "CR1", "balance": 1, "currency": "USD"}
            await peer.reply(request, balance=balance, subscription={"id": "b"})
        else:
            await peer.reply(request, logout=1)

    async with open_server(handle) as server:
        server.generation, server.limits = "options", "documented"
        async with (
            derivtrio.open_client(endpoint=server, settings=QUICK) as client,
            client.balance() as balances,
        ):
            await anext(balances)
            assert (await client.call({"logout": 1}))["logout"] == 1
            with pytest.raises(derivtrio.AuthorizationRequired):
                await anext(balances)


# A token from a function.


@pytest.mark.parametrize("live", [False, True], ids=["at the opening", "on a live client"])
async def test_a_token_function_is_asked_again_once(autojump_clock: Any, *, live: bool) -> None:
    given = iter(["expired", "demo-token", "expired", "demo-token"])

    async def token() -> str:
        return next(given)

    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(
            endpoint=sim.endpoint, token=None if live else token, settings=QUICK
        ) as client,
    ):
        if live:
            await client.authorize(token)
        assert await whose(client) == "VRTC1000001"
        await reconnect(sim, client)
        assert await whose(client) == "VRTC1000001"


async def test_g10_a_token_function_whose_tokens_are_refused_twice_is_fatal(
    autojump_clock: Any,
) -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        return "expired"

    async with open_simulator(port=None, accounts=ACCOUNTS) as sim:
        with pytest.raises(derivtrio.InvalidToken):
            async with derivtrio.open_client(endpoint=sim.endpoint, token=token):
                pytest.fail("it must not open")
        assert asked == 2
        asked = 0
        async with derivtrio.open_client(endpoint=sim.endpoint) as client:
            with pytest.raises(derivtrio.InvalidToken):
                await client.authorize(token)
            await client.call({"ping": 1})
    assert asked == 2


async def test_a_refusal_for_another_reason_is_not_asked_about_again(autojump_clock: Any) -> None:
    async def token() -> str:
        return "locked-token"

    async with open_simulator(port=None, accounts=ACCOUNTS) as sim:
        with pytest.raises(derivtrio.AccountDisabled):
            async with derivtrio.open_client(endpoint=sim.endpoint, token=token):
                pytest.fail("it must not open")
        assert len(sim.history[0].requests) == 1


# Several tokens.


async def test_several_tokens_authorize_for_several_accounts(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, accounts=ACCOUNTS) as sim,
        derivtrio.open_client(
            endpoint=sim.endpoint, token=["real-token", "demo-token"], settings=QUICK
        ) as client,
    ):
        for _ in range(2):
            assert await whose(client) == "CR5"
            for loginid in ("CR5", "VRTC1000001"):
                reply = await client.call({"balance": 1, "loginid": loginid})
                assert reply["balance"]["loginid"] == loginid
            await reconnect(sim, client)


@pytest.mark.parametrize(
    "token", [[], ["t", ""], ["t", 5], ["t"] * 27, b"t", bytearray(b"t"), {"t"}]
)
async def test_what_are_no_tokens_is_refused_at_once(token: Any) -> None:
    with pytest.raises(ValueError, match="token"):
        async with derivtrio.open_client(token=token):
            pytest.fail("it must not open")


async def test_to_authorize_for_nobody_is_refused(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        for token in (None, "", []):
            with pytest.raises(ValueError, match="token"):
                await client.authorize(token)
        assert not sim.connections[0].requests


async def test_a_client_that_is_closed_changes_no_accounts(autojump_clock: Any) -> None:
    async with open_simulator(port=None) as sim:
        async with derivtrio.open_client(endpoint=sim.endpoint) as client:
            await client.aclose()
            for change in (client.authorize("demo-token"), client.logout()):
                with pytest.raises(derivtrio.ClientClosed):
                    await change


async def test_g13_none_of_several_tokens_is_shown(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets, refused = ["s3cr3t-one", "s3cr3t-two"], "s3cr3t-three"
    shown: list[object] = []

    async def handle(peer: Peer, request: Request) -> None:
        if request.get("authorize") == refused:
            await peer.refuse(request, "InvalidToken", "No.")
        else:
            await peer.reply(request, authorize={"loginid": "CR1"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(
            endpoint=server, token=secrets, settings=Settings(wait_ready=False)
        ) as client,
        client.events(traffic=True) as events,
    ):
        await client.wait_ready()
        await client.authorize(secrets[::-1])
        with pytest.raises(derivtrio.InvalidToken) as caught:
            await client.authorize(refused)
        authorization = client._supervisor.authorization  # noqa: SLF001
        shown += [client, client.status, authorization.identity, caught.value]
        await client.aclose()
        shown += [event async for event in events]
    assert any(isinstance(event, Closed) for event in shown)
    texts = [record.getMessage() for record in caplog.records]
    texts += [f"{thing} {thing!r}" for thing in shown]
    texts += ["".join(traceback.format_exception(caught.value)), str(caught.value.request)]
    assert not [text for text in texts if "s3cr3t" in text]


async def test_g12_a_change_that_was_refused_for_its_rate_first_is_taken_back_as_well(
    autojump_clock: Any,
) -> None:
    """The server accepts the second request after its caller has gone."""
    asked, written = list[str](), trio.Event()

    async def handle(peer: Peer, request: Request) -> None:
        if "authorize" not in request:
            await polite(peer, request)
            return
        asked.append(request["authorize"])
        if request["authorize"] == "token-two":
            if asked.count("token-two") == 1:
                await peer.refuse(request, "RateLimit")
                return
            written.set()
            await trio.sleep(5)
        await peer.reply(request, authorize={"loginid": request["authorize"]})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, token="token-one") as client,
    ):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.authorize, "token-two")
                await written.wait()
                scope.cancel()
        await trio.sleep(10)
        assert asked[-1] == "token-one"
