"""How a client behaves: data that is frozen and validated. Durations are in seconds."""

import math
import re
import ssl
from collections.abc import Mapping
from typing import Any, Final

import attrs
from attrs.validators import optional

from derivtrio.errors import InvalidURL
from derivtrio.redaction import HIDDEN, shown_url
from derivtrio.wording import shown

#: What a header's name and a subprotocol are (a token, RFC 9110), and a header's value.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD: Final = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")

_PROXY: Final = re.compile(r"environment|(?:https?|socks5h?)://(?:[^/?#@\s]*@)?[^/?#@\s]+/?")

#: Headers that the handshake has already, and whose they are.
_RESERVED: Final = {
    "host": "it comes from the URL",
    "sec-websocket-protocol": "give Settings(subprotocols=…)",
    **dict.fromkeys(
        "connection upgrade sec-websocket-accept sec-websocket-extensions sec-websocket-key"
        " sec-websocket-version content-length transfer-encoding te trailer expect"
        " proxy-authorization proxy-connection".split(),
        "the handshake has its own",
    ),
}


def _between(
    kind: type, lowest: float, what: str, *, highest: float = math.inf, strictly: bool = False
) -> Any:
    """Return an attrs validator for finite numbers of *kind* from *lowest* to *highest*."""

    def check(_: object, field: "attrs.Attribute[Any]", value: Any) -> None:
        numeric = isinstance(value, (int, kind)) and not isinstance(value, bool)
        fits = numeric and lowest <= value <= highest and value != math.inf
        if not fits or (strictly and value == lowest):
            text = f"{field.name} is {what}, not {shown(value)}"
            raise ValueError(text)

    return check


def _instance_of(kind: type) -> Any:
    """Return an attrs validator for instances of *kind*, whose error is one sentence."""

    def check(_: object, field: "attrs.Attribute[Any]", value: Any) -> None:
        if not isinstance(value, kind):
            text = f"{field.name} is of the type {kind.__name__}, not {shown(value)}"
            raise TypeError(text)

    return check


def _check_proxy(_settings: object, _field: object, url: Any) -> None:
    """Raise an error if *url* is not of a proxy, without showing it: it may have a password."""
    if url is not None and (not isinstance(url, str) or not _PROXY.fullmatch(url)):
        text = (
            "proxy is a URL such as 'http://user:password@host:3128', 'https://…', 'socks5://…' or"
            " 'socks5h://…', or 'environment', or None; special characters in a user name or"
            " password are percent-encoded"
        )
        raise InvalidURL(text)


def _check_ssl_context(settings: object, field: object, context: Any) -> None:
    """Raise an error for what is no context, or one that only servers can use."""
    _instance_of(ssl.SSLContext)(settings, field, context)
    if context.protocol == ssl.PROTOCOL_TLS_SERVER:
        text = (
            "ssl_context is one for clients, as from ssl.create_default_context(), not a server's"
        )
        raise ValueError(text)


def _copied(headers: Any) -> Any:
    return dict(headers) if isinstance(headers, Mapping) else headers


def _check_headers(_settings: object, _field: object, headers: Any) -> None:
    """Raise an error for *headers* that cannot be sent. No value is shown: it may be a secret."""
    if not isinstance(headers, dict):
        text = f"headers is a mapping of names to values, not {type(headers).__name__}"
        raise TypeError(text)
    seen = set()
    for name, value in headers.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            text = (
                "headers has a name that is not one, such as 'User-Agent', without colon or space"
            )
            raise ValueError(text)
        if (owner := _RESERVED.get(name.lower())) is not None:
            text = f"headers has {name!r}, which is not for you to set: {owner}"
            raise ValueError(text)
        if name.lower() in seen:
            text = f"headers has {name!r} twice"
            raise ValueError(text)
        if not isinstance(value, str) or not _FIELD.fullmatch(value):
            text = (
                f"headers has a value for {name!r} that is not one line of printable ASCII"
                " characters, without spaces around it"
            )
            raise ValueError(text)
        seen.add(name.lower())


def _shown_proxy(url: str | None) -> str:
    return repr(url if url is None else shown_url(url))


def _names_shown(headers: Mapping[str, str]) -> str:
    return repr(dict.fromkeys(headers, HIDDEN))


def _listed(names: Any) -> Any:
    return tuple(names) if isinstance(names, list) else names


def _check_subprotocols(_settings: object, _field: object, names: Any) -> None:
    if not isinstance(names, tuple):
        text = f"subprotocols is a tuple of names, not {shown(names)}"
        raise TypeError(text)
    for name in names:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            text = f"subprotocols is a tuple of names without spaces or commas, not {names!r}"
            raise ValueError(text)
    if len(set(names)) < len(names):
        text = f"subprotocols is a tuple of different names, not {names!r}"
        raise ValueError(text)


#: Clocks and networks are coarser than the shortest time; a longer one than the longest, and trio's
#: clock counts in steps that are too large.
_SHORTEST: Final = 0.001
_LONGEST: Final = 1e9

_duration = _between(
    float, _SHORTEST, "a number of seconds, from 0.001 to a thousand million", highest=_LONGEST
)
_duration_or_none: Any = optional(_duration)
_not_negative = _between(
    float, 0, "a number of seconds, from 0 to a thousand million", highest=_LONGEST
)
_wait = _between(
    float,
    0,
    "a number of seconds, more than 0, up to a thousand million",
    highest=_LONGEST,
    strictly=True,
)
_factor = _between(float, 1, "a number, at least 1")
_count = _between(int, 1, "a whole number, at least 1")


