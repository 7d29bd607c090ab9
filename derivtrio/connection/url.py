"""A WebSocket URL, taken apart and checked. No I/O.

A URL that cannot be right is refused before anything is opened, because a resolver would only say
"unknown name", which is taken for a network that is down. Each refusal says what is wrong, where,
and what would be right. None repeats the query, userinfo or port: a password may stand there.
"""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

import attrs

from derivtrio.errors import InvalidURL
from derivtrio.redaction import HIDDEN, SHORTEST_SECRET

_SCHEMES: Final = {"http": "ws", "https": "wss"}

#: What RFC 3986 does not allow in a URL. Braces, angle brackets and `%s` are left of a template.
_NOT_ALLOWED: Final = re.compile(r"[^!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]|%(?![0-9A-Fa-f]{2})")
_PLACEHOLDER: Final = re.compile(r"\{(app_id|account_id|token|otp|language|lang|host|port|url)?\}")

#: A label of a host name, and the longest name (RFC 1035). Docker and others use underscores.
_LABEL: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_LABEL: Final = 63
_LONGEST_NAME: Final = 253

_LONGEST_SHOWN: Final = 80

_BRACKETS: Final = "the URL's host has brackets, but is not an IPv6 address such as [::1]"


@attrs.frozen
class Address:
    """The parts of a WebSocket URL. `resource` may hold a secret, and is not shown."""

    host: str
    port: int
    resource: str = attrs.field(repr=False)
    secure: bool

    @property
    def host_header(self) -> str:
        """What the `Host` header says: the port is named unless it is the scheme's own."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        usual = 443 if self.secure else 80
        return host if self.port == usual else f"{host}:{self.port}"

    def hidden_in(self, data: bytes, secrets: Sequence[str] = ()) -> bytes:
        """Return *data*, which the server sent, with what it repeats of the URL's query hidden.

        The same goes for *secrets*, unless they are short.
        """
        query = urlsplit(self.resource).query
        values = [*(value for _, value in parse_qsl(query)), *secrets]
        values = [value for value in values if len(value) >= SHORTEST_SECRET]
        for secret in sorted([query, *values, *map(quote, values)], key=len, reverse=True):
            data = data.replace(secret.encode(), HIDDEN.encode()) if secret else data
        return data


def parse_url(url: str) -> Address:
    """Return the parts of *url*, a `ws://` or `wss://` URL.

    Raises:
        InvalidURL: *url* is not one; the message says why, and never shows the query.

    """
    if not isinstance(url, str):
        text = f"a WebSocket URL is a str, not {type(url).__name__}"
        raise InvalidURL(text)
    parts = _split(url)
    if parts.scheme not in _SCHEMES.values():
        raise InvalidURL(_scheme_text(parts))
    if "@" in parts.netloc:
        text = "the URL has a user's name or password before its host: leave out what ends in @"
        raise InvalidURL(text)
    if "#" in url:
        text = "the URL has a fragment, which WebSocket URLs have not: leave it out, or write %23"
        raise InvalidURL(text)
    secure = parts.scheme == "wss"
    host, port = parse_authority(parts.netloc)
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(host, port or (443 if secure else 80), resource, secure)


def parse_authority(authority: str) -> tuple[str, int | None]:
    """Return the host, in small letters, and the port of *authority*, `host` or `host:port`.

    Raises:
        InvalidURL: the host cannot exist, or the port is not one.

    """
    if authority.startswith("["):
        literal, bracket, rest = authority[1:].partition("]")
        if not bracket or not _is_ipv6(literal) or (rest and not rest.startswith(":")):
            raise InvalidURL(_BRACKETS)
        return literal.lower(), _parse_port(rest[1:])
    host, _, port = authority.partition(":")
    _check_host(host)
    return host.lower(), _parse_port(port)


def _split(url: str) -> SplitResult:
    _check_characters(url)
    try:
        return urlsplit(url)
    except ValueError:
        raise InvalidURL(_BRACKETS) from None


def _check_characters(url: str) -> None:
    """Raise an InvalidURL where *url* has a character that no URL has, or is a template still."""
    placeholder = _PLACEHOLDER.search(unquote(url))
    if placeholder is not None:
        text = f"the URL is a template: put a value in place of {placeholder[0]}"
        raise InvalidURL(text)
    found = _NOT_ALLOWED.search(url)
    if found is None:
        return
    where = f"the URL's {_part_at(url, found.start())}, at its character {found.start() + 1},"
    if found[0] in "{}<>%":
        text = f"{where} has {found[0]!r}: put a value there, or write it as {quote(found[0])}"
    elif found[0].isspace():
        text = f"{where} has white space: remove it, or write it as %20"
    elif found[0].isascii():
        text = f"{where} has {found[0]!r}, which URLs have not: write it as {quote(found[0])}"
    else:
        text = f"{where} has a character beyond ASCII: {_ascii_text(url)}"
    raise InvalidURL(text)


def _part_at(url: str, index: int) -> str:
    """Return what the part of *url* at *index* is called."""
    before = url[:index]
    if "?" in before:
        return "query"
    _, slashes, behind = before.partition("://")
    if not slashes:
        return "scheme"
    return "path" if "/" in behind else "host"


def _ascii_text(url: str) -> str:
    """Say how *url* would be written in ASCII."""
    host = re.split(r"[/?#]", url.partition("://")[2])[0].rpartition("@")[2].partition(":")[0]
    if host.isascii():
        return "write it percent-encoded, as UTF-8"
    import idna  # noqa: PLC0415 - comes with trio; is rarely needed

    try:
        return f"write the host as {idna.encode(host, uts46=True).decode()!r}"
    except idna.IDNAError:
        return "the host is not an internationalized name either, and cannot be encoded"


def _scheme_text(parts: SplitResult) -> str:
    right = _SCHEMES.get(parts.scheme)
    if right is not None:
        return f"the URL begins with {parts.scheme}://, not as a WebSocket's: write {right}://"
    return "the URL does not begin with ws:// or wss://, as in wss://host/path?app_id=1089"


def _check_host(host: str) -> None:
    """Raise an InvalidURL where *host* is neither a possible name nor an IPv4 address."""
    name = host.removesuffix(".")  # a dot at the end means: the name is complete
    labels = name.split(".")
    if not name:
        why = "there is none: write wss://host/path"
    elif "" in labels:
        why = "it begins with a dot" if not labels[0] else "it has two dots in a row"
    elif any(len(label) > _LONGEST_LABEL for label in labels):
        why = f"between two dots there are {_LONGEST_LABEL} characters at most"
    elif len(name) > _LONGEST_NAME:
        why = f"a name has {_LONGEST_NAME} characters at most"
    elif not all(map(_LABEL.fullmatch, labels)):
        why = "it has letters, digits and, inside of them, hyphens, with dots in between"
    elif labels[-1].isdecimal() and not _is_ipv4(name):
        why = "what ends in a number is an IPv4 address, such as 127.0.0.1"
    else:
        return
    text = f"the URL's host {host[:_LONGEST_SHOWN]!r} cannot be a server's name: {why}"
    raise InvalidURL(text)


def _parse_port(port: str) -> int | None:
    if not port:
        return None
    if not port.isdecimal() or not 1 <= int(port[:6]) < 2**16 or len(port) > len("65535"):
        text = "the URL's port is not a number from 1 to 65535"
        raise InvalidURL(text)
    return int(port)


def _is_ipv4(host: str) -> bool:
    from ipaddress import AddressValueError, IPv4Address  # noqa: PLC0415 - few URLs have numbers

    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True


def _is_ipv6(literal: str) -> bool:
    from ipaddress import AddressValueError, IPv6Address  # noqa: PLC0415 - few URLs have numbers

    try:
        IPv6Address(literal)
    except AddressValueError:
        return False
    return True
