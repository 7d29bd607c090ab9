"""G05 where a reply and live ticks meet: late replies, and several ticks in one second."""

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, cast

import pytest
import trio
from hypothesis import assume, given
from hypothesis import strategies as st
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Backoff, Candle, Settings, Subscription, Tick
from derivtrio.simulator import Market, open_simulator
from derivtrio.streams.candles import CandleTranslator
from derivtrio.streams.epochs import Epochs
from derivtrio.streams.holes import Filler, Hole, HoleEnd
from derivtrio.streams.snapshots import ContractTranslator
from derivtrio.streams.ticks import TickTranslator
from derivtrio.streams.upstream import Upstream

SETTINGS = Settings(backoff=Backoff(first=1, cap=1), heartbeat_interval=3600)
START = 1_749_800_000
BETWEEN = ["lost", "before", "after"]
SYMBOLS = ["1HZ100V", "R_100"]


async def take(stream: Subscription[Any], seconds: float) -> list[Any]:
    taken: list[Any] = []
    with trio.move_on_after(seconds):
        async for item in stream:
            taken += [item]
    return taken


def check_ticks(market: Market, symbol: str, ticks: Sequence[Tick]) -> None:
    """Everything from the first tick on to the last one's second was seen, once and in order."""
    expected = [
        (t.epoch, t.quote) for t in market.ticks(symbol, ticks[0].epoch, ticks[-1].epoch + 1)
    ]
    rows = [(t.epoch, t.quote) for t in ticks]
    begin = expected.index(rows[0])
    assert rows == expected[begin : begin + len(rows)]


def check_candles(market: Market, symbol: str, candles: Sequence[Candle]) -> None:
    closed = [c for c in candles if c.closed]
    assert [c.open_time for c in closed] == list(
        range(closed[0].open_time, closed[-1].open_time + 1, 60)
    )
    for candle in closed:
        end = candle.open_time + 59
        (whole,) = market.candles(symbol, 60, candle.open_time, end)
        assert (candle.open, candle.close) == (whole.open, whole.close)
        assert (candle.high, candle.low) == (whole.high, whole.low)


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("wait", [1.0, 2.0, 7.5])
async def test_g05_a_late_first_reply_leaves_no_hole(
    autojump_clock: Any, between: str, symbol: str, wait: float
) -> None:
    for offset in (0.0, 0.6):
        async with (
            open_simulator(port=None, start=START + offset) as sim,
            derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        ):
            sim.faults.late_subscription(wait, symbol, between=between)
            async with client.ticks(symbol) as ticks, client.ticks(symbol) as joined:
                taken, others = await take(ticks, 20), await take(joined, 1)
                assert ticks.gaps == joined.gaps == ()
        assert taken[-1].epoch >= START + 20
        check_ticks(sim.market, symbol, taken)
        check_ticks(sim.market, symbol, others)


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("symbol", SYMBOLS)
@pytest.mark.parametrize("rate", [None, 2, Fraction(3, 2)])
async def test_g05_a_late_reply_to_a_resubscription_leaves_no_hole(
    autojump_clock: Any, between: str, symbol: str, rate: Any
) -> None:
    rates = {} if rate is None else {symbol: rate}
    async with (
        open_simulator(port=None, start=START, ticks_per_second=rates) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks(symbol) as ticks,
        client.ticks(symbol, start=START - 100) as past,
    ):
        taken, others = await take(ticks, 10), await take(past, 1)
        for wait in (1, 4.2, 9):
            sim.faults.late_subscription(wait, symbol, between=between)
            sim.faults.drop()
            taken += await take(ticks, 20)
            others += await take(past, 1)
        assert ticks.gaps == past.gaps == ()
        assert client.status.connection == 4
    assert others[0].epoch == START - 100
    check_ticks(sim.market, symbol, taken)
    check_ticks(sim.market, symbol, others)


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("wait", [5.2, 6.2])  # one of the replies comes between two ticks
async def test_g05_who_joins_about_the_time_of_a_late_reply_misses_nothing(
    autojump_clock: Any, wait: float, between: str
) -> None:
    """A joiner begins with the newest message, and that may be the late reply, which is old."""
    taken: list[list[Tick]] = []

    async def join(client: derivtrio.Client, pause: float) -> None:
        await trio.sleep(pause)
        async with client.ticks("R_100") as ticks:
            taken.append(await take(ticks, 10))

    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("R_100") as first,
    ):
        await take(first, 3)
        sim.faults.late_subscription(wait, "R_100", between=between)
        sim.faults.drop()
        async with trio.open_nursery() as nursery:
            for n in range(40):
                nursery.start_soon(join, client, n / 4)
    assert len(taken) == 40
    for each in taken:
        check_ticks(sim.market, "R_100", each)


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("wait", [2, 45, 130])
async def test_g05_candles_of_a_late_reply_have_their_final_form(
    autojump_clock: Any, between: str, wait: float
) -> None:
    settings = Settings(backoff=Backoff(first=1, cap=1), restore_timeout=300, response_timeout=300)
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
    ):
        sim.faults.late_subscription(wait, "1HZ100V", between=between)
        async with client.candles("1HZ100V") as candles:
            taken = await take(candles, wait + 150)
            sim.faults.late_subscription(wait, "1HZ100V", between=between)
            sim.faults.drop()
            taken += await take(candles, wait + 150)
            assert candles.gaps == ()
    check_candles(sim.market, "1HZ100V", taken)
    times = [c.open_time for c in taken]
    assert times == sorted(times)


