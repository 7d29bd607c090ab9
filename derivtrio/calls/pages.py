"""Lists that the server gives in pages, read one by one."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import attrs
import trio

from derivtrio.api.parsing import UNREADABLE
from derivtrio.api.trades import closed_contract_in, position_in, transaction_in
from derivtrio.errors import unreadable
from derivtrio.models import ClosedContract, Position, Transaction
from derivtrio.wording import shown

Row = TypeVar("Row")

#: How far the account's lists may lag behind, in seconds; with a margin.
LAG: Final = 5

#: What a request says about the account, where it is the one that is meant anyway.
_ANY: Final[Mapping[str, str]] = {}

#: A page with fewer rows than this is the last one.
_SHORT: Final = 10

#: After so many pages in a row without a new row, a list is given up. (If it grew that fast, it
#: could not be read at all.)
_MOST_REPEATS: Final = 100

Ask = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


@attrs.define(eq=False, repr=False)
class Listing(Generic[Row]):
    """A list of the account, newest first, to be read with `async for`.

    A page is asked for when the one before is used up. What is added to the list meanwhile pushes
    the rest down; so a row may come again on the next page, and is then left out. What is above
    such a row, and not older than the first page, was added meanwhile. It is left out, too, because
    it would come among older rows.

    A page with fewer rows than were asked for is not the last one yet, unless it is very short: a
    server may have a lower limit than its documentation says.

    Several tasks may read it; each row goes to one of them.

    *Cancellation*: loses nothing; the reading can go on.
    """

    _ask: Ask
    _request: Mapping[str, Any]
    _member: str
    _read: Callable[[Mapping[str, Any]], Row]
    _key: Callable[[Row], int]
    _time: Callable[[Row], int]
    _limit: int
    #: Is told of a row that cannot be read; without it such a row is the end.
    _unread: Callable[[Exception], None] | None = None
    _newest: int | None = attrs.field(default=None, init=False)
    _offset: int = attrs.field(default=0, init=False)
    _over: bool = attrs.field(default=False, init=False)
    _repeats: int = attrs.field(default=0, init=False)
    _seen: set[int] = attrs.field(factory=set, init=False)
    _page: deque[Row] = attrs.field(factory=deque, init=False)
    _one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def __aiter__(self) -> "Listing[Row]":
        return self

    async def __anext__(self) -> Row:
        await trio.lowlevel.checkpoint()
        while not self._page:
            if self._over:
                raise StopAsyncIteration
            async with self._one_at_a_time:
                if not self._page and not self._over:  # another task may have turned it meanwhile
                    await self._turn()
        return self._page.popleft()

    async def _turn(self) -> None:
        reply = await self._ask({**self._request, "limit": self._limit, "offset": self._offset})
        payload = reply.get(self._member)
        rows = rows_of(self._member, payload, "transactions", self._read, self._unread)
        count = len(payload["transactions"])  # type: ignore[index]  # `rows_of` has read it
        self._over = count < min(self._limit, _SHORT)
        self._offset += count
        added = self._count_added(rows)
        for index, row in enumerate(rows):
            is_added = index < added and self._is_newer(row)
            if self._key(row) not in self._seen and not is_added:
                self._page.append(row)
            self._seen.add(self._key(row))
        if self._newest is None:
            self._newest = max(map(self._time, rows), default=None)
        self._repeats = 0 if self._page else self._repeats + 1
        if self._repeats == _MOST_REPEATS:
            error = ValueError("the same rows again and again")
            raise unreadable(self._member, error) from error

    def _count_added(self, rows: Sequence[Row]) -> int:
        """Return how many of *rows* are above the last one that has come before."""
        known = (i for i in range(len(rows) - 1, -1, -1) if self._key(rows[i]) in self._seen)
        return next(known, 0)

    def _is_newer(self, row: Row) -> bool:
        return self._newest is not None and self._time(row) >= self._newest


def statement(
    ask: Ask,
    request: Mapping[str, Any],
    limit: int,
    unread: Callable[[Exception], None] | None = None,
) -> Listing[Transaction]:
    """Return what *request* asks of the statement, *limit* rows at a time.

    If there is *unread*, it is told of each row that cannot be read, and the others are returned.
    """

    def key(row: Transaction) -> int:
        return row.transaction_id

    def time(row: Transaction) -> int:
        return row.transaction_time

    return Listing(ask, request, "statement", transaction_in, key, time, limit, unread)


def profit_table(ask: Ask, request: Mapping[str, Any], limit: int) -> Listing[ClosedContract]:
    """Return what *request* asks of the profit table, *limit* rows at a time."""

    def key(row: ClosedContract) -> int:
        return -row.transaction_id if row.contract_id is None else row.contract_id

    def time(row: ClosedContract) -> int:
        return row.purchase_time if row.sell_time is None else row.sell_time

    return Listing(ask, request, "profit_table", closed_contract_in, key, time, limit)


async def portfolio(ask: Ask, account: Mapping[str, str] = _ANY) -> list[Position]:
    """Return the open contracts, which come without pages; *account* may name a `loginid`."""
    reply = await ask({"portfolio": 1, **account})
    return rows_of("portfolio", reply.get("portfolio"), "contracts", position_in)


def rows_of(
    name: str,
    payload: Any,
    member: str,
    read: Callable[[Mapping[str, Any]], Row],
    unread: Callable[[Exception], None] | None = None,
) -> list[Row]:
    """Return the rows in *member* of *payload*, the server's answer to *name*.

    If there is *unread*, it is told of each row that cannot be read.

    Raises:
        ProtocolViolation: the rows cannot be read; with *unread*: there are none.

    """
    try:
        found = payload[member]
        if not isinstance(found, list):
            text = f"the rows are a list, not {shown(found)}"
            raise TypeError(text)
        return list(_readable(found, read, unread))
    except UNREADABLE as error:
        raise unreadable(name, error) from error


def _readable(
    found: Sequence[Any],
    read: Callable[[Mapping[str, Any]], Row],
    unread: Callable[[Exception], None] | None,
) -> Iterator[Row]:
    """Yield the rows in what was *found*, each read by *read*."""
    for each in found:
        try:
            row = read(each)
        except UNREADABLE as error:
            if unread is None:
                raise
            unread(error)
        else:
            yield row
