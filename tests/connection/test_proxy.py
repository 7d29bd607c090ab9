"""Through proxies, over real sockets: the WebSocket and the REST call of an account alike."""

import ssl
import sys
from base64 import b64encode
from typing import Any

import pytest
import trio
import trustme
from peers import Peer, open_tcp_server, well
from small_proxies import SmallProxy, open_proxy

import derivtrio
from derivtrio import Backoff, ConnectionFailed, ProxyFailed, Settings, open_client
from derivtrio.connection.proxy import Proxy, check_proxy, parse_proxy, proxy_for
from derivtrio.policy.retry import is_fatal
from derivtrio.simulator import demo_account, open_simulator

QUICK = Settings(backoff=Backoff(first=0.01, cap=0.01))
ONCE = QUICK.but(max_attempts=1)
LOGIN = "me:s3cr3t!@"
WRITTEN = "me:s3cr3t%21%40"

kinds = pytest.mark.parametrize("kind", ["http", "socks5", "socks5h"])


@pytest.fixture
def python_socks() -> None:
    pytest.importorskip("python_socks")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "ws", "wss", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)


def contexts(*names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return server, trusting


@kinds
@pytest.mark.parametrize("fast", [True, False])
async def test_the_websocket_goes_through_a_proxy(
    python_socks: None, kind: str, *, fast: bool
) -> None:
    """TLS goes through it: the proxy is no party to it."""
    server, trusting = contexts("localhost")
    proxy = SmallProxy(kind, LOGIN, names={"localhost": "127.0.0.1"})
    async with open_tcp_server(well, ssl_context=server) as there, open_proxy(proxy):
        url = f"wss://localhost:{there.port}/"
        settings = QUICK.but(proxy=proxy.url(WRITTEN), ssl_context=trusting, fast=fast)
        async with open_client(endpoint=url, settings=settings) as client:
            assert (await client.call({"ping": 1}))["ping"] == "pong"
    ((host, port),) = proxy.asked
    assert port == there.port
    assert (host == "localhost") is (kind != "socks5")  # which looks the name up here
    assert proxy.logins in ([LOGIN], [b64encode(LOGIN.encode()).decode()])


@kinds
async def test_the_rest_call_goes_through_the_same_proxy(python_socks: None, kind: str) -> None:
    proxy = SmallProxy(kind)
    async with open_simulator() as sim, open_proxy(proxy):
        base = sim.rest_url
        account = derivtrio.OptionsAccount(demo_account().loginid, 1, "demo-token", base=base)
        settings = QUICK.but(proxy=proxy.url())
        async with open_client(endpoint=account, settings=settings) as client:
            assert (await client.call({"ping": 1}))["ping"] == "pong"
    assert proxy.asked == [("127.0.0.1", int(base.rpartition(":")[2]))] * 2


async def test_a_proxy_may_be_reached_over_tls(python_socks: None) -> None:
    server, trusting = contexts("127.0.0.1")
    proxy = SmallProxy("https", LOGIN)
    async with open_tcp_server(well, ssl_context=server) as there, open_proxy(proxy, server):
        url = f"wss://127.0.0.1:{there.port}/"
        settings = QUICK.but(proxy=proxy.url(WRITTEN), ssl_context=trusting)
        async with open_client(endpoint=url, settings=settings) as client:
            assert (await client.call({"ping": 1}))["ping"] == "pong"
    assert proxy.asked == [("127.0.0.1", there.port)]


async def refusal(proxy: SmallProxy, login: str = "") -> Any:
    """Return why the only attempt failed, to a server behind *proxy*."""
    async with open_proxy(proxy):
        settings = ONCE.but(proxy=proxy.url(login))
        with pytest.raises(derivtrio.DerivError) as caught:
            async with open_client(endpoint="ws://deriv.example:80/", settings=settings):
                pytest.fail("it cannot open")
    error = caught.value
    cause = error.__cause__ if isinstance(error, ConnectionFailed) else error
    shown = f"{error!r} {cause!r} {cause.__cause__!r} {settings!r}"
    assert "s3cr3t" not in shown
    assert "@" not in shown
    assert b64encode(LOGIN.encode()).decode() not in str(cause)
    return cause


@pytest.mark.parametrize("login", ["", WRITTEN])
async def test_g10_a_407_says_so_and_names_the_proxy(python_socks: None, login: str) -> None:
    proxy = SmallProxy("http", "somebody:else")
    error = await refusal(proxy, login)
    assert isinstance(error, ProxyFailed)
    assert error.status == 407
    refuses = "refuses the user name and password" if login else "wants a user name"
    assert f"the proxy http://127.0.0.1:{proxy.port} {refuses}: HTTP 407" in str(error)
    assert is_fatal(error)
    assert not is_fatal(error, been_ready=True)


@pytest.mark.parametrize("login", ["", WRITTEN])
async def test_g10_a_socks_proxy_that_wants_another_password_is_a_refusal(
    python_socks: None, login: str
) -> None:
    proxy = SmallProxy("socks5h", "somebody:else")
    error = await refusal(proxy, login)
    assert isinstance(error, ProxyFailed)
    assert f"the proxy socks5h://127.0.0.1:{proxy.port} refuses: " in str(error)
    assert is_fatal(error)
    assert not is_fatal(error, been_ready=True)


@pytest.mark.parametrize(("status", "fatal"), [(403, True), (502, False), (429, False)])
async def test_g10_a_proxys_other_statuses_are_judged_as_a_servers(
    python_socks: None, status: int, *, fatal: bool
) -> None:
    answer = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status
    error = await refusal(SmallProxy("http", answer=answer))
    assert (type(error), error.status, is_fatal(error)) == (ProxyFailed, status, fatal)
    assert "does not connect to deriv.example: HTTP" in str(error)


@pytest.mark.parametrize(("code", "fatal"), [(1, False), (2, True), (4, False), (5, False)])
async def test_g10_a_socks_proxys_answers_are_judged(
    python_socks: None, code: int, *, fatal: bool
) -> None:
    error = await refusal(SmallProxy("socks5h", answer=code))
    assert is_fatal(error) is fatal
    assert "the proxy socks5h://127.0.0.1:" in str(error)


@pytest.mark.parametrize("answer", [b"\0\xff\r\n\r\n", b"HTTP/1.1 2", b"x" * 40_000, b"\r\n\r\n"])
async def test_g18_what_is_no_proxy_is_a_failed_attempt(python_socks: None, answer: bytes) -> None:
    error = await refusal(SmallProxy("http", answer=answer))
    assert isinstance(error, derivtrio.ConnectRefused)
    assert len(str(error)) < 300


@pytest.mark.parametrize(
    "answer",
    [b"\x05\x00\x05\x00\x00\x03\x02\xff\xff\x00\x00", b"HTTP/1.1 400 No\r\n\r\n", b"\x05", b""],
)
async def test_g18_what_is_no_socks_proxy_is_a_failed_attempt_and_its_stream_is_closed(
    python_socks: None, answer: bytes
) -> None:
    closed = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.write(answer)
        if len(answer) < 2:
            await peer.stream.send_eof()  # type: ignore[attr-defined]
        await peer.linger()
        closed.set()

    async with open_tcp_server(script) as there:
        settings = ONCE.but(proxy=f"socks5h://127.0.0.1:{there.port}")
        with pytest.raises(ConnectionFailed) as caught:
            async with open_client(endpoint="ws://deriv.example/", settings=settings):
                pytest.fail("it cannot open")
        assert isinstance(caught.value.__cause__, derivtrio.ConnectRefused)
        await closed.wait()


@kinds
async def test_g10_a_proxy_that_is_down_is_tried_again(python_socks: None, kind: str) -> None:
    proxy = SmallProxy(kind)
    async with open_proxy(proxy):
        url = proxy.url(WRITTEN)
    settings = QUICK.but(proxy=url, max_attempts=3)
    with pytest.raises(ConnectionFailed) as caught:
        async with open_client(endpoint="ws://127.0.0.1:9/", settings=settings):
            pytest.fail("it cannot open")
    assert len(caught.value.attempts) == 3
    error = caught.value.attempts[-1].error
    assert isinstance(error, derivtrio.ConnectRefused)
    assert str(error) == f"no connection to the proxy {proxy.url()}: Connection refused"


async def test_g01_a_mute_proxy_is_given_up_in_time(python_socks: None) -> None:
    with trio.fail_after(10):
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        settings = ONCE.but(proxy=f"socks5://127.0.0.1:{port}", connect_timeout=0.1)
        with pytest.raises(ConnectionFailed) as caught:
            async with open_client(endpoint="ws://127.0.0.1:9/", settings=settings):
                pytest.fail("it cannot open")
        await listeners[0].aclose()
    assert isinstance(caught.value.__cause__, derivtrio.ConnectTimeout)


@pytest.mark.parametrize("url", ["http://h:1", "environment"])
async def test_without_python_socks_the_error_says_at_once_how_to_get_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        *filter(lambda name: name.startswith("python_socks"), sys.modules),
        "python_socks",
    ]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    with pytest.raises(ProxyFailed, match=r"needs python-socks.*pip install '\.\[proxy\]'"):
        async with open_client(settings=Settings(proxy=url, wait_ready=False)):
            pytest.fail("it must not open")