@pytest.mark.parametrize("rate", [2, 3, Fraction(3, 2)])
async def test_g05_ticks_of_one_second_are_all_seen_across_an_outage(
    autojump_clock: Any, rate: Any
) -> None:
    async with (
        open_simulator(port=None, start=START, ticks_per_second={"1HZ100V": rate}) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V") as ticks,
    ):
        taken: list[Tick] = []
        for size in (700, 1000, 1300, 1600, 1900):
            sim.faults.cut(size)  # in the middle of a second, for some of these
            taken += await take(ticks, 15)
        assert ticks.gaps == ()
        assert client.status.connection == 6
    assert len(taken) > 60
    check_ticks(sim.market, "1HZ100V", taken)


async def test_g05_pages_of_history_do_not_cut_a_second(autojump_clock: Any) -> None:
    for rate in (2, Fraction(11, 10)):
        async with (
            open_simulator(port=None, start=START, ticks_per_second={"1HZ100V": rate}) as sim,
            derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
            client.ticks("1HZ100V", start=START - 12_001) as ticks,
        ):
            taken = await take(ticks, 10)
        assert len(taken) > 13_000
        assert taken[0].epoch == START - 12_001
        check_ticks(sim.market, "1HZ100V", taken)


def tick(epoch: int, quote: float) -> dict[str, Any]:
    return {"tick": {"epoch": epoch, "quote": quote, "pip_size": 1, "symbol": "R_100"}}


#: A server's ticks: some seconds have two, and equal quotes occur.
ROWS = [(100, 1.0), (100, 1.5), (101, 2.0), (101, 2.0), (102, 3.0), (103, 4.0), (103, 4.5)]


@pytest.mark.parametrize("delivered", range(2, 7))
@pytest.mark.parametrize("resumed", range(7))
async def test_g05_a_stream_is_resumed_within_a_second(
    autojump_clock: Any, delivered: int, resumed: int
) -> None:
    """The reply to the resubscription has any tick from the last delivered on."""
    if resumed < delivered - 1 or resumed == 2:
        pytest.skip(
            "no server goes back; and an equal tick after the reply counts as its repetition"
        )
    sent: list[tuple[int, float]] = []

    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            rows = ROWS[:delivered] if peer.number == 1 else [*ROWS[resumed:], (104, 5.0)]
            for row in rows:
                sent.append(row)
                await peer.reply(request, **tick(*row), subscription={"id": "x"})
                await trio.sleep(0.01)
            if peer.number == 1:
                await peer.drop()
        elif "ticks_history" in request:
            start, end = request["start"], int(request["end"])
            known = [*ROWS[:resumed], *sent[delivered:]]
            rows = [row for row in known if start <= row[0] <= end]
            history = {"times": [e for e, _ in rows], "prices": [q for _, q in rows]}
            await peer.reply(request, history=history, pip_size=1)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.ticks("R_100") as ticks,
    ):
        taken = [(t.epoch, t.quote) for t in await take(ticks, 10)]
        assert ticks.gaps == ()
    assert taken == [*ROWS, (104, 5.0)]


