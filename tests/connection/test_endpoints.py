"""Where to connect: endpoints, and the URLs that they give."""

import ssl
from typing import Any

import pytest
import trio
import trustme
from peers import Peer, open_endpoint

import derivtrio
from derivtrio.connection.endpoints import (
    V3,
    V3_URL,
    OptionsPublic,
    as_endpoint,
    ask,
    closed_text,
)
from derivtrio.connection.url import Address, parse_url
from derivtrio.simulator import open_simulator


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://example.org", Address("example.org", 80, "/", secure=False)),
        ("wss://example.org/a?b=1", Address("example.org", 443, "/a?b=1", secure=True)),
        ("ws://[::1]:8000/", Address("::1", 8000, "/", secure=False)),
    ],
)
def test_urls_are_taken_apart(url: str, address: Address) -> None:
    assert parse_url(url) == address


def test_the_host_header_names_an_unusual_port() -> None:
    assert parse_url("ws://example.org:80/").host_header == "example.org"
    assert parse_url("ws://example.org:443/").host_header == "example.org:443"
    assert parse_url("wss://[::1]:9/").host_header == "[::1]:9"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "http://example.org/?otp=s3cret",
        "ws:///path?otp=s3cret",
        "ws://example.org:port/?otp=s3cret",
        "ws://example.org:99999/",
        "ws://[::1/",
        "ws://exa mple.org/",
        "ws://example.org/\n",
        "ws://exämple.org/",
        "ws://example.org/#s3cret",
        "ws://user:s3cret@example.org/",
        "ws://user:s3c#ret@example.org/",
        "ws://user:s3cret/@example.org/",
        "ws://@example.org/?otp=s3cret",
        "ws://example.org:0/?otp=s3cret",
        "ws://example.org:65536/",
        "ws://example.org:-1/",
        "ws://example.org:+80/",
        "ws://example.org:1000000/",
        "ws://example.org/?otp=s3cret#",
        "ws://.example.org/?otp=s3cret",
        "ws://example..org/?otp=s3cret",
        "ws://example.org../",
        "ws://./",
        "ws://:80/",
        "ws://-example.org/",
        "ws://example-.org/",
        "ws://exa%6Dple.org/",
        "ws://*.example.org/",
        f"ws://{'a' * 64}.example.org/?otp=s3cret",
        f"ws://{'a.' * 127}org/?otp=s3cret",
        "ws://256.0.0.1/",
        "ws://1089/",
        "ws://[::1]9/",
        "ws://[127.0.0.1]/",
        "ws://[v1.x]/",
        "ws:/example.org/",
        "ws:example.org",
        "//example.org/?otp=s3cret",
        "https://example.org/?otp=s3cret",
        "localhost:8765",
        " ws://example.org/?otp=s3cret",
        "ws://example.org/?otp=s3cret ",
        "ws://example.org/\t?otp=s3cret",
        "ws://example.org/?otp=s3cret&app_id={app_id}",
        "ws://example.org/?otp=s3cret&app_id=%7Bapp_id%7D",
        "ws://example.org/?otp={s3cret}",
        "ws://example.org/?otp=s3cret&app_id=<app_id>",
        "ws://example.org/?otp=s3cret&app_id=%s",
        "ws://{host}/?otp=s3cret",
        "ws://example.org/?otp=s3crét",
        "ws://\u2488example.org/",
        5,
        None,
        b"ws://example.org/",
    ],
)
def test_g13_malformed_urls_are_refused_without_showing_secrets(url: Any) -> None:
    with pytest.raises(derivtrio.InvalidURL) as caught:
        parse_url(url)
    assert "s3cret" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ws://a..b/", "host 'a..b' cannot be a server's name: it has two dots in a row"),
        ("ws://.b/", "host '.b' cannot be a server's name: it begins with a dot"),
        ("ws:///x", "there is none: write wss://host/path"),
        ("ws://h:0/", "port is not a number from 1 to 65535"),
        ("wss://h/?a=1&app_id={app_id}", r"put a value in place of \{app_id\}"),
        ("wss://h/?a={x}", r"query, at its character 12, has '\{'"),
        ("https://h/", "write wss:// for|begins with https://.*: write wss://"),
        ("http://h/", "begins with http://.*: write ws://"),
        ("h/x", r"does not begin with ws:// or wss://, as in wss://"),
        ("wss://h/ x", "path, at its character 9, has white space: remove it"),
        ("wss://bücher.example/", "host, at its character 8.* write the host as 'xn--bcher-kva.ex"),
        ("wss://\u2488b.example/", "cannot be encoded"),
        ("wss://h/#x", "fragment.*leave it out, or write %23"),
        ("wss://me@h/", "user's name or password before its host"),
    ],
)
def test_g10_a_malformed_url_is_told_what_would_be_right(url: str, said: str) -> None:
    with pytest.raises(derivtrio.InvalidURL, match=said):
        parse_url(url)
    with pytest.raises(derivtrio.InvalidURL):
        as_endpoint(url, 1089)
    with pytest.raises(derivtrio.InvalidURL):
        V3(base=url)
    with pytest.raises(derivtrio.InvalidURL):
        OptionsPublic(base=url)


