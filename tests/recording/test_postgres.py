"""The PostgreSQL store, on a real server."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import recording_servers as servers
import trio

import derivtrio
from derivtrio.recording import (
    CANDLES,
    GAPS,
    TABLES,
    TICKS,
    TRANSACTIONS,
    StoreBusy,
    StoreError,
    Table,
    open_store,
    record,
)
from derivtrio.recording.reading import read
from derivtrio.recording.tables import Selection
from derivtrio.simulator import open_simulator

psycopg = pytest.importorskip("psycopg")
sa = pytest.importorskip("sqlalchemy")


@pytest.fixture
def url(postgres: servers.Server) -> Iterator[str]:
    """Return the URL of an empty database."""
    yield postgres.url
    with psycopg.connect(postgres.url, autocommit=True) as db:
        for table in TABLES:
            db.execute(f"DROP TABLE IF EXISTS {table.name}")


@pytest.fixture
def store(url: str) -> Iterator[Any]:
    from derivtrio.recording.sql import SqlStore  # noqa: PLC0415 - it needs an extra

    opened = SqlStore(url)
    yield opened
    opened.close()


def kept(url: str, table: Table) -> list[Any]:
    with psycopg.connect(url) as db:
        return db.execute(f"SELECT * FROM {table.name} ORDER BY 1, 2, 3").fetchall()


def tick(epoch: int, n: int = 0) -> Any:
    return ("R_100", epoch, n, 1.5, None, None)


def test_what_it_keeps_is_there(store: Any, url: str) -> None:
    assert store.newest(TICKS, "R_100") is None
    store.write({TICKS: [tick(5), tick(6), tick(6, 1)], CANDLES: [("R_100", 60, 0, 1, 2, 1, 2)]})
    store.write({TICKS: [tick(6, 1), tick(7)], CANDLES: []})
    assert store.newest(TICKS, "R_100") == 7
    assert store.newest(CANDLES, "R_100", 60) == 0
    assert store.newest(CANDLES, "R_100", 300) is None
    assert kept(url, TICKS) == [tick(5), tick(6), tick(6, 1), tick(7)]


def test_recorders_that_begin_together_make_the_tables_once(url: str) -> None:
    from derivtrio.recording.sql import SqlStore  # noqa: PLC0415 - it needs an extra

    together = threading.Barrier(4)

    def begin() -> None:
        together.wait()
        store = SqlStore(url)
        store.write({TICKS: [tick(5)]})
        store.close()

    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(begin) for _ in range(4)]:
            future.result()
    assert kept(url, TICKS) == [tick(5)]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_takes_a_row(store: Any, url: str, table: Table) -> None:
    row = tuple(kind(1) for kind in table.columns.values())
    store.write({table: [row]})
    store.write({table: [row]})
    assert kept(url, table) == [row]


def test_a_gap_that_has_grown_replaces_the_old_one(store: Any, url: str) -> None:
    for before in (20, 30):
        store.write({GAPS: [("R_100", 0, 10, before, "no longer kept")]})
    assert [row[3] for row in kept(url, GAPS)] == [30]


def test_a_batch_is_kept_whole_or_not_at_all(store: Any, url: str) -> None:
    with pytest.raises(StoreError, match="null value") as caught:
        store.write({TICKS: [tick(5)], GAPS: [("R_100", 0, None, 3, "no key")]})
    assert not isinstance(caught.value, StoreBusy)
    assert kept(url, TICKS) == []


def test_what_it_keeps_can_be_read(store: Any, url: str) -> None:
    store.write({TICKS: [tick(epoch) for epoch in range(5)], GAPS: [("R_100", 60, 1, 2, "x")]})
    chosen = Selection(TICKS, ("R_100", "R_10"), start=1, end=3)
    assert [row for rows in read(url, chosen) for row in rows] == [tick(1), tick(2), tick(3)]
    assert list(read(url, Selection(GAPS, granularity=300))) == []


def test_reading_makes_no_tables(url: str) -> None:
    with pytest.raises(StoreError, match="no such table: ticks"):
        list(read(url, Selection(TICKS)))
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    with psycopg.connect(url) as db:
        assert db.execute(query).fetchall() == []


async def test_a_table_of_another_shape_is_an_error(url: str) -> None:
    with psycopg.connect(url) as db:
        db.execute("CREATE TABLE ticks (time INTEGER, price REAL)")
    with pytest.raises(StoreError, match="another table ticks: its columns are time, price") as it:
        async with open_store(url):
            pass
    assert "secret-word" not in str(it.value)


@pytest.mark.parametrize(
    "there",
    [
        *("127.0.0.1:1/x", "127.0.0.1:1", "127.0.0.1:no-port/x", "127.0.0.1:1/x?y"),
        "127.0.0.1:1/x?password=secret-word",
    ],
)
async def test_g13_what_cannot_be_reached_is_an_error_without_the_password(there: str) -> None:
    with pytest.raises(StoreError) as caught:
        async with open_store(f"postgresql://deriv:secret-word@{there}"):
            pass
    assert "secret-word" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"


async def until(true: Callable[[], object]) -> None:
    while not true():  # noqa: ASYNC110 - it is about a server, not about a task
        await trio.sleep(1)


def test_a_server_that_only_reads_is_busy(store: Any, url: str) -> None:
    """As a standby is, before it is the primary, or a database whose disk is full."""
    change = "ALTER ROLE CURRENT_USER {} default_transaction_read_only"
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    with psycopg.connect(url, autocommit=True) as db:
        try:
            db.execute(change.format("SET") + " = on")
            db.execute(end)
            for _ in range(2):
                with pytest.raises(StoreBusy, match="read-only transaction"):
                    store.write({TICKS: [("R_100", 5, 0, 1.5, None, None)]})
        finally:
            db.execute("SET default_transaction_read_only = off")
            db.execute(change.format("RESET"))
    store.write({TICKS: [("R_100", 5, 0, 1.5, None, None)]})
    assert kept(url, TICKS) == [("R_100", 5, 0, 1.5, None, None)]


def test_whoever_writes_by_a_new_connection_asks_first_what_is_kept(store: Any, url: str) -> None:
    """It may lead to a standby that lacks rows."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    store.write({TICKS: [tick(5)]})
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(end)
    with pytest.raises(StoreBusy, match="the connection is a new one"):
        store.write({TICKS: [tick(6)]})
    assert store.newest(TICKS, "R_100") == 5
    store.write({TICKS: [tick(6)]})
    assert kept(url, TICKS) == [tick(5), tick(6)]


