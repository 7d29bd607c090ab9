"""A stream of transactions that is completed from the account's statement."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import attrs

from derivtrio.api.parsing import transaction_in
from derivtrio.calls import pages
from derivtrio.calls.pages import Listing, rows_of
from derivtrio.calls.request import request_until_answered
from derivtrio.calls.session import Session
from derivtrio.concurrency.buffer import Buffer
from derivtrio.errors import ApiError, ClientClosed, DerivError
from derivtrio.events import Gap
from derivtrio.models import Transaction
from derivtrio.streams.subscription import Source
from derivtrio.streams.transactions import Interruption, Seen

#: How many rows of the statement to ask for at a time.
_PAGE: Final = 100


@attrs.define(eq=False)
class Completed:
    """Reads a mailbox of transactions, and takes from the statement what is missing in it.

    As with ticks it is the consumer who fetches, when it gets there. The overflow policy may take
    an interruption together with what it stands between; then the next item is the place for it.
    """

    _desk: Session
    _mailbox: Buffer[Transaction | Interruption]
    _account: Mapping[str, str]
    gaps: tuple[Gap, ...] = attrs.field(default=(), init=False)
    _seen: Seen = attrs.field(factory=Seen, init=False)
    _incomplete: bool = attrs.field(default=False, init=False)
    _missed: deque[Transaction] = attrs.field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        self._mailbox.on_drop = self._lose

    async def begin(self) -> None:
        """Note what has happened before: the newest page of the statement."""
        reply = await self._ask({"statement": 1, "limit": _PAGE})
        rows = rows_of("statement", reply.get("statement"), "transactions", transaction_in)
        self._seen.unseen(rows)

    async def get(self) -> Transaction:
        """Return the next transaction. *Cancellation*: loses nothing."""
        while True:
            if self._missed:
                return self._missed.popleft()
            if self._incomplete:
                await self._complete()
                continue
            try:
                item = await self._mailbox.get()
            except (DerivError, StopAsyncIteration):
                if self._incomplete or self._missed:
                    continue  # another task is at what comes before this end
                raise
            if isinstance(item, Interruption):
                self._incomplete = True
            elif self._seen.note(item):
                return item

    async def _complete(self) -> None:
        """Fetch what is missing."""
        try:
            rows = [row async for row in self._statement()]
        except ClientClosed:
            raise StopAsyncIteration from None
        except ApiError:
            if not self._mailbox.closed or len(self._mailbox):
                raise
            rows = []  # and what ended the stream is said next
        self._missed.extend(self._seen.unseen(rows))
        self._incomplete = False

    def _statement(self) -> Listing[Transaction]:
        """Return what the statement has since the last transaction seen."""
        request: dict[str, Any] = {"statement": 1, "description": 1}
        if self._seen.since is not None:
            request["date_from"] = max(0, self._seen.since)
        return pages.statement(self._ask, request, _PAGE)

    async def _ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return await request_until_answered({**request, **self._account}, self._desk)

    def _lose(self, item: Transaction | Interruption) -> None:
        if isinstance(item, Interruption):
            self._incomplete = True


@attrs.define(eq=False)
class CompletedSource:
    """Opens *source*, and then its reader's books."""

    _source: Source
    _reader: Completed

    @property
    def id(self) -> str | None:
        """The server's id of the stream on the present connection."""
        return self._source.id

    async def open(self) -> None:
        """Let transactions flow, and learn which are old."""
        await self._source.open()
        await self._reader.begin()

    def close(self) -> None:
        """Let them flow no more."""
        self._source.close()
