"""What relays have in common: their addresses, and the entries that ticks and gaps become.

The id of an entry is two numbers: its epoch in milliseconds, and its order within the second. In
each stream ids only rise. That makes everything else:

1. After a restart a relay goes on from the stream's newest entry. An entry that was added just
   before a crash is refused the second time, so nothing is doubled.
2. Two relays, on two machines, may feed the same stream: the first that adds a tick wins, and the
   other's is refused. If one dies, the other goes on without a pause. Each of them adds ticks in
   order and leaves out none. So a tick that is refused is in the stream.

A gap is an entry, too, with the member `gap`: its id is the last millisecond of the second that it
begins after. Candles and the account are not relayed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from derivtrio.recording.store import StoreError
from derivtrio.recording.tables import GAPS, TICKS, Batch

Member = str | int | float


@attrs.frozen
class Engine:
    """What carries entries on.

    Attributes:
        schemes: of its URLs; the second one means TLS.
        port: where it listens, unless a URL says otherwise.
        place: what a URL's path names.
        separator: what stands between the place and a symbol.

    """

    schemes: tuple[str, str]
    port: int
    place: str
    separator: str

    @property
    def example(self) -> str:
        """An address."""
        return f"{self.schemes[0]}://host:{self.port}/{self.place}"


REDIS: Final = Engine(("redis", "rediss"), 6379, "STREAM", ":")
NATS: Final = Engine(("nats", "tls"), 4222, "SUBJECT", ".")
ENGINES: Final = (REDIS, NATS)

#: What a subject may be: tokens without blanks and wildcards, separated by dots.
_SUBJECT: Final = re.compile(r"[!-)+\-/-=?-~]+(?:\.[!-)+\-/-=?-~]+)*")


def engine_of(url: str) -> Engine | None:
    """Return the engine that *url* is of, by its scheme; None if there is no such engine."""
    scheme = url.partition("://")[0]
    return next((engine for engine in ENGINES if scheme in engine.schemes), None)


@attrs.frozen
class RelayAddress:
    """Where entries go: `redis://[user:password@]host[:port]/STREAM`.

    `place` may have `{symbol}` in it.
    """

    engine: Engine
    host: str
    port: int
    place: str
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    tls: bool = False

    @classmethod
    def of(cls, url: str, symbols: Iterable[str]) -> "RelayAddress":
        """Return the address that *url* has, for the streams of *symbols*.

        Raises:
            StoreError: it is no such URL; nothing of it is shown, for it may have a password.

        """
        engine = engine_of(url) or REDIS
        try:
            parts = urlsplit(url)
            port = parts.port or engine.port
        except ValueError:
            parts, port = urlsplit(""), 0
        place = unquote(parts.path.removeprefix("/"))
        more = parts.query or parts.fragment  # nothing reads that: a ?db=1, for instance
        if parts.scheme not in engine.schemes or not parts.hostname or not place or more:
            text = f"this is no address of a stream; one is {engine.example}"
            raise StoreError(text)
        if "{symbol}" not in place and len(set(symbols)) > 1:
            place += engine.separator + "{symbol}"
        if engine is NATS:
            checked_subject(place.replace("{symbol}", "SYMBOL"))
        secrets = (parts.username or None, parts.password)
        username, password = (None if each is None else unquote(each) for each in secrets)
        tls = parts.scheme == engine.schemes[1]
        return cls(engine, parts.hostname, port, place, username, password, tls)

    def key(self, symbol: str) -> str:
        """Return the name of the stream of *symbol*."""
        return self.place.replace("{symbol}", symbol)

    def __str__(self) -> str:
        return f"{self.engine.schemes[0]}://{self.host}:{self.port}/{self.place}"


def checked_subject(subject: str) -> str:
    """Return *subject*, a name of NATS.

    Raises:
        StoreError: it is none.

    """
    if not _SUBJECT.fullmatch(subject):
        text = f"{subject!r} is no subject: it has no blanks, no * and no >"
        raise StoreError(text)
    return subject


@attrs.frozen
class RelayEntry:
    """A tick or a gap on its way to a stream."""

    symbol: str
    id: tuple[int, int]
    members: Mapping[str, Member]


def entries_of(batch: Batch) -> Iterator[RelayEntry]:
    """Yield what a relay hands on of *batch*, in no order."""
    for row in batch.get(TICKS, ()):
        symbol, epoch, n = str(row[0]), int(row[1] or 0), int(row[2] or 0)
        named = zip(("quote", "ask", "bid"), row[3:], strict=True)
        prices = {name: price for name, price in named if price is not None}
        yield RelayEntry(symbol, (1000 * epoch, n), {"symbol": symbol, "epoch": epoch, **prices})
    for name, length, after, before, reason in batch.get(GAPS, ()):
        if not length:
            begin, end = int(after or 0), int(before or 0)
            gap: dict[str, Member] = {"gap": str(reason), "after": begin, "before": end}
            yield RelayEntry(str(name), (1000 * begin + 999, 0), {"symbol": str(name), **gap})