# Which proxy.


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3cret",
        "ftp://s3cret@h:1",
        "socks4://s3cret@h:1",
        "http://",
        "http://s3cret@",
        "http://me:s3c/ret@h:1",
        "http://me:s3cret@h:1/path",
        "http://me:s3cret@h:1?x",
        "http://me:s3cret@h:1#x",
        "http://me:s3c ret@h:1",
        "http://a@s3cret@h:1",
        5,
        True,
    ],
)
def test_g13_what_is_no_proxy_is_refused_and_not_shown(url: Any) -> None:
    with pytest.raises(derivtrio.InvalidURL, match=r"^proxy is a URL such as") as caught:
        Settings(proxy=url)
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://me:s3cret@a..b:1",
        "http://me:s3cret@h:0",
        "http://me:s3cret@h:65536",
        "http://me:s3cret@h:x",
        "socks5://me:s3cr%C3%A9t@h:1",
        "socks5://me@h:1",
        f"socks5://me:{'s3cret' * 50}@h:1",
        "http://m%3Ae:s3cret@h:1",
        "http://me:s3cret%E2%82%AC@h:1",
    ],
)
async def test_g13_a_proxy_that_cannot_be_is_refused_when_the_client_is_opened(url: str) -> None:
    with pytest.raises(derivtrio.InvalidURL) as caught:
        async with open_client(settings=Settings(proxy=url, wait_ready=False)):
            pytest.fail("it must not open")
    assert "s3c" not in str(caught.value)


