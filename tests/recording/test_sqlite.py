"""The SQLite store: what it keeps, and how it fails."""

import itertools
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from derivtrio.recording import (
    CANDLES,
    CONTRACTS,
    GAPS,
    TABLES,
    TICKS,
    StoreBusy,
    StoreError,
    Table,
    open_store,
    reading,
    worker,
)
from derivtrio.recording import sqlite as module
from derivtrio.recording.sqlite import SqliteStore
from derivtrio.recording.tables import Selection
from derivtrio.recording.targets import maker_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ticks.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


def tick(epoch: int, n: int = 0, quote: float = 1.5) -> Any:
    return ("R_100", epoch, n, quote, None, None)


def kept(path: Path, table: Table) -> list[Any]:
    db = sqlite3.connect(path)
    try:
        return db.execute(f"SELECT * FROM {table.name}").fetchall()
    finally:
        db.close()


def db_of(store: SqliteStore) -> sqlite3.Connection:
    return store._db  # noqa: SLF001 - SQLite's limits are set on its connection


def test_what_it_keeps_is_there_after_it_was_opened_again(path: Path) -> None:
    first = SqliteStore(path)
    assert first.newest(TICKS, "R_100") is None
    first.write({TICKS: [tick(5), tick(6), tick(6, 1)], CANDLES: [("R_100", 60, 0, 1, 2, 1, 2)]})
    first.close()
    second = SqliteStore(path)
    assert second.newest(TICKS, "R_100") == 6
    assert second.newest(TICKS, "R_10") is None
    assert second.newest(CANDLES, "R_100", 60) == 0
    assert second.newest(CANDLES, "R_100", 300) is None
    second.close()
    assert kept(path, TICKS) == [tick(5), tick(6), tick(6, 1)]


def test_a_row_that_comes_again_is_ignored_or_replaces_the_old_one(
    store: SqliteStore, path: Path
) -> None:
    gap = ("R_100", 0, 10, 20, "no longer kept")
    store.write({TICKS: [("R_100", 5, 0, 1.5, 1.6, 1.4)], GAPS: [gap]})
    store.write({TICKS: [tick(5)], GAPS: [(*gap[:3], 30, gap[4])]})
    assert kept(path, TICKS) == [("R_100", 5, 0, 1.5, 1.6, 1.4)]
    assert kept(path, GAPS) == [(*gap[:3], 30, gap[4])]


def test_a_batch_is_kept_whole_or_not_at_all(store: SqliteStore, path: Path) -> None:
    with pytest.raises(StoreError, match="NOT NULL"):
        store.write({TICKS: [tick(5)], GAPS: [("R_100", 0, None, 3, "no key")]})
    assert kept(path, TICKS) == []
    store.write({TICKS: [tick(5)]})
    assert kept(path, TICKS) == [tick(5)]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_takes_a_row(store: SqliteStore, path: Path, table: Table) -> None:
    row = tuple(kind(1) for kind in table.columns.values())
    store.write({table: [row, row]})
    assert kept(path, table) == [row]


