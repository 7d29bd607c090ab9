"""`record`: exactly once, across restarts, outages and stores that fail."""

import itertools
import logging
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from stores import MemoryStore, busy, market_rows, quotes

import derivtrio
from derivtrio.recording import (
    CANDLES,
    GAPS,
    TICKS,
    StoreError,
    Waits,
    open_store,
    record,
    recorder,
    series,
    writer,
)
from derivtrio.simulator import Simulator, open_simulator
from derivtrio.simulator.calls import history_window
from derivtrio.simulator.market import market

START = 1_700_000_000
MONDAY = 1_699_833_600  # 2023-11-13, 00:00 UTC
NEXT_MONDAY = MONDAY + 7 * 86400


async def run_for(seconds: float, sim: Simulator, store: Any, *symbols: str, **more: Any) -> None:
    """Record as one process would that lives so long."""
    with trio.move_on_after(seconds):
        async with derivtrio.open_client(endpoint=sim.endpoint) as client:
            await record(client, symbols, store, **more)


def assert_equals_market(store: MemoryStore, sim: Simulator, symbol: str, atleast: int) -> None:
    rows = [row for row in store.rows(TICKS) if row[0] == symbol]
    assert len(rows) >= atleast
    assert quotes(rows) == market_rows(sim, symbol, rows)
    assert {row[2] for row in rows} == {0}


async def test_ticks_are_kept_once_across_outages(autojump_clock: Any) -> None:
    store, faults = MemoryStore(), ["drop@5.5", "refuse:10@20", "drop@20.1", "freeze@60"]
    async with open_simulator(port=None, start=START, faults=faults) as sim:
        await run_for(150, sim, store, "R_100", "1HZ100V")
        assert_equals_market(store, sim, "1HZ100V", 140)
        assert_equals_market(store, sim, "R_100", 70)
    assert store.rows(GAPS) == []


async def test_a_restart_fills_the_hole(autojump_clock: Any) -> None:
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim:
        for _ in range(5):
            await run_for(20, sim, store, "1HZ100V", candles=[60])
            await trio.sleep(100)
        await run_for(90, sim, store, "1HZ100V", candles=[60])
        assert_equals_market(store, sim, "1HZ100V", 680)
        candles = store.rows(CANDLES)
        first, last = candles[0][2], candles[-1][2]
        assert [row[2] for row in candles] == list(range(first, last + 1, 60))
        due = sim.market.candles("1HZ100V", 60, first, last + 59)
        assert [row[3:] for row in candles] == [(c.open, c.high, c.low, c.close) for c in due]
    assert store.rows(GAPS) == []


