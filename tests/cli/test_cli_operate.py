"""How long-running commands tell others how they are: systemd, health page, file, log."""

import json
import logging
import os
import re
import socket
import sqlite3
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h11
import pytest
import trio
import trio.testing
from served import Served, started
from shell import run

import derivtrio
from derivtrio.cli.health import FRESH, PROMPT, Health, WatchedStore
from derivtrio.cli.health_server import health_server
from derivtrio.cli.logs import JsonFormatter
from derivtrio.cli.operate import ListenAddress, Operation, read_address
from derivtrio.cli.output import log_to_stderr
from derivtrio.cli.systemd import Notifier
from derivtrio.cli.target import target_for
from derivtrio.recording import TICKS, Batch, StoreBusy, Table, Waits
from derivtrio.simulator import Simulator, open_simulator
from derivtrio.web import CONNECTIONS, HEAD_SIZE, PATIENCE

SECRET = "a1-Secret-Token"


class Manager:
    """Stands for systemd: a datagram socket, and what came there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(0)
        self.told: list[str] = []

    async def wait(self, seconds: float) -> None:
        """Wait on trio's clock, and read: the kernel keeps ten messages for us."""
        with trio.move_on_after(seconds):
            while True:
                await trio.sleep(1)
                self.read()

    def read(self) -> list[str]:
        while True:
            try:
                self.told += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return self.told


@pytest.fixture(params=["path", "abstract"])
def manager(request: Any, tmp_path: Path) -> Iterator[Manager]:
    if request.param == "abstract" and sys.platform != "linux":
        pytest.skip("abstract names are Linux's")
    abstract = f"@derivtrio-test-{os.getpid()}-{time.monotonic_ns()}"
    manager = Manager(str(tmp_path / "notify") if request.param == "path" else abstract)
    yield manager
    manager.socket.close()


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


# --- systemd


def test_systemd_hears_ready_a_watchdog_and_stopping(
    server: Served, manager: Manager, tmp_path: Path
) -> None:
    variables = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "120000000"}
    command = ("-m", "derivtrio", "record", "1HZ100V", "--to", str(tmp_path / "ticks.db"))
    with started(*command, DERIV_URL=server.url, **variables) as process:
        wait_until(lambda: "WATCHDOG=1" in manager.read() or process.poll() is not None)
        process.terminate()
        out, err = process.communicate()
    assert (process.returncode, out) == (143, ""), err
    told = manager.read()
    assert told.count("READY=1") == 1
    assert any(line.startswith("STATUS=ready, connection 1, ") for line in told)
    assert told[-1] == "STOPPING=1"


def test_a_notifier_without_a_manager_does_nothing(tmp_path: Path) -> None:
    Notifier().tell(READY=1)
    Notifier(str(tmp_path / "nobody")).tell(READY=1)


def test_a_status_is_one_line(manager: Manager) -> None:
    Notifier(manager.name).tell(STATUS="one\nREADY=1")
    assert manager.read() == ["STATUS=one READY=1"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (None, None)),
        ({"NOTIFY_SOCKET": "/x"}, ("/x", None)),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3000000"}, ("/x", 3.0)),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "no"}, ("/x", None)),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "3", "WATCHDOG_PID": "1"}, ("/x", None)),
        ({"WATCHDOG_USEC": "3000000"}, (None, None)),
    ],
)
def test_the_variables_say_who_wants_to_know(
    variables: dict[str, str], expected: tuple[str | None, float | None]
) -> None:
    notifier = Notifier.of(variables)
    assert (notifier.address, notifier.watchdog) == expected


async def test_the_watchdog_is_not_fed_while_the_server_is_mute(
    autojump_clock: Any, tmp_path: Path
) -> None:
    manager = Manager(str(tmp_path / "notify"))
    try:
        async with open_simulator(port=None) as sim:
            operation = Operation(notifier=Notifier(manager.name, 120))
            async with operation.open(fake_target(sim), None) as client:
                await client.call({"time": 1})
                await manager.wait(20)
                assert "WATCHDOG=1" in manager.read()
                sim.faults.freeze()
                sim.faults.refuse(1000)
                await manager.wait(6)
                fed = manager.read().count("WATCHDOG=1")
                await manager.wait(500)
                assert manager.read().count("WATCHDOG=1") == fed
                assert manager.told[-1].startswith("STATUS=the client is ")
                await manager.wait(700)
                assert manager.read().count("WATCHDOG=1") > fed
    finally:
        manager.socket.close()