def test_a_table_of_another_shape_is_an_error(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE ticks (time INTEGER, price REAL)")
    db.close()
    with pytest.raises(StoreError, match="another table ticks: its columns are time, price"):
        SqliteStore(path)
    assert kept(path, TICKS) == []


@pytest.mark.parametrize("key", ["", ", PRIMARY KEY (symbol, n, epoch)"])
def test_a_table_with_another_key_is_an_error_and_stays_as_it_is(path: Path, key: str) -> None:
    db = sqlite3.connect(path)
    db.execute(f"CREATE TABLE ticks (symbol, epoch, n, quote, ask, bid{key})")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="its key is not symbol, epoch, n"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder, not a file"):
        SqliteStore(tmp_path)
    with pytest.raises(StoreError, match="is a device or a pipe, not a file"):
        SqliteStore(Path(os.devnull))


def test_what_is_no_database_is_an_error_and_stays_as_it_is(path: Path) -> None:
    path.write_text("symbol,epoch,quote\n" * 100)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore(path)
    assert path.read_text().startswith("symbol")


def test_a_folder_that_is_not_there_is_an_error(path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        SqliteStore(path / "no" / "such.db")


def test_a_folder_where_nothing_can_be_written_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(StoreError, match="nothing can be written into"):
        SqliteStore(path)


def test_a_full_disk_is_busy_and_loses_nothing(store: SqliteStore, path: Path) -> None:
    store.write({TICKS: [tick(1)]})
    db_of(store).execute("PRAGMA max_page_count = 1")  # it becomes the number of those in use
    rows = [tick(epoch) for epoch in range(2, 10_000)]
    with pytest.raises(StoreBusy, match="full"):
        store.write({TICKS: rows})
    assert kept(path, TICKS) == [tick(1)]
    db_of(store).execute("PRAGMA max_page_count = 10000")
    store.write({TICKS: rows})
    assert kept(path, TICKS) == [tick(1), *rows]


def test_another_programs_lock_is_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_PATIENCE", 0.01)
    store = SqliteStore(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy, match="locked"):
        store.write({TICKS: [tick(1)]})
    other.execute("COMMIT")
    other.close()
    store.write({TICKS: [tick(1)]})
    store.close()
    assert kept(path, TICKS) == [tick(1)]


def test_a_read_only_database_is_busy(store: SqliteStore) -> None:
    db_of(store).execute("PRAGMA query_only = 1")
    with pytest.raises(StoreBusy, match="readonly"):
        store.write({TICKS: [tick(1)]})


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_removed_is_not_written(
    store: SqliteStore, path: Path, *, replaced: bool
) -> None:
    path.rename(path.with_suffix(".old"))
    if replaced:
        path.touch()
    with pytest.raises(StoreError, match="was removed, or replaced"):
        store.write({TICKS: [tick(1)]})


@pytest.mark.parametrize("noticed", [True, False])
def test_what_is_kept_goes_along_with_a_file_that_is_moved(path: Path, *, noticed: bool) -> None:
    store, new = SqliteStore(path), path.with_suffix(".old")
    store.write({TICKS: [tick(1)]})
    path.rename(new)
    if noticed:
        with pytest.raises(StoreError, match="was removed, or replaced"):
            store.write({TICKS: [tick(2)]})
        assert kept(new, TICKS) == [tick(1)]
    store.close()
    assert kept(new, TICKS) == [tick(1)]


def test_a_name_that_looks_like_a_url_is_the_name_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore(Path("file:ticks.db?mode=memory"))
    store.write({TICKS: [tick(1)]})
    store.close()
    assert [each.name for each in tmp_path.iterdir()] == ["file:ticks.db?mode=memory"]


def test_a_row_of_others_that_has_no_epoch_is_an_error(store: SqliteStore) -> None:
    db_of(store).execute("INSERT INTO ticks VALUES ('R_100', 'noon', 0, 1.5, NULL, NULL)")
    with pytest.raises(StoreError, match="has a row of ticks whose epoch is no number"):
        store.newest(TICKS, "R_100")


def test_a_reader_does_not_disturb_it(store: SqliteStore, path: Path) -> None:
    store.write({TICKS: [tick(1)]})
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM ticks").fetchone() == (1,)
    store.write({TICKS: [tick(2)]})
    reader.close()


def test_a_reader_that_takes_its_time_does_not_let_the_log_grow(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "CHUNK", 10)
    store.write({TICKS: [tick(epoch) for epoch in range(30)]})
    found = reading.read(str(path), Selection(TICKS))
    rows = list(next(found))
    for epoch in range(30, 3030):
        store.write({TICKS: [tick(epoch)]})
    assert path.with_name("ticks.db-wal").stat().st_size < 2**23
    for chunk in found:
        rows += chunk
    assert rows == [tick(epoch) for epoch in range(3030)]


def test_a_gap_is_read_where_a_part_of_it_lies_in_the_period(
    store: SqliteStore, path: Path
) -> None:
    gaps = [("R_100", 0, begin, begin + 10, "no longer kept") for begin in (100, 120, 140)]
    store.write({GAPS: gaps})

    def found(start: int | None, end: int | None) -> list[Any]:
        selection = Selection(GAPS, ("R_100",), None, start, end)
        return [row for rows in reading.read(str(path), selection) for row in rows]

    assert found(105, 106) == gaps[:1]
    assert found(125, None) == gaps[1:]
    assert found(None, 125) == gaps[:2]
    assert found(131, 139) == []


def test_a_log_that_has_grown_is_cut_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOG_SIZE", 2**16)
    monkeypatch.setattr(module, "_CHECKPOINT", 2**20)
    store, log = SqliteStore(path), path.with_name("ticks.db-wal")
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM ticks").fetchone()
    for epoch in range(1500):
        store.write({TICKS: [tick(epoch)]})
    grown = log.stat().st_size
    reader.close()
    for epoch in range(1500, 1600):
        store.write({TICKS: [tick(epoch)]})
    assert log.stat().st_size < grown // 4
    store.close()


@pytest.mark.parametrize("size", [1, 3, 4, 1000])
@pytest.mark.parametrize("bounds", [(None, None), (3, None), (None, 7), (3, 7), (50, 60)])
@pytest.mark.parametrize("symbols", [(), ("B",), ("C", "A", "A"), ("none",)])
def test_chunks_of_any_size_make_the_same_rows(
    store: SqliteStore,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    size: int,
    bounds: tuple[int | None, int | None],
    symbols: tuple[str, ...],
) -> None:
    places = list(itertools.product("ABC", range(9), (0, 1)))
    ticks = [(*place, 1.5, None, None) for place in places]
    candles = sorted((name, 60 + 60 * n, at, 1.0, 1.0, 1.0, 1.0) for name, at, n in places)
    store.write({TICKS: ticks, CANDLES: candles})
    monkeypatch.setattr(reading, "CHUNK", size)
    start, end = bounds

    def is_chosen(row: Any, place: int) -> bool:
        after, before = start is None or row[place] >= start, end is None or row[place] <= end
        return after and before and (not symbols or row[0] in symbols)

    def found(selection: Selection) -> list[Any]:
        return [row for rows in reading.read(str(path), selection) for row in rows]

    assert found(Selection(TICKS, symbols, None, *bounds)) == [r for r in ticks if is_chosen(r, 1)]
    for length in (None, 120):
        chosen = [r for r in candles if is_chosen(r, 2) and length in (None, r[1])]
        assert found(Selection(CANDLES, symbols, length, *bounds)) == chosen


async def test_it_works_in_a_thread(path: Path) -> None:
    async with open_store(path) as store:
        await store.write({TICKS: [tick(1)]})
        assert await store.newest(TICKS, "R_100") == 1
    assert not path.with_name("ticks.db-wal").exists()  # so it was closed


async def test_a_write_that_hangs_does_not_hold_up_the_loop_or_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_BUSY_PATIENCE", 0.05)  # not the patience with what is idle
    lock = sqlite3.connect(path, isolation_level=None)
    with trio.fail_after(2):
        async with open_store(path) as store:
            lock.execute("BEGIN IMMEDIATE")
            with trio.move_on_after(0.05) as scope:
                await store.write({TICKS: [tick(1)]})
            assert scope.cancelled_caught
        lock.execute("ROLLBACK")
        lock.close()
        while path.with_name("ticks.db-wal").exists():  # noqa: ASYNC110 - until the thread closes it
            await trio.sleep(0.01)
    assert kept(path, TICKS) == [tick(1)]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("", "name one"),
        ("-", "name one"),
        (":memory:", "name one"),
        ("data/{symbol}.csv", "has not"),
        ("data/{symbol}/{date}.txt", "ends in .csv"),
        ("data/{symbol}/{date}/{hour}.csv", "no {hour}"),
    ],
)
def test_a_path_that_makes_no_sense_is_an_error_at_once(target: str, why: str) -> None:
    with pytest.raises(StoreError, match=re.escape(why)):
        maker_of(target)


