"""The guide's page about recording: its commands are carried out, and its code is tried."""

import json
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from pages import GUIDE, read
from recording_servers import Server, nats_reply, package_of_nats, redis_reply
from recording_servers import nats as run_nats
from recording_servers import postgres as run_postgres
from recording_servers import redis as run_redis
from served import Served, finished, served, started

import derivtrio
from derivtrio.recording import record
from derivtrio.simulator import open_simulator

pytestmark = pytest.mark.long
PAGE = read(GUIDE / "recording.md")
COMMANDS = PAGE.commands()
command = PAGE.command


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as running:
        yield running


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def carried_out(arguments: list[str], server: Served, done: Callable[[], object]) -> None:
    """Carry out a command until *done*; end it with SIGTERM."""
    with started(*arguments, DERIV_URL=server.url) as process:
        end = time.monotonic() + 60
        while not done():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143  # a command that went on would need more


def count(path: str, table: str = "ticks") -> int:
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        finally:
            db.close()
    except sqlite3.OperationalError:
        return 0


def test_every_command_is_carried_out_below() -> None:
    assert len(COMMANDS) == 9


def test_record_then_export_and_plot(server: Served) -> None:
    recording = [*command("derivtrio record R_100 1HZ100V"), "--candles", "60"]
    recording += ["--start", str(int(time.time()) - 1000)]
    carried_out(
        recording, server, lambda: count("ticks.db") > 1600 and count("ticks.db", "candles")
    )
    exported = finished(*command("derivtrio export ticks.db --symbol R_100"))
    nothing = "there are no such rows in ticks.db\n"  # at another time than the page was written
    assert (exported.returncode, exported.stderr) == (0, "" if exported.stdout else nothing)
    candles = finished(*command("derivtrio export ticks.db --candles 60"))
    assert candles.stdout.startswith("symbol,granularity,open_time,open,high,low,close\n")
    assert candles.stdout.count("\n") > 20
    if _is_there("pyarrow"):
        assert finished(*command("derivtrio export ticks.db --format parquet")).returncode == 0
        assert Path("ticks.parquet").read_bytes().startswith(b"PAR1")
    if _is_there("matplotlib"):
        assert finished(*command("derivtrio plot ticks.db")).returncode == 0
        assert Path("chart.png").read_bytes().startswith(b"\x89PNG")


def test_record_into_files(server: Served) -> None:
    pytest.importorskip("pyarrow")
    arguments = command("derivtrio record R_100 --to 'data/")
    carried_out(arguments, server, lambda: list(Path().glob("data/R_100/*.parquet.part")))
    assert list(Path().glob("data/R_100/*.parquet"))
    assert not list(Path().glob("data/R_100/*.part"))


def test_record_into_postgres(server: Served) -> None:
    psycopg = pytest.importorskip("psycopg")
    pytest.importorskip("sqlalchemy")
    with run_postgres() as postgres:
        arguments = command("derivtrio record R_100 --candles 60 --to postgresql")
        arguments[-1] = postgres.url

        def rows() -> Any:
            with psycopg.connect(postgres.url) as db:
                if db.execute("SELECT to_regclass('ticks')").fetchone() == (None,):
                    return None
                return db.execute("SELECT count(*) FROM ticks").fetchone()[0]

        carried_out(arguments, server, rows)


def test_relay(server: Served) -> None:
    pytest.importorskip("coredis")

    def entries(redis: Server) -> Any:
        return redis_reply(redis, "XLEN", "ticks")

    with run_redis() as redis:
        arguments = command("derivtrio relay R_100 --to redis")
        arguments[-1] = f"{redis.url}/ticks"
        carried_out(arguments, server, lambda: entries(redis))


def test_relay_to_nats(server: Served) -> None:
    nats = package_of_nats()

    async def last(js: Any) -> Any:
        try:
            return await js.get_last_msg("ticks_SYMBOL", "ticks.R_100")
        except nats.js.errors.NotFoundError:
            return None

    with run_nats() as broker:
        arguments = command("derivtrio relay R_100 1HZ100V")
        arguments[-1] = f"{broker.url}/ticks"
        carried_out(arguments, server, lambda: nats_reply(broker, last))
        message = nats_reply(broker, last)
    members = json.loads(message.data)
    assert message.headers["Nats-Msg-Id"] == f"R_100-{members['epoch']}000-0"


def _is_there(package: str) -> bool:
    try:
        __import__(package)
    except ModuleNotFoundError:
        return False
    return True


async def test_ticks_go_into_data_frames_in_one_line(
    autojump_clock: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    (block,) = PAGE.blocks("py")
    code = compile(block.text, PAGE.name, "exec", 0x2000)  # with `await` outside of functions
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        await eval(code, {"client": client, "time": time})
    pandas_mean, polars_mean = map(float, capsys.readouterr().out.split())
    assert pandas_mean == pytest.approx(polars_mean)


async def test_g05_the_store_of_twenty_lines_is_one(autojump_clock: Any) -> None:
    (block,) = (block for block in PAGE.blocks("python") if "class Quotes" in block.text)
    body = block.text.split("class Quotes")[1].split("\n\n\n")[0]
    assert len(body.splitlines()) <= 20
    names: dict[str, Any] = {}
    exec(block.text.split("async with in_thread")[0], names)
    store = names["Quotes"]()

    class InLoop:  # a thread would not know of the virtual clock
        async def newest(self, *arguments: Any) -> int | None:
            return store.newest(*arguments)

        async def write(self, batch: Any) -> None:
            store.write(batch)

    async with open_simulator(port=None, start=1_700_000_000, faults=["drop@20"]) as sim:
        for _ in range(3):
            with trio.move_on_after(50):
                async with derivtrio.open_client(endpoint=sim.endpoint) as client:
                    await record(client, ["1HZ100V"], InLoop())
            await trio.sleep(50)
        rows = store.db.execute("SELECT epoch, quote FROM quotes ORDER BY epoch").fetchall()
        due = sim.market.ticks("1HZ100V", rows[0][0], rows[-1][0])
    store.close()
    assert rows == [(tick.epoch, tick.quote) for tick in due]
    assert len(rows) > 240