async def test_g05_a_hole_after_an_old_first_reply_is_a_gap_if_history_is_refused(
    autojump_clock: Any,
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await trio.sleep(3)
            for epoch in (100, 105, 106):
                await peer.reply(request, **tick(epoch, 1.0), subscription={"id": "x"})
        else:
            await peer.refuse(request, "StreamingNotAllowed")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.ticks("R_100") as ticks,
    ):
        assert [t.epoch for t in await take(ticks, 5)] == [100, 105, 106]
        (gap,) = ticks.gaps
    assert (gap.after, gap.before, gap.filled) == (100, 105, False)


async def test_g05_history_that_is_never_answered_is_a_gap(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "ticks" in request:
            await trio.sleep(3)
            for epoch in (100, 105):
                await peer.reply(request, **tick(epoch, 1.0), subscription={"id": "x"})
        elif "ping" in request:
            await peer.reply(request, ping="pong")
        elif "time" in request:  # else the connection would be replaced: it answers no calls
            await peer.reply(request, time=105)

    settings = Settings(response_timeout=5)
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
        client.ticks("R_100") as ticks,
    ):
        assert [t.epoch for t in await take(ticks, 60)] == [100, 105]
        (gap,) = ticks.gaps
        assert (gap.after, gap.before, gap.reason) == (100, 105, "not answered")
        assert client.status.connection == 1


async def test_g05_a_prompt_reply_costs_no_look_into_history(autojump_clock: Any) -> None:
    for offset in (0.0, 0.5, 1.0, 1.5):
        async with (
            open_simulator(port=None, start=START + offset) as sim,
            derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
            client.ticks("R_100") as ticks,
        ):
            taken = await take(ticks, 10)
            assert not [r for r in sim.connections[0].requests if "ticks_history" in r]
        check_ticks(sim.market, "R_100", taken)


@pytest.mark.parametrize("rate", [None, 2, Fraction(3, 2)])
async def test_g05_a_tick_repeated_under_new_ids_is_no_second_tick_of_its_second(
    autojump_clock: Any, rate: Any
) -> None:
    rates = {} if rate is None else {"1HZ100V": rate}
    async with (
        open_simulator(port=None, start=START, ticks_per_second=rates) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("1HZ100V") as ticks,
        client.ticks("1HZ100V", start=START - 100) as past,
    ):
        taken, others = await take(ticks, 5.5), await take(past, 0.1)
        for per_second in (10, 100, 500):
            sim.faults.id_storm(50, per_second)
            taken += await take(ticks, 20)
            others += await take(past, 0.1)
        assert ticks.gaps == past.gaps == ()
        assert client.status.connection == 1
        assert taken[-1].epoch >= int(sim.now()) - 1
    check_ticks(sim.market, "1HZ100V", taken)
    check_ticks(sim.market, "1HZ100V", others)


# The translators and the filler by themselves


def epochs(items: Sequence[Any]) -> list[Any]:
    return [(i.after, i.before) if isinstance(i, Hole) else i.epoch for i in items]


def test_g05_live_ticks_of_one_second_are_all_delivered_however_they_come() -> None:
    ticks = [Tick("R_100", epoch, quote) for epoch, quote in ROWS]
    for size in range(1, 8):
        translator = TickTranslator("R_100")
        got: list[Any] = []
        for begin in range(0, len(ticks), size):
            got += translator.advance_all(ticks[begin : begin + size])
        assert got == ticks
    assert translator.advance_all(ticks[:4]) == []


