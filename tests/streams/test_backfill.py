"""G05: how a consumer's reader fills a hole, and what it does if the history does not answer."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any

import attrs
import pytest
import trio
from trio.testing import assert_checkpoints, assert_no_checkpoints, wait_all_tasks_blocked

import derivtrio
from derivtrio import Filling, Gap, NotContinuous, ResponseTimeout, Subscription, Tick
from derivtrio.concurrency.buffer import Buffer
from derivtrio.errors import ClientClosed, ConnectionLost, api_error
from derivtrio.streams import backfill
from derivtrio.streams.backfill import HistoryBackfill
from derivtrio.streams.holes import Hole
from derivtrio.streams.subscription import new_buffer

LATE = ResponseTimeout({}, 60)
LOST = ConnectionLost("lost", {}, 7)
UNREADABLE = {"history": {"times": ["?"], "prices": [1]}}


def tick(epoch: int) -> Tick:
    return Tick("R_100", epoch, epoch / 2)


@attrs.frozen
class After:
    """An error after which the client asks again by itself."""

    error: derivtrio.DerivError


@attrs.define(eq=False)
class History:
    """Has every tick; but gives its `answers` first. It stands for the session, too."""

    answers: list[Any] = attrs.field(factory=list)
    asked: list[Mapping[str, Any]] = attrs.field(factory=list)
    events: list[Any] = attrs.field(factory=list)
    fetches: list[tuple[str, int]] = attrs.field(factory=list)
    observer: Any = None
    now: int = 20

    @property
    def bus(self) -> "History":
        return self

    def announce(self, event: Any) -> None:
        self.events.append(event)

    def log(self, level: int, text: str, *args: object, symbol: str) -> None:
        logging.getLogger("derivtrio").log(level, text, *args, extra={"symbol": symbol})

    def fetched(self, name: str, count: int) -> None:
        self.fetches.append((name, count))

    async def ask(
        self, question: Callable[[], Mapping[str, Any]], session: Any, *, interrupted: Any
    ) -> Any:
        assert session is self
        while True:
            await trio.sleep(1)
            request = question()
            self.asked.append(request)
            answer = self.answers.pop(0) if self.answers else self.answer(request)
            if isinstance(answer, After):
                interrupted(answer.error)
            elif isinstance(answer, Exception):
                raise answer
            else:
                return answer

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if "time" in request:
            return {"time": self.now}
        times = list(range(request["start"], int(request["end"]) + 1))
        return {"history": {"times": times, "prices": [time / 2 for time in times]}}


Items = Buffer[Tick | Hole]


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> History:
    history = History()
    monkeypatch.setattr(backfill, "request_until_answered", history.ask)
    return history


class Source:
    """Lets nothing flow: the tests put items into the buffer themselves."""

    id = last_at = None

    async def attach(self) -> None: ...

    def detach(self) -> None: ...


@attrs.define(eq=False)
class Reading:
    """A consumer that reads, and its reader of holes."""

    subscription: Subscription[Tick]
    holes: HistoryBackfill[Tick]
    entered: bool = False

    async def get(self) -> Tick:
        if not self.entered:
            self.entered = True
            await self.subscription.__aenter__()
        return await anext(self.subscription)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return self.subscription.gaps


def reading(
    history: Any, *items: Any, strict: bool = False, buffer: int = 100, overflow: Any = "error"
) -> tuple[Items, Reading]:
    buffered = new_buffer("R_100", buffer, overflow)
    holes: HistoryBackfill[Tick] = HistoryBackfill(history, buffered, strict)
    for item in items:
        buffered.put(item)
    return buffered, Reading(Subscription(buffered, Source(), holes), holes)


async def epochs(reader: Reading, count: int) -> list[int]:
    return [(await reader.get()).epoch for _ in range(count)]


HOLE = Hole("R_100", 1, 5)


async def test_g05_what_is_missing_comes_where_it_belongs(
    autojump_clock: Any, history: History
) -> None:
    history.observer = history
    _, reader = reading(history, tick(1), HOLE, tick(5), tick(6))
    assert await epochs(reader, 6) == [1, 2, 3, 4, 5, 6]
    assert (reader.gaps, history.events, history.fetches) == ((), [], [("R_100", 3)])
    assert [(each["start"], each["end"]) for each in history.asked] == [(2, "4")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (api_error({"code": "InvalidSymbol"}), "refused: InvalidSymbol"),
        (LATE, "not answered"),
        (LOST, "it broke connection 7"),
    ],
    ids=repr,
)
async def test_g05_what_is_refused_for_good_is_a_gap(
    autojump_clock: Any, history: History, error: Exception, reason: str
) -> None:
    history.answers = [error, error]
    _, reader = reading(history, tick(1), HOLE, tick(5), Hole("R_100", 5, 9), tick(9))
    assert await epochs(reader, 3) == [1, 5, 9]
    gaps = [(gap.after, gap.before, gap.reason, gap.filled) for gap in reader.gaps]
    assert gaps == [(1, 5, reason, False), (5, 9, reason, False)]
    assert tuple(history.events) == reader.gaps


async def test_g05_with_strict_a_gap_is_raised_once(autojump_clock: Any, history: History) -> None:
    history.answers = [api_error({"code": "InvalidSymbol"})]
    _, reader = reading(history, HOLE, tick(5), strict=True)
    with pytest.raises(NotContinuous) as caught:
        await reader.get()
    assert reader.gaps == (caught.value.gap,)
    assert await epochs(reader, 1) == [5]


async def test_g05_nothing_comes_after_a_hole_that_the_clients_end_leaves(
    autojump_clock: Any, history: History
) -> None:
    history.answers = [ClientClosed("closed")]
    _, reader = reading(history, HOLE, tick(5))
    with pytest.raises(StopAsyncIteration):
        await reader.get()


@pytest.mark.parametrize(("times", "fills"), [(3, True), (4, False)])
async def test_g18_three_answers_about_a_hole_may_be_unreadable(
    autojump_clock: Any,
    history: History,
    caplog: pytest.LogCaptureFixture,
    times: int,
    *,
    fills: bool,
) -> None:
    history.answers = [UNREADABLE] * times
    _, reader = reading(history, HOLE, tick(5))
    assert await epochs(reader, 1) == ([2] if fills else [5])
    reasons = [gap.reason for gap in reader.gaps]
    assert reasons == ([] if fills else ["the server's answers cannot be read"])
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == times
    assert warnings[0].startswith("the server sent a ticks_history message that cannot be read: ")
    assert "None" not in warnings[0]
    assert not any(isinstance(event, Filling) for event in history.events)


@pytest.mark.parametrize(("times", "fills"), [(2, True), (3, False)])
async def test_g05_three_questions_without_an_answer_are_enough(
    autojump_clock: Any, history: History, times: int, *, fills: bool
) -> None:
    """Other errors in between are of no account."""
    history.answers = [After(LOST), *[After(LATE)] * times]
    _, reader = reading(history, HOLE, tick(5))
    assert await epochs(reader, 1) == ([2] if fills else [5])
    assert [gap.reason for gap in reader.gaps] == ([] if fills else ["not answered"])


async def test_g05_after_an_interruption_less_is_asked_for_but_not_after_a_refusal(
    autojump_clock: Any, history: History
) -> None:
    busy = api_error({"code": "InternalServerError"})
    history.answers = [After(busy), After(LOST), After(LATE)]
    _, reader = reading(history, Hole("R_100", 0, 10_000))
    await reader.get()
    assert [int(each["end"]) for each in history.asked] == [4999, 4999, 2499, 1249]


async def test_g05_what_the_overflow_policy_drops_of_a_hole_is_a_gap(
    autojump_clock: Any, history: History
) -> None:
    items, reader = reading(history, buffer=1, overflow="drop_oldest")
    for item in (tick(1), HOLE, tick(5), Hole("R_100", 5, 9), tick(9)):
        items.put(item)
    assert await epochs(reader, 1) == [9]
    reason = "dropped by the overflow policy"
    seen = [(gap.stream, gap.after, gap.before, gap.filled, gap.reason) for gap in reader.gaps]
    assert seen == [("R_100", 1, 5, False, reason), ("R_100", 5, 9, False, reason)]
    assert tuple(history.events) == reader.gaps
    assert items.on_drop is not None
    items.on_drop(Hole("R_100", 9, None))
    assert len(reader.gaps) == 2


async def test_g18_the_newest_gaps_are_kept_and_all_are_counted(
    autojump_clock: Any, history: History
) -> None:
    items, reader = reading(history, buffer=1, overflow="latest")
    stream = reader.subscription
    assert (stream.gaps, stream.gap_count, stream.gaps_after(0)) == ((), 0, ())
    for n in range(5000):
        items.put(Hole("R_100", 2 * n, 2 * n + 2))
        items.put(tick(2 * n + 2))
    assert stream.gap_count == len(history.events) == 5000
    assert stream.gaps == stream.gaps_after(0) == tuple(history.events[-1000:])
    assert stream.gaps_after(4998) == tuple(history.events[-2:])
    assert stream.gaps_after(4999) == tuple(history.events[-1:])
    assert stream.gaps_after(5000) == ()


async def test_after_its_block_a_stream_has_what_waits_and_fetches_nothing(
    autojump_clock: Any, history: History
) -> None:
    _, reader = reading(history, tick(1), HOLE, tick(5))
    async with reader.subscription as stream:
        pass
    assert [each.epoch async for each in stream] == [1]
    assert [each async for each in stream] == []
    assert history.asked == []
    with pytest.raises(RuntimeError, match="entered once"):
        await stream.__aenter__()


class Closing:
    """Waits for a market to open, and opens the buffer again."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.told: list[tuple[str, list[int]]] = []

    async def __call__(self, error: Exception, newest: Sequence[Tick]) -> None:
        self.told.append((type(error).__name__, [each.epoch for each in newest]))
        self.items.reopen()
        self.items.put(tick(100))


