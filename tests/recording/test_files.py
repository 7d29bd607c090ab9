"""The store of files: rotation, repair, and whole files for whoever reads them."""

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest
import trio
from stores import InLoop

import derivtrio
from derivtrio.recording import (
    CANDLES,
    GAPS,
    TABLES,
    TICKS,
    TRANSACTIONS,
    MissingExtra,
    StoreBusy,
    StoreError,
    Table,
    open_store,
    record,
)
from derivtrio.recording import files as module
from derivtrio.recording.files import FileStore
from derivtrio.recording.formats import FORMATS
from derivtrio.simulator import Simulator, open_simulator

try:
    import pyarrow as pa
    import pyarrow.parquet as pq

    SUFFIXES = ["csv", "jsonl", "parquet"]
except ModuleNotFoundError:
    SUFFIXES = ["csv", "jsonl"]

every_format = pytest.mark.parametrize("suffix", SUFFIXES)
DAY = 1_699_920_000  # 2023-11-14, 00:00 UTC


def tick(epoch: int, n: int = 0, quote: float = 1.5) -> Any:
    return ("R_100", epoch, n, quote, None, 1.4)


def template(folder: Path, suffix: str) -> str:
    return f"{folder}/data/{{symbol}}/{{date}}.{suffix}"


def kept(path: Path, table: Table = TICKS) -> list[Any]:
    return FORMATS[path.suffix].read(path, table)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@every_format
