"""The Options API: its endpoints, the REST call of an account, and the client on both."""

import copy
import datetime as dt
import logging
import pickle
import ssl
import sys
import traceback
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
import trustme
from scripted import Peer, Request, Server
from trio.testing import MockClock

import derivtrio
from derivtrio import (
    Authorized,
    Failed,
    OptionsAccount,
    OptionsPublic,
    Ready,
    RestRejected,
    Settings,
)
from derivtrio.connection.endpoints import V3, as_endpoint
from derivtrio.policy.retry import is_fatal
from derivtrio.simulator import SCOPES, Account, Simulator, demo_account, open_simulator

QUICK = Settings(backoff=derivtrio.Backoff(first=0.01, cap=0.01))
ONCE = QUICK.but(max_attempts=1)
DEMO = demo_account().loginid


def account_at(sim: Simulator, token: Any = "demo-token", account_id: str = DEMO) -> OptionsAccount:
    return OptionsAccount(account_id, 1089, token, base=sim.rest_url)


# The endpoints.


async def test_the_public_endpoint_is_the_documented_one() -> None:
    endpoint = OptionsPublic()
    assert await endpoint.url() == "wss://api.derivws.com/trading/v1/options/ws/public"
    assert (endpoint.generation, endpoint.limits) == ("options", "documented")


def test_a_url_of_the_options_api_is_known_by_its_path() -> None:
    url = "wss://api.derivws.com/trading/v1/options/ws/demo?otp=s3cr3t"
    endpoint = as_endpoint(url, 1089)
    assert endpoint == OptionsPublic(url)
    assert "s3cr3t" not in repr(endpoint)
    assert isinstance(as_endpoint("wss://api.derivws.com/websockets/v3", 1089), V3)


def test_an_account_says_which_it_is_and_keeps_its_token_to_itself() -> None:
    endpoint = OptionsAccount("DOT90004580", "abc", "s3cr3t")
    assert repr(endpoint) == (
        "OptionsAccount(account_id='DOT90004580', app_id='abc', base=https://api.derivws.com,"
        " generation='options', limits='documented')"
    )
    assert endpoint == OptionsAccount("DOT90004580", "abc", "s3cr3t")


@pytest.mark.parametrize(
    ("arguments", "base"),
    [
        (("DOT/../1", 1089, "t"), "https://x"),
        (("", 1089, "t"), "https://x"),
        ((None, 1089, "t"), "https://x"),
        (("DOT1", True, "t"), "https://x"),
        (("DOT1", "a b", "t"), "https://x"),
        (("DOT1", 1089, ""), "https://x"),
        (("DOT1", 1089, "s3cr3t two"), "https://x"),
        (("DOT1", 1089, "s3cr3t\n"), "https://x"),
        (("DOT1", 1089, None), "https://x"),
        (("DOT1", 1089, "t"), "wss://x"),
        (("DOT1", 1089, "t"), "x"),
        (("DOT1", 1089, "t"), "https://x?otp=s3cr3t"),
        (("DOT1", 1089, "t"), "https://me:s3cr3t@x"),
        (("DOT1", 1089, "t"), "https://x:port"),
        (("DOT1", 1089, "t"), None),
    ],
)
def test_what_is_no_account_is_refused_at_once(arguments: Any, base: Any) -> None:
    with pytest.raises(ValueError, match=r"account_id|app_id|token|base") as caught:
        OptionsAccount(*arguments, base=base)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("base", ["http://[::1]:8765", "https://x-y.example.org/gateway/"])
def test_a_rest_api_may_be_elsewhere(base: str) -> None:
    assert OptionsAccount("DOT1", 1089, "t", base=base).base == base


async def test_a_token_for_the_socket_is_refused_where_there_is_no_use_for_it() -> None:
    for endpoint in (OptionsPublic(), OptionsPublic().base, OptionsAccount("DOT1", 1, "t")):
        with pytest.raises(ValueError, match=r"derivtrio\.OptionsAccount\(account_id"):
            async with derivtrio.open_client(endpoint=endpoint, token="s3cr3t"):
                pytest.fail("it must not open")


async def test_without_httpx2_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(derivtrio.EndpointFailed, match=r"pip install '\.\[options\]'"):
        async with derivtrio.open_client(endpoint=OptionsAccount("DOT1", 1, "t")):
            pytest.fail("it must not open")