CLOSED = api_error({"code": "MarketIsClosed"})


async def test_a_market_that_closes_is_outlasted_by_who_wants_to(
    autojump_clock: Any, history: History
) -> None:
    items, reader = reading(history, tick(1), Hole("R_100", 17, None))
    outlast = reader.holes.outlast = Closing(items)
    items.close(CLOSED)
    assert await epochs(reader, 5) == [1, 18, 19, 20, 100]
    items.close(CLOSED)
    assert await epochs(reader, 1) == [100]
    assert outlast.told == [("MarketClosed", [18, 19, 20]), ("MarketClosed", [])]
    other = api_error({"code": "StreamingNotAllowed"})
    items.close(other)
    with pytest.raises(derivtrio.ApiError, match="StreamingNotAllowed"):
        await reader.get()
    assert len(outlast.told) == 2


async def test_g05_a_market_that_closed_long_ago_is_outlasted_from_its_last_tick(
    autojump_clock: Any, history: History
) -> None:
    """Nothing came since. What is asked for on Monday must not repeat what was delivered."""
    pages = [[18, 19, 20], *[[] for _ in range(20)]]
    rows = [{"times": page, "prices": [time / 2 for time in page]} for page in pages]
    history.answers = [{"time": 90_000}, *({"history": page} for page in rows)]
    items, reader = reading(history, Hole("R_100", 17, None))
    outlast = reader.holes.outlast = Closing(items)
    items.close(CLOSED)
    assert await epochs(reader, 4) == [18, 19, 20, 100]
    assert len(history.asked) > 2
    assert outlast.told == [("MarketClosed", [18, 19, 20])]


