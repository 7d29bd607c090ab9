"""Fills the holes in a consumer's ticks or candles, from the server's history.

The consumer itself fetches what is missing, when it gets there. So nothing piles up, nobody else
waits. A fetch that an outage interrupts is made again, for less at a time. One that the server
leaves unanswered several times, or that breaks connections itself, is given up and leaves a gap, so
that the stream goes on. If the client ends during a fetch, the stream ends there, because nothing
may come after an unfilled hole.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Final, Generic, TypeVar, cast

import attrs
import trio

from derivtrio.api.catalog import name_of
from derivtrio.api.parsing import UNREADABLE
from derivtrio.calls.request import request_until_answered
from derivtrio.calls.session import Session
from derivtrio.concurrency.buffer import CHECKPOINT_EVERY, Buffer
from derivtrio.errors import (
    ApiError,
    ClientClosed,
    ConnectionLost,
    DerivError,
    MarketClosed,
    NotContinuous,
    ResponseTimeout,
    unreadable,
)
from derivtrio.events import Filling, Gap
from derivtrio.streams.holes import Filler, Hole

T = TypeVar("T")

#: How many gaps of a stream are kept, the newest. (A hostile server may cause ever more.)
_MOST_GAPS: Final = 1000

#: How many answers about one hole may be unreadable; then what is left of it is a gap.
_MOST_UNREADABLE: Final = 3
#: After so many requests without a reply, the rest of a hole is a gap.
_MOST_UNANSWERED: Final = 3


@attrs.define(eq=False, repr=False)
class HistoryBackfill(Generic[T]):
    """Fills the holes in a buffer of ticks or candles, when its consumer has read that far.

    With `strict`, a gap is raised as `NotContinuous`.

    Attributes:
        behind: whether a hole is being filled, whose items come before those in the buffer.
        gaps: the holes that could not be filled; the newest of them.
        gap_count: how many there have been.
        outlast: waits until a market that is closed opens, and opens the buffer again; it is given
            the last items that came from history at the end. None: `MarketClosed` is raised.

    """

    _session: Session
    _items: Buffer[T | Hole]
    _strict: bool
    outlast: "Callable[[MarketClosed, Sequence[T]], Awaitable[None]] | None" = None
    stand_in: ClassVar[type] = Hole
    accepts: ClassVar[None] = None
    behind: bool = attrs.field(default=False, init=False)
    gaps: list[Gap] = attrs.field(factory=list, init=False)
    gap_count: int = attrs.field(default=0, init=False)
    #: The last items that came from history for a hole that reaches to the server's present.
    _newest: Sequence[T] = attrs.field(default=(), init=False)
    _filling: "OpenHole[T] | None" = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._items.on_drop = self._note_dropped

    def note_missing(self, stand_in: Hole) -> None:
        """Begin to fill a hole, which the consumer has got to."""
        self._filling, self.behind = OpenHole(Filler(stand_in)), True

    async def goes_on_after(self, error: Exception) -> bool:
        """Wait until a market opens that is closed, if that is wanted; return whether it is."""
        if self.outlast is None or not isinstance(error, MarketClosed):
            return False
        newest, self._newest = self._newest, ()
        await self.outlast(error, newest)
        return True

    async def next_missing(self) -> T | None:
        """Return the next item of the hole; None if the caller has to look again."""
        filling = self._filling
        if filling is None:  # another task has read its end
            return None
        page = filling.page
        if page:
            if len(page) % CHECKPOINT_EVERY == 0:
                await trio.lowlevel.checkpoint()
            return page.popleft() if page else None
        if filling.filler.done:
            self._filling, self.behind = None, False
            return None
        async with filling.one_at_a_time:
            if not (page or filling.filler.done):
                await self._fetch(filling)
                self._tell(filling)
        return None

    async def _fetch(self, filling: "OpenHole[T]") -> None:
        """Fetch one window of a hole, however long that takes."""
        filler, unanswered = filling.filler, 0

        def ask_for_less(error: DerivError) -> None:
            nonlocal unanswered
            unanswered += isinstance(error, ResponseTimeout)
            if unanswered >= _MOST_UNANSWERED:
                raise error
            if not isinstance(error, ApiError):
                filler.interrupted()

        try:
            reply = await request_until_answered(
                lambda: filler.request, self._session, interrupted=ask_for_less
            )
        except ClientClosed:
            raise StopAsyncIteration from None
        except ApiError as error:
            self._note(filler.refused(f"refused: {error.code}"))
            return
        except ResponseTimeout:
            self._note(filler.refused("not answered"))
            return
        except ConnectionLost as error:
            self._note(filler.refused(f"it broke connection {error.connection}"))
            return
        try:
            items, gap = filler.take(reply)
        except UNREADABLE as error:
            self._note_unreadable(filling, error)
            return
        self._keep(cast("list[T]", items), filling)  # a hole in ticks brings ticks
        self._note(gap)
        if filler.pause:
            with trio.move_on_after(filler.pause):
                await self._session.state.wait_ending()

    def _keep(self, fetched: "list[T]", filling: "OpenHole[T]") -> None:
        """Keep what was fetched, until the consumer takes it."""
        filling.page.extend(fetched)
        if filling.is_last and fetched:
            self._newest = fetched
        if self._session.observer is not None:
            self._session.observer.fetched(self._items.name, len(fetched))

    def _tell(self, filling: "OpenHole[T]") -> None:
        """Announce how far a hole is filled, if that takes more than one request."""
        filler, hole = filling.filler, filling.filler.hole
        if filler.done and not filling.is_long:
            return
        if hole.before is not None and filler.reached > hole.after:
            filling.is_long = True
            event = Filling(hole.symbol, hole.granularity, hole.after, filler.reached, hole.before)
            self._session.bus.announce(event)

    def _note_unreadable(self, filling: "OpenHole[T]", error: Exception) -> None:
        """Note a reply that cannot be read: the window is asked for again, or becomes a gap."""
        filler = filling.filler
        filling.unreadable += 1
        violation = unreadable(f"{name_of(filler.request)} message", error)
        self._session.bus.log(logging.WARNING, "%s", violation, symbol=filler.hole.symbol)
        if filling.unreadable > _MOST_UNREADABLE:
            self._note(filler.refused("the server's answers cannot be read"))

    def _note_dropped(self, item: Any) -> None:
        """Note a hole that the overflow policy has dropped: it will not be filled.

        A hole without an end is the last item of all, and is never dropped.
        """
        if isinstance(item, Hole) and item.before is not None:
            reason = "dropped by the overflow policy"
            self._record(Gap(item.symbol, item.after, item.before, filled=False, reason=reason))

    def _note(self, gap: Gap | None) -> None:
        if gap is None:
            return
        self._record(gap)
        if self._strict:
            raise NotContinuous(gap)

    def _record(self, gap: Gap) -> None:
        self.gaps.append(gap)
        self.gap_count += 1
        del self.gaps[:-_MOST_GAPS]
        self._session.bus.announce(gap)


@attrs.define(eq=False, repr=False)
class OpenHole(Generic[T]):
    """A hole that is being filled: what to ask for, and what has come and was not read yet.

    Several tasks may read a stream; they fetch `one_at_a_time`. A hole that `is_last` reaches to
    the server's present. One that `is_long` was not filled by one answer.
    """

    filler: Filler
    is_last: bool = attrs.field(init=False)
    is_long: bool = attrs.field(default=False, init=False)
    unreadable: int = attrs.field(default=0, init=False)
    page: deque[T] = attrs.field(factory=deque, init=False)
    one_at_a_time: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.is_last = self.filler.hole.before is None
