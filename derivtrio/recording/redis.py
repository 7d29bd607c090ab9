"""A store that is a relay: Redis Streams, so that other programs and machines have the ticks.

A tick is an entry of its symbol's stream, with the id `MILLISECONDS-N`. Redis takes an id only if
it is higher than all that a stream has; see `relaying` for what follows from that. It holds only
as long as no other program adds entries there. So what Redis refuses is looked at again.

`MAXLEN` bounds a stream. Redis cuts whole blocks, so there may be some hundred entries more.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import attrs
import trio

from derivtrio.concurrency.background import running
from derivtrio.recording.extras import needing
from derivtrio.recording.relaying import RelayAddress, RelayEntry, entries_of
from derivtrio.recording.store import StoreBusy, StoreError
from derivtrio.recording.tables import TICKS, Batch, Table

with needing("redis", "Redis"):
    import coredis
    from coredis.exceptions import (
        AuthorizationError,
        ClusterDownError,
        ReadOnlyError,
        RedisError,
        ResponseError,
        TryAgainError,
        UnknownCommandError,
    )
    from coredis.exceptions import ConnectionError as RedisConnectionError

#: What Redis says of an id that is not higher than all others.
_KNOWN: Final = "equal or smaller than the target stream top item"

#: How long one batch may take, in seconds.
_TIMEOUT: Final = 10.0

#: How many entries are sent at a time.
_AT_ONCE: Final = 1000

#: What a server says that is there and cannot take anything just now.
_PASSING: Final = ("OOM", "MASTERDOWN", "BUSY", "MISCONF", "NOREPLICAS")

#: The same, where coredis has a class in place of the first word.
_PASSING_KINDS: Final = (ReadOnlyError, ClusterDownError, TryAgainError)


@asynccontextmanager
async def open_redis(address: RelayAddress, maxlen: int) -> AsyncGenerator["RedisStore"]:
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
    async with connected(client):
        store = RedisStore(client, address, maxlen)
        await store.check()
        yield store


@asynccontextmanager
async def connected(client: Any) -> AsyncGenerator[None]:
    """Have *client* open during the block; a cancellation does not end it before the last write."""
    opened, scope = trio.Event(), trio.CancelScope()

    async def run() -> None:
        with scope:
            async with client:
                opened.set()
                await trio.sleep_forever()

    async with running(run, stop=scope.cancel, name="derivtrio.redis"):
        await opened.wait()
        yield


@attrs.define(eq=False, repr=False)
class RedisStore:
    """A store whose ticks are entries of Redis streams."""

    _client: Any
    _address: RelayAddress
    _maxlen: int
    #: Which process of the server the last write went to.
    _server: str = attrs.field(default="", init=False)

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
        _require_of_relay(stream, entries[0])
        return int(entries[0].identifier.split("-")[0]) // 1000

    async def write(self, batch: Batch) -> None:
        """Add the ticks and gaps of *batch*, in the order of their ids.

        Raises:
            StoreBusy: also if the server was started anew, for coredis connects again by itself. It
                may have lost entries, and who gets this asks next what is kept; see `writer`.

        """
        entries = sorted(entries_of(batch), key=lambda entry: entry.id)
        known, self._server = self._server, ""
        with self._explained():
            server = await self._find_server()
        if known and server != known:
            text = f"{self._address}: the server was started anew"
            raise StoreBusy(text)
        for begin in range(0, len(entries), _AT_ONCE):
            with self._explained():
                await self._add(entries[begin : begin + _AT_ONCE])
        self._server = server

    async def _find_server(self) -> str:
        """Return which process the server is; "" if it does not say that to this user."""
        try:
            told = await self._client.info("server")
        except (AuthorizationError, UnknownCommandError):  # this user may only add entries
            return ""
        return str(told.get("run_id", ""))

    async def _add(self, entries: Sequence[RelayEntry]) -> None:
        pipeline = self._client.pipeline(transaction=False, raise_on_error=False)
        async with pipeline as pipe:
            replies = [
                pipe.xadd(
                    self._address.key(entry.symbol),
                    {name: str(value) for name, value in entry.members.items()},
                    identifier="{}-{}".format(*entry.id),
                    trim_strategy=coredis.PureToken.MAXLEN,
                    trim_operator=coredis.PureToken.APPROXIMATELY,
                    threshold=self._maxlen,
                )
                for entry in entries
            ]
        refused = dict[str, str]()
        for entry, reply in zip(entries, replies, strict=True):
            try:
                await reply
            except ResponseError as error:
                if _KNOWN not in str(error):
                    raise
                refused[self._address.key(entry.symbol)] = "{}-{}".format(*entry.id)
        if refused:
            await self._require_no_others(refused)

    async def _require_no_others(self, refused: Mapping[str, str]) -> None:
        """Look for what was *refused*: of each stream, the last id.

        It is there, or another relay has said that nothing is there, or it was trimmed. In each
        case a relay's entry comes first from that id on. Anything else has stopped ours.
        """
        async with self._client.pipeline(transaction=False, raise_on_error=False) as pipe:
            found = {name: pipe.xrange(name, start=id_, count=1) for name, id_ in refused.items()}
        for stream, reply in found.items():
            for entry in await reply:
                _require_of_relay(stream, entry)

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
            passing = isinstance(error, _PASSING_KINDS) or str(error).startswith(_PASSING)
            text = f"{self._address}: {error}"
            raise (StoreBusy if passing else StoreError)(text) from error


def _require_of_relay(stream: str, entry: Any) -> None:
    if not {"epoch", "gap"} & set(entry.field_values):
        text = f"the stream {stream} has other entries than those of a relay"
        raise StoreError(text)