@pytest.mark.parametrize(
    "url",
    [
        "ws://localhost:8765",
        "WSS://WS.DerivWS.com:443/websockets/v3?app_id=1089&l=EN&brand=deriv",
        "ws://deriv_sim:80/",
        "wss://xn--bcher-kva.example/",
        "ws://example.org.:/",
        "ws://127.0.0.1:65535/a/b;c=d?otp=%7B1%2B2%7D[]",
        f"ws://{'a' * 63}.example/",
        "ws://[fe80::1%25]:1/",
    ],
)
def test_what_a_url_may_be(url: str) -> None:
    assert parse_url(url).host == parse_url(url.lower()).host
    assert "%" not in parse_url(url).host_header


class Giving(derivtrio.Endpoint):
    """An endpoint whose URLs are what a test says, the last one for ever."""

    def __init__(self, *urls: str, at: Any = None) -> None:
        self.urls = list(urls)
        if at is not None:
            self.open_stream = at.open_stream

    async def url(self) -> str:
        return self.urls.pop(0) if len(self.urls) > 1 else self.urls[0]


async def test_g10_a_malformed_url_is_fatal_on_first_contact_and_nothing_is_opened() -> None:
    trio.socket.set_custom_hostname_resolver(NoResolver())
    with trio.fail_after(5), pytest.raises(derivtrio.InvalidURL, match=r"a\.\.b"):
        async with derivtrio.open_client(endpoint=Giving("ws://a..b/")):
            pytest.fail("it cannot open")


class NoResolver(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *_args: Any, **_kw: Any) -> Any:
        pytest.fail("no name is looked up")

    getnameinfo = getaddrinfo