# The REST call, over real sockets.


async def test_an_account_is_reached_over_tcp_and_again_after_a_loss() -> None:
    real = Account("ROT5", demo_account().balance, {"t": SCOPES}, is_virtual=False)
    async with (
        open_simulator(accounts=[demo_account(), real]) as sim,
        derivtrio.open_client(endpoint=account_at(sim, "t", "ROT5"), settings=QUICK) as client,
        client.events() as events,
    ):
        assert isinstance(await anext(events), Ready)
        assert (await client.call({"balance": 1}))["balance"]["loginid"] == "ROT5"
        sim.faults.drop()
        authorized = None
        async for event in events:
            authorized = event if isinstance(event, Authorized) else authorized
            if isinstance(event, Ready):
                break
        assert authorized is not None
        assert authorized.loginid == "ROT5"
        assert (await client.call({"balance": 1}))["balance"]["loginid"] == "ROT5"
        assert sim.accepted == 2


async def test_the_call_is_made_as_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    async with open_simulator() as sim:
        answer = sim._acceptor.rest_api.answer  # noqa: SLF001

        async def noting(request: Any) -> Any:
            seen.append(request)
            return await answer(request)

        monkeypatch.setattr(type(sim._acceptor.rest_api), "answer", lambda _, r: noting(r))  # noqa: SLF001
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        url = await account_at(sim).url()
    assert url.startswith(sim.rest_url.replace("http", "ws") + "/trading/v1/options/ws/demo?otp=")
    (request,) = seen
    assert (request.method, request.target) == (
        "POST",
        f"/trading/v1/options/accounts/{DEMO}/otp",
    )
    assert request.headers["authorization"] == "Bearer demo-token"
    assert request.headers["deriv-app-id"] == "1089"


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_g10_what_the_rest_api_refuses_for_good_ends_the_client_with_its_words(
    status: int,
) -> None:
    async with open_simulator() as sim:
        sim.faults.rest(status, "SomeCode", "So says the server.")
        with pytest.raises(RestRejected, match=r"SomeCode: So says the server\.") as caught:
            async with derivtrio.open_client(endpoint=account_at(sim), settings=QUICK):
                pytest.fail("it must not open")
        assert (caught.value.status, caught.value.code) == (status, "SomeCode")
        assert sim.attempts == 1


@pytest.mark.parametrize(
    ("token", "account_id", "code"),
    [
        ("wrong", DEMO, "Unauthorized"),
        ("demo-token", "DOT9", "AccountNotFound"),
    ],
)
async def test_g10_the_servers_own_refusals_are_fatal(
    token: str, account_id: str, code: str
) -> None:
    async with open_simulator() as sim:
        with pytest.raises(RestRejected) as caught:
            async with derivtrio.open_client(endpoint=account_at(sim, token, account_id)):
                pytest.fail("it must not open")
        assert caught.value.code == code


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 520])
async def test_g10_what_may_pass_is_tried_again(status: int) -> None:
    async with open_simulator() as sim:
        sim.faults.rest(status, retry_after=0 if status in (429, 503) else None)
        async with derivtrio.open_client(endpoint=account_at(sim), settings=QUICK) as client:
            await client.call({"balance": 1})
        assert sim.attempts == 3  # the refused call, the granted one, and the socket


@pytest.mark.parametrize(
    "body",
    [
        b"<html>please log in to the Wi-Fi</html>",
        b"[]",
        b'{"data": {}}',
        b'{"data": {"url": 5}}',
        b'{"data": {"url": "https://s3cr3t.invalid/?otp=s3cr3t"}}',
        b"{" * 100_000,
        b"\xff",
    ],
    ids=lambda body: str(body[:30]),
)
async def test_g10_an_answer_that_makes_no_sense_is_tried_again_and_not_shown(body: bytes) -> None:
    async with open_simulator() as sim:
        sim.faults.reject(200, body)
        with pytest.raises(derivtrio.ProtocolViolation, match="no WebSocket URL") as caught:
            await account_at(sim).url()
        assert "s3cr3t" not in str(caught.value)
        assert not is_fatal(caught.value)
        sim.faults.reject(200, body)
        async with derivtrio.open_client(endpoint=account_at(sim), settings=QUICK) as client:
            await client.call({"ping": 1})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>\n  <h1>502</h1>\n</html>", "<html> <h1>502</h1> </html>"),
        (b"x" * 100_000, "x" * 200),
        (b'{"errors": []}', '{"errors": []}'),
        (b'{"errors": ["demo-token"]}', '{"errors": ["<not shown>"]}'),
        (b"", ""),
    ],
)
async def test_a_refusal_that_is_not_derivs_is_shown_in_part(body: bytes, message: str) -> None:
    async with open_simulator() as sim:
        sim.faults.reject(502, body)
        with pytest.raises(RestRejected) as caught:
            await account_at(sim).url()
        assert (caught.value.status, caught.value.code) == (502, "")
        assert caught.value.message == message