@pytest.mark.parametrize("together", [False, True])
def test_g05_where_the_id_changes_is_a_seam(together: bool) -> None:  # noqa: FBT001 - a case
    def message(stream_id: str, epoch: int, quote: float) -> dict[str, Any]:
        tick = {"symbol": "R_100", "epoch": epoch, "quote": quote, "pip_size": 2}
        return {"tick": tick, "subscription": {"id": stream_id}}

    came = [
        message("a", 1, 1.5),
        message("a", 1, 1.5),  # two equal ticks in one second
        message("b", 1, 1.5),  # repeats one of them
        message("b", 2, 2.5),
        message("a", 2, 2.5),
        message("b", 2, 3.5),  # another tick of that second
        message("c", 2, 2.5),
    ]

    class Source:
        left = False

        def newest(self) -> Any:
            return None

        def leave_fast_way(self) -> None:
            self.left = True

    translator, source = TickTranslator("R_100"), Source()
    translator.source = source
    got: list[Any] = []
    if together:
        decoded = [Tick("R_100", each["tick"]["epoch"], each["tick"]["quote"]) for each in came]
        batch: list[Any] = [b"something else", *map(json.dumps, came), b"and more"]
        got += translator.advance_all(decoded, batch[-2], batch)
    else:
        for each in came:
            got += translator.feed(each)
    assert source.left == together
    ticks = [each for each in got if isinstance(each, Tick)]
    assert [(t.epoch, t.quote) for t in ticks] == [(1, 1.5), (1, 1.5), (2, 2.5), (2, 3.5)]


async def test_g05_where_ticks_come_under_a_new_id_what_is_missing_before_is_fetched(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
        client.ticks("R_100") as ticks,
    ):
        taken = await take(ticks, 5)
        sim.faults.late_subscription(14, "R_100", between="lost")
        sim.faults.drop()
        await trio.sleep(2)
        sim.faults.id_storm(1000, 500)  # it answers the subscription first, and then says no more
        taken += await take(ticks, 40)
        assert client.status.connection == 2
        assert ticks.gaps == ()
    check_ticks(sim.market, "R_100", taken)


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_g05_of_a_stream_that_was_granted_twice_nothing_is_looked_up(lag: int) -> None:
    """Each tick comes under both ids; the one may be behind by some ticks."""
    translator, got = TickTranslator("R_100"), list[Any]()

    def feed(stream_id: str, n: int) -> None:
        tick = {"symbol": "R_100", "epoch": 1000 + 2 * n, "quote": n / 4, "pip_size": 2}
        got.extend(translator.feed({"tick": tick, "subscription": {"id": stream_id}}))

    for n in range(20):
        feed("a", n)
        if n >= lag:
            feed("b", n - lag)
    assert all(isinstance(each, Tick) for each in got[2 + 2 * lag :])
    for n in range(20, 23):  # the other has ended
        feed("b", n)
    feed("a", 25)  # where it goes on, something may be missing
    assert epochs(got)[-4:] == [1042, 1044, (1044, 1050), 1050]
    assert [each.epoch for each in got if isinstance(each, Tick)] == [
        1000 + 2 * n for n in (*range(23), 25)
    ]


class Joiner:
    """A consumer of which only the seam matters."""

    interrupted = False

    def take(self, _: Any) -> bool:
        return True

    def take_all(self, _: Any) -> bool:
        return True

    def take_ticks(self, *_: Any) -> bool:
        return True

    def interrupt(self) -> None:
        self.interrupted = True

    def answered(self, *, late: bool) -> None: ...


