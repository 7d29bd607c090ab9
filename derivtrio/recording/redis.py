"""A store that is a relay: Redis Streams, so that other programs and machines have the ticks.

A tick is an entry of its symbol's stream, with the id `MILLISECONDS-N`: its epoch, and its order
within the second. Redis takes an id only if it is higher than all that a stream has. That makes
everything else:

1. After a restart the relay goes on from the stream's newest entry. An entry that was added just
   before a crash is refused the second time, so nothing is doubled.
2. Two relays, on two machines, may feed the same stream: the first that adds a tick wins, and the
   other's is refused. If one dies, the other goes on without a pause. Each of them adds ticks in
   order and leaves out none. So a tick that is refused is in the stream.
3. `MAXLEN` bounds a stream. Redis cuts whole blocks, so there may be some hundred entries more.

A gap is an entry, too, with the member `gap`: its id is the last millisecond of the second that it
begins after. Candles and the account are not relayed.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs
import trio

from derivtrio.recording.extras import needing
from derivtrio.recording.store import StoreBusy, StoreError
from derivtrio.recording.tables import GAPS, TICKS, Batch, Table

with needing("redis", "Redis"):
    import coredis
    from coredis.exceptions import ConnectionError as RedisConnectionError
    from coredis.exceptions import RedisError, ResponseError

_PORT: Final = 6379

#: What Redis says of an id that is not higher than all others.
_KNOWN: Final = "equal or smaller than the target stream top item"

#: How long one batch may take, in seconds.
_TIMEOUT: Final = 10.0

#: How many entries are sent at a time.
_AT_ONCE: Final = 1000

#: What a server says that is there and cannot take anything just now.
_PASSING: Final = ("LOADING", "OOM", "READONLY", "MASTERDOWN", "BUSY", "MISCONF", "CLUSTERDOWN")


@attrs.frozen
class RedisAddress:
    """Where a stream is: `redis://[user:password@]host[:port]/STREAM`.

    `stream` may have `{symbol}` in it.
    """

    host: str
    port: int
    stream: str
    username: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    tls: bool = False

    @classmethod
    def of(cls, url: str, symbols: Iterable[str]) -> "RedisAddress":
        """Return the address that *url* has, for the streams of *symbols*.

        Raises:
            StoreError: it is no such URL; nothing of it is shown, for it may have a password.

        """
        try:
            parts = urlsplit(url)
            port = parts.port or _PORT
        except ValueError:
            parts, port = urlsplit(""), 0
        stream = unquote(parts.path.removeprefix("/"))
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or not stream:
            text = "this is no address of a stream; one is redis://host:6379/STREAM"
            raise StoreError(text)
        if "{symbol}" not in stream and len(set(symbols)) > 1:
            stream += ":{symbol}"
        tls = parts.scheme == "rediss"
        secrets = (parts.username or None, parts.password)
        username, password = (None if each is None else unquote(each) for each in secrets)
        return cls(parts.hostname, port, stream, username, password, tls)

    def key(self, symbol: str) -> str:
        """Return the name of the stream of *symbol*."""
        return self.stream.replace("{symbol}", symbol)

    def __str__(self) -> str:
        return f"redis://{self.host}:{self.port}/{self.stream}"


@asynccontextmanager
async def open_redis(address: RedisAddress, maxlen: int) -> AsyncGenerator["RedisStore"]:
    """Open a store of streams, each of about *maxlen* entries.

    Raises:
        StoreError: the server cannot be reached.

    """
    client = coredis.Redis(
        host=address.host,
        port=address.port,
        username=address.username,
        password=address.password,
        ssl=address.tls,
        decode_responses=True,
        verify_version=False,
        connect_timeout=_TIMEOUT,
        stream_timeout=_TIMEOUT,
    )
    async with client:
        store = RedisStore(client, address, maxlen)
        await store.check()
        yield store


@attrs.frozen(eq=False, repr=False)
class RedisStore:
    """A store whose ticks are entries of Redis streams."""

    _client: Any
    _address: RedisAddress
    _maxlen: int

    def __repr__(self) -> str:
        return f"<RedisStore {self._address}>"

    async def check(self) -> None:
        """Ask the server for a sign of life.

        Raises:
            StoreError: it gives none.

        """
        with self._explained():
            await self._client.ping()

    async def newest(self, table: Table, *key: str | int) -> int | None:
        """Return the epoch of the newest tick, or gap, in the stream of a symbol."""
        if table is not TICKS:
            return None
        stream = self._address.key(str(key[0]))
        with self._explained():
            entries = await self._client.xrevrange(stream, count=1)
        if not entries:
            return None
        if not {"epoch", "gap"} & set(entries[0].field_values):
            text = f"the stream {stream} has other entries than those of a relay"
            raise StoreError(text)
        return int(entries[0].identifier.split("-")[0]) // 1000

    async def write(self, batch: Batch) -> None:
        """Add the ticks and gaps of *batch*, in the order of their ids."""
        entries = sorted(self._entries(batch), key=lambda entry: entry.id)
        for begin in range(0, len(entries), _AT_ONCE):
            with self._explained():
                await self._add(entries[begin : begin + _AT_ONCE])

    async def _add(self, entries: Sequence["StreamEntry"]) -> None:
        pipeline = self._client.pipeline(transaction=False, raise_on_error=False)
        async with pipeline as pipe:
            replies = [
                pipe.xadd(
                    entry.stream,
                    entry.members,
                    identifier="{}-{}".format(*entry.id),
                    trim_strategy=coredis.PureToken.MAXLEN,
                    trim_operator=coredis.PureToken.APPROXIMATELY,
                    threshold=self._maxlen,
                )
                for entry in entries
            ]
        for reply in replies:
            try:
                await reply
            except ResponseError as error:
                if _KNOWN not in str(error):
                    raise

    def _entries(self, batch: Batch) -> Iterator["StreamEntry"]:
        for symbol, epoch, n, *prices in batch.get(TICKS, ()):
            named = zip(("quote", "ask", "bid"), prices, strict=True)
            members = {name: repr(price) for name, price in named if price is not None}
            identity = (1000 * int(epoch or 0), int(n or 0))
            tick = {"symbol": str(symbol), "epoch": str(epoch), **members}
            yield StreamEntry(self._address.key(str(symbol)), identity, tick)
        for symbol, length, after, before, reason in batch.get(GAPS, ()):
            if not length:
                gap = {"gap": str(reason), "after": str(after), "before": str(before)}
                identity = (1000 * int(after or 0) + 999, 0)
                members = {"symbol": str(symbol), **gap}
                yield StreamEntry(self._address.key(str(symbol)), identity, members)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise the errors of Redis as ours, and one more for a server that takes too long."""
        try:
            with trio.fail_after(_TIMEOUT):
                yield
        except (RedisConnectionError, OSError, trio.TooSlowError) as error:
            text = f"{self._address}: {str(error) or 'no answer'}"
            raise StoreBusy(text) from error
        except RedisError as error:
            kind = StoreBusy if str(error).startswith(_PASSING) else StoreError
            text = f"{self._address}: {error}"
            raise kind(text) from error


@attrs.frozen
class StreamEntry:
    """An entry of a stream, with the two numbers of its id."""

    stream: str
    id: tuple[int, int]
    members: Mapping[str, str]