async def test_no_answer_is_a_failed_attempt_like_any_other() -> None:
    async with open_simulator() as sim:
        endpoint = account_at(sim)
        sim.faults.hang_up()
        with pytest.raises(derivtrio.ConnectRefused, match=r"no one-time URL from 127\.0\.0\.1"):
            await endpoint.url()
    with pytest.raises(derivtrio.ConnectionFailed) as caught:
        async with derivtrio.open_client(endpoint=endpoint, settings=ONCE):
            pytest.fail("it must not open")
    (attempt,) = caught.value.attempts
    assert isinstance(attempt.error, derivtrio.ConnectRefused)
    assert str(attempt.error).endswith(": Connection refused")  # and not that there was an error


async def test_g13_what_a_failed_call_ends_with_leads_to_no_token() -> None:
    async with open_simulator() as sim:
        endpoint = account_at(sim)
        sim.faults.hang_up()
        with pytest.raises(derivtrio.ConnectRefused) as hung_up:
            await endpoint.url()
    with pytest.raises(derivtrio.ConnectRefused) as refused:
        await endpoint.url()
    for caught in (hung_up, refused):
        waiting: list[BaseException | None] = [caught.value]
        while waiting:
            if (error := waiting.pop()) is not None:
                assert not hasattr(error, "request")
                assert "demo-token" not in repr(error) + repr(vars(error))
                waiting += [error.__cause__, error.__context__]


async def test_g01_a_mute_rest_server_is_given_up_in_time_and_nothing_is_left() -> None:
    async with open_simulator() as sim:
        sim.faults.silence()
        limited = ONCE.but(connect_timeout=0.1)
        with pytest.raises(derivtrio.ConnectionFailed) as caught:
            async with derivtrio.open_client(endpoint=account_at(sim), settings=limited):
                pytest.fail("it must not open")
        assert isinstance(caught.value.__cause__, derivtrio.ConnectTimeout)
        (held,) = sim._acceptor.held  # noqa: SLF001
        while await held.receive_some():
            pass  # the client has hung up


async def test_over_tls_both_the_call_and_the_socket_are_encrypted() -> None:
    authority, server, trusting = trustme.CA(), ssl.create_default_context(), None
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with open_simulator(ssl_context=server) as sim:
        endpoint = OptionsAccount(DEMO, 1, "demo-token", base=sim.rest_url, ssl_context=trusting)
        settings = QUICK.but(ssl_context=trusting)
        async with derivtrio.open_client(endpoint=endpoint, settings=settings) as client:
            await client.call({"balance": 1})
        assert (await endpoint.url()).startswith("wss://")
        with pytest.raises(derivtrio.CertificateRejected):
            async with derivtrio.open_client(endpoint=account_at(sim), settings=ONCE):
                pytest.fail("it must not open")


async def test_a_password_is_never_sent_where_everybody_can_read_it() -> None:
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(trusting)
    async with open_simulator(ssl_context=server) as sim:
        endpoint = OptionsAccount(DEMO, 1, "demo-token", base=sim.rest_url, ssl_context=trusting)
        sim.faults.reject(200, b'{"data": {"url": "ws://127.0.0.1/?otp=s3cr3t"}}')
        with pytest.raises(derivtrio.ProtocolViolation, match="without encryption"):
            await endpoint.url()


# The token function.


def test_trust_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match="ssl_context is an ssl"):
        OptionsAccount(DEMO, 1, "demo-token", ssl_context=5)  # type: ignore[arg-type]


async def test_a_token_function_is_asked_again_once_when_the_first_is_refused() -> None:
    given = iter(["expired", "demo-token"])

    async def token() -> str:
        return next(given)

    async with (
        open_simulator() as sim,
        derivtrio.open_client(endpoint=account_at(sim, token)) as client,
    ):
        await client.call({"balance": 1})


