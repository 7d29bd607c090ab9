"""The REST call of an account and the handshake are judged alike, whatever answers them."""

import datetime as dt
import ssl
import sys
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trustme
from peers import Peer, Script, open_tcp_server, well

import derivtrio
from derivtrio import Backoff, CertificateRejected, HandshakeRejected, RestRejected, Settings
from derivtrio.connection import tls as tls_module
from derivtrio.policy.backoff import Attempts
from derivtrio.policy.retry import is_fatal, least_delay, retry_after_seconds

NOW = dt.datetime.now(dt.UTC)
ONCE = Settings(max_attempts=1, backoff=Backoff(first=0.01, cap=0.01))


def answering(head: bytes, body: bytes = b"", *, again: bytes = b"", pause: float = 0) -> Script:
    """Return the script of a server that answers so, and then says *again* as long as it can."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.write(b"HTTP/1.1 " + head + b"\r\n\r\n" + body)
        while again:
            await trio.sleep(pause)
            await peer.write(again)

    return script


def endpoint_at(kind: str, port: int, context: ssl.SSLContext | None = None) -> Any:
    """Return the endpoint whose handshake, or whose REST call, goes to *port*."""
    secure = "" if context is None else "s"
    if kind == "handshake":
        return f"ws{secure}://127.0.0.1:{port}/?otp=s3cr3t"
    base = f"http{secure}://127.0.0.1:{port}"
    return derivtrio.OptionsAccount("DOT1", 1089, "s3cr3t", base=base, ssl_context=context)


async def failure(kind: str, script: Script, **tls: Any) -> Any:
    """Return why the only attempt failed to connect to a server that follows *script*."""
    context = tls.get("trusting")
    async with open_tcp_server(script, ssl_context=tls.get("server")) as server:
        endpoint = endpoint_at(kind, server.port, context)
        with pytest.raises(derivtrio.DerivError) as caught:
            async with derivtrio.open_client(
                endpoint=endpoint, settings=ONCE.but(ssl_context=context)
            ):
                pytest.fail("it cannot open")
    error = caught.value
    assert "s3cr3t" not in str(error)
    return error.__cause__ if isinstance(error, derivtrio.ConnectionFailed) else error


alike = pytest.mark.parametrize("kind", ["handshake", "rest"])


@alike
@pytest.mark.parametrize("status", [200, 302, 400, 403, 404, 407, 410, 429, 502, 503, 520])
async def test_g10_a_status_has_the_same_verdict(kind: str, status: int) -> None:
    if (kind, status) == ("rest", 200):
        pytest.skip("that is the REST call's own yes")
    page = b"<html>no</html>"
    head = b"%d No\r\nContent-Length: %d" % (status, len(page))
    error = await failure(kind, answering(head, page))
    assert isinstance(error, HandshakeRejected | RestRejected)
    assert error.status == status
    assert is_fatal(error) is (status < 429)
    assert not is_fatal(error, been_ready=True)


@alike
async def test_g10_a_redirect_says_where_to_but_no_secret(kind: str) -> None:
    head = b"302 Found\r\nLocation: https://portal.hotel/in?token=s3cr3t\r\nContent-Length: 0"
    error = await failure(kind, answering(head))
    assert error.headers == {"Location": "https://portal.hotel/in"}


@alike
async def test_g18_a_location_that_is_no_url_is_not_shown(kind: str) -> None:
    error = await failure(kind, answering(b"302 Found\r\nLocation: https://[s3cr3t\r\n"))
    assert error.headers == {"Location": "<not shown>"}


@alike
@pytest.mark.parametrize("again", [b"", b"x" * 100_000])
async def test_g18_of_a_page_of_any_size_the_beginning_is_read(kind: str, again: bytes) -> None:
    script = answering(b"502 Bad Gateway", b"<html>" + b"x" * 200_000, again=again)
    with trio.fail_after(10):
        error = await failure(kind, script)
    assert error.status == 502
    assert len(str(error)) < 300


@alike
async def test_g18_a_page_that_never_ends_is_worth_a_moment(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("derivtrio.connection.rest._BODY_PATIENCE", 0.05)
    monkeypatch.setattr("derivtrio.connection.stream._BODY_PATIENCE", 0.05)
    script = answering(b"503 Busy\r\nRetry-After: 7", b"<p>", again=b"<p>", pause=0.02)
    error = await failure(kind, script)
    assert (error.status, least_delay(error)) == (503, 7)


@alike
async def test_g10_a_page_that_breaks_off_does_not_hide_its_status(kind: str) -> None:
    error = await failure(kind, answering(b"503 Busy\r\nContent-Length: 1000", b"<html>"))
    assert error.status == 503


@alike
@pytest.mark.parametrize("in_seconds", [True, False])
async def test_g10_retry_after_counts(kind: str, *, in_seconds: bool) -> None:
    until = format_datetime(NOW + dt.timedelta(seconds=600), usegmt=True)
    value = b"120" if in_seconds else until.encode()
    head = b"503 Busy\r\nRetry-After: %b\r\nContent-Length: 0" % value
    error = await failure(kind, answering(head))
    delay = Attempts(Backoff(first=0.5, cap=0.5), None).ended(error, 0.0)
    assert isinstance(delay, float)
    least, most = (120, 120) if in_seconds else (60, 600)
    assert least <= delay <= most + 0.5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("9" * 400, 3600),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 3600.0),
        ("Mon, 01 Jan 0001 00:00:00 +1400", 0.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
        ("Fri, 32 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_g10_a_retry_after_of_any_kind_is_a_delay_or_nothing(
    value: str, seconds: float | None
) -> None:
    assert retry_after_seconds(value) == seconds


def test_g10_a_date_is_greenwich_mean_time_wherever_this_machine_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert retry_after_seconds("Thu, 01 Jan 1970 00:10:00 -0000") == 600
    assert retry_after_seconds("Thu, 01 Jan 1970 00:10:00 GMT") == 600


# Certificates.


def contexts(authority: trustme.CA, *names: str, **dates: Any) -> dict[str, ssl.SSLContext]:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*(names or ("127.0.0.1",)), **dates).configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return {"server": server, "trusting": trusting}


@alike
async def test_g10_a_certificate_that_is_not_valid_yet_is_never_fatal(kind: str) -> None:
    day = dt.timedelta(days=1)
    tls = contexts(trustme.CA(), not_before=NOW + day, not_after=NOW + 2 * day)
    error = await failure(kind, answering(b"200 OK"), **tls)
    assert isinstance(error, CertificateRejected)
    assert error.not_yet_valid
    assert not is_fatal(error)


@alike
async def test_g10_a_certificate_that_does_not_fit_is_fatal_on_first_contact(kind: str) -> None:
    error = await failure(kind, answering(b"200 OK"), **contexts(trustme.CA(), "portal.hotel"))
    assert isinstance(error, CertificateRejected)
    assert is_fatal(error)
    assert not is_fatal(error, been_ready=True)


@alike
async def test_g10_a_server_without_tls_is_a_failed_attempt(kind: str) -> None:
    tls = contexts(trustme.CA())

    async def speaks_plain(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 400 This is plain HTTP\r\n\r\n")

    error = await failure(kind, speaks_plain, trusting=tls["trusting"])
    assert isinstance(error, derivtrio.ConnectRefused)
    assert str(error).startswith("no TLS with 127.0.0.1: ")


async def test_the_operating_systems_own_store_is_asked_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls = contexts(trustme.CA())
    kinds: list[Any] = []

    def store_context(kind: Any) -> ssl.SSLContext:
        kinds.append(kind)
        return tls["trusting"]

    tls_module._store_context.cache_clear()  # noqa: SLF001
    monkeypatch.setattr(tls_module, "_HAS_STORE", True)
    monkeypatch.setitem(sys.modules, "truststore", SimpleNamespace(SSLContext=store_context))
    async with open_tcp_server(well, ssl_context=tls["server"]) as server:
        endpoint = endpoint_at("handshake", server.port, tls["trusting"])
        for _ in range(2):
            async with derivtrio.open_client(endpoint=endpoint, settings=ONCE) as client:
                assert (await client.call({"ping": 1}))["ping"] == "pong"
    assert kinds == [ssl.PROTOCOL_TLS_CLIENT]  # it is made once
    tls_module._store_context.cache_clear()  # noqa: SLF001
    monkeypatch.setitem(sys.modules, "truststore", None)
    assert isinstance(tls_module.platform_context(), ssl.SSLContext)
    tls_module._store_context.cache_clear()  # noqa: SLF001


@pytest.mark.parametrize("fast", [True, False])
async def test_the_context_of_truststore_does_verify(*, fast: bool) -> None:
    truststore = pytest.importorskip("truststore")
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls = contexts(trustme.CA())
    async with open_tcp_server(well, ssl_context=tls["server"]) as server:
        endpoint = endpoint_at("handshake", server.port, context)
        with pytest.raises(CertificateRejected):
            async with derivtrio.open_client(
                endpoint=endpoint, settings=ONCE.but(ssl_context=context, fast=fast)
            ):
                pytest.fail("it cannot open")
