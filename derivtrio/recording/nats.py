"""A store that is a relay: NATS JetStream, so that other programs and machines have the ticks.

What is published, and why each tick is there once, is in `jetstream`. That is written for asyncio,
as nats-py is, and runs in a loop of trio-asyncio. A connection is used once: after any trouble the
next call opens another one.
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

import attrs
import trio

from derivtrio.concurrency.background import running
from derivtrio.recording.extras import needing
from derivtrio.recording.jetstream import JetStream
from derivtrio.recording.relaying import RelayAddress, entries_of
from derivtrio.recording.store import StoreBusy, StoreError
from derivtrio.recording.tables import TICKS, Batch, Table

with needing("nats", "NATS"):
    import nats.errors
    import trio_asyncio
    from nats.js import errors as js

T = TypeVar("T")

#: What stands in front of an error's words.
_PREFIX: Final = re.compile(r"^(?:nats: |\[Errno -?\d+\] )")

#: How long a call may take, in seconds; and the goodbye.
_TIMEOUT: Final = 10.0
_GOODBYE: Final = 2.0

_PASSING: Final = (
    OSError,
    trio.TooSlowError,
    nats.errors.NoServersError,
    nats.errors.TimeoutError,
    nats.errors.StaleConnectionError,
    nats.errors.ConnectionClosedError,
    nats.errors.OutboundBufferLimitError,
    js.NoStreamResponseError,
    js.ServiceUnavailableError,
    js.ServerError,
)


@asynccontextmanager
async def open_nats(address: RelayAddress, maxlen: int) -> AsyncGenerator["NatsStore"]:
    """Open a store whose stream keeps *maxlen* messages of each subject.

    Raises:
        StoreError: the server cannot be reached, or has no JetStream.

    """
    async with asyncio_loop() as loop:
        store = NatsStore(loop, address, maxlen)
        try:
            await store.check()
            yield store
        finally:
            await store.aclose()


@asynccontextmanager
async def asyncio_loop() -> AsyncGenerator[Any]:
    """Run a loop of asyncio beside the block.

    Around the block, `open_loop` would raise in a group whatever the block raises.
    """
    opened, scope = trio.Event(), trio.CancelScope()
    loops: list[Any] = []

    async def run() -> None:
        with scope:
            async with trio_asyncio.open_loop() as loop:
                loops.append(loop)
                opened.set()
                await trio.sleep_forever()

    async with running(run, stop=scope.cancel, name="derivtrio.asyncio"):
        await opened.wait()
        yield loops[0]


@attrs.define(eq=False, repr=False)
class NatsStore:
    """A store whose ticks are messages of a JetStream."""

    _loop: Any
    _address: RelayAddress
    _maxlen: int
    _connection: JetStream | None = attrs.field(default=None, init=False)
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def __repr__(self) -> str:
        return f"<NatsStore {self._address}>"

    async def check(self) -> None:
        """Connect, and have the stream made.

        Raises:
            StoreError: that is not possible.

        """
        await self._do(JetStream.ready)

    async def newest(self, table: Table, *key: str | int) -> int | None:
        """Return the epoch of the newest tick, or gap, of the subject of a symbol."""
        if table is not TICKS:
            return None
        tip = await self._do(JetStream.tip, str(key[0]))
        return tip.id[0] // 1000 if tip.sequence else None

    async def write(self, batch: Batch) -> None:
        """Publish the ticks and gaps of *batch*, those of each symbol in the order of their ids."""
        entries = sorted(entries_of(batch), key=lambda entry: (entry.symbol, entry.id))
        while entries:
            entries = await self._do(JetStream.publish, entries)

    async def aclose(self) -> None:
        """Close the connection, under a shield, which takes two seconds at most."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with trio.move_on_after(_GOODBYE, shield=True):
                await self._in_asyncio(connection.close)

    async def _do(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Do *work* with a connection that is open; after any trouble that connection is closed."""
        async with self._one_at_a_time:
            done = False
            try:
                with self._explained(), trio.fail_after(_TIMEOUT):
                    connection = self._connection or await self._open()
                    result = await self._in_asyncio(work, connection, *arguments)
                done = True
            finally:
                if not done:
                    await self.aclose()
            return result

    async def _open(self) -> JetStream:
        self._connection = JetStream(self._address, self._maxlen)
        await self._in_asyncio(self._connection.open)
        return self._connection

    async def _in_asyncio(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        result: T = await trio_asyncio.aio_as_trio(work, loop=self._loop)(*arguments)
        return result

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise the errors of NATS as ours."""
        try:
            yield
        except (OSError, trio.TooSlowError, nats.errors.Error) as error:
            kind = StoreBusy if _may_pass(error) else StoreError
            raise kind(self._text(error)) from error

    def _text(self, error: Exception) -> str:
        """Return what has happened, in words; what the server said meanwhile tells more."""
        said = self._connection.trouble if self._connection is not None else None
        if isinstance(error, js.NoStreamResponseError):
            text = "the stream has gone"
        elif isinstance(error, js.APIError) and error.description is None:
            text = "the server has no JetStream; nats-server -js has one"
        elif isinstance(error, js.APIError):
            text = str(error.description)
        elif isinstance(error, trio.TooSlowError | nats.errors.NoServersError):
            text = "no answer" if said is None else said
        else:
            text = str(error)
        return f"{self._address}: {_PREFIX.sub('', text)}"


def _may_pass(error: Exception) -> bool:
    if type(error) is nats.errors.Error:  # what the server said before it closed the connection
        return "authorization" not in str(error).lower()
    return isinstance(error, _PASSING)