async def test_a_market_that_closes_ends_the_stream_of_everybody_else(
    autojump_clock: Any, history: History
) -> None:
    items, reader = reading(history, Hole("R_100", 17, None))
    items.close(CLOSED)
    assert await epochs(reader, 3) == [18, 19, 20]
    with pytest.raises(derivtrio.MarketClosed):
        await reader.get()


async def test_of_a_hole_with_an_end_nothing_is_kept_for_the_closed_market(
    autojump_clock: Any, history: History
) -> None:
    items, reader = reading(history, HOLE)
    outlast = reader.holes.outlast = Closing(items)
    items.close(CLOSED)
    assert await epochs(reader, 4) == [2, 3, 4, 100]
    assert outlast.told == [("MarketClosed", [])]


@pytest.mark.parametrize("waits", [False, True], ids=["the hole waits", "the readers wait"])
async def test_g05_of_several_readers_none_is_told_before_the_hole_is_filled(
    autojump_clock: Any, history: History, *, waits: bool
) -> None:
    items, reader = reading(history, *(() if waits else [HOLE]))
    seen: list[int] = []

    async def read() -> None:
        while True:
            try:
                seen.append((await reader.get()).epoch)
            except derivtrio.MarketClosed:
                seen.append(-1)
                return

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(read)
        if waits:
            await wait_all_tasks_blocked()
            items.put(HOLE)
        items.close(CLOSED)
    assert seen == [2, 3, 4, -1, -1, -1]
    assert len(history.asked) == 1