@pytest.mark.parametrize("way", ["one by one", "together", "fast"])
@pytest.mark.parametrize("overtaken", [False, True])
def test_g05_who_joins_after_a_reply_that_was_overtaken_lacks_what_has_overtaken_it(
    way: str, *, overtaken: bool
) -> None:
    """However the two messages came: the newest message is not the newest tick then."""
    request = {"ticks": "R_100", "subscribe": 1}
    upstream = Upstream("ticks", request, lambda _: None, lambda _: None)
    upstream.attach(cast("Any", Joiner()))
    first, *others = [
        {**tick(epoch, 1.5), "subscription": {"id": "a"}}
        for epoch in (10, *((12, 11) if overtaken else (11, 12)))
    ]
    upstream.deliver(first)
    if way == "one by one":
        for message in others:
            upstream.deliver(message)
    elif way == "together":
        upstream.deliver_all(others)
    else:
        ticks = [Tick("R_100", message["tick"]["epoch"], 1.5) for message in others]
        batch = [json.dumps(message).encode() for message in others]
        upstream.take_ticks(ticks, batch[-1], batch)
    joiner = Joiner()
    upstream.attach(cast("Any", joiner))
    assert joiner.interrupted == overtaken


def test_g05_who_joins_while_a_stream_is_interrupted_lacks_what_comes_meanwhile() -> None:
    request = {"ticks": "R_100", "subscribe": 1}
    upstream = Upstream("ticks", request, lambda _: None, lambda _: None)
    upstream.deliver({**tick(10, 1.5), "subscription": {"id": "a"}})
    before, later = Joiner(), Joiner()
    upstream.attach(cast("Any", before))
    assert not before.interrupted
    upstream.renew()  # as after the loss of a connection
    upstream.attach(cast("Any", later))
    assert before.interrupted
    assert later.interrupted


@pytest.mark.parametrize("seam", ["a reply", "a late one", "an unreadable one", "an id", "a loss"])
def test_g05_after_a_seam_two_live_ticks_that_are_equal_are_two(seam: str) -> None:
    translator = TickTranslator("R_100")

    def fed(epoch: int, stream_id: str = "a") -> list[Any]:
        message = {**tick(epoch, 1.5), "subscription": {"id": stream_id}}
        return epochs(translator.feed(message))

    if seam == "an unreadable one":
        translator.skip()
    else:
        assert fed(10) == [10]
    translator.answered(late=seam == "a late one")
    if seam == "a loss":
        translator.interrupt()
    new_id = "b" if seam == "an id" else "a"
    assert fed(11, new_id) == [11]
    assert [fed(epoch, new_id) for epoch in (12, 13, 13, 13, 14)] == [[12], [13], [13], [13], [14]]


def test_g05_a_reply_that_two_live_ticks_of_its_second_have_overtaken_adds_nothing() -> None:
    translator = TickTranslator("R_100")
    assert epochs(translator.feed(tick(10, 1.5))) == [10]
    translator.answered(late=False)  # the first message counts as the reply
    assert epochs(translator.feed(tick(10, 2.5))) == [10]
    assert epochs(translator.feed(tick(10, 1.5))) == []
    assert epochs(translator.feed(tick(11, 1.5))) == [11]


@pytest.mark.parametrize("resumed", [True, False])
async def test_g05_if_the_first_message_cannot_be_read_the_reply_may_follow_it(
    autojump_clock: Any,
    resumed: bool,  # noqa: FBT001 - a case
) -> None:
    """A live tick came before the late, old reply, and was the one that could not be read."""
    translator, got = TickTranslator("R_100", None, Epochs(clock=trio.current_time)), list[Any]()
    if resumed:
        got += translator.advance(Tick("R_100", 24, 1.5))
        translator.interrupt()
    await trio.sleep(4)
    translator.skip()  # the tick of 28
    translator.answered(late=True)
    await trio.sleep(1)
    for epoch in (26, 30, 32):
        got += translator.advance(Tick("R_100", epoch, epoch / 2))
        await trio.sleep(1 if epoch == 26 else 2)
    assert epochs(got) == [24, (24, 26), 26, (26, 30), 30, 32][0 if resumed else 2 :]


async def test_g05_after_a_first_message_that_cannot_be_read_prompt_ticks_cost_no_look(
    autojump_clock: Any,
) -> None:
    translator, got = TickTranslator("R_100", None, Epochs(clock=trio.current_time)), list[Any]()
    translator.skip()
    for epoch in (26, 28, 30):
        got += translator.advance(Tick("R_100", epoch, epoch / 2))
        await trio.sleep(2)
    assert epochs(got) == [26, 28, 30]