async def test_g10_a_token_function_that_is_refused_twice_is_fatal() -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        return "expired"

    async with open_simulator() as sim:
        with pytest.raises(RestRejected):
            async with derivtrio.open_client(endpoint=account_at(sim, token)):
                pytest.fail("it must not open")
    assert asked == 2


@pytest.mark.parametrize("given", ["", "two words", "s3cr3t\r\nX: y", 5])
async def test_a_token_function_that_returns_no_token_is_fatal(given: Any) -> None:
    async def token() -> Any:
        return given

    with pytest.raises(derivtrio.EndpointFailed, match="token function") as caught:
        await OptionsAccount("DOT1", 1, token).url()
    assert "s3cr3t" not in str(caught.value)


# One at a time, and none while the server wants to be left alone.


async def test_calls_are_made_one_at_a_time() -> None:
    async with open_simulator() as sim:
        endpoint, urls = account_at(sim), set()

        async def fetch() -> None:
            urls.add(await endpoint.url())

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(fetch)
        assert len(urls) == 4  # at once, the simulator would have refused three of them


async def refused(sim: Simulator, endpoint: OptionsAccount, status: int, **how: Any) -> None:
    sim.faults.rest(status, **how)
    with pytest.raises(RestRejected) as caught:
        await endpoint.url()
    assert caught.value.status == status


async def test_a_server_that_asks_for_time_is_given_it() -> None:
    async with open_simulator() as sim:
        endpoint = account_at(sim)
        await refused(sim, endpoint, 503, retry_after=0.2)
        started = trio.current_time()
        await endpoint.url()
        assert 0.2 <= trio.current_time() - started < 5


def test_the_next_run_does_not_wait_by_the_clock_of_the_last() -> None:
    async def main(port: int, endpoint: OptionsAccount | None) -> OptionsAccount:
        async with open_simulator(port=port) as sim:
            endpoint = endpoint or account_at(sim)
            with trio.fail_after(100):
                assert await endpoint.url()
            await refused(sim, endpoint, 503, retry_after=50)
            return endpoint

    ahead, behind = MockClock(rate=1), MockClock(rate=1)
    ahead.jump(1e6)
    endpoint = trio.run(main, 0, None, clock=ahead)
    port = urlsplit(endpoint.base).port
    assert trio.run(main, port, endpoint, clock=behind) is endpoint


def pickled(endpoint: OptionsAccount) -> Any:
    return pickle.loads(pickle.dumps(endpoint))


@pytest.mark.parametrize("made_again", [copy.deepcopy, pickled])
async def test_an_endpoint_can_be_given_to_another_process(made_again: Any) -> None:
    async with open_simulator() as sim:
        endpoint = account_at(sim)
        assert made_again(endpoint) == endpoint
        assert await made_again(endpoint).url()


@pytest.mark.parametrize("status", [429, 503])
async def test_who_may_not_wait_so_long_is_told_at_once_and_nothing_is_sent(status: int) -> None:
    async with open_simulator() as sim:
        endpoint = account_at(sim)
        await refused(sim, endpoint, status, code="Busy", retry_after=60)
        attempts = sim.attempts
        with trio.move_on_after(10), pytest.raises(RestRejected) as caught:
            await endpoint.url()
        assert sim.attempts == attempts
        assert (caught.value.status, caught.value.code) == (status, "Busy")
        assert caught.value.retry_after is not None
        assert 59 < caught.value.retry_after <= 60


async def test_without_a_retry_after_the_waits_double_and_success_resets_them() -> None:
    async with open_simulator() as sim:
        endpoint = account_at(sim)
        for least in (1, 2, 4, 8, 16, 30, 30):
            await refused(sim, endpoint, 503)
            wait = endpoint._turns.here._until - trio.current_time()  # noqa: SLF001
            assert 0.95 * least <= wait <= 1.5 * least
            endpoint._turns.here._until = trio.current_time()  # noqa: SLF001
        await endpoint.url()
        await refused(sim, endpoint, 503)
        assert 0.95 <= endpoint._turns.here._until - trio.current_time() <= 1.5  # noqa: SLF001