async def test_a_newest_row_of_the_future_is_told(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store, future = MemoryStore(), 9_999_999_999
    await store.write({TICKS: [("1HZ100V", future, 0, 1.5, None, None)]})
    async with open_simulator(port=None, start=START) as sim:
        await run_for(20, sim, store, "1HZ100V")
    (told,) = [each.getMessage() for each in caplog.records if "future" in each.getMessage()]
    assert f"1HZ100V: its newest row is of {future}, in the future; nothing is kept" in told
    assert len(store.rows(TICKS)) == 1


async def test_a_row_that_was_never_written_is_fetched_again(autojump_clock: Any) -> None:
    """A process that is killed writes nothing at its end: nor does this store."""
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim:
        await run_for(20, sim, store, "1HZ100V")
        kept = len(store.rows(TICKS))
        store.hung = True
        await run_for(20, sim, store, "1HZ100V")
        assert len(store.rows(TICKS)) == kept
        store.hung = False
        await run_for(20, sim, store, "1HZ100V")
        assert_equals_market(store, sim, "1HZ100V", 55)


async def test_a_start_in_the_past_is_for_what_is_not_kept(autojump_clock: Any) -> None:
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim:
        await run_for(20, sim, store, "1HZ100V", start=START - 20_000)
        assert store.rows(TICKS)[0][1] == START - 20_000
        await run_for(20, sim, store, "1HZ100V", start=START - 90_000)
        assert store.rows(TICKS)[0][1] == START - 20_000
        assert_equals_market(store, sim, "1HZ100V", 20_030)


async def test_what_the_server_no_longer_has_is_a_row_of_gaps(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_window, "KEPT", 7 * 86400)
    store, hour = MemoryStore(), 3600
    old = START - START % hour - 10_000 * hour
    await store.write({CANDLES: [("R_100", hour, old, 1.0, 1.0, 1.0, 1.0)]})
    async with open_simulator(port=None, start=START) as sim:
        await run_for(10, sim, store, "R_100", ticks=False, candles=[hour])
    ((symbol, length, after, before, reason),) = store.rows(GAPS)
    assert (symbol, length, after, reason) == ("R_100", hour, old, "no longer kept")
    assert before == store.rows(CANDLES)[1][2]
    assert len(store.rows(CANDLES)) == 169


async def test_only_candles(autojump_clock: Any) -> None:
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim:
        await run_for(200, sim, store, "R_100", ticks=False, candles=[60])
    assert store.rows(TICKS) == []
    assert len(store.rows(CANDLES)) == 3


async def test_a_busy_store_is_waited_for_with_warnings(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore(failures=[busy()] * 4)
    async with open_simulator(port=None, start=START) as sim:
        await run_for(60, sim, store, "1HZ100V")
        assert_equals_market(store, sim, "1HZ100V", 55)
    lines = [r.getMessage() for r in caplog.records if "disk full" in r.getMessage()]
    assert [line.split("again in ")[1] for line in lines] == ["1 s", "2 s", "4 s", "8 s"]
    assert {r.levelno for r in caplog.records if "disk full" in r.getMessage()} == {logging.WARNING}


async def test_a_store_that_is_busy_for_long_costs_no_memory_and_no_tick(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST", 50)
    store = MemoryStore(failures=[busy()] * 60)
    monkeypatch.setattr(MemoryStore, "write", counted(sizes := [], MemoryStore.write))
    async with open_simulator(port=None, start=START) as sim:
        await run_for(4000, sim, store, "1HZ100V")
        assert store.failures == []
        assert_equals_market(store, sim, "1HZ100V", 3950)
    assert 0 < max(sizes) <= 51
    assert store.rows(GAPS) == []


async def failed(store: MemoryStore) -> None:
    """Return just after the failures of *store*; it is written to again a second later."""
    while store.failures:  # noqa: ASYNC110 - a store has no event for it
        await trio.sleep(0.1)


async def test_g05_rows_that_a_store_has_lost_are_fetched_again(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim, trio.open_nursery() as nursery:
        nursery.start_soon(run_for, 120, sim, store, "1HZ100V")
        await trio.sleep(60)
        ticks = store.tables["ticks"]
        snapshot = dict(list(ticks.items())[:30])
        store.failures.append(busy())  # the server crashes, and has its last snapshot then
        await failed(store)
        store.tables["ticks"] = snapshot
    assert_equals_market(store, sim, "1HZ100V", 115)
    assert "and are gone; they are fetched again" in caplog.text
    assert store.rows(GAPS) == []


async def test_a_store_that_was_emptied_is_written_on(autojump_clock: Any) -> None:
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim, trio.open_nursery() as nursery:
        nursery.start_soon(run_for, 120, sim, store, "1HZ100V")
        await trio.sleep(60)
        store.failures.append(busy())
        await failed(store)
        store.tables.clear()
    assert_equals_market(store, sim, "1HZ100V", 50)


def counted(sizes: list[int], write: Any) -> Any:
    async def counting(self: MemoryStore, batch: Any) -> None:
        sizes.append(sum(map(len, batch.values())))
        await write(self, batch)

    return counting


async def test_a_store_that_fails_for_good_ends_the_recording(autojump_clock: Any) -> None:
    store = MemoryStore(failures=[StoreError("the table has gone")])
    async with open_simulator(port=None, start=START) as sim:
        with pytest.raises(StoreError, match="the table has gone"):
            await run_for(60, sim, store, "1HZ100V", "R_100")


async def test_a_store_that_hangs_does_not_keep_the_program(autojump_clock: Any) -> None:
    store = MemoryStore(hung=True)
    async with open_simulator(port=None, start=START) as sim:
        begun = trio.current_time()
        await run_for(30, sim, store, "1HZ100V")
        assert trio.current_time() - begun <= 30 + recorder.FLUSH_TIMEOUT + 0.1


async def test_an_unknown_symbol_is_an_error(autojump_clock: Any) -> None:
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim:
        with pytest.raises(derivtrio.ApiError, match="InvalidSymbol"):
            await run_for(60, sim, store, "R_100", "NO_SUCH")


async def test_a_symbol_that_has_vanished_does_not_end_the_others(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()
    await store.write({TICKS: [("GONE", START - 900, 0, 1.5, None, None)]})
    async with open_simulator(port=None, start=START) as sim:
        await run_for(150, sim, store, "GONE", "1HZ100V", waits=(waits := Waits()))
        assert_equals_market(store, sim, "1HZ100V", 140)
    told = [r.getMessage() for r in caplog.records if "trying again in 60 s" in r.getMessage()]
    assert len(told) == 3
    assert all(line.startswith("GONE: InvalidSymbol") for line in told)
    [wait] = waits
    assert (wait.series, str(wait.error)) == ("GONE", told[0][6:].partition(";")[0])
    assert time.time() - 30 < wait.since <= time.time()  # the clock on the wall is a real one


async def test_g17_a_series_that_is_granted_again_waits_no_longer(autojump_clock: Any) -> None:
    store, waits = MemoryStore(), Waits()
    await store.write({TICKS: [("1HZ100V", START - 900, 0, 1.5, None, None)]})
    async with open_simulator(port=None, start=START) as sim:
        for call in ("ticks", "ticks_history"):
            sim.faults.fail_before("InvalidSymbol", call, times=100)
        await run_for(50, sim, store, "1HZ100V", waits=waits)
        assert [wait.series for wait in waits] == ["1HZ100V"]
        sim.faults.clear()
        await run_for(5, sim, store, "1HZ100V", waits=waits)
        assert list(waits) == []


async def test_a_newest_row_that_no_stream_can_begin_with_is_an_error(autojump_clock: Any) -> None:
    store = MemoryStore()
    await store.write({TICKS: [("R_100", 1000 * START, 0, 1.5, None, None)]})
    async with open_simulator(port=None, start=START) as sim:
        with pytest.raises(derivtrio.InvalidRequest, match="milliseconds"):
            await run_for(60, sim, store, "R_100")


async def test_it_returns_when_the_client_is_closed(autojump_clock: Any) -> None:
    store = MemoryStore()
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(record, client, ["1HZ100V"], store)
        await trio.sleep(10.5)
        await client.aclose()
    assert len(store.rows(TICKS)) == 11


@pytest.mark.parametrize(
    ("symbols", "options", "kind"),
    [
        ("R_100", {}, TypeError),
        ([], {}, ValueError),
        (["R_100"], {"ticks": False}, ValueError),
        ([], {"candles": [60]}, ValueError),
    ],
)
async def test_what_would_record_nothing_or_something_else_is_refused(
    autojump_clock: Any, symbols: Any, options: Any, kind: type[Exception]
) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        with pytest.raises(kind):
            await record(client, symbols, MemoryStore(), **options)


@pytest.mark.parametrize("target", [None, 5, b"ticks.db"])
async def test_a_store_without_a_name_is_no_file_called_none(
    target: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match="a str or a Path"):
        async with open_store(target):
            pass
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - nothing else runs


async def test_a_closed_market_is_waited_for(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "derivtrio")
    store, sunday_night = MemoryStore(), NEXT_MONDAY - 3600
    async with open_simulator(port=None, start=sunday_night) as sim:
        await run_for(5000, sim, store, "frxEURUSD")
        assert_equals_market(store, sim, "frxEURUSD", 100)
    closed = [r for r in caplog.records if "the market is closed" in r.getMessage()]
    assert [r.levelno for r in closed] == [logging.INFO]
    assert "until 2023-11-20 00:00:00 UTC" in closed[0].getMessage()


async def test_a_recorder_of_forex_has_the_weekends_as_its_only_gaps(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three weeks, with outages in the week, over a closing, over an opening, and in between."""
    slow = attrs.evolve(market.SYMBOLS["frxEURUSD"], period=300)
    monkeypatch.setattr(market, "SYMBOLS", market.SYMBOLS | {"frxEURUSD": slow})
    store, hour, day = MemoryStore(), 3600, 86400
    begin, end = MONDAY + 2 * day, MONDAY + 23 * day
    closing, opening = MONDAY + 4 * day + 20 * hour, NEXT_MONDAY
    outages = [
        (begin + 10 * hour, 2 * hour),
        (closing, 5 * hour),  # it closes meanwhile
        (opening - 30 * hour, 600),
        (opening + 7 * day - 600, 3 * hour),  # it opens meanwhile
    ]
    faults = []
    for at, seconds in outages:
        faults += [f"refuse:{seconds}@{at - begin}", f"drop@{at - begin + 0.1}"]
    # Pings and looks for mute streams would be most of what happens in these weeks.
    settings = derivtrio.Settings(heartbeat_interval=1800, stale_after=None)
    async with open_simulator(port=None, start=begin, faults=faults, idle_timeout=1e7) as sim:
        with trio.move_on_after(end - begin):
            async with derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client:
                await record(client, ["frxEURUSD"], store, candles=[3600])
        assert_equals_market(store, sim, "frxEURUSD", 4000)
        ticks = [row[1] for row in store.rows(TICKS)]
        candles = [row[2] for row in store.rows(CANDLES)]
        due = sim.market.candles("frxEURUSD", 3600, candles[0], candles[-1] + 3599)
        assert candles == [candle.open_time for candle in due]
    assert store.rows(GAPS) == []
    assert ticks[0] <= begin
    assert end - ticks[-1] < hour
    for times, longest in ((ticks, hour), (candles, hour)):
        holes = [(a, b) for a, b in itertools.pairwise(times) if b - a > longest]
        weekends = [opening + week * 7 * day for week in range(3)]
        assert [b - b % (7 * day) for _, b in holes] == [w - w % (7 * day) for w in weekends]
        for (a, b), monday in zip(holes, weekends, strict=True):
            assert monday - 52.1 * hour - longest <= a
            assert monday <= b < monday + hour


async def test_a_restart_at_the_weekend_goes_on_on_monday_from_friday(
    autojump_clock: Any,
) -> None:
    store, friday = MemoryStore(), MONDAY + 4 * 86400 + 20 * 3600
    async with open_simulator(port=None, start=friday) as sim:
        await run_for(600, sim, store, "frxEURUSD")
        await trio.sleep(NEXT_MONDAY - friday - 4200)
        await run_for(5000, sim, store, "frxEURUSD")
        assert_equals_market(store, sim, "frxEURUSD", 1000)
        assert store.rows(TICKS)[-1][1] > NEXT_MONDAY
    assert store.rows(GAPS) == []


async def test_g05_a_connection_that_breaks_at_the_weekend_costs_no_tick(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The server refuses to go on then; what came before it is fetched, and Monday comes."""
    caplog.set_level("WARNING", logger="derivtrio")
    monkeypatch.setattr(series, "PAUSE", 600.0)
    store, friday = MemoryStore(), MONDAY + 4 * 86400 + 20 * 3600 + 45 * 60
    faults = ["refuse:400@300", "drop@300.5", "drop@20000", "drop@90000"]
    async with open_simulator(port=None, start=friday, faults=faults) as sim:
        await run_for(NEXT_MONDAY + 1200 - friday, sim, store, "frxEURUSD", candles=[60])
        assert_equals_market(store, sim, "frxEURUSD", 500)
        rows = store.rows(CANDLES)
        assert [row[2] for row in rows] == sorted({row[1] // 60 * 60 for row in store.rows(TICKS)})[
            -len(rows) - 1 : -1
        ]
    pauses = [b[1] - a[1] for a, b in pairwise(store.rows(TICKS))]
    assert [pause > 3600 for pause in pauses].count(True) == 1
    assert store.rows(GAPS) == []
