"""A proxy between this machine and Deriv: which one. The way through it is in `tunnel`.

`Settings(proxy=…)` is a URL, or `"environment"`. There the usual variables name the proxy, in
capitals or small letters: `HTTPS_PROXY` for `wss://` and `https://`, `HTTP_PROXY` for the others,
`ALL_PROXY` for both; and `NO_PROXY` names the hosts that are reached directly.

| scheme            | the proxy is asked for | who looks the name up |
|-------------------|------------------------|-----------------------|
| `http`, `https`   | `CONNECT`, over TCP or TLS | the proxy         |
| `socks5h`         | SOCKS5                 | the proxy             |
| `socks5`          | SOCKS5                 | this machine          |

No error shows a user name or a password.
"""

from base64 import b64encode
from importlib import import_module
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs

from derivtrio.connection.url import parse_authority
from derivtrio.errors import InvalidURL, ProxyFailed
from derivtrio.redaction import HIDDEN

ENVIRONMENT: Final = "environment"

_PORTS: Final = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}

#: Which variables are looked at, without `_proxy`.
_VARIABLES: Final = {True: ("wss", "https", "all"), False: ("ws", "http", "all")}

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
        python_socks("python_socks.async_.trio.v2")


def python_socks(name: str) -> Any:
    """Return the module *name* of python-socks, an extra that not everybody needs."""
    try:
        return import_module(name)
    except ImportError as error:
        text = (
            "a proxy needs python-socks, which the extra `proxy` brings:"
            " pip install '.[proxy]' in a clone of derivtrio"
        )
        raise ProxyFailed(text) from error
