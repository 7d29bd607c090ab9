"""A WebSocket URL, taken apart and checked. No I/O."""

from urllib.parse import parse_qsl, quote, urlsplit

import attrs

from derivtrio.errors import InvalidURL
from derivtrio.redaction import HIDDEN, SHORTEST_SECRET, shown_url


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
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.secure else 80
        return host if self.port == usual else f"{host}:{self.port}"

    def hidden_in(self, data: bytes) -> bytes:
        """Return *data*, which the server sent, with what it repeats of the URL's query hidden."""
        query = urlsplit(self.resource).query
        values = [value for _, value in parse_qsl(query) if len(value) >= SHORTEST_SECRET]
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
    if not url.isascii() or not url.isprintable() or " " in url:
        text = "a WebSocket URL has only printable ASCII characters and no spaces"
        raise InvalidURL(text)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        text = f"not a URL: {error}"
        raise InvalidURL(text) from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        text = f"{shown_url(url)!r} is not of the form ws://host/… or wss://host/…"
        raise InvalidURL(text)
    if parts.fragment or parts.username is not None:
        text = f"{shown_url(url)!r} has a fragment or credentials, which WebSocket URLs have not"
        raise InvalidURL(text)
    secure = parts.scheme == "wss"
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.hostname, port or (443 if secure else 80), resource, secure)