async def test_g11_those_who_were_refused_together_do_not_ask_again_together() -> None:
    async with open_simulator() as sim:
        waits = []
        for _ in range(20):
            endpoint = account_at(sim)
            await refused(sim, endpoint, 503)
            waits.append(endpoint._turns.here._until - trio.current_time())  # noqa: SLF001
    assert max(waits) - min(waits) > 0.15


def in_a_minute() -> str:
    return format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60), usegmt=True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("9999999999", 3600),
        (in_a_minute, 60),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
async def test_a_retry_after_has_seconds_or_a_date(header: Any, seconds: float | None) -> None:
    wish = header() if callable(header) else header
    answer = f"HTTP/1.1 429 Slow\r\nRetry-After: {wish}\r\nContent-Length: 0\r\n\r\n".encode()

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        base = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        with pytest.raises(RestRejected) as caught:
            await OptionsAccount("DOT1", 1, "t", base=base).url()
        nursery.cancel_scope.cancel()
    if seconds is None:
        assert caught.value.retry_after is None
    else:
        assert caught.value.retry_after == pytest.approx(seconds, abs=5)


async def test_g12_the_call_can_be_cancelled_anywhere_and_made_again() -> None:
    async with open_simulator() as sim:
        for milliseconds in (0, 1, 2, 4, 8, 16, 24):
            endpoint = account_at(sim)
            with trio.move_on_after(milliseconds / 1000):
                await endpoint.url()
            await trio.sleep(0.03)  # the simulator goes on with a call whose caller has gone
            with trio.fail_after(2):
                assert "otp=" in await endpoint.url()


# What the client makes of such connections.


async def test_g09_an_account_is_announced_when_the_server_has_named_it(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(
            endpoint=sim.options_account(), settings=QUICK.but(wait_ready=False)
        ) as client,
        client.events() as events,
    ):
        seen = []
        async for event in events:
            seen.append(event)
            if isinstance(event, Ready):
                break
        assert [e.loginid for e in seen if isinstance(e, Authorized)] == [DEMO]
        assert list(sim.connections[0].requests) == [{"balance": 1, "req_id": 1}]


async def test_g09_a_socket_that_belongs_to_nobody_is_not_taken_for_an_account(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.refuse(request, "AuthorizationRequired", "Please log in.")

    class Bound(Server):
        account_id = "DOT1"

    async with trio.open_nursery() as nursery:
        server = Bound(handle, nursery, generation="options")
        with pytest.raises(derivtrio.AuthorizationRequired):
            async with derivtrio.open_client(endpoint=server):
                pytest.fail("it must not open")
        nursery.cancel_scope.cancel()


async def test_an_account_that_the_reply_does_not_name_is_announced_by_its_id(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, balance={"balance": 5, "currency": "USD"})

    class Bound(Server):
        account_id = "DOT1"

    async with trio.open_nursery() as nursery:
        server = Bound(handle, nursery, generation="options")
        settings = Settings(wait_ready=False)
        async with (
            derivtrio.open_client(endpoint=server, settings=settings) as client,
            client.events() as events,
        ):
            async for event in events:
                if isinstance(event, Authorized):
                    assert event.loginid == "DOT1"
                    break
        nursery.cancel_scope.cancel()


async def test_nobody_is_announced_on_the_public_socket(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(
            endpoint=sim.options_public, settings=QUICK.but(wait_ready=False)
        ) as client,
        client.events() as events,
    ):
        async for event in events:
            assert not isinstance(event, Authorized)
            if isinstance(event, Ready):
                break
        with pytest.raises(derivtrio.AuthorizationRequired):
            await client.call({"balance": 1})


async def test_the_account_of_a_connection_cannot_be_changed(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.options_account()) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest, match="belongs to its account"):
            await client.authorize("another")
        with pytest.raises(derivtrio.InvalidRequest, match="belongs to its account"):
            await client.logout()
        assert [r for r in sim.connections[0].requests if "balance" not in r] == []


