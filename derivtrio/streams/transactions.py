"""The account's transactions: each once, in order, completed from the statement after an outage.

The `transaction` stream never says what happened while nobody listened. So the translator puts an
`Interruption` where something may be missing. When the consumer gets there, the backfill looks into
the account's statement for what the consumer has not seen; `Seen` tells which rows that are.

The statement may lag behind by some seconds. So it is looked at once more a little later, for what
happened at the end of an outage.

The overflow policy may drop an interruption together with the transactions around it. Then the
backfill looks into the statement before the next item. But a transaction that was dropped before
one that has been read since is lost: it would come out of order.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import attrs
import msgspec
import trio

from derivtrio.api.trades import transaction_in
from derivtrio.calls import pages
from derivtrio.calls.pages import Listing, rows_of
from derivtrio.calls.request import request_until_answered
from derivtrio.calls.session import Session
from derivtrio.concurrency.buffer import Buffer, OverflowPolicy
from derivtrio.errors import ApiError, ClientClosed, unreadable
from derivtrio.events import Gap
from derivtrio.models import Transaction
from derivtrio.streams.registry import Registry
from derivtrio.streams.source import ServerStream
from derivtrio.streams.subscription import Subscription, new_buffer

#: How many rows of the statement to ask for at a time.
_PAGE: Final = 100

#: By how many seconds the order of the statement and that of the stream may differ.
_SLACK: Final = 10

#: How many seen transactions are kept before those that are too old to matter are removed.
_MOST: Final = 1000


def transaction_stream(
    registry: Registry, account: Mapping[str, str], *, buffer: int, overflow: OverflowPolicy
) -> Subscription[Transaction]:
    """Return the subscription that `client.transactions` describes; *account* names the account."""
    items: Buffer[Transaction | Interruption] = new_buffer("transactions", buffer, overflow)
    request = {"transaction": 1, "subscribe": 1, **account}
    stream = ServerStream(registry, "transaction", request, TransactionTranslator(), items)
    backfill = StatementBackfill(registry.session, items, account)
    return Subscription(items, TransactionSource(stream, backfill), backfill)


class Interruption(msgspec.Struct, frozen=True):
    """Stands where transactions may be missing; or where the statement is looked at `again`."""

    again: bool = False


@attrs.define(eq=False, repr=False)
class TransactionTranslator:
    """Translates messages into transactions, from the second message on.

    The first message has no transaction; or, for a consumer that joins a shared stream, an old one.
    """

    over: bool = attrs.field(default=False, init=False)
    implausible: Exception | None = attrs.field(default=None, init=False)
    _begun: bool = attrs.field(default=False, init=False)
    _interrupted: bool = attrs.field(default=False, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Transaction | Interruption]:
        """Return the transaction in *message*, if there is one; before it what may be missing."""
        payload: Any = message.get("transaction")
        items: list[Transaction | Interruption] = []
        if self._interrupted:
            items.append(Interruption())
            self._interrupted = False
        granted = isinstance(payload, dict) and payload.keys() <= {"id"}  # says just that
        if self._begun and not granted:
            items.append(transaction_in(payload))
        self._begun = True
        return items

    def answered(self, *, late: bool) -> None:
        """Do nothing: the statement is asked for after the reply has come."""

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        self._interrupted = True

    def skip(self) -> Sequence[Interruption]:
        """Return what stands for a message that cannot be read: the statement has it."""
        return (Interruption(),)

    def missing(self) -> Sequence[Interruption]:
        """Return what may be missing if nothing more comes."""
        return (Interruption(),) if self._interrupted else ()


@attrs.define(eq=False, repr=False)
class Seen:
    """The transactions that need not be delivered any more."""

    _times: dict[int, int] = attrs.field(factory=dict, init=False)

    @property
    def since(self) -> int | None:
        """The epoch before which nothing in the statement is new; None: anything may be.

        Of the two newest times it goes by the older one: one of them may be wrong.
        """
        newest = sorted(self._times.values())[-2:]
        return newest[0] - _SLACK if newest else None

    def note(self, transaction: Transaction) -> bool:
        """Note *transaction*; return whether it is new."""
        new = transaction.transaction_id not in self._times
        self._times[transaction.transaction_id] = transaction.transaction_time
        if len(self._times) > _MOST:
            self._tidy()
        return new

    def unseen(self, rows: Sequence[Transaction]) -> list[Transaction]:
        """Return those of the statement's *rows*, newest first, that are new, oldest first."""
        since = -math.inf if self.since is None else self.since
        return [r for r in reversed(rows) if r.transaction_time >= since and self.note(r)]

    def _tidy(self) -> None:
        since = self.since
        if since is not None:
            self._times = {n: time for n, time in self._times.items() if time >= since}