@attrs.frozen
class Backoff:
    """How long to wait before the next attempt: exponential, with full jitter.

    The *n*th wait since the last stable connection is a random time between 0 and
    `min(cap, first * factor ** (n - 1))` seconds.
    """

    first: float = attrs.field(default=0.5, validator=_wait)
    factor: float = attrs.field(default=2, validator=_factor)
    cap: float = attrs.field(default=60, validator=_duration)

    def __attrs_post_init__(self) -> None:
        if self.first > self.cap:
            text = f"first ({self.first:g} s) is more than cap ({self.cap:g} s): give both"
            raise ValueError(text)


@attrs.frozen(kw_only=True)
class Settings:
    """How long a client waits, how much it takes, which servers it trusts. Times in seconds.

    Attributes:
        connect_timeout: for one attempt: URL, TCP, TLS and WebSocket handshake together.
        restore_timeout: for the next answer during authorization and resubscription on a new
            connection. Waiting for a rate limit does not count.
        close_timeout: for the goodbye; after that the socket is closed by force.
        heartbeat_interval: after so long without an API message the client sends the API's `ping`.
            Frames of the WebSocket protocol are no sign of life.
        heartbeat_timeout: how long the server may then take for an API message. A single message
            may therefore take no longer than `heartbeat_interval + heartbeat_timeout` to arrive.
        stale_after: after so long without a word, a stream is compared with what the server has
            (see `streams.staleness`); `None` means never.
        response_timeout: how long a written request waits for its reply. After that the client
            asks for a sign of life, too.
        backoff: how long to wait between attempts.
        stable_after: how long a connection must stay `READY` for the backoff to start anew.
        max_attempts: attempts in a row without a stable connection; `None` means for ever.
        outbox: how many requests may wait for a connection. Further callers wait for room.
        max_message_size: the largest message accepted from the server, in bytes; in a text each
            character counts as one byte, also if it takes several. A page of history has up to half
            a megabyte, so with a smaller limit no long hole can be filled. The buffer of a stream
            counts messages: `buffer` messages of this size are the most that a server can have a
            consumer hold that does not read.
        ssl_context: for `wss://`; `None` means the platform's own certificate authorities.
        proxy: the URL of a proxy for the WebSocket and for the REST call of an account, or
            `"environment"`; see `connection.proxy`. Needs python-socks, the extra `proxy`.
        headers: sent with each WebSocket handshake, such as `Origin` and `User-Agent`. `repr` shows
            their names alone.
        subprotocols: what to offer in the handshake, best first. A server that chooses something
            else has failed the handshake; it may choose none.
        wait_ready: whether `open_client` waits for the first connection to be `READY`.
        pacing: whether requests wait so that the server's rate limits are never exceeded (see
            `policy.rate_limits`). `False` is for servers without limits, in tests and benchmarks.
        fast: whether text frames go around trio-websocket (`connection.fast`), and ticks around
            dicts (`calls.fast_ticks`). `False` is the plain way: to read, to debug, to compare.
        check_requests: whether calls and subscriptions that Deriv's schemas do not allow are
            refused before they are sent. `False` is for calls that are newer than this client.

    """

    connect_timeout: float = attrs.field(default=10, validator=_duration)
    restore_timeout: float = attrs.field(default=20, validator=_duration)
    close_timeout: float = attrs.field(default=2, validator=_duration)
    heartbeat_interval: float = attrs.field(default=25, validator=_duration)
    heartbeat_timeout: float = attrs.field(default=10, validator=_duration)
    stale_after: float | None = attrs.field(default=60, validator=_duration_or_none)
    response_timeout: float = attrs.field(default=60, validator=_duration)
    backoff: Backoff = attrs.field(factory=Backoff, validator=_instance_of(Backoff))
    stable_after: float = attrs.field(default=60, validator=_not_negative)
    max_attempts: int | None = attrs.field(default=None, validator=optional(_count))
    outbox: int = attrs.field(default=1024, validator=_count)
    max_message_size: int = attrs.field(default=8 * 2**20, validator=_count)
    ssl_context: ssl.SSLContext | None = attrs.field(
        default=None, validator=optional(_check_ssl_context)
    )
    proxy: str | None = attrs.field(default=None, validator=_check_proxy, repr=_shown_proxy)
    headers: Mapping[str, str] = attrs.field(
        factory=dict, converter=_copied, validator=_check_headers, repr=_names_shown, hash=False
    )
    subprotocols: tuple[str, ...] = attrs.field(
        default=(), converter=_listed, validator=_check_subprotocols
    )
    wait_ready: bool = attrs.field(default=True, validator=_instance_of(bool))
    pacing: bool = attrs.field(default=True, validator=_instance_of(bool))
    fast: bool = attrs.field(default=True, validator=_instance_of(bool))
    check_requests: bool = attrs.field(default=True, validator=_instance_of(bool))

    def but(self, **changes: Any) -> "Settings":
        """Return a copy with *changes*, validated like a new one."""
        return attrs.evolve(self, **changes)
