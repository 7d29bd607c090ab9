"""A proxy between this machine and Deriv: which one, and a way through it.

`Settings(proxy=…)` is a URL, or `"environment"`. There the usual variables name the proxy, in
capitals or small letters: `HTTPS_PROXY` for `wss://` and `https://`, `HTTP_PROXY` for the others,
`ALL_PROXY` for both; and `NO_PROXY` names the hosts that are reached directly.

| scheme            | the proxy is asked for | who looks the name up |
|-------------------|------------------------|-----------------------|
| `http`, `https`   | `CONNECT`, over TCP or TLS | the proxy         |
| `socks5h`         | SOCKS5                 | the proxy             |
| `socks5`          | SOCKS5                 | this machine          |

python-socks speaks both protocols; it gets a stream to the proxy that `dial` has opened. What it
says comes out as one of our errors, and none of them shows a user name or a password.
"""

import math
from base64 import b64encode
from contextlib import suppress
from importlib import import_module
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs
import trio

from derivtrio.connection.stream import breaking
from derivtrio.connection.url import parse_authority
from derivtrio.errors import ConnectRefused, InvalidURL, LinkError, ProxyFailed
from derivtrio.redaction import HIDDEN

ENVIRONMENT: Final = "environment"

_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

#: Which variables are looked at, without `_proxy`.
_VARIABLES: Final = {True: ("wss", "https", "all"), False: ("ws", "http", "all")}

#: What python-socks raises, besides its own errors, when it reads bytes that are none of SOCKS5.
_GARBLED: Final = (ValueError, LookupError, AssertionError)

_WANTS_LOGIN: Final = 407
_NOT_ALLOWED: Final = 2  # SOCKS5: "connection not allowed by ruleset"
_MAX_HEAD: Final = 2**14
_MAX_SHOWN: Final = 200
_LONGEST_SOCKS: Final = 255


@attrs.frozen
class Proxy:
    """A proxy. Its `str` is its URL without user name and password."""

    scheme: str
    host: str
    port: int
    username: str = attrs.field(repr=False)
    password: str = attrs.field(repr=False)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS5."""
        return self.scheme.startswith("socks")

    def hidden_in(self, text: str) -> str:
        """Return the beginning of *text*, which the proxy sent, without what it was told."""
        login = b64encode(f"{self.username}:{self.password}".encode()).decode()
        for secret in filter(None, (login, self.password, self.username)):
            text = text.replace(secret, HIDDEN)
        return text.encode("ascii", "replace").decode()[:_MAX_SHOWN]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_proxy(url: str) -> Proxy:
    """Return the proxy that *url* names.

    Raises:
        InvalidURL: it names none, or its user name or password cannot be sent.

    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidURL(_WRONG)
    userinfo, _, authority = parts.netloc.rpartition("@")
    try:
        host, port = parse_authority(authority)
    except InvalidURL as error:
        text = f"{_WRONG}; {error}"
        raise InvalidURL(text) from None
    username, _, password = (unquote(part) for part in userinfo.partition(":"))
    proxy = Proxy(parts.scheme, host, port or _PORTS[parts.scheme], username, password)
    _check_login(proxy)
    return proxy


_WRONG: Final = (
    "a proxy's URL is one such as http://user:password@host:3128, https://…, socks5://… or"
    " socks5h://…, with a user name and password percent-encoded, and nothing behind the port"
)


def _check_login(proxy: Proxy) -> None:
    username, password = proxy.username, proxy.password
    if proxy.is_socks:
        fits = username.isascii() and password.isascii() and bool(username) is bool(password)
        fits = fits and max(len(username), len(password)) <= _LONGEST_SOCKS
        text = "a SOCKS5 proxy takes a user name and a password, each of 255 ASCII characters"
    else:
        fits = ":" not in username and all(ord(char) < 2**8 for char in username + password)
        text = "an HTTP proxy's user name and password are of Latin-1, the name without a colon"
    if not fits:
        raise InvalidURL(text)


def proxy_for(setting: str | None, host: str, port: int, *, secure: bool) -> Proxy | None:
    """Return the proxy to *host* and *port*; None if they are reached directly.

    Raises:
        InvalidURL: what the setting or the environment has is not a proxy's URL.

    """
    if setting is None:
        return None
    if setting != ENVIRONMENT:
        return parse_proxy(setting)
    named = _variables()
    url = next((named[name] for name in _VARIABLES[secure] if named.get(name)), None)
    if url is None or _is_bypassed(f"{host}:{port}", named):
        return None
    return parse_proxy(_completed(url))


def _variables() -> dict[str, str]:
    """Return the environment's proxies: `{"https": …, "no": …}`."""
    from urllib.request import getproxies_environment  # noqa: PLC0415 - takes 20 ms

    return getproxies_environment()