def test_a_day_is_a_file(tmp_path: Path, suffix: str) -> None:
    store = FileStore(template(tmp_path, suffix))
    assert store.newest(TICKS, "R_100") is None
    store.write({TICKS: [tick(DAY - 1), tick(DAY), tick(DAY, 1)], CANDLES: []})
    store.write({TICKS: [tick(DAY + 5)], CANDLES: [("R_100", 60, DAY, 1.0, 2.0, 0.5, 1.5)]})
    store.close()
    folder = tmp_path / "data"
    assert names(folder) == [
        f"R_100/2023-11-13.{suffix}",
        f"R_100/2023-11-14.candles-60.{suffix}",
        f"R_100/2023-11-14.{suffix}",
    ]
    assert kept(folder / f"R_100/2023-11-13.{suffix}") == [tick(DAY - 1)]
    assert kept(folder / f"R_100/2023-11-14.{suffix}") == [tick(DAY), tick(DAY, 1), tick(DAY + 5)]
    again = FileStore(template(tmp_path, suffix))
    assert again.newest(TICKS, "R_100") == DAY + 5
    assert again.newest(CANDLES, "R_100", 60) == DAY
    assert again.newest(CANDLES, "R_100", 300) is None


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_g05_a_day_is_on_the_disk_before_the_next_begins(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power failure the newest file alone says where to go on."""
    there: list[list[str]] = []
    monkeypatch.setattr(os, "fsync", lambda _: there.append(names(tmp_path / "data")))
    store = FileStore(template(tmp_path, suffix))
    store.write({TICKS: [tick(DAY - 2)]})
    store.write({TICKS: [tick(DAY - 1), tick(DAY)]})
    assert there == [[f"R_100/2023-11-13.{suffix}"]]


@every_format
def test_a_row_that_comes_again_is_left_out(tmp_path: Path, suffix: str) -> None:
    for first in (0, 3, 5):
        store = FileStore(template(tmp_path, suffix))
        store.write({TICKS: [tick(DAY + epoch) for epoch in range(first, first + 5)]})
        store.write({TICKS: [tick(DAY + first)]})
        store.close()
    (path,) = (tmp_path / "data").rglob("*.*")
    assert kept(path) == [tick(DAY + epoch) for epoch in range(10)]


@every_format
def test_g05_a_row_that_comes_twice_in_one_batch_is_kept_once(tmp_path: Path, suffix: str) -> None:
    store = FileStore(template(tmp_path, suffix))
    days = DAY - 86400, DAY
    second = [tick(day + each) for day in days for each in (1, 1, 2)]  # asked for again, and again
    store.write({TICKS: [tick(days[0]), *second, *second, tick(DAY + 3)]})
    store.close()
    rows = [row for path in sorted((tmp_path / "data").rglob("*.*")) for row in kept(path)]
    first = [tick(days[0] + each) for each in range(3)]
    assert rows == [*first, *(tick(DAY + each) for each in range(1, 4))]


@every_format
def test_g05_two_recorders_of_the_same_files_keep_each_row_once(
    tmp_path: Path, suffix: str
) -> None:
    one, other = (FileStore(template(tmp_path, suffix)) for _ in range(2))
    for store in (one, other):
        assert store.newest(TICKS, "R_100") is None
    for begin in (DAY - 6, DAY - 2):  # over midnight
        one.write({TICKS: [tick(begin + each) for each in range(4)]})
        other.write({TICKS: [tick(begin + each) for each in range(2, 6)]})
    other.close()
    one.write({TICKS: [tick(DAY + each) for each in range(2, 5)]})
    one.write({GAPS: [("R_100", 0, DAY, DAY + 5, "one")]})
    other.write({GAPS: [("R_100", 0, DAY + 7, DAY + 9, "other")]})
    one.close()
    folder = tmp_path / "data/R_100"
    rows = [row for day in "34" for row in kept(folder / f"2023-11-1{day}.{suffix}")]
    assert rows == [tick(DAY + each) for each in range(-6, 5)]
    assert len(kept(folder / f"2023-11-14.gaps.{suffix}", GAPS)) == 2
    assert len(names(folder)) == 3


@every_format
def test_a_file_that_is_taken_away_costs_and_doubles_no_row(tmp_path: Path, suffix: str) -> None:
    store = FileStore(template(tmp_path, suffix))
    store.write({TICKS: [tick(DAY), tick(DAY + 1)]})
    (path,) = (tmp_path / "data").rglob("*.*")
    path.rename(tmp_path / "rotated")
    store.write({TICKS: [tick(DAY + 1), tick(DAY + 2)]})
    store.close()
    assert kept(tmp_path / f"data/R_100/2023-11-14.{suffix}") == [tick(DAY + 2)]


async def keep_ticks(sim: Simulator, target: str) -> None:
    async with derivtrio.open_client(endpoint=sim.endpoint) as client:
        await record(client, ["1HZ100V"], InLoop(FileStore(target)))


async def test_g05_a_file_that_was_cut_short_is_completed(
    autojump_clock: Any, tmp_path: Path
) -> None:
    """An older copy of it may have taken its place, for instance."""
    path = tmp_path / "data/1HZ100V/2023-11-14.csv"
    async with open_simulator(port=None, start=DAY + 60) as sim, trio.open_nursery() as nursery:
        nursery.start_soon(keep_ticks, sim, template(tmp_path, "csv"))
        await trio.sleep(60)
        os.truncate(path, path.stat().st_size // 2)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    rows = kept(path)
    due = sim.market.ticks("1HZ100V", rows[0][1], rows[-1][1])
    assert [(row[1], row[3]) for row in rows] == [(tick.epoch, tick.quote) for tick in due]
    assert len(rows) > 110


@every_format
@pytest.mark.parametrize("moment", [1_700_000_000_000, -(2**62), 2**62])
def test_a_row_whose_time_no_calendar_has_is_kept(tmp_path: Path, suffix: str, moment: int) -> None:
    rest = ("buy", -1.0, 99.0, None, None, None, None, "", "")
    store = FileStore(template(tmp_path, suffix))
    store.write({TRANSACTIONS: [("VRTC1", 7, moment, *rest)]})
    assert FileStore(template(tmp_path, suffix)).newest(TRANSACTIONS, "VRTC1") == 7


@every_format
def test_what_is_collected_survives_a_crash(tmp_path: Path, suffix: str) -> None:
    store = FileStore(template(tmp_path, suffix))
    store.write({TICKS: [tick(DAY - 2), tick(DAY - 1)]})
    store.write({TICKS: [tick(DAY)]})  # and then it is killed: nobody closes it
    (appended,) = (tmp_path / "data").rglob("2023-11-14*")
    with appended.open("ab") as file:
        file.write(b'{"symbol": "R_100", "epo' if suffix != "csv" else b"R_100,16999")
    again = FileStore(template(tmp_path, suffix))
    assert again.newest(TICKS, "R_100") == DAY
    again.write({TICKS: [tick(DAY), tick(DAY + 1)]})
    again.close()
    assert kept(tmp_path / f"data/R_100/2023-11-14.{suffix}") == [tick(DAY), tick(DAY + 1)]
    assert kept(tmp_path / f"data/R_100/2023-11-13.{suffix}") == [tick(DAY - 2), tick(DAY - 1)]
    assert not [name for name in names(tmp_path) if not name.endswith(suffix)]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_file_may_be_cut_off_at_any_byte(tmp_path: Path, suffix: str) -> None:
    rows = [tick(DAY + epoch) for epoch in range(4)]
    store = FileStore(template(tmp_path, suffix))
    store.write({TICKS: rows})
    path = tmp_path / f"data/R_100/2023-11-14.{suffix}"
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size] + b"\0" * (size % 3))
        again = FileStore(template(tmp_path, suffix))
        newest = again.newest(TICKS, "R_100")
        assert newest is None or [row for row in rows if row[1] <= newest] == kept(path)
        again.write({TICKS: rows})
        assert path.read_bytes() == whole


@pytest.mark.skipif("parquet" not in SUFFIXES, reason="needs pyarrow")
@pytest.mark.parametrize("days", [1, 2])
def test_a_parquet_file_that_cannot_be_read_is_set_aside(
    tmp_path: Path, days: int, caplog: pytest.LogCaptureFixture
) -> None:
    store = FileStore(template(tmp_path, "parquet"))
    rows = [tick(DAY - 86400 * day + 100) for day in reversed(range(days))]
    store.write({TICKS: rows})
    store.close()
    path = tmp_path / "data/R_100/2023-11-14.parquet"
    path.write_bytes(path.read_bytes()[:-5])
    again = FileStore(template(tmp_path, "parquet"))
    assert again.newest(TICKS, "R_100") == (DAY - 1 if days == 1 else DAY - 86400 + 100)
    assert "it is now called 2023-11-14.parquet.damaged" in caplog.text
    again.write({TICKS: [tick(DAY + 7)]})
    again.close()
    assert kept(path) == [tick(DAY + 7)]


@every_format
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_takes_a_row(tmp_path: Path, suffix: str, table: Table) -> None:
    row = tuple({str: "x, \n", int: 2, float: 1.25}[kind] for kind in table.columns.values())
    if table.ordered:
        row = ("R_100", *row[1:])
    store = FileStore(template(tmp_path, suffix))
    store.write({table: [row]})
    store.write({table: [row]})
    store.close()
    (path,) = (path for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert kept(path, table) == [row]
    key = row[: 2 if table is CANDLES else 1]
    assert FileStore(template(tmp_path, suffix)).newest(table, *key) == 2


@every_format
def test_a_gap_that_has_grown_replaces_the_old_one(tmp_path: Path, suffix: str) -> None:
    store = FileStore(template(tmp_path, suffix))
    for before in (20, 30):
        store.write({GAPS: [("R_100", 0, DAY, DAY + before, "no longer kept")]})
    (row,) = kept(tmp_path / f"data/R_100/2023-11-14.gaps.{suffix}", GAPS)
    assert row[3] == DAY + 30


@every_format
def test_a_full_disk_is_busy_and_leaves_whole_lines(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(template(tmp_path, suffix))
    store.write({TICKS: [tick(DAY)]})
    monkeypatch.setattr(module, "append_lines", half_appended(module.append_lines))
    with pytest.raises(StoreBusy, match="No space left"):
        store.write({TICKS: [tick(DAY + 1)]})
    monkeypatch.undo()
    store.write({TICKS: [tick(DAY + 1)]})
    store.close()
    path = tmp_path / f"data/R_100/2023-11-14.{suffix}"
    assert kept(path) == [tick(DAY), tick(DAY + 1)]


@pytest.mark.skipif("parquet" not in SUFFIXES, reason="needs pyarrow")
def test_closing_on_a_full_disk_keeps_what_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = FileStore(template(tmp_path, "parquet"))
    store.write({TICKS: [tick(DAY)]})
    monkeypatch.setattr(os, "fsync", full)
    store.close()
    (record_of_it,) = caplog.records
    assert "No space left on device; the file is made at the next start" in (
        record_of_it.getMessage()
    )
    assert names(tmp_path / "data") == ["R_100/2023-11-14.parquet.part"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of files")
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("count", [20, 100, 1000])  # less and more than a buffer of Python's
@pytest.mark.parametrize("room", [0, 1, 100, 500])
def test_g05_what_a_full_disk_takes_a_part_of_leaves_no_half_row(
    tmp_path: Path, suffix: str, count: int, room: int
) -> None:
    import resource  # noqa: PLC0415 - Windows has none

    store = FileStore(template(tmp_path, suffix))
    store.write({TICKS: [tick(DAY)]})
    path = tmp_path / f"data/R_100/2023-11-14.{suffix}"
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, hard))
    try:
        for _ in range(2):
            with pytest.raises(StoreBusy, match="too large"):
                store.write({TICKS: [tick(DAY + each) for each in range(1, count)]})
            assert path.read_bytes() == before
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store.write({TICKS: [tick(DAY + each) for each in range(1, count)]})
    assert kept(path) == [tick(DAY + each) for each in range(count)]


def half_appended(append: Callable[[Path, bytes, bytes], None]) -> Callable[..., None]:
    """Return what does as a disk that becomes full: it takes a half of what it is given."""

    def appending(path: Path, header: bytes, lines: bytes) -> None:
        real = Path.open

        class Half:
            def __init__(self, file: Any) -> None:
                self.file = file

            def __enter__(self) -> Self:
                return self

            def __exit__(self, *_: object) -> None:
                self.file.close()

            def tell(self) -> int:
                return int(self.file.tell())

            def write(self, data: bytes) -> None:
                self.file.write(data[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "open", lambda self, *mode, **more: Half(real(self, *mode, **more)))
            append(path, header, lines)

    return appending


@pytest.mark.parametrize("path", ["x.csv", "{symbol}.csv", "{date}.csv"])
async def test_a_path_without_its_fields_is_an_error(tmp_path: Path, path: str) -> None:
    with pytest.raises(StoreError, match=r"has \{symbol\} and \{date\} in it"):
        async with open_store(f"{tmp_path}/{path}"):
            pass


async def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreError, match=r"exists|directory"):
        async with open_store(template(tmp_path, "csv")):
            pass


async def test_without_pyarrow_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match="Parquet needs pyarrow: install the extra parquet"):
        async with open_store(template(tmp_path, "parquet")):
            pass


async def test_a_package_that_cannot_be_imported_here_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "pyarrow"
    package.mkdir()
    (package / "__init__.py").write_text("import ssl\nssl.of_another_python")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pyarrow", raising=False)
    words = "Parquet needs .* extra parquet, and one of them cannot be imported here: Attr"
    with pytest.raises(MissingExtra, match=words):
        async with open_store(template(tmp_path, "parquet")):
            pass


def test_a_symbol_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    store = FileStore(template(tmp_path, "csv"))
    store.write({TICKS: [("../../x", DAY, 0, 1.0, None, None)]})
    assert names(tmp_path) == ["data/..%2F..%2Fx/2023-11-14.csv"]
    assert FileStore(template(tmp_path, "csv")).newest(TICKS, "../../x") == DAY


@pytest.mark.skipif("parquet" not in SUFFIXES, reason="needs pyarrow")
def test_closing_takes_no_longer_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(template(tmp_path, "parquet"))
    store.write({TICKS: [tick(DAY)]})
    monkeypatch.setattr(module, "_CLOSING", 0)
    store.close()
    assert names(tmp_path / "data") == ["R_100/2023-11-14.parquet.part"]
    again = FileStore(template(tmp_path, "parquet"))
    assert again.newest(TICKS, "R_100") == DAY
    monkeypatch.undo()
    again.close()
    found = pq.read_table(tmp_path / "data/R_100/2023-11-14.parquet").to_pylist()
    assert found == [dict(zip(TICKS.names, tick(DAY), strict=True))]


@every_format
async def test_a_recorder_goes_on_over_midnight_and_a_restart(
    autojump_clock: Any, tmp_path: Path, suffix: str
) -> None:
    target = template(tmp_path, suffix)
    async with open_simulator(port=None, start=DAY - 100) as sim:
        for _ in range(3):
            store = FileStore(target)
            with trio.move_on_after(80):
                async with derivtrio.open_client(endpoint=sim.endpoint) as client:
                    await record(client, ["1HZ100V"], InLoop(store))
            store.close()
            await trio.sleep(50)
        folder = tmp_path / "data/1HZ100V"
        rows = [row for path in sorted(folder.iterdir()) for row in kept(path)]
        due = sim.market.ticks("1HZ100V", rows[0][1], rows[-1][1])
    assert names(folder) == [f"2023-11-13.{suffix}", f"2023-11-14.{suffix}"]
    assert [(row[1], row[3]) for row in rows] == [(tick.epoch, tick.quote) for tick in due]
    assert len(rows) > 200


@every_format
async def test_a_file_of_another_shape_is_an_error_and_stays_as_it_is(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"data/R_100/2023-11-14.{suffix}"
    path.parent.mkdir(parents=True)
    if suffix == "parquet":
        pq.write_table(pa.table({"time": [1], "price": [1.5]}), path)
    else:
        path.write_text("time,price\n1,1.5\n" if suffix == "csv" else '{"time": 1}\n{"time": 2}\n')
    before = path.read_bytes()
    with pytest.raises(StoreError, match="is another file"):
        FileStore(template(tmp_path, suffix)).newest(TICKS, "R_100")
    assert path.read_bytes() == before


def test_a_json_line_has_the_columns(tmp_path: Path) -> None:
    FileStore(template(tmp_path, "jsonl")).write({TICKS: [tick(DAY)]})
    (line,) = (tmp_path / "data/R_100/2023-11-14.jsonl").read_text().splitlines()
    assert json.loads(line) == dict(zip(TICKS.names, tick(DAY), strict=True))


def test_a_folder_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write anywhere
    with pytest.raises(StoreError, match="nothing can be written into"):
        FileStore(template(tmp_path, "csv"))


@pytest.mark.parametrize("name", ["2023-13-99.csv", "2023-11-31.csv.part", "notes.csv"])
def test_a_file_whose_name_is_no_date_is_left_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data/R_100" / name
    path.parent.mkdir(parents=True)
    path.write_text("notes")
    store = FileStore(template(tmp_path, "csv"))
    assert store.newest(TICKS, "R_100") is None
    store.write({TICKS: [tick(DAY)]})
    store.close()
    assert path.read_text() == "notes"


@every_format
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
@pytest.mark.parametrize("table", [TICKS, GAPS])
def test_what_is_no_file_is_an_error_and_stays_as_it_is(
    tmp_path: Path, suffix: str, make: Callable[[Path], None], table: Table
) -> None:
    kind = "" if table is TICKS else ".gaps"
    path = tmp_path / f"data/R_100/2023-11-14{kind}.{suffix}"
    path.parent.mkdir(parents=True)
    make(path)
    row = tick(DAY) if table is TICKS else ("R_100", 0, DAY, DAY + 5, "x")
    with pytest.raises(StoreError, match="not a file"):
        FileStore(template(tmp_path, suffix)).write({table: [row]})
    assert [each.name for each in path.parent.iterdir()] == [path.name]