async def test_g10_after_ready_a_url_that_is_malformed_is_followed_by_another_attempt(
    autojump_clock: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever gives the URLs may be behind a captive portal, too."""
    async with open_simulator(port=None) as sim:
        good = await sim.endpoint.url()
        urls = [good, "<html>Welcome to our hotel</html>", "", good]
        endpoint = Giving(*urls, at=sim.endpoint)
        async with derivtrio.open_client(endpoint=endpoint) as client:
            sim.faults.drop()
            assert await client.call({"ping": 1})
            assert client.status.connection == 2
    assert caplog.text.count("the endpoint worked before") == 2


def test_g13_what_a_server_repeats_of_the_url_is_hidden() -> None:
    address = parse_url("wss://example.org/ws?otp=s3c%2Fret&app_id=1089")
    said = b"no GET /ws?otp=s3c%2Fret&app_id=1089, s3c/ret and 1089"
    assert address.hidden_in(said) == b"no GET /ws?<not shown>, <not shown> and 1089"
    assert parse_url("ws://example.org/").hidden_in(b"Not Found") == b"Not Found"


async def test_app_id_and_language_go_into_the_query() -> None:
    assert await V3(1089).url() == "wss://ws.derivws.com/websockets/v3?app_id=1089"
    assert await V3("ab1", "ES").url() == "wss://ws.derivws.com/websockets/v3?app_id=ab1&l=ES"
    given = as_endpoint("ws://localhost:9/x?app_id=5&brand=deriv", 1089)
    assert await given.url() == "ws://localhost:9/x?app_id=5&brand=deriv"
    kept = as_endpoint("ws://localhost:9/x?otp=a%2Bb+c%3D&otp=2", 1089)
    assert await kept.url() == "ws://localhost:9/x?otp=a%2Bb+c%3D&otp=2&app_id=1089"
    absent = as_endpoint("ws://localhost:9/x", 1089)
    assert await absent.url() == "ws://localhost:9/x?app_id=1089"


@pytest.mark.parametrize("app_id", ["", "a b", "1&x=2", "108\uff19", None, True, 1.5, -1])
def test_what_is_not_an_app_id_is_refused(app_id: Any) -> None:
    with pytest.raises(ValueError, match="app_id"):
        as_endpoint(None, app_id)
    with pytest.raises(ValueError, match="app_id"):
        V3(app_id)


@pytest.mark.parametrize("language", ["", "ES\n", "E", "ES&x=2", 5, True])
def test_what_is_not_a_language_is_refused(language: Any) -> None:
    with pytest.raises(ValueError, match="language is a str such as 'ES'"):
        V3(1089, language)


def test_g13_a_url_in_the_place_of_the_app_id_is_told_where_it_goes_and_not_shown() -> None:
    with pytest.raises(ValueError, match=r"a URL is given as open_client\(endpoint=") as caught:
        as_endpoint(None, "wss://localhost/x?otp=s3cr3t")
    assert "s3cr3t" not in str(caught.value)


async def test_a_function_that_is_not_async_is_told_so() -> None:
    with pytest.raises(derivtrio.EndpointFailed, match="the token function is not async") as caught:
        await ask(lambda: "s3cr3t", "the token function")  # type: ignore[arg-type,return-value]
    assert "s3cr3t" not in str(caught.value)


def answering(status: int) -> Any:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    return script


@pytest.mark.parametrize("status", [410, 520, 530])
async def test_g10_where_v3_is_gone_the_warning_says_what_to_use(
    status: int, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("ws.derivws.com").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    settings = derivtrio.Settings(max_attempts=2, ssl_context=trusting)
    async with open_endpoint(answering(status), ssl_context=server) as there:

        class Default(V3):
            async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
                return await there.open_stream(host, port)

        with pytest.raises(derivtrio.DerivError):
            async with derivtrio.open_client(endpoint=Default(), settings=settings):
                pytest.fail("it cannot open")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == len(there.peers) == (2 if status >= 500 else 1)
    for text in warnings:
        assert text.count(" (Deriv's v3 API, the default, is reported closed; use ") == 1
        assert "OptionsPublic() for market data" in text
        assert "OptionsAccount(account_id, app_id, token)" in text
    verdict = "gave up after 2 attempts: " if status >= 500 else "trying again cannot help: "
    assert warnings[-1].startswith(verdict)
    assert warnings[-1].endswith(" for an account)")


def test_where_something_else_was_chosen_no_such_thing_is_said() -> None:
    gone, busy = derivtrio.HandshakeRejected(520), derivtrio.HandshakeRejected(503)
    assert closed_text(as_endpoint(None, 1089), gone)
    assert closed_text(as_endpoint(f"{V3_URL}?l=ES", 1089), gone)
    assert closed_text(as_endpoint(None, 1089), busy) == ""
    assert closed_text(as_endpoint("ws://localhost:9/websockets/v3", 1089), gone) == ""
    assert closed_text(OptionsPublic(), gone) == ""


def test_what_is_not_an_endpoint_is_refused() -> None:
    with pytest.raises(TypeError, match="endpoint is"):
        as_endpoint(5, 1089)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"OptionsPublic\(…\), not its class"):
        as_endpoint(OptionsPublic, 1089)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="generation is 'v3' or 'options', not 'v4'"):
        as_endpoint(OptionsPublic(generation="v4"), 1089)  # type: ignore[arg-type]