async def test_a_silent_market_feeds_the_watchdog_by_its_heartbeats(
    autojump_clock: Any, tmp_path: Path
) -> None:
    manager = Manager(str(tmp_path / "notify"))
    try:
        async with open_simulator(port=None) as sim:
            operation = Operation(notifier=Notifier(manager.name, 120))
            async with operation.open(fake_target(sim), None):
                await manager.wait(300)
        assert 300 / 25 - 2 <= manager.read().count("WATCHDOG=1") <= 300 / 25 + 2
    finally:
        manager.socket.close()


class FakeTarget:
    """Opens a client of a simulator that has no URL."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def open(self, max_attempts: int | None, *, wait_ready: bool = True) -> Any:
        settings = derivtrio.Settings(max_attempts=max_attempts, wait_ready=wait_ready)
        return derivtrio.open_client(endpoint=self.sim.endpoint, settings=settings)


def fake_target(sim: Simulator) -> Any:
    return FakeTarget(sim)


# --- the judgement


class Memory:
    """A store that fails on demand."""

    def __init__(self) -> None:
        self.busy = False
        self.hangs: dict[Any, float] = {}

    async def newest(self, _table: Table, *key: str | int) -> int | None:
        await trio.sleep(self.hangs.get(key, 0))
        return None

    async def write(self, _batch: Batch) -> None:
        await trio.lowlevel.checkpoint()
        if self.busy:
            raise StoreBusy


async def test_it_is_not_well_when_the_store_does_not_write(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    store = WatchedStore(memory)
    batch: Any = {TICKS: [("R_100", 1, 0, 1.5, None, None)]}
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        await client.call({"time": 1})
        health = Health(client, store)
        await store.write(batch)
        assert (health.troubles, store.rows) == ([], 1)
        memory.busy = True
        for _ in range(2):
            with pytest.raises(StoreBusy):
                await store.write(batch)
        await trio.sleep(PROMPT + 5)
        now = time.time()
        for clock in (now, now - 3600):  # it is not said by a clock that somebody sets back
            monkeypatch.setattr(time, "time", lambda clock=clock: clock)
            assert health.troubles == [f"the store has not written for {PROMPT + 5:.0f} s"]
        memory.busy = False
        await store.write(batch)
        assert (health.troubles, store.waiting) == ([], {})
        monkeypatch.setattr(time, "time", lambda: now + FRESH + 60)
        assert re.match(r"the last message came \d+ s ago", health.troubles[0])


async def test_it_is_not_well_when_the_store_does_not_say_what_it_has(autojump_clock: Any) -> None:
    memory = Memory()
    store = WatchedStore(memory)
    memory.hangs = {("R_100",): 10, ("R_25",): PROMPT + 30}
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        trio.open_nursery() as nursery,
    ):
        for symbol in ("R_100", "R_25", "R_50"):
            nursery.start_soon(store.newest, TICKS, symbol)
        health = Health(client, store)
        await trio.sleep(PROMPT - 5)
        assert health.troubles == []
        await trio.sleep(10)
        assert health.troubles == [f"the store has not answered for {PROMPT + 5:.0f} s"]
        await trio.sleep(30)
        assert health.troubles == []


async def test_g17_a_series_that_is_refused_is_told_and_leaves_the_recorder_well(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = Waits()
    for now, text in ((1000, "not now"), (2000, "there is no\nsuch symbol")):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        waits.begin("GONE", derivtrio.ApiError("InvalidSymbol", text))
    monkeypatch.undo()
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        health = Health(client, WatchedStore(Memory()), waits)
        report = health.report()
        assert report["healthy"]
        error = "InvalidSymbol: there is no such symbol"
        assert report["waiting"] == [{"series": "GONE", "since": 1000, "error": error}]
        assert health.summary().endswith("0 rows written; not followed: GONE")
        sim.faults.refuse()
        sim.faults.drop()
        await trio.sleep(1)
        assert not health.report()["healthy"]
        assert health.summary().endswith("; not followed: GONE")
        waits.end("GONE")
        assert "GONE" not in health.summary()
        assert health.report()["waiting"] == []


# --- the health page


async def asked(health: Health, raw: bytes) -> tuple[int, bytes]:
    """Return the status and the body that answer *raw*."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(health_server(health).serve, theirs)
        await ours.send_all(raw)
        http, body, status = h11.Connection(h11.CLIENT), b"", 0
        http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        http.send(h11.EndOfMessage())
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(bytes(await ours.receive_some(65536)))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                return status, body


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def test_healthz_is_200_when_well_and_503_with_the_reason_otherwise(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        await client.call({"time": 1})
        health = Health(client)
        status, body = await asked(health, get("/healthz?x=1"))
        assert (status, json.loads(body)["troubles"]) == (200, [])
        sim.faults.drop()
        sim.faults.refuse(60)
        await trio.sleep(10)
        status, body = await asked(health, get("/healthz"))
        report = json.loads(body)
        assert (status, report["healthy"]) == (503, False)
        assert report["troubles"][0].startswith("the client is ")


async def test_metrics_are_what_prometheus_reads(autojump_clock: Any) -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="the extra metrics")
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        await client.call({"time": 1})
        waits = Waits()
        waits.begin("GONE", derivtrio.ApiError("InvalidSymbol", "there is no such symbol"))
        health = Health(client, WatchedStore(Memory()), waits)
        status, body = await asked(health, get("/metrics"))
        assert status == 200
        families = list(parser.text_string_to_metric_families(body.decode()))
        values = {
            (sample.name, *sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }
        metrics = client.metrics
        assert values["derivtrio_messages_received_total",] == metrics.messages_received > 0
        assert values["derivtrio_calls_total", "answered"] == metrics.calls["answered"]
        assert values["derivtrio_state", "ready"] == values["derivtrio_healthy",] == 1
        assert values["derivtrio_reply_seconds_bucket", "+Inf"] == sum(
            count for _, count in metrics.latencies
        )
        assert values["derivtrio_rows_written_total",] == 0
        assert values["derivtrio_waiting_series",] == 1
        [wait] = waits
        since = values["derivtrio_waiting_since_timestamp_seconds", "GONE"]
        assert since == pytest.approx(wait.since)


async def test_without_prometheus_client_metrics_says_what_is_missing(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        status, body = await asked(Health(client), get("/metrics"))
    assert status == 501
    assert body.startswith(b"/metrics needs prometheus_client: install the extra metrics;")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (get("/"), 404),
        (get("/healthz", "POST"), 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 2 * HEAD_SIZE, 431),
    ],
)
async def test_other_requests_are_refused(autojump_clock: Any, raw: bytes, status: int) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        assert (await asked(Health(client), raw))[0] == status


