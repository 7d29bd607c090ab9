"""Events, and who is told of them."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import trio
from scripted import open_server

import derivtrio
from derivtrio.calls.status import EventBus
from derivtrio.concurrency.buffer import Buffer
from derivtrio.logs import TolerantLogger
from derivtrio.simulator import open_simulator

PACKAGE = Path(derivtrio.__file__).parent


async def test_traffic_is_announced_only_while_somebody_listens_to_it() -> None:
    bus = EventBus()
    everything: Buffer[derivtrio.Event] = Buffer("events", 10, "error")
    quiet: Buffer[derivtrio.Event] = Buffer("events", 10, "error")
    bus.listen(everything, traffic=True)
    bus.listen(quiet, traffic=False)
    assert bus.traffic == 1
    bus.announce(derivtrio.MessageSent("{}"))
    bus.announce(derivtrio.Connecting(1))
    assert (len(everything), len(quiet)) == (2, 1)
    bus.ignore(everything)
    bus.ignore(everything)
    assert bus.traffic == 0


async def test_traffic_has_every_message_also_the_heartbeats_and_of_every_connection(
    autojump_clock: Any,
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server) as client,
        client.events(traffic=True) as events,
    ):
        await client.call({"time": 1})
        await client.send({"ping": 1})
        await trio.sleep(60)
        await server.peers[0].drop()
        await trio.sleep(60)
        await client.aclose()
        traffic = [event async for event in events]
    sent = [json.loads(e.data) for e in traffic if isinstance(e, derivtrio.MessageSent)]
    received = [json.loads(e.data) for e in traffic if isinstance(e, derivtrio.MessageReceived)]
    assert sent == [request for _, request in server.received]
    assert [reply["echo_req"] for reply in received] == sent
    assert len([request for request in sent if "ping" in request]) == 1 + 2 + 2


class Broken(logging.Handler):
    """A handler, and a filter, that fails."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ConnectionError(record.getMessage())

    def filter(self, record: logging.LogRecord) -> bool:
        del record
        raise ConnectionError


@pytest.mark.parametrize("name", ["handler", "filter"])
async def test_a_log_handler_that_raises_ends_nothing(
    autojump_clock: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.setattr(logging.NullHandler, "handleError", logging.Handler.handleError)
    log = logging.getLogger("derivtrio")
    monkeypatch.setattr(log, f"{name}s", [Broken()])
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client,
        client.ticks("R_100") as ticks,
    ):
        await anext(ticks)
        sim.faults.drop()
        await trio.sleep(10)
        await anext(ticks)
        assert client.status.connection == 2
    assert "ConnectionError" in capsys.readouterr().err


def test_a_tolerant_logger_names_the_line_that_logs(caplog: pytest.LogCaptureFixture) -> None:
    log = TolerantLogger(logging.getLogger("derivtrio.recording"))
    log.warning("%d rows", 3, extra={"symbol": "R_100"})
    EventBus("bot").log(logging.WARNING, "ready", symbol="R_50")
    first, second = caplog.records
    assert (first.getMessage(), first.funcName) == ("3 rows", second.funcName)
    assert second.funcName == "test_a_tolerant_logger_names_the_line_that_logs"
    assert [getattr(each, "symbol", None) for each in caplog.records] == ["R_100", "R_50"]


def test_g18_what_a_server_says_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    EventBus("bot").log(logging.WARNING, "for %s, %d times", "VRTC1\x1b[2J\nCR1", 2)
    assert [each.getMessage() for each in caplog.records] == ["[bot] for VRTC1 [2J CR1, 2 times"]


def test_every_module_logs_so() -> None:
    """What logs past it can end the task that logs, by a handler of somebody else's."""
    sources = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    logging_modules = [path for path, text in sources.items() if "TolerantLogger(" in text]
    assert len(logging_modules) > 5
    past = [
        path.name
        for path, text in sources.items()
        if re.search(r"(?<!TolerantLogger\()logging\.getLogger", text)
    ]
    assert past == ["output.py"]  # it sets the handlers of the command line