def test_a_proxys_url_is_taken_apart() -> None:
    assert parse_proxy("HTTP://h") == Proxy("http", "h", 80, "", "")
    assert parse_proxy("https://h/") == Proxy("https", "h", 443, "", "")
    assert parse_proxy("socks5h://a:b%40@[::1]") == Proxy("socks5h", "::1", 1080, "a", "b@")
    proxy = parse_proxy("http://me:s3cret@[::1]:8080")
    assert str(proxy) == "http://[::1]:8080"
    assert "s3cret" not in repr(proxy)
    assert "proxy='http://h:1'" in repr(Settings(proxy="http://me:s3cret@h:1"))


@pytest.mark.parametrize(
    ("variables", "secure", "expected"),
    [
        ({}, True, None),
        ({"HTTPS_PROXY": "http://a:1"}, True, "http://a:1"),
        ({"https_proxy": "a:1"}, True, "http://a:1"),
        ({"HTTPS_PROXY": "http://a:1"}, False, None),
        ({"HTTP_PROXY": "http://a:1"}, False, "http://a:1"),
        ({"HTTP_PROXY": "http://a:1"}, True, None),
        ({"ALL_PROXY": "socks5://a:1"}, True, "socks5://a:1"),
        ({"all_proxy": "socks://a:1"}, False, "socks5h://a:1"),
        ({"ALL_PROXY": "socks5://a:1", "HTTPS_PROXY": "http://b:2"}, True, "http://b:2"),
        ({"HTTPS_PROXY": ""}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "x, derivws.com"}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "no_proxy": ".derivws.com"}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "ws.derivws.com:443"}, True, None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "localhost"}, True, "http://a:1"),
    ],
)
def test_the_environment_names_a_proxy_as_usual(
    variables: dict[str, str], expected: str | None, monkeypatch: Any, *, secure: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for("environment", "ws.derivws.com", 443, secure=secure)
    assert (None if proxy is None else str(proxy)) == expected
    assert proxy_for(None, "ws.derivws.com", 443, secure=secure) is None


def test_an_environment_that_names_nothing_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_socks", None)
    check_proxy("environment")
    monkeypatch.setenv("HTTPS_PROXY", "http://a..b:1")
    with pytest.raises(derivtrio.InvalidURL):
        check_proxy("environment")