async def test_head_has_no_body(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        trio.open_nursery() as nursery,
    ):
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(health_server(Health(client)).serve, theirs)
        await ours.send_all(get("/healthz", "HEAD"))
        answer = b"".join([bytes(part) async for part in ours])
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")


async def test_slow_visitors_are_few_and_are_cut_off(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        trio.open_nursery() as nursery,
    ):
        server = health_server(Health(client))
        visitors = [trio.testing.memory_stream_pair() for _ in range(CONNECTIONS + 1)]
        begin = trio.current_time()
        for ours, theirs in visitors:
            nursery.start_soon(server.serve, theirs)
            await trio.testing.wait_all_tasks_blocked()
            await ours.send_all(b"G") if ours is not visitors[-1][0] else None
        assert await visitors[-1][0].receive_some(1) == b""
        assert trio.current_time() == begin
        for ours, _ in visitors:
            assert await ours.receive_some(1) == b""
        assert trio.current_time() - begin == pytest.approx(PATIENCE)


def fetched(url: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_a_recorder_has_a_page_and_a_file(server: Served, tmp_path: Path) -> None:
    path, db = tmp_path / "health.json", tmp_path / "ticks.db"
    command = ("-m", "derivtrio", "record", "1HZ100V", "--to", str(db))
    more = ("--health", "0", "--health-file", str(path), "--log-format", "json")
    with started(*command, *more, DERIV_URL=server.url) as process:
        assert process.stderr is not None
        log = json.loads(process.stderr.readline())
        url = re.search(r"http://127\.0\.0\.1:\d+", log["text"])
        assert url is not None, log

        def kept() -> bool:
            status, body = fetched(f"{url[0]}/healthz")
            return status == 200 and json.loads(body)["rows_written"] > 0

        wait_until(kept)
        report = json.loads(path.read_text())
        assert {"healthy", "troubles", "state", "last_message_at", "rows_written"} <= set(report)
        assert not list(path.parent.glob("*.tmp"))
        process.terminate()
        _, err = process.communicate()
    assert process.returncode == 143
    assert all({"time", "level", "text"} <= set(json.loads(line)) for line in err.splitlines())
    with sqlite3.connect(db) as rows:
        assert rows.execute("SELECT count(*) FROM ticks").fetchone()[0] > 0
    rows.close()


def test_a_port_in_use_is_one_line(server: Served) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        arguments = ("ticks", "R_100", "--count", "1", "--url", server.url, "--health", str(port))
        result = run(*arguments)
    assert result.exit_code == 1
    assert f"cannot serve the health page at 127.0.0.1:{port}: " in result.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9090", ListenAddress("127.0.0.1", 9090)),
        ("0.0.0.0:9090", ListenAddress("0.0.0.0", 9090)),
        ("[::1]:9090", ListenAddress("::1", 9090)),
    ],
)
def test_an_address_is_loopback_unless_told_otherwise(text: str, expected: ListenAddress) -> None:
    context: Any = None
    assert read_address(context, context, text) == expected