@pytest.mark.parametrize("readers", [2, 3, 4])
async def test_g05_of_several_readers_none_gets_what_comes_after_a_hole_before_it_is_filled(
    autojump_clock: Any, history: History, readers: int
) -> None:
    """The batch that wakes one of them wakes the next, while the first one fills the hole."""
    items, reader = reading(history)
    seen: list[list[int]] = [[] for _ in range(readers)]

    async def read(mine: list[int]) -> None:
        with suppress(derivtrio.MarketClosed):
            while True:
                mine.append((await reader.get()).epoch)

    async with trio.open_nursery() as nursery:
        for each in seen:
            nursery.start_soon(read, each)
        await wait_all_tasks_blocked()
        items.put_all([HOLE, tick(5), Hole("R_100", 5, 9), tick(9)])
        await trio.sleep(10)
        items.close(CLOSED)
    assert sorted(chain.from_iterable(seen)) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert [sorted(each) for each in seen] == seen


async def test_g12_of_several_readers_the_last_one_left_fills_the_hole(
    autojump_clock: Any, history: History
) -> None:
    items, reader = reading(history)
    seen: list[int] = []

    async def read() -> None:
        with trio.CancelScope() as scope:
            scopes.append(scope)
            while True:
                seen.append((await reader.get()).epoch)

    scopes: list[trio.CancelScope] = []
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(read)
        await wait_all_tasks_blocked()
        items.put_all([HOLE, tick(5)])
        await trio.sleep(0.5)  # the first one is asking
        for scope in scopes[:3]:
            scope.cancel()
        await trio.sleep(10)
        assert seen == [2, 3, 4, 5]
        nursery.cancel_scope.cancel()


async def test_a_long_page_lets_other_tasks_run(autojump_clock: Any, history: History) -> None:
    """Each time when a multiple of 256 items is left."""
    _, reader = reading(history, Hole("R_100", 0, 1000))
    await epochs(reader, 999 - 768)
    for _ in range(2):
        with assert_checkpoints():
            await epochs(reader, 1)
        with assert_no_checkpoints():
            await epochs(reader, 255)


async def test_what_another_reader_took_meanwhile_is_not_taken_twice(
    autojump_clock: Any, history: History
) -> None:
    async def read(reader: Reading, seen: list[int]) -> None:
        with suppress(derivtrio.MarketClosed):
            while True:
                seen.append((await reader.get()).epoch)

    for _ in range(20):  # in whose turn the page gets empty is random
        items, reader = reading(history, Hole("R_100", 0, 257))
        items.close(CLOSED)
        seen: list[int] = []
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read, reader, seen)
        assert sorted(seen) == list(range(1, 257))


async def test_g05_what_the_server_no_longer_has_is_a_gap(
    autojump_clock: Any, history: History
) -> None:
    """It gives its newest rows instead."""
    history.answers = [{"history": {"times": [900, 901], "prices": [1, 2]}}]
    _, reader = reading(history, HOLE, tick(5))
    assert await epochs(reader, 1) == [5]
    assert [(gap.after, gap.before, gap.reason) for gap in reader.gaps] == [
        (1, 5, "no longer kept")
    ]