@attrs.define(eq=False, repr=False)
class StatementBackfill:
    """Takes from the statement what is missing in a buffer of transactions.

    `behind` says that something may be missing, and `accepts` whether a transaction is new.
    """

    _session: Session
    _items: Buffer[Transaction | Interruption]
    _account: Mapping[str, str]
    stand_in: ClassVar[type] = Interruption
    gaps: tuple[Gap, ...] = attrs.field(default=(), init=False)
    gap_count: int = attrs.field(default=0, init=False)
    behind: bool = attrs.field(default=False, init=False)
    accepts: Callable[[Transaction], bool] = attrs.field(init=False)
    _seen: Seen = attrs.field(factory=Seen, init=False)
    #: What the overflow policy has dropped since the last one was read.
    _dropped: list[Transaction] = attrs.field(factory=list, init=False)
    _incomplete: bool = attrs.field(default=False, init=False)
    _is_again: bool = attrs.field(default=False, init=False)
    _missed: deque[Transaction] = attrs.field(factory=deque, init=False)

    def __attrs_post_init__(self) -> None:
        self._items.on_drop = self._note_dropped
        self.accepts = self._accept

    async def begin(self) -> None:
        """Note what has happened before: the newest page of the statement."""
        reply = await self._ask({"statement": 1, "limit": _PAGE})
        payload = reply.get("statement")
        rows = rows_of("statement", payload, "transactions", transaction_in, self._note_unread)
        self._seen.unseen(rows)

    def note_missing(self, stand_in: Interruption | None = None) -> None:
        """Note that transactions may be missing here."""
        self._incomplete = self.behind = True
        if stand_in is None or not stand_in.again:
            self._is_again = False

    async def next_missing(self) -> Transaction | None:
        """Return the next one that was missed; None if the caller has to look again."""
        if self._incomplete and not self._missed:
            await self._complete()
        if self._missed:
            return self._missed.popleft()
        self.behind = self._incomplete
        return None

    async def goes_on_after(self, error: Exception) -> bool:  # noqa: ARG002 - each is the end
        """Return False."""
        return False

    async def _complete(self) -> None:
        """Fetch what is missing."""
        try:
            rows = [row async for row in self._statement()]
        # A client that is closed ends its streams without an error.
        except ClientClosed:
            raise StopAsyncIteration from None
        except ApiError:
            if not self._items.closed or len(self._items):
                raise
            rows = []  # what ended the stream comes next
        self._missed.extend(self._seen.unseen(rows))
        connection = self._session.usable_connection
        if not self._is_again and connection is not None:
            name = f"derivtrio.statement{self._session.label}"
            connection.start_soon(self._look_again, name=name)
        self._incomplete, self._is_again = False, True

    async def _look_again(self) -> None:
        """Have the statement looked at once more, when it has caught up."""
        await trio.sleep(pages.LAG)
        # A consumer that has something to read looks into the statement before that.
        if len(self._items):
            self.note_missing(Interruption(again=True))
        else:  # the consumer may be waiting
            self._items.put(Interruption(again=True))

    def _statement(self) -> Listing[Transaction]:
        """Return what the statement has since the last transaction seen."""
        request: dict[str, Any] = {"statement": 1, "description": 1}
        if self._seen.since is not None:
            request["date_from"] = max(0, self._seen.since)
        return pages.statement(self._ask, request, _PAGE, self._note_unread)

    async def _ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return await request_until_answered({**request, **self._account}, self._session)

    def _note_unread(self, error: Exception) -> None:
        """Log a row that cannot be read. It counts as lost; the others must not be lost with it."""
        text = "transactions: %s; it counts as lost"
        self._session.bus.log(logging.WARNING, text, unreadable("row of the statement", error))

    def _accept(self, transaction: Transaction) -> bool:
        """Return whether *transaction* is new; what was dropped before it is lost from now on."""
        for each in self._dropped:
            self._seen.note(each)
        self._dropped.clear()
        return self._seen.note(transaction)

    def _note_dropped(self, item: Transaction | Interruption) -> None:
        if isinstance(item, Interruption):
            self.note_missing()
        else:
            self._dropped.append(item)
            del self._dropped[:-_MOST]


@attrs.define(eq=False, repr=False)
class TransactionSource:
    """Attaches a stream of transactions, and then tells its backfill which are old."""

    _stream: ServerStream
    _backfill: StatementBackfill

    @property
    def id(self) -> str | None:
        """The server's id of the stream on the present connection."""
        return self._stream.id

    @property
    def last_at(self) -> float | None:
        """When the server last sent something for it, in seconds since the epoch."""
        return self._stream.last_at

    async def attach(self) -> None:
        """Let transactions flow, and learn which are old."""
        await self._stream.attach()
        await self._backfill.begin()

    def detach(self) -> None:
        """Let no more transactions flow."""
        self._stream.detach()