async def test_g05_the_typed_streams_are_the_same_on_this_generation(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=1_700_000_000) as sim,
        derivtrio.open_client(endpoint=sim.options_account(), settings=QUICK) as client,
        client.ticks("1HZ100V") as ticks,
        client.candles("1HZ100V", 60, closed_only=True) as candles,
        client.balance() as balances,
    ):
        first = await anext(ticks)
        await anext(balances)
        sim.faults.refuse(90)
        sim.faults.drop()
        held = [await anext(ticks) for _ in range(150)]
        assert [tick.epoch for tick in held] == list(range(first.epoch + 1, first.epoch + 151))
        candle = await anext(candles)
        bounds = candle.open_time, candle.open_time + 59
        quotes = [tick.quote for tick in sim.market.ticks("1HZ100V", *bounds, 60)]
        assert (candle.high, candle.low) == (max(quotes), min(quotes))
        assert (candle.open, candle.close) == (quotes[0], quotes[-1])
        balance = await anext(balances)
        assert (balance.loginid, balance.balance, balance.currency) == (DEMO, 10000.0, "USD")


async def test_every_attempt_uses_a_url_of_its_own(autojump_clock: Any) -> None:
    async with open_simulator(port=None) as sim:
        sim.faults.reject(503, times=2)
        async with (
            derivtrio.open_client(endpoint=sim.options_account(), settings=QUICK) as client,
            client.events() as events,
        ):
            assert isinstance(await anext(events), Ready)
            for _ in range(3):
                sim.faults.drop()
                async for event in events:
                    if isinstance(event, Ready):
                        break
            await client.call({"balance": 1})
        assert (sim.accepted, sim.attempts) == (4, 6)


async def test_g10_a_url_that_is_refused_at_the_handshake_is_followed_by_another(
    autojump_clock: Any,
) -> None:
    async with open_simulator(port=None) as sim:
        sim.faults.reject(401, b"Invalid or expired OTP token", times=2)
        async with derivtrio.open_client(endpoint=sim.options_account(), settings=QUICK) as client:
            await client.call({"balance": 1})
        assert sim.attempts == 3
        for status in (400, 403):
            sim.faults.reject(status)
            with pytest.raises(derivtrio.HandshakeRejected):
                async with derivtrio.open_client(endpoint=sim.options_account(), settings=ONCE):
                    pytest.fail("it must not open")
        sim.faults.reject(401)
        with pytest.raises(derivtrio.HandshakeRejected):  # the same URL would be refused again
            async with derivtrio.open_client(endpoint=sim.options_public, settings=ONCE):
                pytest.fail("it must not open")


async def test_what_the_in_memory_door_refuses_is_what_the_rest_call_would(
    autojump_clock: Any,
) -> None:
    async with open_simulator(port=None) as sim:
        with pytest.raises(RestRejected) as caught:
            async with derivtrio.open_client(endpoint=sim.options_account("DOT9")):
                pytest.fail("it must not open")
        assert caught.value.code == "AccountNotFound"
        sim.faults.rest(503, "CircuitBreakerBusy")
        settings = QUICK.but(wait_ready=False)
        async with (
            derivtrio.open_client(endpoint=sim.options_account(), settings=settings) as client,
            client.events() as events,
        ):
            async for event in events:
                if isinstance(event, Failed):
                    assert isinstance(event.error, RestRejected)
                    assert event.error.code == "CircuitBreakerBusy"
                    break
            await client.call({"balance": 1})


# G13.


async def test_g13_neither_the_bearer_token_nor_the_password_is_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []
    secret = "s3cr3t-bearer"
    account = Account(DEMO, demo_account().balance, {secret: SCOPES})
    async with open_simulator(accounts=[account]) as sim:
        endpoint = account_at(sim, secret)
        settings = QUICK.but(wait_ready=False)
        async with (
            derivtrio.open_client(endpoint=endpoint, settings=settings) as client,
            client.events(traffic=True) as events,
        ):
            await client.wait_ready()
            shown += [endpoint, client, client.status, sim, *sim.connections]
            sim.faults.reject(401, f"You said {secret}".encode())
            sim.faults.drop()
            async for event in events:  # until it has been refused, and is there again
                shown.append(event)
                if isinstance(event, derivtrio.Ready) and event.connection > 1:
                    break
        errors = [event.error for event in shown if isinstance(event, derivtrio.Failed)]
        shown += [*errors, sim.history, endpoint]
    texts = [record.getMessage() for record in caplog.records]
    texts += [f"{thing} {thing!r}" for thing in shown]
    texts += ["".join(traceback.format_exception(error)) for error in errors]
    assert any("HTTP Request: POST" in text for text in texts)
    assert any("You said <not shown>" in text for text in texts)
    for text in texts:
        assert secret not in text
        assert "otp=" not in text