@pytest.mark.parametrize("target", ["mysql://there/ticks", "redis://there/ticks"])
async def test_a_target_that_is_not_known_is_an_error(target: str) -> None:
    with pytest.raises(StoreError, match="no store for"):
        async with open_store(target):
            pass


def test_contracts_are_renewed(store: SqliteStore, path: Path) -> None:
    row = ["CR1", 7, "R_100", "CALL", "open", "USD", *[1.0] * 6, None, 1, 2, None, "", ""]
    store.write({CONTRACTS: [tuple(row)]})
    row[4] = "won"
    store.write({CONTRACTS: [tuple(row)]})
    assert [found[4] for found in kept(path, CONTRACTS)] == ["won"]


def test_a_tick_writes_little_into_the_log_also_with_many_symbols(
    store: SqliteStore, path: Path
) -> None:
    """Each commit has one tick of each symbol, and writes at least one page for each."""
    log, symbols = Path(f"{path}-wal"), [f"SYMBOL{n}" for n in range(50)]
    before = log.stat().st_size
    for epoch in range(20):
        store.write({TICKS: [(name, epoch, 0, 1.5, 1.6, 1.4) for name in symbols]})
    written = log.stat().st_size - before
    assert written / (20 * len(symbols)) < 2000


def test_a_file_of_an_earlier_version_goes_on_with_its_pages(path: Path) -> None:
    old = sqlite3.connect(path)
    old.execute("CREATE TABLE other (x)")
    old.close()
    store = SqliteStore(path)
    store.write({TICKS: [tick(1)]})
    assert db_of(store).execute("PRAGMA page_size").fetchone() == (4096,)
    assert db_of(store).execute("PRAGMA wal_autocheckpoint").fetchone() == (1024,)
    store.close()
    assert len(kept(path, TICKS)) == 1