@pytest.mark.parametrize("text", ["x\0y", "\0"])
def test_a_text_that_postgresql_cannot_hold_does_not_end_the_recording(
    store: Any, url: str, text: str
) -> None:
    row = ("VRTC1", 7, 1_700_000_000, "buy", -1.0, 99.0, None, None, None, None, "", text)
    store.write({TRANSACTIONS: [row]})
    assert kept(url, TRANSACTIONS) == [(*row[:-1], text.replace("\0", "\ufffd"))]


async def test_a_server_that_goes_away_is_waited_for(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The virtual clock is right for that: the pauses between the attempts take no time."""
    with servers.postgres() as server:
        async with (
            open_simulator(port=None, start=1_700_000_000) as sim,
            derivtrio.open_client(endpoint=sim.endpoint) as client,
            open_store(server.url) as store,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(record, client, ["1HZ100V"], store)
                await until(lambda: kept(server.url, TICKS))
                server.stop()
                await until(lambda: "rows waiting" in caplog.text)
                server.start()
                servers.wait_until_it_answers(server.url)
                before = len(kept(server.url, TICKS))
                await until(lambda: len(kept(server.url, TICKS)) >= before + 60)
                nursery.cancel_scope.cancel()
            rows = kept(server.url, TICKS)
            due = sim.market.ticks("1HZ100V", rows[0][1], rows[-1][1])
        assert [row[3] for row in rows] == [tick.quote for tick in due]
    assert "secret-word" not in caplog.text