async def test_the_first_live_tick_may_repeat_the_reply(autojump_clock: Any) -> None:
    translator = TickTranslator("R_100")
    translator.feed(tick(100, 1.0))
    translator.answered(late=False)
    assert epochs(translator.feed(tick(100, 1.0))) == []
    assert epochs(translator.feed(tick(100, 1.5))) == [100]
    assert epochs(translator.feed(tick(101, 1.5))) == [101]
    assert epochs(translator.feed(tick(101, 1.5))) == [101]


def ohlc(open_time: int, epoch: int, close: float) -> dict[str, Any]:
    prices = {"open": 1.0, "high": 9.0, "low": 0.5, "close": close}
    return {"ohlc": {**prices, "open_time": open_time, "epoch": epoch}}


def test_g05_a_candle_never_goes_back() -> None:
    translator = CandleTranslator("R_100", 60)
    assert translator.feed(ohlc(60, 67, 2.0))
    translator.answered(late=True)
    row = {"open": 1, "high": 1, "low": 1, "close": 1, "epoch": 60}
    assert translator.feed({"candles": [row]}) == ()  # the reply, overtaken
    assert translator.feed(ohlc(60, 66, 1.0)) == ()
    translator.interrupt()
    assert len(translator.feed({"candles": [row]})) == 1  # another connection's