@pytest.mark.parametrize("text", ["", "x", ":1", "127.0.0.1", "1:2:3", "localhost:70000"])
def test_other_addresses_are_refused(text: str) -> None:
    result = run("ticks", "R_100", "--health", text)
    assert result.exit_code == 2
    assert "an address is HOST:PORT" in result.stderr


# --- the log


def test_json_has_the_fields_of_a_record_and_no_secrets() -> None:
    formatter = JsonFormatter([SECRET])
    fields = {"client": "eu", "connection": 3, "attempt": 1, "symbol": None, "token": "x1y2z3"}
    text = f'{SECRET}\nand {{"authorize": "other-token"}}'
    record = logging.makeLogRecord({"name": "derivtrio", "msg": text, "levelno": 20, **fields})
    line = formatter.format(record)
    told = json.loads(line)
    assert "\n" not in line
    assert (told["client"], told["connection"], told["attempt"]) == ("eu", 3, 1)
    assert "symbol" not in told
    assert not [word for word in (SECRET, "other-token", "x1y2z3") if word in line]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["time"])


def test_an_exception_is_in_its_record() -> None:
    try:
        int(SECRET)
    except ValueError:
        record = logging.makeLogRecord({"msg": "x", "exc_info": sys.exc_info()})
    told = json.loads(JsonFormatter([SECRET]).format(record))
    assert told["exception"].endswith("'<not shown>'")


def test_the_error_that_ends_a_command_is_json_too(server: Served) -> None:
    arguments = ("call", '{"ticks": "NO_SUCH"}', "--url", server.url, "--log-format", "json")
    result = run(*arguments)
    assert result.exit_code == 1
    told = [json.loads(line) for line in result.stderr.splitlines()]
    assert (told[-1]["level"], told[-1]["logger"]) == ("ERROR", "derivtrio.cli")
    assert "NO_SUCH" in told[-1]["text"]


def test_what_other_packages_log_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    with log_to_stderr(logging.INFO, JsonFormatter([SECRET])):
        logging.getLogger("derivtrio.cli").warning("ours")
        error = OSError(f"too many\nopen files: {SECRET}")
        logging.getLogger("trio.serve_listeners").error("accept\nreturned EMFILE", exc_info=error)
        logging.getLogger("trio").info("no news")
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["logger"] for line in told] == ["derivtrio.cli", "trio.serve_listeners"]
    assert "open files: <not shown>" in told[1]["exception"]


def test_the_secrets_of_a_target_are_known_to_its_log() -> None:
    v3 = target_for("ws://x", "1089", SECRET, log_format="json")
    options = target_for(None, "1089", SECRET, "DOT90004580", log_format="json")
    for target in (v3, options):
        assert target.formatter is not None
        assert SECRET not in target.formatter.format(logging.makeLogRecord({"msg": SECRET}))