def _is_bypassed(authority: str, named: dict[str, str]) -> bool:
    from urllib import request  # noqa: PLC0415 - takes 20 ms

    return bool(request.proxy_bypass_environment(authority, named))  # type: ignore[attr-defined]


def _completed(url: str) -> str:
    """Return a variable's value as a URL: `host:3128` is an HTTP proxy, `socks://` is SOCKS5."""
    if "://" not in url:
        return f"http://{url}"
    scheme, rest = url.split("://", 1)
    return f"{'socks5h' if scheme.lower() == 'socks' else scheme}://{rest}"


def check_proxy(setting: str | None) -> None:
    """Raise at once what `proxy_for` and `open_tunnel` would raise at each attempt.

    Raises:
        InvalidURL: not a proxy's URL.
        ProxyFailed: there is a proxy, and python-socks is not installed.

    """
    if setting == ENVIRONMENT:
        named, names = _variables(), {*_VARIABLES[True], *_VARIABLES[False]}
        urls = [_completed(url) for name, url in named.items() if url and name in names]
    else:
        urls = [] if setting is None else [setting]
    for url in urls:
        parse_proxy(url)
    if urls:
        _imported("python_socks.async_.trio.v2")


def _imported(name: str) -> Any:
    """Return the module *name* of python-socks, an extra that not everybody needs."""
    try:
        return import_module(name)
    except ImportError as error:
        text = (
            "a proxy needs python-socks, which the extra `proxy` brings:"
            " pip install '.[proxy]' in a clone of derivtrio"
        )
        raise ProxyFailed(text) from error


async def open_tunnel(
    proxy: Proxy, stream: trio.abc.Stream, host: str, port: int
) -> trio.abc.Stream:
    """Return *stream*, which leads to *proxy*, when the proxy has connected it to *host*.

    *Cancellation*: closes the stream, as every error does.

    Raises:
        ProxyFailed: the proxy refuses.
        ConnectRefused: it cannot reach the host, or does not answer as such a proxy does.

    """
    socks, trio_socks = _imported("python_socks"), _imported("python_socks.async_.trio.v2")
    through = trio_socks.Proxy(
        socks.ProxyType.SOCKS5 if proxy.is_socks else socks.ProxyType.HTTP,
        proxy.host,
        proxy.port,
        username=proxy.username or None,
        password=proxy.password if proxy.username else None,
        rdns=True,
        forward=_Tunnel(stream, proxy),
    )
    try:
        await through.connect(host, port, timeout=math.inf)
    except socks.ProxyError as error:
        raise _why_not(proxy, host, error) from error
    except _GARBLED as error:
        text = f"the proxy {proxy} does not answer as such a proxy does"
        raise ConnectRefused(text) from error
    return stream


def _why_not(proxy: Proxy, host: str, error: Any) -> LinkError:
    code, said = error.error_code, proxy.hidden_in(str(error))
    if proxy.is_socks:
        if code == _NOT_ALLOWED or "authentication" in said:
            return ProxyFailed(f"the proxy {proxy} refuses: {said}")
    elif code == _WANTS_LOGIN:
        wants = "refuses the user name and password" if proxy.username else "wants a user name"
        return ProxyFailed(f"the proxy {proxy} {wants}: HTTP {said}", code)
    elif code is not None:
        return ProxyFailed(f"the proxy {proxy} does not connect to {host}: HTTP {said}", code)
    return ConnectRefused(f"the proxy {proxy} does not connect to {host}: {said}")


@attrs.define(eq=False)
class _Tunnel:
    """A stream to the proxy as python-socks wants it, and the "proxy" that leads to it.

    python-socks closes it when anything goes wrong.
    """

    _stream: trio.abc.Stream
    _proxy: Proxy

    async def connect(self, dest_host: str, dest_port: int) -> "_Tunnel":  # noqa: ARG002
        return self

    async def write(self, data: bytes) -> None:
        try:
            with breaking:
                await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise self._broken() from error

    async def read(self) -> bytes:
        """Return the head of the answer to CONNECT; behind it comes nothing before we speak."""
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _MAX_HEAD:
            head += await self._receive(_MAX_HEAD)
        return head

    async def read_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += await self._receive(count - len(data))
        return data

    write_all, read_exact = write, read_exactly  # their names before python-socks 3

    async def close(self) -> None:
        with suppress(trio.BrokenResourceError):
            await trio.aclose_forcefully(self._stream)

    async def _receive(self, most: int) -> bytes:
        data = b""
        with suppress(trio.BrokenResourceError), breaking:
            data = bytes(await self._stream.receive_some(most))
        if not data:
            raise self._broken()
        return data

    def _broken(self) -> ConnectRefused:
        return ConnectRefused(f"the proxy {self._proxy} ended the connection")