@pytest.mark.parametrize("kind", ["ticks", "candles"])
async def test_g05_what_comes_after_later_ones_is_not_left_out_in_silence(
    autojump_clock: Any, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, but not for each; and the stream does not end, however many there are."""
    if kind == "ticks":
        messages = [tick(epoch, 1.0) for epoch in (180, 182, *[181] * 50, 240)]
    else:
        messages = [ohlc(time, time, 1.0) for time in (60, 120, 180, *[120] * 50, 240)]

    async def handle(peer: Peer, request: Request) -> None:
        if "subscribe" in request:
            for message in messages:
                await peer.reply(request, **message, subscription={"id": "a"})
        elif "ticks_history" in request:
            prices = {"open": 1, "high": 9, "low": 0.5, "close": 1}
            await peer.reply(request, candles=[{**prices, "epoch": time} for time in (60, 120)])

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.ticks("R_100") if kind == "ticks" else client.candles("R_100") as items,
    ):
        taken = await take(items, 5)
    of_time = [item.epoch for item in taken if kind == "ticks" or not item.closed]
    told = {
        "ticks": "tick of the epoch 181 came after one of 182",
        "candles": "candle of 120 came after one of 180",
    }
    assert of_time == {"ticks": [180, 182, 240], "candles": [60, 120, 180, 240]}[kind]
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"R_100: a {told[kind]}, and is left out"
    ]


def test_a_contract_never_goes_back() -> None:
    def state(time: int, **more: Any) -> dict[str, Any]:
        return {"proposal_open_contract": {"contract_id": 7, "current_spot_time": time, **more}}

    translator = ContractTranslator()
    assert translator.feed(state(10))
    assert translator.feed(state(10))
    assert not translator.feed(state(8))
    assert translator.feed(state(9, is_sold=1))
    assert translator.over


def test_g18_a_contract_is_not_silenced_by_a_spot_from_the_future() -> None:
    translator = ContractTranslator()
    told = []
    for time in (1000, 9_999_999_999, 1001, 1, 1002, 1000):
        payload = {"contract_id": 7, "current_spot_time": time}
        told += translator.feed({"proposal_open_contract": payload})
    assert [each.raw["current_spot_time"] for each in told] == [1000, 9_999_999_999, 1001, 1, 1002]


@given(
    per_second=st.lists(st.integers(min_value=0, max_value=4), min_size=30, max_size=60),
    first=st.integers(min_value=1, max_value=4),
    last=st.integers(min_value=1, max_value=4),
    cap=st.integers(min_value=7, max_value=15),
    newest=st.booleans(),
)
def test_g05_a_hole_between_any_two_ticks_is_filled_exactly(
    per_second: list[int], first: int, last: int, cap: int, *, newest: bool
) -> None:
    per_second = [max(first, per_second[0]), *per_second[1:-1], max(last, per_second[-1])]
    rows = [(100 + s, float(n)) for s, many in enumerate(per_second) for n in range(many)]
    begin = rows.index((100, float(first - 1)))
    end = rows.index((100 + len(per_second) - 1, float(last - 1)))
    hole = Hole(
        "R_100",
        100,
        rows[end][0],
        anchor=100,
        seen=tuple(quote for _, quote in rows[: begin + 1]),
        end=HoleEnd(rows[end][1], newest),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("derivtrio.policy.fetch_window.MAX_ROWS", cap)
        filler, filled = Filler(hole), []
        for _ in range(500):
            if filler.done:
                break
            since, until = filler.request["start"], int(filler.request["end"])
            page = [row for row in rows if since <= row[0] <= until][-cap:]
            history = {"times": [e for e, _ in page], "prices": [q for _, q in page]}
            items, gap = filler.take({"history": history, "pip_size": 1})
            assert gap is None
            filled += [(i.epoch, i.quote) for i in items if isinstance(i, Tick)]
    assert filled == rows[begin + 1 : end]


@given(
    per_second=st.lists(st.integers(min_value=2, max_value=4), min_size=1, max_size=4),
    first=st.integers(min_value=1, max_value=4),
    last=st.integers(min_value=1, max_value=4),
    lag=st.integers(min_value=0, max_value=9),
    newest=st.booleans(),
    quiet=st.booleans(),
)
def test_g05_a_history_that_lags_behind_hides_none_of_several_ticks_a_second(
    per_second: list[int], first: int, last: int, lag: int, *, newest: bool, quiet: bool
) -> None:
    """It may lag behind by a part of a second; what is there of it then is not all."""
    assume(first > 1 or not quiet)  # that there are several shows in what came before
    before = [] if quiet else [(90 + s, float(n)) for s in range(10) for n in range(2)]
    per_second = [max(first, per_second[0]), *per_second[1:], max(last, 2)]
    rows = before + [(100 + s, float(n)) for s, many in enumerate(per_second) for n in range(many)]
    begin, end = rows.index((100, float(first - 1))), rows.index((rows[-1][0], float(last - 1)))
    seen = tuple(quote for epoch, quote in rows[: begin + 1] if epoch == 100)
    live = HoleEnd(rows[end][1], newest)
    filler, filled = Filler(Hole("R_100", 100, rows[end][0], 0, 100, seen, live)), []
    there, asked = rows[: end + 1 - lag], 0
    while not filler.done and (asked := asked + 1) < 20:
        since, until = filler.request["start"], int(filler.request["end"])
        page = [row for row in there if since <= row[0] <= until]
        history = {"times": [e for e, _ in page], "prices": [q for _, q in page]}
        items, gap = filler.take({"history": history, "pip_size": 1})
        assert gap is None
        filled += [(i.epoch, i.quote) for i in items if isinstance(i, Tick)]
        there = rows if filler.pause else there
    assert filled == rows[begin + 1 : end]


def test_a_live_tick_whose_quote_history_writes_in_another_way_leaves_no_gap() -> None:
    rows = [(100, 1.0), (102, 1.5), (102, 1.6)]
    history = {"times": [epoch for epoch, _ in rows], "prices": [quote for _, quote in rows]}
    for newest, missing in ((True, [(102, 1.5)]), (False, [])):
        live = HoleEnd(1.601, is_newest=newest)
        filler, filled = Filler(Hole("R_100", 100, 102, 0, 100, (1.0,), live)), []
        for _ in range(10):
            items, gap = filler.take({"history": history, "pip_size": 2})
            assert gap is None
            filled += [(i.epoch, i.quote) for i in items if isinstance(i, Tick)]
            if filler.done:
                break
        assert filler.done
        assert filled == missing
