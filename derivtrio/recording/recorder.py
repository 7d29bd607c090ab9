"""`record`: what a client gets, kept in a store, for as long as the client lives.

The tasks: a `Follower` for each series, one for the account if that is wanted, and one writer.

At the end, by cancellation or otherwise, the followers stop first. Then the writer writes what it
has gathered, under a shield, but not longer than `FLUSH_TIMEOUT`. What cannot be written in that
time is not lost: it was never said to be kept, and is fetched at the next start.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Final

import attrs
import trio

from derivtrio.client import Client
from derivtrio.errors import DerivError
from derivtrio.logs import TolerantLogger
from derivtrio.recording.account import AccountFollower
from derivtrio.recording.series import Follower, series_of
from derivtrio.recording.store import Store, StoreError, StoreRewound
from derivtrio.recording.waits import Waits
from derivtrio.recording.writer import BatchWriter
from derivtrio.wording import counted

_log: Final = TolerantLogger(logging.getLogger("derivtrio.recording"))

#: How long the last write may take, in seconds.
FLUSH_TIMEOUT: Final = 2.0


async def record(
    client: Client,
    symbols: Iterable[str],
    store: Store,
    *,
    ticks: bool = True,
    candles: Iterable[int] = (),
    account: bool = False,
    start: int | None = None,
    waits: Waits | None = None,
) -> None:
    """Keep the ticks of *symbols* in *store*, each once; return when *client* is closed.

    *candles* are lengths in seconds: closed candles are kept, too, or without *ticks* alone. With
    *account* also the transactions, balances and contracts of the client's account.

    What *store* has is continued: what was missed since its newest row is fetched first. A series
    that it does not have begins at the epoch *start*, or now. What the server no longer has becomes
    a row of the table `gaps`.

    A series that the server refuses, though rows of it are kept, is asked for again every minute;
    *waits* has it meanwhile.

    *Cancellation*: writes what has come, which takes `FLUSH_TIMEOUT` at most.

    Raises:
        ApiError: the server refuses the account, or a symbol of which nothing is kept.
        ConnectionFailed: the client has ended.
        StoreError: the store cannot keep rows, and waiting does not help.
        ValueError, TypeError: there is nothing to record, or *symbols* is one str.

    """
    if isinstance(symbols, str):
        text = f"symbols are several, such as [{symbols!r}], not a str"
        raise TypeError(text)
    recorder = Recorder(store)
    waits = Waits() if waits is None else waits
    names = iter(dict.fromkeys(symbols))
    lengths = tuple(dict.fromkeys(candles))
    for kind in series_of(names, lengths, ticks=ticks):
        recorder.follow(Follower(kind, client, recorder.writer, start, waits).run)
    if account:
        recorder.follow(AccountFollower(client, recorder.writer, start, waits).run)
    if not recorder.has_work:
        text = "there is nothing to record: no symbol with ticks or candles, and no account"
        raise ValueError(text)
    await recorder.run()


@attrs.define(eq=False)
class Recorder:
    """The tasks of one `record`, and the first error among them."""

    _store: Store
    writer: BatchWriter = attrs.field(init=False)
    _tasks: list[Callable[[], Awaitable[None]]] = attrs.field(factory=list, init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _failure: DerivError | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.writer = BatchWriter(self._store)

    def follow(self, task: Callable[[Store], Awaitable[None]]) -> None:
        """Have *task* run."""
        self._tasks.append(partial(task, self._store))

    @property
    def has_work(self) -> bool:
        """Whether there is a task to run."""
        return bool(self._tasks)

    async def run(self) -> None:
        """Run all tasks until they end, and write what is left.

        If the store has lost rows, all begins anew, as after a restart.
        """
        while True:
            try:
                with trio.CancelScope() as self._scope:
                    await self._run_tasks()
            finally:
                if isinstance(self._failure, StoreRewound):
                    self.writer.discard()
                else:
                    await self._flush()
            if self._failure is None:
                return
            if not isinstance(self._failure, StoreRewound):
                raise self._failure
            _log.warning("%s; they are fetched again", self._failure)
            self._failure = None

    async def _run_tasks(self) -> None:
        async with trio.open_nursery() as writing:
            writing.start_soon(self._guarded, self.writer.run, name="derivtrio.store")
            async with trio.open_nursery() as following:
                for task in self._tasks:
                    following.start_soon(self._guarded, task, name="derivtrio.record")
            writing.cancel_scope.cancel()

    async def _guarded(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run *task*; keep its error, which so comes out without a group, and end the others."""
        try:
            await task()
        except DerivError as error:
            if self._failure is None:
                self._failure = error
            self._scope.cancel()

    async def _flush(self) -> None:
        writer = self.writer
        with trio.move_on_after(FLUSH_TIMEOUT, shield=True):
            try:
                await writer.flush()
            except StoreError as error:
                _log.warning("%s", error)
        if writer.unwritten:
            rows = counted(writer.unwritten, "row")
            _log.error("%s could not be written at the end", rows)
        _log.info("%s written in all", counted(writer.written, "row"))
